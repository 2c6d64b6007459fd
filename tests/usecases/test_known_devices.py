"""Guesses: a crowd of strangers cannot lock the owner out of a device that is known, and cannot guess on either."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.usecases.conftest import Build
from tests.usecases.house import DAY, MILLISECOND, MINUTE, SECOND, HandClock, House, Person
from tests.usecases.watched_store import StoreCall, once

HOME, WORK = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def house(build_house: Build) -> House:
    """Return a house behind a proxy that tells where requests come from."""
    return build_house(ICHIDAI_TRUSTED_PROXIES="127.0.0.1", ICHIDAI_GUESSES_ACCOUNT="20")


def login_from(
    house: House, person: Person, ip: str, *, password: str | None = None, fingerprint: str | None = None
) -> int:
    """Log in from an address and return the status."""
    body = {
        "username": person.username,
        "password": password or person.password,
        "client_cert_fp": fingerprint or person.first.fingerprint,
    }
    return house.post("/login", body, X_Forwarded_For=ip).status_code


def hammer(house: House, person: Person) -> None:
    """Guess from so many addresses that the account's own bucket is empty."""
    for number in range(25):
        login_from(house, person, f"198.51.100.{number}", password="guess", fingerprint="0" * 64)


def test_the_owner_gets_in_where_the_device_is_known(house: House, anna: Person) -> None:
    """It logged in from there before, so it has a bucket of its own."""
    assert login_from(house, anna, HOME) == 200
    hammer(house, anna)
    assert login_from(house, anna, "198.51.100.200") == 429, "strangers are held up"
    assert login_from(house, anna, HOME) == 200


@pytest.mark.parametrize(
    ("ip", "other_device"), [(WORK, False), (HOME, True)], ids=["from elsewhere", "another device from there"]
)
def test_only_that_device_from_that_source_is_known(house: House, anna: Person, ip: str, *, other_device: bool) -> None:
    """A fingerprint is no secret, so it counts only where it has been."""
    laptop = house.pair(anna)
    login_from(house, anna, HOME)
    hammer(house, anna)
    assert login_from(house, anna, ip, fingerprint=laptop.fingerprint if other_device else None) == 429


@pytest.mark.parametrize(
    ("wait", "status"), [(30 * DAY - MILLISECOND, 200), (30 * DAY, 429)], ids=["within thirty days", "after them"]
)
def test_a_device_is_known_for_thirty_days(
    house: House, clock: HandClock, anna: Person, wait: timedelta, status: int
) -> None:
    """Then it stands with the others again."""
    login_from(house, anna, HOME)
    clock.move(wait)
    hammer(house, anna)
    assert login_from(house, anna, HOME) == status


def test_each_login_makes_it_known_for_thirty_days_more(house: House, clock: HandClock, anna: Person) -> None:
    """Whoever comes every three weeks is never a stranger."""
    for _ in range(4):
        assert login_from(house, anna, HOME) == 200
        clock.move(21 * DAY)
    hammer(house, anna)
    assert login_from(house, anna, HOME) == 200


def test_a_known_device_cannot_guess_without_end_either(house: House, anna: Person) -> None:
    """Its own bucket holds ten, one comes back a minute."""
    login_from(house, anna, HOME)
    assert [login_from(house, anna, HOME, password="guess") for _ in range(12)] == [401] * 10 + [429] * 2


def test_ten_wrong_ones_from_a_source_are_all_there_are(house: House, clock: HandClock, anna: Person) -> None:
    """A refused try costs nothing and tells nothing: the right password is refused alike until one is back."""
    assert [login_from(house, anna, WORK, password="guess") for _ in range(11)] == [401] * 10 + [429]
    assert login_from(house, anna, WORK) == 429
    clock.move(MINUTE - MILLISECOND)
    assert login_from(house, anna, WORK) == 429
    clock.move(MILLISECOND)
    assert login_from(house, anna, WORK) == 200


def test_right_passwords_cost_nothing(house: House, anna: Person) -> None:
    """However many, also such as the limit refuses."""
    laptop = house.pair(anna)
    statuses = [
        login_from(house, anna, WORK, fingerprint=f)
        for _ in range(15)
        for f in (anna.first.fingerprint, laptop.fingerprint)
    ]
    assert statuses == [200, 409] * 15


def test_ipv6_neighbours_are_one_source(house: House, anna: Person) -> None:
    """A /64 is one household, whatever address it takes."""
    statuses = [login_from(house, anna, f"2001:db8::{number:x}", password="guess") for number in range(11)]
    assert statuses == [401] * 10 + [429]
    assert login_from(house, anna, "2001:db8:0:1::1", password="guess") == 401


def test_a_source_is_bounded_over_all_accounts(build_house: Build, clock: HandClock) -> None:
    """Spraying one password over many names: a hundred, then one a second; other sources go on."""
    house = build_house(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    body = {"password": "guess", "client_cert_fp": "0" * 64}
    statuses = [
        house.post("/login", {**body, "username": f"n{n}"}, X_Forwarded_For=WORK).status_code for n in range(103)
    ]
    assert statuses == [401] * 100 + [429] * 3
    assert house.post("/login", {**body, "username": "x"}, X_Forwarded_For=HOME).status_code == 401
    clock.move(SECOND)
    assert house.post("/login", {**body, "username": "x"}, X_Forwarded_For=WORK).status_code == 401


Door = Callable[[House, Person], int]

DOORS: dict[str, Door] = {
    "/login": lambda h, p: login_from(h, p, WORK, password="guess"),
    "/login by mail": lambda h, p: (
        h.post(
            "/login",
            {"email": f"{p.username}@example.test", "password": "guess", "client_cert_fp": p.first.fingerprint},
            X_Forwarded_For=WORK,
        ).status_code
    ),
    "/session/create": lambda h, p: (
        h.post(
            "/session/create",
            {"username": p.username, "password": "guess", "client_cert_fp": p.first.fingerprint},
            X_Forwarded_For=WORK,
        ).status_code
    ),
    "/registration/ with a code": lambda h, p: (
        h.post(
            "/registration/", {"username": p.username, "password": "guess", "qr_code": "x"}, X_Forwarded_For=WORK
        ).status_code
    ),
    "/registration/request_pairing_token": lambda h, p: (
        h.post(
            "/registration/request_pairing_token",
            {"username": p.username, "password": "guess", "client_cert_fp": p.first.fingerprint},
            X_Forwarded_For=WORK,
        ).status_code
    ),
    "/device/register": lambda h, p: (
        h.post(
            "/device/register", {"username": p.username, "password": "guess", "qr_code": "x"}, X_Forwarded_For=WORK
        ).status_code
    ),
}


@pytest.mark.pitfall("X73")
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_door_takes_from_the_same_buckets(house: House, anna: Person, door: Door) -> None:
    """Ten wrong ones at one door leave none at any other."""
    assert [door(house, anna) for _ in range(11)] == [401] * 10 + [429]
    assert [other(house, anna) for other in DOORS.values()] == [429] * len(DOORS)


@pytest.mark.pitfall("X47")
def test_an_unknown_name_is_counted_and_answered_like_a_wrong_password(house: House, anna: Person) -> None:
    """Status, body and headers tell nothing, up to the refusal of more."""

    def answers(username: str, ip: str) -> list[tuple[int, bytes, list[tuple[str, str]]]]:
        body = {"username": username, "password": "guess", "client_cert_fp": anna.first.fingerprint}
        got = [house.post("/login", body, X_Forwarded_For=ip) for _ in range(12)]
        return [(answer.status_code, answer.get_data(), list(answer.headers)) for answer in got]

    assert answers("anna", HOME) == answers("nobody", WORK)


def test_unknown_names_are_not_stored(house: House) -> None:
    """People type passwords into name fields; what counts them is a MAC."""
    body = {"username": "my-secret-by-mistake", "password": "x", "client_cert_fp": "0" * 64}
    house.post("/login", body)
    whole = house.file.read_bytes() + b"".join(path.read_bytes() for path in house.file.parent.glob("store.db-wal"))
    assert b"ThrottleTable" in whole
    assert b"my-secret-by-mistake" not in whole


def test_counting_does_not_tell_apart_two_spellings_of_a_name(house: House, anna: Person) -> None:
    """Nobody gets ten more guesses by writing it in capitals."""
    spellings = ["anna", "ANNA", "ａｎｎａ", " anna "]
    body = {"password": "guess", "client_cert_fp": anna.first.fingerprint}
    statuses = [
        house.post("/login", {**body, "username": spellings[n % 4]}, X_Forwarded_For=WORK).status_code
        for n in range(11)
    ]
    assert statuses == [401] * 10 + [429]


def test_two_guesses_at_once_are_two(build_house: Build, house: House, anna: Person) -> None:
    """The second took its try between the first one's look at the buckets and its write: both are counted."""
    elsewhere = build_house(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    rival = once(
        lambda call: call.verb == "commit" and "ThrottleTable" in call.tables,
        lambda: login_from(elsewhere, anna, WORK, password="guess"),
    )
    house.store.watch(before=rival)
    assert [login_from(house, anna, WORK, password="guess") for _ in range(10)] == [401] * 9 + [429]


def test_a_try_is_given_back_beside_a_guess_that_comes_between(build_house: Build, house: House, anna: Person) -> None:
    """The right password gets its own try back, and the other one stays counted."""
    elsewhere = build_house(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    commits: list[int] = []

    def is_the_giving_back(call: StoreCall) -> bool:
        commits.extend([1] * (call.verb == "commit" and "ThrottleTable" in call.tables))
        return len(commits) == 2

    rival = once(is_the_giving_back, lambda: login_from(elsewhere, anna, WORK, password="guess"))
    house.store.watch(before=rival)
    assert login_from(house, anna, WORK) == 200
    laptop = house.pair(anna)
    fingerprint = laptop.fingerprint
    statuses = [login_from(house, anna, WORK, password="guess", fingerprint=fingerprint) for _ in range(10)]
    assert statuses == [401] * 9 + [429]
