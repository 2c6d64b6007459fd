"""Activity: what counts as use of a session, and that it is written down no oftener than needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from tests.usecases.conftest import Build
from tests.usecases.house import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    T0,
    HandClock,
    House,
    Login,
    Person,
    as_login,
    ended,
)

Use = Callable[[House, Login], TestResponse]

USES: dict[str, Use] = {
    "verify": lambda house, login: house.verify(login),
    "revoke": lambda house, login: house.post("/session/revoke", {"session_id": "nobody's"}, login.access),
    "unbind": lambda house, login: house.post("/device/unbind", {"device_id": "nobody's"}, login.access),
    "force_logout": lambda house, login: house.post("/device/force_logout", token=login.access),
}
LOOKS: dict[str, Use] = {
    "refresh": lambda house, login: house.refresh(login.refresh),
    "list": lambda house, login: house.get("/session/list", login.access),
    "history": lambda house, login: house.get("/session/history", login.access),
    "devices": lambda house, login: house.get("/device/list", login.access),
}


@pytest.fixture
def phone(house: House, anna: Person) -> Login:
    """Return her session."""
    return house.log_in(anna)


def seen(house: House, person: Person) -> object:
    """Return when the person's one session was last seen, as the book has it."""
    (session,) = house.book(person).sessions.values()
    return session.last_seen_at


@pytest.mark.row("B12")
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_use_is_written_down(house: House, clock: HandClock, anna: Person, phone: Login, use: Use) -> None:
    """By the book alone: the history is not for that."""
    changes = house.book(anna).change_no
    clock.move(MINUTE)
    use(house, phone)
    assert seen(house, anna) == T0 + MINUTE
    assert house.book(anna).change_no == changes


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_look_is_no_use(house: House, clock: HandClock, anna: Person, phone: Login, look: Use) -> None:
    """Polling keeps nobody alive."""
    clock.move(5 * MINUTE)
    assert look(house, phone).status_code == 200
    assert seen(house, anna) == T0


def test_a_session_that_is_only_refreshed_and_looked_at_idles_out(house: House, clock: HandClock, anna: Person) -> None:
    """After a day, though something came every hour."""
    login = house.log_in(anna)
    for _ in range(23):
        clock.move(HOUR)
        login = as_login(house.refresh(login.refresh))
        assert house.get("/session/list", login.access).status_code == 200
    clock.now = T0 + DAY
    assert ended(house.refresh(login.refresh)) == "expired"


def test_it_is_written_down_once_a_minute_at_most(house: House, clock: HandClock, anna: Person, phone: Login) -> None:
    """A thousand uses within a minute are one read each and no write."""
    house.store.watch()
    for _ in range(59):
        clock.move(SECOND)
        assert house.verify(phone).status_code == 200
    assert house.store.commits == []
    assert len(house.store.calls) == 59, "one read each"
    clock.move(SECOND)
    for _ in range(3):
        assert house.verify(phone).status_code == 200
    assert len(house.store.commits) == 1
    assert seen(house, anna) == T0 + MINUTE


def test_a_short_idle_time_is_kept_up_by_use(build_house: Build, clock: HandClock) -> None:
    """Twenty seconds of idle time: a use every fifteen keeps the session, then twenty without one end it."""
    house = build_house(ICHIDAI_IDLE_SECONDS="20")
    phone = house.log_in(house.register())
    for _ in range(20):
        clock.move(15 * SECOND)
        assert house.verify(phone).status_code == 200
    clock.move(20 * SECOND - MILLISECOND)
    assert house.verify(phone).status_code == 200
    clock.move(20 * SECOND)
    assert ended(house.verify(phone)) == "expired"


def test_a_refused_use_is_no_activity(house: House, clock: HandClock, anna: Person, phone: Login) -> None:
    """A body that cannot be read, or a token that has run out, keeps nothing alive."""
    clock.move(9 * MINUTE)
    house.post("/session/revoke", {"session_id": 5}, phone.access)
    assert seen(house, anna) == T0
    clock.move(2 * MINUTE)
    house.verify(phone)
    assert seen(house, anna) == T0


def test_a_use_by_a_clock_that_is_behind_writes_nothing(
    build_house: Build, house: House, anna: Person, phone: Login
) -> None:
    """Time never runs backwards for a session."""
    behind = build_house(HandClock(T0 - HOUR))
    version = house.book(anna).version
    assert behind.verify(phone).status_code == 200
    assert house.book(anna).version == version


def test_a_session_that_ends_while_its_use_is_written_down_has_ended(
    house: House, clock: HandClock, anna: Person, phone: Login
) -> None:
    """Verified a moment ago, taken over before the write: the answer is that it is over."""
    clock.move(MINUTE)
    reads: list[int] = []

    def evict(call: object) -> None:
        reads.append(1)
        if len(reads) == 2:
            house.put_book(replace(house.book(anna), sessions={}))

    house.store.watch(before=evict)
    assert ended(house.verify(phone)) == "ended"
