"""Guesses: many guessing clients cannot lock the owner out of a device that is known, and cannot guess on either."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from common.storage.port import Key, OutcomeUnknown
from common.storage.tables import THROTTLE
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import DAY, MILLISECOND, MINUTE, SECOND, Device, HandClock, InProcessSuite, Person
from tests.usecases.watched_store import StoreCall, once

HOME, WORK = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def suite(build_suite: Build) -> InProcessSuite:
    """Return a suite behind a proxy that tells where requests come from."""
    return build_suite(ICHIDAI_TRUSTED_PROXIES="127.0.0.1", ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT="20")


def login_from(
    suite: InProcessSuite, person: Person, ip: str, *, password: str | None = None, fingerprint: str | None = None
) -> int:
    """Log in from an address and return the status."""
    body = {
        "username": person.username,
        "password": password or person.password,
        "client_cert_fp": fingerprint or person.first.fingerprint,
    }
    return suite.post("/login", body, X_Forwarded_For=ip).status_code


def use_up_attempts(suite: InProcessSuite, person: Person) -> None:
    """Guess from so many addresses that the account's own bucket is empty."""
    for number in range(25):
        login_from(suite, person, f"198.51.100.{number}", password="guess", fingerprint="0" * 64)


def test_the_owner_gets_in_where_the_device_is_known(suite: InProcessSuite, anna: Person) -> None:
    """It logged in from there before, so it has a bucket of its own."""
    assert login_from(suite, anna, HOME) == 200
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, "198.51.100.200") == 429, "unknown clients are refused"
    assert login_from(suite, anna, HOME) == 200


@pytest.mark.parametrize(
    ("ip", "other_device"), [(WORK, False), (HOME, True)], ids=["from elsewhere", "another device from there"]
)
def test_only_that_device_from_that_source_is_known(
    suite: InProcessSuite, anna: Person, ip: str, *, other_device: bool
) -> None:
    """A fingerprint is no secret, so it counts only where it has been."""
    laptop = suite.pair(anna)
    login_from(suite, anna, HOME)
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, ip, fingerprint=laptop.fingerprint if other_device else None) == 429


@pytest.mark.parametrize(
    ("wait", "status"), [(30 * DAY - MILLISECOND, 200), (30 * DAY, 429)], ids=["within thirty days", "after them"]
)
def test_a_device_is_known_for_thirty_days(
    suite: InProcessSuite, clock: HandClock, anna: Person, wait: timedelta, status: int
) -> None:
    """Then it stands with the others again."""
    login_from(suite, anna, HOME)
    clock.move(wait)
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, HOME) == status


def test_each_login_makes_it_known_for_thirty_days_more(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """A device that logs in every three weeks stays known."""
    for _ in range(4):
        assert login_from(suite, anna, HOME) == 200
        clock.move(21 * DAY)
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, HOME) == 200


def test_a_known_device_cannot_guess_without_end_either(suite: InProcessSuite, anna: Person) -> None:
    """Its own bucket holds ten, one comes back a minute."""
    login_from(suite, anna, HOME)
    assert [login_from(suite, anna, HOME, password="guess") for _ in range(12)] == [401] * 10 + [429] * 2


def test_ten_wrong_ones_from_a_source_are_all_there_are(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """A refused try costs nothing and tells nothing: the right password is refused alike until one is back."""
    assert [login_from(suite, anna, WORK, password="guess") for _ in range(11)] == [401] * 10 + [429]
    assert login_from(suite, anna, WORK) == 429
    clock.move(MINUTE - MILLISECOND)
    assert login_from(suite, anna, WORK) == 429
    clock.move(MILLISECOND)
    assert login_from(suite, anna, WORK) == 200


def test_right_passwords_cost_nothing(suite: InProcessSuite, anna: Person) -> None:
    """However many, also such as the limit refuses."""
    laptop = suite.pair(anna)
    statuses = [
        login_from(suite, anna, WORK, fingerprint=f)
        for _ in range(15)
        for f in (anna.first.fingerprint, laptop.fingerprint)
    ]
    assert statuses == [200, 409] * 15


def take_over_from(suite: InProcessSuite, person: Person, device: Device, asked_at: str, ip: str) -> int:
    """Log in on a device at one address, be asked, and consent at another; return how many calls counted tries then."""
    body = {"username": person.username, "password": person.password, "client_cert_fp": device.fingerprint}
    question = suite.post("/login", body, X_Forwarded_For=asked_at)
    assert question.status_code == 409
    consent = {"takeover_token": question.get_json()["takeover"]["token"], "client_cert_fp": device.fingerprint}
    suite.store.watch()
    assert suite.post("/login/takeover", consent, X_Forwarded_For=ip).status_code == 200
    return len([call for call in suite.store.calls if call.tables == (THROTTLE.name,)])


def test_a_takeover_makes_a_device_known_once(suite: InProcessSuite, anna: Person) -> None:
    """The password was checked when it was asked: that it was known, or was not, needs no look at its item."""
    laptop = suite.pair(anna)
    assert login_from(suite, anna, HOME) == 200
    assert take_over_from(suite, anna, laptop, WORK, WORK) == 1, "put"
    assert login_from(suite, anna, HOME) == 409
    assert take_over_from(suite, anna, anna.first, HOME, HOME) == 0
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, WORK, fingerprint=laptop.fingerprint) == 409, "it is known there"


def test_a_consent_that_is_given_elsewhere_makes_the_device_known_there(suite: InProcessSuite, anna: Person) -> None:
    """A laptop that is carried to work between question and consent."""
    laptop = suite.pair(anna)
    assert login_from(suite, anna, HOME, fingerprint=laptop.fingerprint) == 200
    assert login_from(suite, anna, HOME) == 409
    assert take_over_from(suite, anna, anna.first, HOME, HOME) == 1
    assert take_over_from(suite, anna, laptop, HOME, WORK) == 2, "read and put"
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, WORK, fingerprint=laptop.fingerprint) == 200


def test_a_device_whose_time_is_over_becomes_known_again(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """Its old item lies there still, for a store deletes late."""
    assert login_from(suite, anna, HOME) == 200
    clock.move(30 * DAY)
    assert login_from(suite, anna, HOME) == 200
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, HOME) == 200


def test_ipv6_neighbours_are_one_source(suite: InProcessSuite, anna: Person) -> None:
    """A /64 is one household, whatever address it takes."""
    statuses = [login_from(suite, anna, f"2001:db8::{number:x}", password="guess") for number in range(11)]
    assert statuses == [401] * 10 + [429]
    assert login_from(suite, anna, "2001:db8:0:1::1", password="guess") == 401


def test_a_source_is_bounded_over_all_accounts(build_suite: Build, clock: HandClock) -> None:
    """Spraying one password over many names: a hundred, then one a second; other sources go on."""
    suite = build_suite(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    body = {"password": "guess", "client_cert_fp": "0" * 64}
    statuses = [
        suite.post("/login", {**body, "username": f"n{n}"}, X_Forwarded_For=WORK).status_code for n in range(103)
    ]
    assert statuses == [401] * 100 + [429] * 3
    assert suite.post("/login", {**body, "username": "x"}, X_Forwarded_For=HOME).status_code == 401
    clock.move(SECOND)
    assert suite.post("/login", {**body, "username": "x"}, X_Forwarded_For=WORK).status_code == 401


Endpoint = Callable[[InProcessSuite, Person], int]

ENDPOINTS: dict[str, Endpoint] = {
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


@pytest.mark.regression("X73")
@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
def test_every_endpoint_takes_from_the_same_buckets(suite: InProcessSuite, anna: Person, endpoint: Endpoint) -> None:
    """Ten wrong ones at one endpoint leave none at any other."""
    assert [endpoint(suite, anna) for _ in range(11)] == [401] * 10 + [429]
    assert [other(suite, anna) for other in ENDPOINTS.values()] == [429] * len(ENDPOINTS)


@pytest.mark.regression("X47")
def test_an_unknown_name_is_counted_and_answered_like_a_wrong_password(suite: InProcessSuite, anna: Person) -> None:
    """Status, body and headers tell nothing, up to the refusal of more."""

    def answers(username: str, ip: str) -> list[tuple[int, bytes, list[tuple[str, str]]]]:
        body = {"username": username, "password": "guess", "client_cert_fp": anna.first.fingerprint}
        got = [suite.post("/login", body, X_Forwarded_For=ip) for _ in range(12)]
        return [(answer.status_code, answer.get_data(), list(answer.headers)) for answer in got]

    assert answers("anna", HOME) == answers("nobody", WORK)


def test_unknown_names_are_not_stored(suite: InProcessSuite) -> None:
    """People type passwords into name fields; what counts them is a MAC."""
    body = {"username": "my-secret-by-mistake", "password": "x", "client_cert_fp": "0" * 64}
    suite.post("/login", body)
    whole = suite.file.read_bytes() + b"".join(path.read_bytes() for path in suite.file.parent.glob("store.db-wal"))
    assert b"ThrottleTable" in whole
    assert b"my-secret-by-mistake" not in whole


def test_counting_does_not_tell_apart_two_spellings_of_a_name(suite: InProcessSuite, anna: Person) -> None:
    """Nobody gets ten more guesses by writing it in capitals."""
    spellings = ["anna", "ANNA", "ａｎｎａ", " anna "]
    body = {"password": "guess", "client_cert_fp": anna.first.fingerprint}
    statuses = [
        suite.post("/login", {**body, "username": spellings[n % 4]}, X_Forwarded_For=WORK).status_code
        for n in range(11)
    ]
    assert statuses == [401] * 10 + [429]


def test_a_known_device_costs_two_writes_and_its_source_nothing(
    suite: InProcessSuite, clock: HandClock, anna: Person
) -> None:
    """One item is taken from and given back to, and is the mark that it is known: no third write says so."""
    login_from(suite, anna, HOME)
    clock.move(2 * DAY)
    suite.store.watch()
    assert login_from(suite, anna, HOME) == 200
    touched = [key.partition for call in suite.store.calls for key in throttled(call)]
    assert len(touched) == 2
    assert len({*touched}) == 1
    clock.move(29 * DAY)
    use_up_attempts(suite, anna)
    assert login_from(suite, anna, HOME) == 200, "it was noted on the way that it was in again"


def test_elsewhere_two_items_are_taken_from_and_given_back_to(suite: InProcessSuite, anna: Person) -> None:
    """The source's and the account's; a wrong password costs the two takes, and one that is refused nothing."""
    for password, writes in ((None, 5), ("guess", 2)):
        suite.store.watch()
        login_from(suite, anna, WORK, password=password, fingerprint="0" * 64 if password else None)
        assert sum(len(throttled(call)) for call in suite.store.calls) == writes
    for _ in range(9):
        login_from(suite, anna, WORK, password="guess", fingerprint="0" * 64)
    suite.store.watch()
    assert login_from(suite, anna, WORK, password="guess", fingerprint="0" * 64) == 429
    assert not suite.store.commits


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_a_try_whose_answer_was_lost_counts_as_spent(
    suite: InProcessSuite, anna: Person, lost: int, *, done: bool
) -> None:
    """Of the two takes and the two returns of a right password: the login goes on, and no try is won by it."""
    numbers = iter(range(1, 100))

    def losing(call: StoreCall) -> None:
        if throttled(call) and next(numbers) == lost:
            raise OutcomeUnknown("the answer was lost")

    laptop = suite.pair(anna).fingerprint
    suite.store.watch(**{"after" if done else "before": losing})
    assert login_from(suite, anna, WORK) == 200
    suite.store.watch()
    judged = [login_from(suite, anna, WORK, password="guess", fingerprint=laptop) for _ in range(11)].count(401)
    assert judged in (9, 10), "it may cost a try"
    assert done or lost > 2 or judged == 10, "what was not taken was taken again, once"


def test_a_return_whose_answer_was_lost_is_not_made_again(suite: InProcessSuite, anna: Person) -> None:
    """Done twice it would give back what a wrong password had spent."""
    laptop, numbers = suite.pair(anna).fingerprint, iter(range(1, 100))
    assert login_from(suite, anna, WORK, password="guess", fingerprint=laptop) == 401

    def losing(call: StoreCall) -> None:
        if throttled(call) and next(numbers) == 4:  # the account's return, after two takes and the source's return
            raise OutcomeUnknown("the answer was lost")

    suite.store.watch(after=losing)
    assert login_from(suite, anna, WORK, fingerprint=laptop) == 200
    suite.store.watch()
    assert [login_from(suite, anna, WORK, password="guess", fingerprint="0" * 64) for _ in range(10)].count(401) == 9


def throttled(call: StoreCall) -> list[Key]:
    """Return the items that a call writes which count tries."""
    return [write.key for write in call.writes if write.key.table is THROTTLE]


def test_two_guesses_at_once_are_two(build_suite: Build, suite: InProcessSuite, anna: Person) -> None:
    """The second took its try between the first one's look at the buckets and its write: both are counted."""
    elsewhere = build_suite(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    rival = once(
        lambda call: call.is_write and "ThrottleTable" in call.tables,
        lambda: login_from(elsewhere, anna, WORK, password="guess"),
    )
    suite.store.watch(before=rival)
    assert [login_from(suite, anna, WORK, password="guess") for _ in range(10)] == [401] * 9 + [429]


def test_a_try_is_given_back_beside_a_guess_that_comes_between(
    build_suite: Build, suite: InProcessSuite, anna: Person
) -> None:
    """The right password gets its own try back, and the other one stays counted."""
    elsewhere = build_suite(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    commits: list[int] = []

    def is_the_giving_back(call: StoreCall) -> bool:
        commits.extend([1] * (call.is_write and "ThrottleTable" in call.tables))
        return len(commits) == 2

    rival = once(is_the_giving_back, lambda: login_from(elsewhere, anna, WORK, password="guess"))
    suite.store.watch(before=rival)
    assert login_from(suite, anna, WORK) == 200
    laptop = suite.pair(anna)
    fingerprint = laptop.fingerprint
    statuses = [login_from(suite, anna, WORK, password="guess", fingerprint=fingerprint) for _ in range(10)]
    assert statuses == [401] * 9 + [429]
