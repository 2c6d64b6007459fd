"""Expiry: nobody lives past the end, nobody expired keeps a candidate out, and each end is recorded once."""

from __future__ import annotations

import pytest

from common.account.history import Reason
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    HOUR,
    IDLE,
    MILLISECOND,
    MINUTE,
    SECOND,
    T0,
    HandClock,
    InProcessSuite,
    as_login,
    code_of,
    ended,
)


@pytest.mark.requirement("B41")
@pytest.mark.regression("X18")
def test_an_expired_session_keeps_nobody_out_and_is_recorded_at_its_deadline(
    suite: InProcessSuite, clock: HandClock
) -> None:
    """A crashed client never locks anybody out: the candidate's own write takes the old session away."""
    anna = suite.register()
    laptop = suite.pair(anna)
    phone = suite.log_in(anna)
    clock.move(IDLE - MILLISECOND)
    assert code_of(suite.login(anna, laptop)) == (409, "device-active")
    clock.move(MILLISECOND)
    on_laptop = suite.log_in(anna, laptop)
    assert on_laptop.answer["evicted"] == [], "nobody was ended by it"
    assert suite.endings(anna) == [(phone.session_id, Reason.EXPIRED, T0 + IDLE)]
    assert ended(suite.refresh(phone.refresh)) == "expired"


def test_an_ending_is_recorded_once_however_often_it_is_noticed(suite: InProcessSuite, clock: HandClock) -> None:
    """Refused uses record nothing; the first change takes it away, and a later one finds nothing."""
    anna = suite.register()
    laptop = suite.pair(anna)
    phone = suite.log_in(anna)
    clock.move(3 * DAY)
    for _ in range(3):
        assert ended(suite.refresh(phone.refresh)) == "expired"
        assert ended(suite.verify(phone)) == "expired"
    assert suite.endings(anna) == []
    suite.log_in(anna, laptop)
    assert suite.post("/session/logout", token=phone.access).status_code == 200
    suite.log_in(anna, laptop)
    assert [reason for _, reason, _ in suite.endings(anna)] == [Reason.EXPIRED, Reason.REPLACED]
    assert suite.endings(anna)[0][2] == T0 + IDLE


def test_a_logout_of_an_expired_session_tells_of_its_expiry(suite: InProcessSuite, clock: HandClock) -> None:
    """It ended at its deadline, before it was logged out; the answer is the same 200."""
    anna = suite.register()
    phone = suite.log_in(anna)
    clock.move(2 * DAY)
    for _ in range(2):
        assert suite.post("/session/logout", token=phone.access).status_code == 200
    assert suite.endings(anna) == [(phone.session_id, Reason.EXPIRED, T0 + IDLE)]


@pytest.mark.parametrize("path", ["/session/verify", "/session/list", "/session/history", "/device/list"])
def test_no_use_goes_past_the_idle_end(suite: InProcessSuite, clock: HandClock, path: str) -> None:
    """A millisecond before it the token has run out and the session lives; at it the session has ended."""
    phone = suite.log_in(suite.register())
    clock.move(IDLE - MILLISECOND)
    assert code_of(suite.get(path, phone.access)) == (401, "token-expired")
    clock.move(MILLISECOND)
    assert ended(suite.get(path, phone.access)) == "expired"


def test_no_activity_carries_a_session_past_its_absolute_end(build_suite: Build, clock: HandClock) -> None:
    """Used and refreshed every twenty minutes, it ends when it was told to at login."""
    suite = build_suite(ICHIDAI_SESSION_SECONDS="7200", ICHIDAI_ACCESS_TOKEN_SECONDS="3600")
    phone = suite.log_in(suite.register())
    for _ in range(5):
        clock.move(20 * MINUTE)
        phone = as_login(suite.refresh(phone.refresh))
        assert suite.verify(phone).status_code == 200
    clock.now = T0 + 2 * HOUR - MILLISECOND
    assert suite.verify(phone).status_code == 200
    clock.now = T0 + 2 * HOUR
    assert ended(suite.verify(phone)) == "expired"
    assert ended(suite.refresh(phone.refresh)) == "expired"


@pytest.mark.requirement("B05", "B06")
def test_an_access_token_ends_after_ten_minutes_and_is_refreshed(suite: InProcessSuite, clock: HandClock) -> None:
    """The session goes on."""
    phone = suite.log_in(suite.register())
    assert phone.answer["expires_in"] == 600
    clock.move(10 * MINUTE - SECOND)
    assert suite.verify(phone).status_code == 200
    clock.move(SECOND)
    assert code_of(suite.verify(phone)) == (401, "token-expired")
    assert suite.verify(as_login(suite.refresh(phone.refresh))).status_code == 200


def test_a_lowered_limit_leaves_the_earliest_and_tells_the_others(build_suite: Build) -> None:
    """A second process with a lower limit refuses the later logins at once; its first change records it."""
    two, one = build_suite(MAX_CONCURRENT_DEVICES="2"), build_suite()
    anna = two.register()
    laptop = two.pair(anna)
    phone, on_laptop = two.log_in(anna), two.log_in(anna, laptop)
    assert one.verify(phone).status_code == 200
    assert ended(one.verify(on_laptop)) == "over-limit"
    assert ended(one.refresh(on_laptop.refresh)) == "over-limit"
    one.log_in(anna)
    assert [(which, why) for which, why, _ in one.endings(anna)] == [
        (on_laptop.session_id, Reason.OVER_LIMIT),
        (phone.session_id, Reason.REPLACED),
    ]


def test_a_session_over_the_limit_does_not_come_back_when_the_earlier_one_expires(
    build_suite: Build, clock: HandClock
) -> None:
    """Told that it is out, it stays out."""
    two, one = build_suite(MAX_CONCURRENT_DEVICES="2"), build_suite()
    anna = two.register()
    laptop = two.pair(anna)
    two.log_in(anna)
    clock.move(12 * HOUR)
    on_laptop = two.log_in(anna, laptop)
    assert ended(one.verify(on_laptop)) == "over-limit"
    clock.move(12 * HOUR)
    assert ended(one.verify(on_laptop)) == "over-limit"
    assert ended(one.refresh(on_laptop.refresh)) == "over-limit"
