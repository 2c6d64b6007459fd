"""Refresh: one chain a session, a lost answer is forgiven for ten seconds, and a stolen token ends it all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common.account.history import Reason
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    HandClock,
    InProcessSuite,
    Person,
    as_login,
    code_of,
    ended,
)
from tests.usecases.watched_store import once


@pytest.mark.requirement("B16")
@pytest.mark.regression("Y02", "Y03")
def test_a_refresh_gives_a_new_pair_for_the_same_session(suite: InProcessSuite, anna: Person) -> None:
    """Both old and new access tokens name that session and no other."""
    login = suite.log_in(anna)
    refreshed = as_login(suite.refresh(login.refresh))
    assert refreshed.session_id == login.session_id
    assert refreshed.refresh != login.refresh
    assert refreshed.access != login.access
    assert "evicted" not in refreshed.answer
    assert suite.verify(refreshed).get_json()["session_id"] == login.session_id


@pytest.mark.parametrize("wait", [timedelta(0), 5 * SECOND, 10 * SECOND])
def test_within_ten_seconds_the_previous_token_gives_the_same_successor(
    suite: InProcessSuite, clock: HandClock, anna: Person, wait: timedelta
) -> None:
    """However often: a lost answer forks no chain and ends no session."""
    login = suite.log_in(anna)
    clock.move(HOUR)
    successor = as_login(suite.refresh(login.refresh))
    clock.move(wait)
    version = suite.book(anna).version
    for _ in range(3):
        assert as_login(suite.refresh(login.refresh)).refresh == successor.refresh
    assert suite.book(anna).version == version, "nothing was written"
    assert as_login(suite.refresh(successor.refresh)).refresh != successor.refresh


def test_after_ten_seconds_the_previous_token_ends_the_session(
    suite: InProcessSuite, clock: HandClock, anna: Person
) -> None:
    """Somebody else has it: both chains are dead, and the history says why."""
    login = suite.log_in(anna)
    successor = as_login(suite.refresh(login.refresh))
    clock.move(10 * SECOND + MILLISECOND)
    assert ended(suite.refresh(login.refresh)) == "refresh-reused"
    assert ended(suite.refresh(successor.refresh)) == "refresh-reused"
    assert ended(suite.verify(successor)) == "refresh-reused"
    assert [reason for _, reason, _ in suite.endings(anna)] == [Reason.REFRESH_REUSED]


def test_an_older_token_ends_the_session_at_once(suite: InProcessSuite, anna: Person) -> None:
    """The grace is for the one before alone."""
    oldest = suite.log_in(anna)
    older = as_login(suite.refresh(oldest.refresh))
    newest = as_login(suite.refresh(older.refresh))
    assert ended(suite.refresh(oldest.refresh)) == "refresh-reused"
    assert ended(suite.verify(newest)) == "refresh-reused"


@pytest.mark.requirement("B38")
def test_a_forced_out_session_is_not_refreshed(suite: InProcessSuite, anna: Person) -> None:
    """Neither by its current token nor by the one before."""
    laptop = suite.pair(anna)
    old = suite.log_in(anna)
    new = as_login(suite.refresh(old.refresh))
    suite.log_in(anna, laptop, force=True)
    assert ended(suite.refresh(new.refresh)) == "forced-out"
    assert ended(suite.refresh(old.refresh)) == "forced-out"


def test_a_refresh_in_flight_while_its_session_is_taken_over_comes_to_nothing(
    build_suite: Build, suite: InProcessSuite, anna: Person
) -> None:
    """The takeover's commit, at another process, comes between its look and its own."""
    elsewhere = build_suite()
    laptop = suite.pair(anna)
    phone = suite.log_in(anna)
    question = suite.login(anna, laptop)
    rival = once(lambda call: call.is_write, lambda: as_login(elsewhere.take_over(question, laptop)))
    suite.store.watch(before=rival)
    assert ended(suite.refresh(phone.refresh)) == "taken-over"


def test_a_reused_token_of_a_replaced_session_does_not_end_the_new_one(suite: InProcessSuite, anna: Person) -> None:
    """An old thief cannot throw the owner out."""
    old = suite.log_in(anna)
    new = suite.log_in(anna)
    assert ended(suite.refresh(old.refresh)) == "replaced"
    assert suite.verify(new).status_code == 200


@pytest.mark.parametrize("kind", ["access", "takeover", "junk"])
def test_another_token_is_no_refresh_token(suite: InProcessSuite, anna: Person, kind: str) -> None:
    """Nor is a refresh token an access token."""
    laptop = suite.pair(anna)
    login = suite.log_in(anna)
    takeover = suite.login(anna, laptop).get_json()["takeover"]["token"]
    tokens = {"access": login.access, "takeover": takeover, "junk": "junk"}
    assert code_of(suite.refresh(tokens[kind])) == (401, "invalid-token")
    assert code_of(suite.get("/session/verify", login.refresh)) == (401, "invalid-token")
    assert code_of(suite.get("/session/verify", takeover)) == (401, "invalid-token")


def test_a_refresh_is_good_as_long_as_the_session_lives(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """The token itself does not run out."""
    login = suite.log_in(anna)
    clock.move(24 * HOUR - MINUTE)
    assert suite.verify(as_login(suite.refresh(login.refresh))).status_code == 200
