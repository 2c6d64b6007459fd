"""The rate algorithm against a naive model: a leaking bucket that is filled and drained step by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.rate_limit import MOST_APART, NOTHING, Exhausted, Level, Quota, latest, leak, refund, spend
from tests.unit.builders import MINUTE, SECOND, T0

TEN_A_MINUTE = Quota(10, MINUTE)
TICK = timedelta(microseconds=1)

quotas = st.builds(Quota, st.integers(1, 12), st.timedeltas(min_value=TICK, max_value=10 * MINUTE))
waits = st.timedeltas(min_value=0 * TICK, max_value=3 * MINUTE) | st.just(0 * TICK)
steps = st.lists(st.tuples(waits, st.sampled_from(["spend", "spend", "spend", "give back"])), max_size=60)


@dataclass
class NaiveBucket:
    """What is in the bucket leaks out as time goes by; a try pours one interval in, if it does not run over."""

    quota: Quota
    level: timedelta = 0 * TICK
    at: datetime = T0

    def leak(self, now: datetime) -> None:
        """Let the time pass."""
        self.level = max(0 * TICK, self.level - (now - self.at))
        self.at = now

    def spend(self) -> bool:
        """Pour a try in and say whether it fits."""
        fits = self.level + self.quota.interval <= self.quota.burst * self.quota.interval
        if fits:
            self.level += self.quota.interval
        return fits

    def give_back(self) -> None:
        """Take a try out."""
        self.level = max(0 * TICK, self.level - self.quota.interval)


@dataclass
class Bucket:
    """A level with its moment, as an item keeps them; `now` may be any clock's."""

    level: Level = NOTHING
    at: datetime = T0

    def leak(self, now: datetime) -> None:
        """Bring it up to a moment."""
        self.level, self.at = leak(self.level, self.at, now), latest(self.at, now)

    def spend(self, quota: Quota, now: datetime) -> bool:
        """Take a try and say whether there was one."""
        self.leak(now)
        outcome = spend(self.level, quota)
        self.level = self.level if isinstance(outcome, Exhausted) else outcome
        return not isinstance(outcome, Exhausted)


@given(quotas, steps)
def test_it_agrees_with_the_naive_bucket_at_every_step(quota: Quota, steps: list[tuple[timedelta, str]]) -> None:
    """Any tries and returns at any times, and the same answers."""
    naive, bucket, now = NaiveBucket(quota), Bucket(), T0
    for wait, what in steps:
        now += wait
        naive.leak(now)
        if what == "give back":
            naive.give_back()
            bucket.leak(now)
            bucket.level = refund(bucket.level, quota)
        else:
            assert bucket.spend(quota, now) == naive.spend()
        assert bucket.level == naive.level


@given(quotas, st.lists(waits, max_size=80), st.timedeltas(min_value=0 * TICK, max_value=MINUTE))
def test_no_window_holds_more_than_the_burst_and_what_came_back(
    quota: Quota, gaps: list[timedelta], window: timedelta
) -> None:
    """In any window of time at most burst + window / interval tries are allowed."""
    allowed: list[datetime] = []
    bucket, now = Bucket(), T0
    for gap in gaps:
        now += gap
        if bucket.spend(quota, now):
            allowed.append(now)
    most = quota.burst + window // quota.interval
    assert all(sum(start <= moment <= start + window for moment in allowed) <= most for start in allowed)


@given(
    quotas,
    st.lists(st.tuples(waits, st.booleans()), max_size=80),
    st.timedeltas(min_value=0 * TICK, max_value=MOST_APART),
)
@example(Quota(1, SECOND), [(0 * SECOND, True), (0 * SECOND, False)] * 20, 10 * SECOND)
def test_two_clocks_that_are_apart_let_their_difference_leak_once(
    quota: Quota, steps: list[tuple[timedelta, bool]], apart: timedelta
) -> None:
    """However they take turns: the burst, what comes back in the time, and what came back in the difference."""
    bucket, allowed, now = Bucket(), 0, T0
    for gap, is_fast in steps:
        now += gap
        allowed += bucket.spend(quota, now + apart if is_fast else now)
    assert allowed <= quota.burst + (now - T0 + apart) // quota.interval


@pytest.mark.regression("Z05")
def test_what_a_fast_clock_spent_is_no_more_for_a_slow_one() -> None:
    """One try at a clock that is 100 seconds ahead is one try: ninety-nine of a hundred are left, and no more."""
    bucket, quota = Bucket(), Quota(100, SECOND)
    assert bucket.spend(quota, T0 + 100 * SECOND)
    assert [bucket.spend(quota, T0) for _ in range(100)] == [True] * 99 + [False]


@pytest.mark.regression("Z05")
def test_a_clock_that_was_set_right_does_not_leave_a_bucket_shut() -> None:
    """A year ahead is no difference between hosts; up to two hours may be one, and tries come back after it."""
    for ahead, left in ((timedelta(days=365), True), (MOST_APART, False)):
        bucket, quota = Bucket(), Quota(1, MINUTE)
        assert bucket.spend(quota, T0 + ahead)
        assert not bucket.spend(quota, T0)
        assert bucket.spend(quota, T0 + MINUTE) is left


@given(quotas)
def test_a_refused_try_is_told_after_what_time_one_is_back(quota: Quota) -> None:
    """After that it is allowed, and a microsecond earlier it is not."""
    bucket = Bucket()
    assert all(bucket.spend(quota, T0) for _ in range(quota.burst))
    assert spend(bucket.level, quota) == Exhausted(quota.interval)
    assert not bucket.spend(quota, T0 + quota.interval - TICK)
    assert bucket.spend(quota, T0 + quota.interval)


@pytest.mark.regression("X73")
def test_a_burst_is_allowed_at_once_and_then_one_a_minute() -> None:
    """Ten tries, none more, and a minute later exactly one."""
    bucket = Bucket()
    assert [bucket.spend(TEN_A_MINUTE, T0) for _ in range(11)] == [True] * 10 + [False]
    assert [bucket.spend(TEN_A_MINUTE, T0 + MINUTE) for _ in range(2)] == [True, False]


def test_giving_back_to_a_full_bucket_leaves_it_full_and_no_fuller() -> None:
    """A try given back can be taken again, so a right password costs nothing; none are saved up beyond the burst."""
    bucket = Bucket()
    assert bucket.spend(TEN_A_MINUTE, T0)
    assert refund(bucket.level, TEN_A_MINUTE) == NOTHING
    assert refund(NOTHING, TEN_A_MINUTE) == NOTHING
