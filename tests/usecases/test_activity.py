"""Activity: what counts as use of a session, and that it is written down no oftener than needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from common.clock import to_rfc3339
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
    Login,
    Person,
    as_login,
    ended,
)
from tests.usecases.watched_store import away_from, unknown_at

Use = Callable[[InProcessSuite, Login], TestResponse]

USES: dict[str, Use] = {
    "verify": lambda suite, login: suite.verify(login),
    "revoke": lambda suite, login: suite.post("/session/revoke", {"session_id": "nobody's"}, login.access),
    "unbind": lambda suite, login: suite.post("/device/unbind", {"device_id": "nobody's"}, login.access),
    "force_logout": lambda suite, login: suite.post("/device/force_logout", token=login.access),
}
LOOKS: dict[str, Use] = {
    "refresh": lambda suite, login: suite.refresh(login.refresh),
    "list": lambda suite, login: suite.get("/session/list", login.access),
    "history": lambda suite, login: suite.get("/session/history", login.access),
    "devices": lambda suite, login: suite.get("/device/list", login.access),
}


@pytest.fixture
def phone(suite: InProcessSuite, anna: Person) -> Login:
    """Return her session."""
    return suite.log_in(anna)


def seen(suite: InProcessSuite, person: Person) -> object:
    """Return when the person's one session was last seen, as the book has it a second later."""
    suite.wait_a_second()
    (session,) = suite.book(person).sessions.values()
    return session.last_seen_at


@pytest.mark.requirement("B12")
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_use_is_written_down(suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login, use: Use) -> None:
    """By the book alone: the history is not for that."""
    changes = suite.book(anna).change_no
    clock.move(MINUTE)
    use(suite, phone)
    assert seen(suite, anna) == T0 + MINUTE
    assert suite.book(anna).change_no == changes


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_is_no_use(suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login, look: Use) -> None:
    """Polling keeps nobody alive."""
    clock.move(5 * MINUTE)
    assert look(suite, phone).status_code == 200
    assert seen(suite, anna) == T0


def test_a_session_that_is_only_refreshed_and_looked_at_idles_out(
    suite: InProcessSuite, clock: HandClock, anna: Person
) -> None:
    """After a day, though something came every hour."""
    login = suite.log_in(anna)
    for _ in range(23):
        clock.move(HOUR)
        login = as_login(suite.refresh(login.refresh))
        assert suite.get("/session/list", login.access).status_code == 200
    clock.now = T0 + IDLE - MILLISECOND
    login = as_login(suite.refresh(login.refresh))
    clock.now = T0 + IDLE
    assert ended(suite.refresh(login.refresh)) == "expired"


def test_a_verification_writes_nothing(suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login) -> None:
    """However long ago the session was seen: one read each, and the write comes by itself, once a minute at most."""
    suite.store.watch()
    for _ in range(59):
        clock.move(SECOND)
        assert suite.verify(phone).status_code == 200
        suite.wait_a_second()
    assert {call.verb for call in suite.store.calls} == {"get"}
    assert len(suite.store.calls) == 59, "one read each"
    clock.move(SECOND)
    for _ in range(3):
        assert suite.verify(phone).status_code == 200
    assert suite.store.commits == []
    assert seen(suite, anna) == T0 + MINUTE
    assert [call.tables for call in suite.store.commits] == [("SessionsTable",)]
    assert suite.verify(phone).status_code == 200
    suite.wait_a_second()
    assert len(suite.store.commits) == 1


def test_a_list_shows_what_was_written(suite: InProcessSuite, clock: HandClock, phone: Login) -> None:
    """To the user, in the lists of sessions and of devices."""
    clock.move(5 * MINUTE)
    suite.verify(phone)
    suite.wait_a_second()
    (session,) = suite.get("/session/list", phone.access).get_json()["sessions"]
    (device,) = suite.get("/device/list", phone.access).get_json()["devices"]
    assert session["last_seen_at"] == device["last_seen_at"] == to_rfc3339(T0 + 5 * MINUTE)


@pytest.mark.parametrize("every", [60, 3600])
def test_the_idle_limit_gives_as_much_as_is_not_written(build_suite: Build, clock: HandClock, every: int) -> None:
    """A use just before the next is written is not, and its session lives a day from then on; not a moment more."""
    suite = build_suite(ICHIDAI_LAST_SEEN_SECONDS=str(every), ICHIDAI_ACCESS_TOKEN_SECONDS="200000")
    anna = suite.register()
    phone = suite.log_in(anna)
    clock.move(timedelta(seconds=every) - MILLISECOND)
    assert suite.verify(phone).status_code == 200
    assert seen(suite, anna) == T0
    clock.move(DAY)
    assert suite.get("/session/list", phone.access).status_code == 200
    clock.move(MILLISECOND)
    assert ended(suite.verify(phone)) == "expired"


def test_a_short_idle_time_is_kept_up_by_use(build_suite: Build, clock: HandClock) -> None:
    """Twenty seconds of idle time, two beside: a use every fifteen keeps the session, then 22 without one end it."""
    suite = build_suite(ICHIDAI_IDLE_SECONDS="20")
    phone = suite.log_in(suite.register())
    for _ in range(20):
        clock.move(15 * SECOND)
        assert suite.verify(phone).status_code == 200
        suite.wait_a_second()
    clock.move(22 * SECOND - MILLISECOND)
    assert suite.verify(phone).status_code == 200
    clock.move(MILLISECOND)
    assert ended(suite.verify(phone)) == "expired"


def test_a_refused_use_is_no_activity(suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login) -> None:
    """A body that cannot be read, or a token that has run out, keeps nothing alive."""
    clock.move(9 * MINUTE)
    suite.post("/session/revoke", {"session_id": 5}, phone.access)
    assert seen(suite, anna) == T0
    clock.move(2 * MINUTE)
    suite.verify(phone)
    assert seen(suite, anna) == T0


def test_a_use_by_a_clock_that_is_behind_writes_nothing(
    build_suite: Build, suite: InProcessSuite, anna: Person, phone: Login
) -> None:
    """Time never runs backwards for a session."""
    behind = build_suite(HandClock(T0 - HOUR))
    version = suite.book(anna).version
    assert behind.verify(phone).status_code == 200
    assert suite.book(anna).version == version


def test_an_end_between_a_use_and_its_write_stays_an_end(
    suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login
) -> None:
    """Verified a moment ago, logged out before the write: it does not come back, and nothing is written."""
    clock.move(MINUTE)
    assert suite.verify(phone).status_code == 200
    suite.post("/session/logout", token=phone.access)
    version = suite.book(anna).version
    suite.wait_a_second()
    assert suite.book(anna).sessions == {}
    assert suite.book(anna).version == version


def test_a_session_that_has_expired_before_the_write_is_not_brought_back(
    suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login
) -> None:
    """By the time of the write: what another process may have answered already holds."""
    clock.move(9 * MINUTE)
    assert suite.verify(phone).status_code == 200
    clock.now = T0 + IDLE
    assert seen(suite, anna) == T0
    assert ended(suite.verify(phone)) == "expired"


def test_a_change_by_another_process_before_the_write_loses_neither(
    build_suite: Build, suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login
) -> None:
    """The book that the verification read is not the book any more: it is read again."""
    clock.move(MINUTE)
    assert suite.verify(phone).status_code == 200
    refreshed = as_login(build_suite().refresh(phone.refresh))
    suite.store.watch()
    assert seen(suite, anna) == T0 + MINUTE
    assert [call.verb for call in suite.store.calls] == ["put", "get", "put"]
    assert suite.book(anna).sessions[phone.session_id].generation == 1
    assert suite.verify(refreshed).status_code == 200


def test_two_devices_of_a_user_are_one_write(build_suite: Build, clock: HandClock) -> None:
    """Each with its own time."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna = suite.register()
    phone, laptop = suite.log_in(anna), suite.log_in(anna, suite.pair(anna))
    for login in (phone, laptop):
        clock.move(2 * MINUTE)
        assert suite.verify(login).status_code == 200
    suite.store.watch()
    suite.wait_a_second()
    assert len(suite.store.commits) == 1
    times = [session.last_seen_at for session in suite.book(anna).in_order()]
    assert times == [T0 + 2 * MINUTE, T0 + 4 * MINUTE]


def test_while_the_store_is_unavailable_activity_waits(
    suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login
) -> None:
    """It is written when the store is back, with the time of the use."""
    clock.move(MINUTE)
    assert suite.verify(phone).status_code == 200
    suite.store.watch(before=away_from(1))
    assert not suite.suite.last_seen.flush()
    suite.store.watch()
    clock.move(MINUTE)
    assert seen(suite, anna) == T0 + MINUTE


def test_a_write_whose_answer_was_lost_is_tried_again(
    suite: InProcessSuite, clock: HandClock, anna: Person, phone: Login
) -> None:
    """It may have been done: then nothing is left to do."""
    clock.move(MINUTE)
    assert suite.verify(phone).status_code == 200
    suite.store.watch(after=unknown_at(1))
    assert not suite.suite.last_seen.flush()
    suite.store.watch()
    version = suite.book(anna).version
    assert seen(suite, anna) == T0 + MINUTE
    assert suite.book(anna).version == version
