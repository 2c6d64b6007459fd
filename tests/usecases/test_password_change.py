"""A password change, written by hand as its own part will one day: what was begun before it comes to nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from tests.usecases.in_process_suite import Device, InProcessSuite, Person, code_of
from tests.usecases.watched_store import StoreCall, once

NEW = "an altogether new phrase"


def after_password_check(suite: InProcessSuite, person: Person, act: Callable[[], object]) -> None:
    """Act at the first look at the book after the password's hash was read: the password was found right by then."""

    def is_time(call: StoreCall) -> bool:
        checked = any(earlier.tables == ("UsersTable",) for earlier in suite.store.calls[: call.number - 1])
        return checked and call.tables == ("SessionsTable",) and call.partition == person.uuid

    suite.store.watch(before=once(is_time, act))


def in_flight(suite: InProcessSuite, person: Person, send: Callable[[], TestResponse]) -> TestResponse:
    """Send a call during which the password changes, right after it was found right."""
    after_password_check(suite, person, lambda: suite.change_password(person, NEW))
    return send()


def outcome_in_flight(suite: InProcessSuite, person: Person, send: Callable[[], TestResponse]) -> tuple[int, str]:
    """Return how such a call is refused, and see that it left nothing behind."""
    answer = in_flight(suite, person, send)
    book = suite.book(person)
    assert (book.credential_version, dict(book.sessions)) == (1, {}), "the change happened, and nobody is in"
    return code_of(answer)


@pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create"])
def test_a_login_in_flight_is_refused(suite: InProcessSuite, anna: Person, path: str) -> None:
    """The password was right when it was read; the book's epoch tells that it no longer is."""
    assert outcome_in_flight(suite, anna, lambda: suite.login(anna, path=path)) == (401, "bad-credentials")


def test_a_login_in_flight_that_met_a_conflict_is_refused(suite: InProcessSuite, anna: Person) -> None:
    """The epoch is compared anew at each try, not only at the first."""
    first_commit = once(
        lambda call: call.is_write and "SessionsTable" in call.tables,
        lambda: suite.change_password(anna, NEW),
    )
    suite.store.watch(before=first_commit)
    assert code_of(suite.login(anna)) == (401, "bad-credentials")
    assert not suite.book(anna).sessions


def test_a_device_that_joins_in_flight_is_refused(suite: InProcessSuite, anna: Person) -> None:
    """At either endpoint, and no device is left behind."""
    for path in ("/registration/", "/device/register"):
        person = suite.register(f"p{path.count('d')}")
        body = {"username": person.username, "password": person.password, "qr_code": suite.qr_code(person)}
        assert outcome_in_flight(suite, person, lambda: suite.post(path, body)) == (401, "bad-credentials")  # noqa: B023
        assert len(suite.book(person).devices) == 1


def test_a_pairing_token_asked_for_in_flight_is_refused(suite: InProcessSuite, anna: Person) -> None:
    """Nothing is issued."""
    body = {"username": "anna", "password": anna.password, "client_cert_fp": anna.first.fingerprint}
    before = suite.content()["PairingTokensTable"]
    refused = outcome_in_flight(suite, anna, lambda: suite.post("/registration/request_pairing_token", body))
    assert refused == (401, "bad-credentials")
    assert suite.content()["PairingTokensTable"] == before


def test_a_consent_of_before_is_spent(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """Whoever asked with the old password must ask again."""
    suite.log_in(anna)
    question = suite.login(anna, laptop)
    suite.change_password(anna, NEW)
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    assert not suite.book(anna).sessions


def test_a_consent_in_flight_is_spent(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """The password changes between the takeover's first look and its commit."""
    suite.log_in(anna)
    question = suite.login(anna, laptop)
    suite.store.watch(before=once(lambda call: call.is_write, lambda: suite.change_password(anna, NEW)))
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    assert not suite.book(anna).sessions


@pytest.mark.parametrize("path", ["/registration/", "/device/register"])
def test_a_pairing_token_of_before_is_spent(suite: InProcessSuite, anna: Person, path: str) -> None:
    """Also for whoever knows the new password."""
    qr_code = suite.qr_code(anna)
    changed = suite.change_password(anna, NEW)
    body = {"username": "anna", "password": changed.password, "qr_code": qr_code}
    assert code_of(suite.post(path, body)) == (410, "pairing-token-spent")


def test_after_it_the_new_password_is_right_and_the_old_one_wrong(suite: InProcessSuite, anna: Person) -> None:
    """Hash and book agree again."""
    changed = suite.change_password(anna, NEW)
    assert code_of(suite.login(anna)) == (401, "bad-credentials")
    assert suite.login(changed).status_code == 200
