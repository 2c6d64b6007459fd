"""Two processes whose clocks are hours apart share one store: the limit holds all the same."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from common.account.history import EventKind, Reason
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    HOUR,
    MINUTE,
    SECOND,
    T0,
    Device,
    HandClock,
    InProcessSuite,
    Login,
    Person,
    as_login,
    code_of,
)

SKEWS = [HOUR, -HOUR, -SECOND]


def alive(suites: list[InProcessSuite], login: Login) -> bool:
    """Say whether any process takes the session for live: its token may have run out, but it would be refreshed."""
    outcomes = [suite.verify(login) for suite in suites]
    return any(o.status_code == 200 or o.get_json()["code"] == "token-expired" for o in outcomes)


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("limit", [1, 2])
def test_whoever_is_fast_the_limit_holds(build_suite: Build, skew: timedelta, limit: int) -> None:
    """Random logins, forces, takeovers, refreshes and logouts at either process; sessions idle out after half an hour.

    After every step at most `limit` of all the sessions ever granted are live at any process, and the book never holds
    more.
    """
    chance, settings = (
        random.Random(f"{skew} {limit}"),
        {"MAX_CONCURRENT_DEVICES": str(limit), "ICHIDAI_IDLE_SECONDS": "1800"},
    )
    clocks = [HandClock(T0), HandClock(T0 + skew)]
    suites = [build_suite(clock, **settings) for clock in clocks]
    anna = suites[0].register()
    devices = [anna.first, *(suites[0].pair(anna, f"Device {n}") for n in range(3))]
    granted: list[Login] = []
    for _ in range(40):
        granted += step(chance, chance.choice(suites), anna, chance.choice(devices), granted)
        pause = chance.choice([0 * SECOND, SECOND, 4 * MINUTE, 11 * MINUTE])
        for clock in clocks:
            clock.move(pause)
        latest = {login.session_id: login for login in granted}
        assert sum(alive(suites, login) for login in latest.values()) <= limit
        assert len(suites[0].book(anna).sessions) <= limit
    entries = suites[0].history(anna)
    assert [entry.change_no for entry in entries] == list(range(1, len(entries) + 1))
    assert sum(event.kind is EventKind.LOGIN for entry in entries for event in entry.events) > 10, "something happened"


def step(
    chance: random.Random, suite: InProcessSuite, person: Person, device: Device, granted: list[Login]
) -> list[Login]:
    """Do one thing, and return the session that came of it."""
    what = chance.choice(["login", "login", "force", "take over", "refresh", "logout"])
    if what == "refresh" and granted:
        answer = suite.refresh(granted[-1].refresh)
        return [as_login(answer)] if answer.status_code == 200 else []
    if what == "logout" and granted:
        suite.post("/session/logout", token=granted[-1].access)
        return []
    answer = suite.login(person, device, force=what == "force")
    if answer.status_code == 409 and what == "take over":
        answer = suite.take_over(answer, device)
    assert answer.status_code in (200, 409, 410), (
        "a consent by a fast clock may be spent at a slow one's, or the reverse"
    )
    return [as_login(answer)] if answer.status_code == 200 else []


def test_a_session_that_a_fast_clock_has_ended_stays_ended_for_a_slow_one(build_suite: Build) -> None:
    """What expired at one process is out of the book, whatever the other's clock says."""
    slow_clock, fast_clock = HandClock(T0), HandClock(T0 + 2 * HOUR)
    slow, fast = (build_suite(clock, ICHIDAI_IDLE_SECONDS="3600") for clock in (slow_clock, fast_clock))
    anna = slow.register()
    laptop = slow.pair(anna)
    phone = slow.log_in(anna)
    assert code_of(slow.login(anna, laptop)) == (409, "device-active")
    fast.log_in(anna, laptop)
    assert slow.verify(phone).get_json()["reason"] == "expired"
    assert slow.endings(anna) == [(phone.session_id, Reason.EXPIRED, T0 + HOUR + MINUTE)]


def test_the_order_of_logins_is_that_of_the_book_and_not_of_the_clocks(build_suite: Build) -> None:
    """In mode evict the earlier login goes, though its clock says that it came later."""
    settings = {"ICHIDAI_CONCURRENCY_MODE": "evict", "MAX_CONCURRENT_DEVICES": "2"}
    behind, ahead = build_suite(HandClock(T0 - HOUR), **settings), build_suite(HandClock(T0), **settings)
    anna = behind.register()
    laptop, tablet = behind.pair(anna, "Laptop"), behind.pair(anna, "Tablet")
    first = ahead.log_in(anna)
    second = behind.log_in(anna, laptop)
    third = behind.log_in(anna, tablet)
    assert [gone["session_id"] for gone in third.answer["evicted"]] == [first.session_id]
    assert behind.verify(second).status_code == 200


def test_keeping_the_first_goes_by_the_book_too(build_suite: Build) -> None:
    """`force_logout` keeps whoever was let in first."""
    behind, ahead = (build_suite(HandClock(at), MAX_CONCURRENT_DEVICES="2") for at in (T0 - HOUR, T0))
    anna = behind.register()
    laptop = behind.pair(anna)
    first = ahead.log_in(anna)
    second = behind.log_in(anna, laptop)
    outcome = behind.post("/device/force_logout", token=second.access).get_json()
    assert outcome["kept"]["session_id"] == first.session_id
    assert [gone["session_id"] for gone in outcome["logged_out"]] == [second.session_id]


@pytest.mark.regression("Z05")
@pytest.mark.parametrize("apart", [100 * SECOND, HOUR])
def test_one_wrong_password_at_a_fast_process_leaves_everybody_in_at_a_slow_one(
    build_suite: Build, apart: timedelta
) -> None:
    """What was spent there is one try here too, of the source and of the account: nobody is told to wait."""
    slow, fast = build_suite(HandClock(T0)), build_suite(HandClock(T0 + apart))
    anna, bert = slow.register("anna"), slow.register("bert")
    stranger = {"username": "anna", "password": "guess", "client_cert_fp": "0" * 64}
    assert fast.post("/login", stranger).status_code == 401
    assert [slow.login(person).status_code for person in (anna, bert)] == [200, 200]
    assert [slow.post("/login", stranger).status_code for _ in range(10)] == [401] * 9 + [429]


def test_right_passwords_at_a_fast_process_cost_nothing_at_a_slow_one(build_suite: Build) -> None:
    """The tries that they gave back are back for every clock."""
    slow, fast = build_suite(HandClock(T0)), build_suite(HandClock(T0 + HOUR))
    anna = slow.register()
    for _ in range(12):
        fast.log_in(anna)
    assert slow.login(anna).status_code == 200
