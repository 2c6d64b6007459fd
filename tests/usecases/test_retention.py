"""What is personal goes when its time is over, and no more of it is recorded than the settings say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from common.account.history import ClientInfo, failures_of
from common.account.retention import AddressDetail, Retention
from common.clock import to_millis
from common.storage.tables import LOGIN_HISTORY
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import DAY, HandClock, InProcessSuite, Person

AGENT = "Firefox (a telling one)"


def recorded(suite: InProcessSuite, person: Person) -> tuple[list[Any], list[Any]]:
    """Return the items of the history, and those of failed logins."""
    store = suite.store.inner
    laid_down = list(store.query(LOGIN_HISTORY, person.uuid).items)
    return laid_down, list(store.query(LOGIN_HISTORY, failures_of(person.uuid)).items)


def used(suite: InProcessSuite) -> Person:
    """Register somebody who logs in, rightly and wrongly."""
    anna = suite.register()
    body = {"username": anna.username, "password": "a wrong phrase", "client_cert_fp": anna.first.fingerprint}
    assert suite.post("/login", body, User_Agent=AGENT).status_code == 401
    assert suite.post("/login", {**body, "password": anna.password}, User_Agent=AGENT).status_code == 200
    return anna


@pytest.mark.parametrize(
    ("settings", "history", "failures"),
    [
        ({}, 400 * DAY, 90 * DAY),
        ({"ICHIDAI_HISTORY_DAYS": "30", "ICHIDAI_FAILED_LOGIN_DAYS": "7"}, 30 * DAY, 7 * DAY),
        ({"ICHIDAI_HISTORY_DAYS": "0"}, None, 90 * DAY),
    ],
)
def test_history_and_failed_logins_have_an_end(
    build_suite: Build, clock: HandClock, settings: dict[str, str], history: timedelta | None, failures: timedelta
) -> None:
    """The engine removes an item after its end; only a setting that says so keeps the history for ever."""
    suite = build_suite(clock, **settings)
    laid_down, failed = recorded(suite, used(suite))
    until = None if history is None else to_millis(clock() + history)
    assert [item.get("expires_at") for item in laid_down] == [until] * 2
    assert [item["expires_at"] for item in failed] == [to_millis(clock() + failures)]


def test_what_is_over_is_gone(build_suite: Build, clock: HandClock) -> None:
    """A day and more after its end, once others write; what is younger stays, and the account goes on."""
    suite = build_suite(clock, ICHIDAI_HISTORY_DAYS="30", ICHIDAI_FAILED_LOGIN_DAYS="7")
    anna = used(suite)
    clock.move(31 * DAY)
    for number in range(12):
        suite.register(f"other{number}")
    session = suite.log_in(anna)
    laid_down, failed = recorded(suite, anna)
    assert failed == []
    assert [item["change_no"] for item in laid_down] == [3]
    assert suite.get("/session/history", session.access).status_code == 200


@pytest.mark.parametrize(
    ("detail", "ip", "agent"),
    [("full", "127.0.0.1", AGENT), ("network", "127.0.0.0", ""), ("none", "", "")],
)
def test_of_an_origin_only_so_much_is_recorded(
    build_suite: Build, clock: HandClock, detail: str, ip: str, agent: str
) -> None:
    """In the history and with failed logins alike; guesses are counted by the whole address for all that."""
    suite = build_suite(clock, ICHIDAI_RECORDED_ADDRESSES=detail)
    laid_down, failed = recorded(suite, used(suite))
    assert [(item["ip"], item["user_agent"]) for item in (laid_down[-1], *failed)] == [(ip, agent)] * 2


@pytest.mark.parametrize(("ip", "kept"), [("192.0.2.77", "192.0.2.0"), ("2001:db8:1:2::9", "2001:db8:1::"), ("x", "")])
def test_the_network_of_an_address(ip: str, kept: str) -> None:
    """24 bits of IPv4, 48 of IPv6."""
    assert Retention(addresses=AddressDetail.NETWORK).origin_of(ClientInfo(ip, AGENT)) == ClientInfo(kept)
