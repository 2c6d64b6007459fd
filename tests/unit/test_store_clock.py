"""The store's clock as a process knows it: bounds on its difference, and no time where they are too wide."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import from_millis
from common.storage.clock_offset import ClockReading, OffsetBounds, measured
from common.storage.port import StoreUnavailable
from common.storage.store_clock import StoreClock

T = 2_000_000_000.0
"""What the store's clock shows when the monotonic one shows 0."""


class Hand:
    """A monotonic clock and a store that a test moves; each reading takes `slow` seconds."""

    def __init__(self, *, resolution: float = 0.001, slow: float = 0.0) -> None:
        self.now = 1000.0
        self.ahead = T
        self.resolution = resolution
        self.slow = slow
        self.is_away = False

    def monotonic(self) -> float:
        """Return the time that goes on."""
        return self.now

    def read_clock(self) -> ClockReading:
        """Return what the store shows in the middle of the call."""
        if self.is_away:
            raise StoreUnavailable("away")
        self.now += self.slow / 2
        shown = self.now + self.ahead
        self.now += self.slow / 2
        return ClockReading(shown // self.resolution * self.resolution, self.resolution)

    def wrong_by(self, clock: StoreClock) -> float:
        """Return how wrong a clock is, in seconds."""
        return clock().timestamp() - (self.now + self.ahead)


def clock_of(hand: Hand, drift: timedelta = timedelta()) -> StoreClock:
    """Return a clock that was measured once, in a process whose own clock is wrong by `drift`."""
    clock = StoreClock(lambda: from_millis(int((hand.now + hand.ahead) * 1000)) + drift, monotonic=hand.monotonic)
    clock.measure(hand)
    clock.watch()
    return clock


@pytest.mark.parametrize("drift", [timedelta(), timedelta(hours=1), timedelta(hours=-1), timedelta(days=9000)])
def test_a_hosts_own_clock_does_not_count(drift: timedelta, caplog: pytest.LogCaptureFixture) -> None:
    """It is told in the log that it is wrong, once."""
    hand = Hand()
    clock = clock_of(hand, drift)
    for _ in range(5):
        hand.now += 1
        clock.measure(hand)
        assert abs(hand.wrong_by(clock)) < 0.01
    assert caplog.text.count("this host's clock") == (1 if drift else 0)


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 0.9), st.floats(0, 1)), min_size=1, max_size=30),
    st.sampled_from([0.001, 1.0]),
    st.floats(-0.0009, 0.0009),
)
def test_the_time_is_never_more_wrong_than_it_says(
    turns: list[tuple[float, float, float]], resolution: float, rate: float
) -> None:
    """However long calls take, whenever within them the clock was read, and however the two drift apart."""
    bounds: OffsetBounds | None = None
    now = 0.0
    for pause, call, moment in turns:
        now += pause
        sent, read, received = now, now + call * moment, now + call
        shown = T + read * (1 + rate)
        bounds = measured(bounds, ClockReading(shown // resolution * resolution, resolution), sent, received)
        now = received
        truth = T + now * (1 + rate) - now
        assert abs(bounds.offset() - truth) <= bounds.uncertainty(now) + 1e-5
        later = now + 5
        truth_later = T + later * (1 + rate) - later
        assert abs(bounds.offset() - truth_later) <= bounds.uncertainty(later) + 1e-5


def test_whole_seconds_are_told_apart_by_asking_again() -> None:
    """A `Date` is cut to seconds: several of them bound the difference more closely than any one."""
    hand = Hand(resolution=1.0, slow=0.01)
    clock = clock_of(hand)
    for _ in range(60):
        hand.now += 1.017
        clock.measure(hand)
    assert abs(hand.wrong_by(clock)) < 0.1


def test_a_clock_that_was_set_is_followed_at_once() -> None:
    """The bounds of before do not meet the new measurement."""
    hand = Hand()
    clock = clock_of(hand)
    hand.ahead += 500
    clock.measure(hand)
    assert abs(hand.wrong_by(clock)) < 0.01


def test_no_time_is_told_before_the_first_measurement() -> None:
    """There is nothing to tell it by."""
    with pytest.raises(StoreUnavailable, match="not read yet"):
        StoreClock(lambda: from_millis(0))()


def test_no_time_is_told_when_nothing_was_measured_for_thirty_seconds() -> None:
    """Also when the machine was suspended meanwhile; it is told again after the next measurement."""
    hand = Hand()
    clock = clock_of(hand)
    hand.is_away, hand.now = True, hand.now + 29
    with pytest.raises(StoreUnavailable, match="away"):
        clock.measure(hand)
    assert abs(hand.wrong_by(clock)) < 0.01
    hand.now += 2
    with pytest.raises(StoreUnavailable, match="could not be read for 31 seconds"):
        clock()
    hand.is_away = False
    clock.measure(hand)
    assert abs(hand.wrong_by(clock)) < 0.01


def test_no_time_is_told_that_may_be_wrong_by_more_than_two_seconds() -> None:
    """A call that took five seconds does not tell enough; a quicker one later does."""
    hand = Hand(slow=5)
    clock = clock_of(hand)
    with pytest.raises(StoreUnavailable, match=r"known to 2\.5 seconds only"):
        clock()
    hand.slow = 3
    clock.measure(hand)
    assert abs(hand.wrong_by(clock)) < 2


@given(width=st.floats(0, 5), at=st.floats(0, 1e6))
def test_how_long_what_was_measured_is_good(width: float, at: float) -> None:
    """Up to that moment there is no fault, and right after it there is one."""
    bounds = OffsetBounds(T, T + width, at)
    good = bounds.good_until()
    assert good < at or bounds.fault(good - 0.001) is None
    assert bounds.fault(good + 0.001) is not None


def test_a_slow_answer_does_not_spoil_what_is_known() -> None:
    """The bounds of before are the closer ones."""
    hand = Hand()
    clock = clock_of(hand)
    hand.slow = 20
    clock.measure(hand)
    assert abs(hand.wrong_by(clock)) < 0.1
