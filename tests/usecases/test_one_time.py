"""Two processes on hosts whose clocks are an hour apart keep every promise about time; planted: by their own clocks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from common.clock import Clock, system_clock
from common.storage.store_clock import StoreClock
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    HOUR,
    Device,
    HandClock,
    InProcessSuite,
    Person,
    code_of,
)

SETTINGS = {
    "ICHIDAI_IDLE_SECONDS": "1800",
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "3",
    "ICHIDAI_EVICTIONS_BEFORE_SIGNATURE": "2",
}

Broken = list[str]


def throttle(fast: InProcessSuite, slow: InProcessSuite) -> Broken:
    """One wrong password at the fast host is one at the slow one."""
    someone = slow.register("throttled")
    wrong = {"username": someone.username, "password": "not it", "client_cert_fp": someone.first.fingerprint}
    codes = [code_of(suite.post("/login", wrong)) for suite in (fast, slow)]
    return [] if codes == [(401, "bad-credentials")] * 2 else [f"throttle: {codes}"]


def grace(fast: InProcessSuite, slow: InProcessSuite) -> Broken:
    """A refresh token whose answer was lost gives the same again, at whichever host it is sent again."""
    login = slow.log_in(slow.register("refreshing"))
    first, again = slow.refresh(login.refresh), fast.refresh(login.refresh)
    same = again.status_code == 200 and again.get_json()["refresh_token"] == first.get_json()["refresh_token"]
    return [] if same else [f"a refresh called reused: {again.get_json()}"]


def consent(fast: InProcessSuite, slow: InProcessSuite) -> Broken:
    """A consent is good for 120 seconds everywhere."""
    person, laptop = _with_laptop(slow, "consenting")
    slow.log_in(person)
    answer = fast.take_over(slow.login(person, laptop), laptop)
    return [] if answer.status_code == 200 else [f"consent: {code_of(answer)}"]


def idle(fast: InProcessSuite, slow: InProcessSuite) -> Broken:
    """A session that is in use at one host is not idle at the other."""
    login = slow.log_in(slow.register("idling"))
    answer = fast.verify(login)
    return [] if answer.status_code == 200 else [f"idle: {answer.get_json()['code']} {answer.get_json().get('reason')}"]


def evictions(fast: InProcessSuite, slow: InProcessSuite) -> Broken:
    """An eviction counts for ten minutes at every host: none lies in another's future."""
    person, laptop = _with_laptop(fast, "evicting")
    fast.log_in(person)
    fast.log_in(person, laptop, force=True)
    ahead = [(at - slow.clock()).total_seconds() for at in slow.book(person).evictions]
    assert len(ahead) == 1
    return [f"an eviction is counted for {seconds:.0f} s too long" for seconds in ahead if seconds > 2]


PROMISES: list[Callable[[InProcessSuite, InProcessSuite], Broken]] = [
    throttle,
    grace,
    consent,
    idle,
    evictions,
]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("apart", [HOUR, -HOUR])
def test_the_stores_time_counts_on_every_host(build_suite: Build, promise: Any, apart: timedelta) -> None:
    """However wrong the hosts' own clocks are."""
    fast, slow = (build_suite(host_clock(drift), **SETTINGS) for drift in (apart, -apart))
    assert promise(fast, slow) == []


@pytest.mark.parametrize("promise", [p for p in PROMISES if p is not throttle], ids=lambda promise: promise.__name__)
def test_planted_each_process_goes_by_its_own_clock(build_suite: Build, promise: Any) -> None:
    """What was so before: each of these promises is broken (but the throttle's, which counts no future time)."""
    fast, slow = build_suite(HandClock(), **SETTINGS), build_suite(HandClock(), **SETTINGS)
    fast.clock.move(HOUR)
    assert promise(fast, slow) != []


def host_clock(drift: timedelta) -> Clock:
    """Return the store's clock, in a process whose own is wrong by so much."""
    return StoreClock(lambda: system_clock() + drift)


def _with_laptop(suite: InProcessSuite, name: str) -> tuple[Person, Device]:
    person = suite.register(name)
    return person, suite.pair(person)
