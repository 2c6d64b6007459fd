"""The rate algorithm against a naive model: a leaking bucket that is filled and drained step by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.throttle import Exhausted, Quota, Spent, give_back, spend
from tests.unit.making import MINUTE, SECOND, T0

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


@given(quotas, steps)
def test_it_agrees_with_the_naive_bucket_at_every_step(quota: Quota, steps: list[tuple[timedelta, str]]) -> None:
    """Any tries and returns at any times, and the same answers."""
    naive, tat, now = NaiveBucket(quota), None, T0
    for wait, what in steps:
        now += wait
        naive.leak(now)
        if what == "give back":
            naive.give_back()
            tat = give_back(tat, quota, now)
            continue
        outcome = spend(tat, quota, now)
        assert isinstance(outcome, Spent) == naive.spend()
        if isinstance(outcome, Spent):
            tat = outcome.tat
            assert tat == now + naive.level


@given(quotas, st.lists(waits, max_size=80), st.timedeltas(min_value=0 * TICK, max_value=MINUTE))
def test_no_window_holds_more_than_the_burst_and_what_came_back(
    quota: Quota, gaps: list[timedelta], window: timedelta
) -> None:
    """In any window of time at most burst + window / interval tries are allowed."""
    allowed: list[datetime] = []
    tat, now = None, T0
    for gap in gaps:
        now += gap
        outcome = spend(tat, quota, now)
        if isinstance(outcome, Spent):
            tat = outcome.tat
            allowed.append(now)
    most = quota.burst + window // quota.interval
    assert all(sum(start <= moment <= start + window for moment in allowed) <= most for start in allowed)


@given(quotas)
def test_a_refused_try_is_told_the_very_moment_at_which_one_is_back(quota: Quota) -> None:
    """At that moment it is allowed, and a microsecond earlier it is not."""
    tat = None
    for _ in range(quota.burst):
        outcome = spend(tat, quota, T0)
        assert isinstance(outcome, Spent)
        tat = outcome.tat
    refused = spend(tat, quota, T0)
    assert isinstance(refused, Exhausted)
    assert refused.retry_at == T0 + quota.interval
    assert isinstance(spend(tat, quota, refused.retry_at), Spent)
    assert isinstance(spend(tat, quota, refused.retry_at - TICK), Exhausted)


@pytest.mark.pitfall("X73")
def test_a_burst_is_allowed_at_once_and_then_one_a_minute() -> None:
    """Ten tries, none more, and a minute later exactly one."""
    tat = None
    for _ in range(10):
        outcome = spend(tat, TEN_A_MINUTE, T0)
        assert isinstance(outcome, Spent)
        tat = outcome.tat
    assert isinstance(spend(tat, TEN_A_MINUTE, T0), Exhausted)
    outcome = spend(tat, TEN_A_MINUTE, T0 + MINUTE)
    assert isinstance(outcome, Spent)
    assert isinstance(spend(outcome.tat, TEN_A_MINUTE, T0 + MINUTE), Exhausted)


def test_a_try_given_back_can_be_taken_again() -> None:
    """So a right password costs nothing."""
    outcome = spend(None, TEN_A_MINUTE, T0)
    assert isinstance(outcome, Spent)
    assert give_back(outcome.tat, TEN_A_MINUTE, T0) == T0


def test_giving_back_to_a_full_bucket_leaves_it_full_and_no_fuller() -> None:
    """No tries are saved up beyond the burst."""
    assert give_back(None, TEN_A_MINUTE, T0) == T0
    assert give_back(T0 - MINUTE, TEN_A_MINUTE, T0) == T0


def test_a_clock_that_is_behind_gives_no_tries() -> None:
    """A try taken an hour ahead still counts for a process whose clock is behind."""
    ahead = spend(None, Quota(1, MINUTE), T0 + 60 * MINUTE)
    assert isinstance(ahead, Spent)
    assert isinstance(spend(ahead.tat, Quota(1, MINUTE), T0 + 59 * SECOND), Exhausted)
