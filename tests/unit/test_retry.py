"""Trying again until a deadline, and the deadline that one request sets to everything it tries."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from common import retry
from common.retry import RetryBudget, deadline, deadline_exceeded


class Time:
    """A monotonic clock that pauses move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return where the hand stands."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Return the clock of the retry budgets in this test."""
    own = Time()
    monkeypatch.setattr(retry, "time", own)
    return own


def tries(time: Time, begun: Callable[[], RetryBudget], each: float = 0.0) -> tuple[int, float]:
    """Count the attempts of a retry budget, each of which takes so long, and the seconds until it was used up."""
    start, count = time.now, 0
    for _ in begun():
        count += 1
        time.now += each
    return count, time.now - start


@pytest.mark.regression("X51")
def test_pauses_grow_and_end_at_the_deadline(time: Time) -> None:
    """Many tries fit in, none is begun after the end, and no pause is longer than a tenth of a second."""
    count, seconds = tries(time, lambda: RetryBudget(4.0, time.pause))
    assert count > 40
    assert 3.9 <= seconds <= 4.0


def test_there_is_always_one_try(time: Time) -> None:
    """Also where no time is left."""
    assert tries(time, lambda: RetryBudget(0.0, time.pause))[0] == 1


def test_a_slow_try_is_not_followed_by_another_past_the_end(time: Time) -> None:
    """With tries of 1.5 s three begin within 4 s, and it is over after 4.5 s and some pauses."""
    count, seconds = tries(time, lambda: RetryBudget(4.0, time.pause), each=1.5)
    assert (count, seconds) == (3, pytest.approx(4.5, abs=0.1))


def test_retry_budgets_in_a_row_do_not_add_up(time: Time) -> None:
    """Inside `deadline` every retry budget ends with it, however many there are and however long each would be."""
    start = time.now
    with deadline(3.4):
        assert not deadline_exceeded()
        for _ in range(5):
            tries(time, lambda: RetryBudget(4.0, time.pause))
        assert 3.3 <= time.now - start <= 3.4
        time.now += 0.1
        assert deadline_exceeded()
    assert not deadline_exceeded()
    assert tries(time, lambda: RetryBudget(4.0, time.pause))[1] >= 3.9


def test_an_inner_end_is_never_later_than_the_outer_one(time: Time) -> None:
    """Who is given little time cannot take more."""
    with deadline(1.0), deadline(10.0):
        assert tries(time, lambda: RetryBudget(4.0, time.pause))[1] <= 1.0


def test_one_requests_end_is_no_others(time: Time) -> None:
    """Each thread has its own."""
    found: list[float] = []
    with deadline(1.0):
        other = threading.Thread(target=lambda: found.append(RetryBudget(4.0).left()))
        other.start()
        other.join()
    assert found == [4.0]
