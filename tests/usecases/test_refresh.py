"""Refresh: one chain a session, a lost answer is forgiven for ten seconds, and a stolen token ends it all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common.history import Reason
from tests.usecases.conftest import Build
from tests.usecases.house import HOUR, MILLISECOND, MINUTE, SECOND, HandClock, House, Person, as_login, code_of, ended
from tests.usecases.watched_store import once


@pytest.mark.pitfall("Y02", "Y03")
def test_a_refresh_gives_a_new_pair_for_the_same_session(house: House, anna: Person) -> None:
    """Both old and new access tokens name that session and no other."""
    login = house.log_in(anna)
    refreshed = as_login(house.refresh(login.refresh))
    assert refreshed.session_id == login.session_id
    assert refreshed.refresh != login.refresh
    assert refreshed.access != login.access
    assert "evicted" not in refreshed.answer
    assert house.verify(refreshed).get_json()["session_id"] == login.session_id


@pytest.mark.parametrize("wait", [timedelta(0), 5 * SECOND, 10 * SECOND])
def test_within_ten_seconds_the_previous_token_gives_the_same_successor(
    house: House, clock: HandClock, anna: Person, wait: timedelta
) -> None:
    """However often: a lost answer forks no chain and ends no session."""
    login = house.log_in(anna)
    clock.move(HOUR)
    successor = as_login(house.refresh(login.refresh))
    clock.move(wait)
    version = house.book(anna).version
    for _ in range(3):
        assert as_login(house.refresh(login.refresh)).refresh == successor.refresh
    assert house.book(anna).version == version, "nothing was written"
    assert as_login(house.refresh(successor.refresh)).refresh != successor.refresh


def test_after_ten_seconds_the_previous_token_ends_the_session(house: House, clock: HandClock, anna: Person) -> None:
    """Somebody else has it: both chains are dead, and the history says why."""
    login = house.log_in(anna)
    successor = as_login(house.refresh(login.refresh))
    clock.move(10 * SECOND + MILLISECOND)
    assert ended(house.refresh(login.refresh)) == "refresh-reused"
    assert ended(house.refresh(successor.refresh)) == "refresh-reused"
    assert ended(house.verify(successor)) == "refresh-reused"
    assert [reason for _, reason, _ in house.endings(anna)] == [Reason.REFRESH_REUSED]


def test_an_older_token_ends_the_session_at_once(house: House, anna: Person) -> None:
    """The grace is for the one before alone."""
    oldest = house.log_in(anna)
    older = as_login(house.refresh(oldest.refresh))
    newest = as_login(house.refresh(older.refresh))
    assert ended(house.refresh(oldest.refresh)) == "refresh-reused"
    assert ended(house.verify(newest)) == "refresh-reused"


@pytest.mark.row("B38")
def test_a_forced_out_session_is_not_refreshed(house: House, anna: Person) -> None:
    """Neither by its current token nor by the one before."""
    laptop = house.pair(anna)
    old = house.log_in(anna)
    new = as_login(house.refresh(old.refresh))
    house.log_in(anna, laptop, force=True)
    assert ended(house.refresh(new.refresh)) == "forced-out"
    assert ended(house.refresh(old.refresh)) == "forced-out"


def test_a_refresh_in_flight_while_its_session_is_taken_over_comes_to_nothing(
    build_house: Build, house: House, anna: Person
) -> None:
    """The takeover's commit, at another process, comes between its look and its own."""
    elsewhere = build_house()
    laptop = house.pair(anna)
    phone = house.log_in(anna)
    question = house.login(anna, laptop)
    rival = once(lambda call: call.verb == "commit", lambda: as_login(elsewhere.take_over(question, laptop)))
    house.store.watch(before=rival)
    assert ended(house.refresh(phone.refresh)) == "taken-over"


def test_a_reused_token_of_a_replaced_session_does_not_end_the_new_one(house: House, anna: Person) -> None:
    """An old thief cannot throw the owner out."""
    old = house.log_in(anna)
    new = house.log_in(anna)
    assert ended(house.refresh(old.refresh)) == "replaced"
    assert house.verify(new).status_code == 200


@pytest.mark.parametrize("kind", ["access", "takeover", "junk"])
def test_another_token_is_no_refresh_token(house: House, anna: Person, kind: str) -> None:
    """Nor is a refresh token an access token."""
    laptop = house.pair(anna)
    login = house.log_in(anna)
    takeover = house.login(anna, laptop).get_json()["takeover"]["token"]
    tokens = {"access": login.access, "takeover": takeover, "junk": "junk"}
    assert code_of(house.refresh(tokens[kind])) == (401, "invalid-token")
    assert code_of(house.get("/session/verify", login.refresh)) == (401, "invalid-token")
    assert code_of(house.get("/session/verify", takeover)) == (401, "invalid-token")


def test_a_refresh_is_good_as_long_as_the_session_lives(house: House, clock: HandClock, anna: Person) -> None:
    """The token itself does not run out."""
    login = house.log_in(anna)
    clock.move(24 * HOUR - MINUTE)
    assert house.verify(as_login(house.refresh(login.refresh))).status_code == 200
