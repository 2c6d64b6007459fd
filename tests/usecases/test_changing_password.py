"""A signed-in user changes the password: only this session stays, and nothing that was given out before is good."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.account.history import EventKind, Reason
from tests.support.authenticator import scanned
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import MINUTE, Device, InProcessSuite, Login, Person, as_login, code_of, ended
from tests.usecases.watched_store import StoreCall, once

NEW = "an altogether new phrase"


def change(suite: InProcessSuite, session: Login, person: Person, new: str = NEW, **more: Any) -> TestResponse:
    """Change the password in a session."""
    return suite.post(
        "/registration/password", {"password": person.password, "new_password": new, **more}, session.access
    )


def changed(suite: InProcessSuite, session: Login, person: Person, **more: Any) -> tuple[Person, Login]:
    """Change the password, which must succeed; return the person with the new one, and the session with its tokens."""
    renewed = as_login(change(suite, session, person, **more))
    return dataclasses.replace(person, password=NEW), renewed


def test_the_new_password_is_in_force(suite: InProcessSuite, anna: Person) -> None:
    """The old one is wrong at once, the new one right, and the session goes on with its new tokens."""
    session = suite.log_in(anna)
    after, renewed = changed(suite, session, anna)
    assert renewed.session_id == session.session_id
    assert suite.verify(renewed).status_code == suite.verify(session).status_code == 200
    assert suite.refresh(renewed.refresh).status_code == 200
    assert code_of(suite.login(anna)) == (401, "bad-credentials")
    assert suite.log_in(after).session_id != session.session_id


def test_every_other_session_ends(build_suite: Build) -> None:
    """Each as `password-changed`, by the device that changed it; the caller's own stays."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="3")
    anna = suite.register()
    phone, laptop, tablet = (suite.log_in(anna, device) for device in (anna.first, suite.pair(anna), suite.pair(anna)))
    _, renewed = changed(suite, laptop, anna)
    for other in (phone, tablet):
        assert ended(suite.verify(other)) == "password-changed"
        assert ended(suite.refresh(other.refresh)) == "password-changed"
    assert suite.verify(renewed).status_code == 200
    entry = suite.history(anna)[-1]
    assert [(event.kind, event.session_id, event.reason) for event in entry.events] == [
        (EventKind.SESSION_ENDED, phone.session_id, Reason.PASSWORD_CHANGED),
        (EventKind.SESSION_ENDED, tablet.session_id, Reason.PASSWORD_CHANGED),
        (EventKind.PASSWORD_CHANGED, None, None),
    ]
    assert {event.by for event in entry.events} == {laptop.device_id}


def test_the_older_refresh_token_is_void_at_once(suite: InProcessSuite, anna: Person) -> None:
    """It has no grace, and it is no sign of a theft either: a refresh of the same device may have been under way."""
    session = suite.log_in(anna)
    _, renewed = changed(suite, session, anna)
    assert code_of(suite.refresh(session.refresh)) == (401, "invalid-token")
    assert suite.verify(renewed).status_code == 200
    again = as_login(suite.refresh(renewed.refresh))
    assert suite.refresh(renewed.refresh).get_json()["refresh_token"] == again.refresh
    assert code_of(suite.refresh(session.refresh)) == (401, "invalid-token")


def test_what_was_given_out_before_is_void(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """A takeover token and a pairing token of before."""
    session = suite.log_in(anna)
    question, qr_code = suite.login(anna, laptop), suite.qr_code(anna)
    after, renewed = changed(suite, session, anna)
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    body = {"username": anna.username, "password": after.password, "qr_code": qr_code}
    assert code_of(suite.post("/registration/", body)) == (410, "pairing-token-spent")
    assert suite.verify(renewed).status_code == 200


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"password": "not the password", "new_password": NEW}, (401, "bad-credentials")),
        ({"new_password": NEW}, (400, "missing-fields")),
        ({"password": "correct horse battery"}, (400, "missing-fields")),
        ({"password": "correct horse battery", "new_password": 7}, (400, "invalid-request")),
        ({"password": "correct horse battery", "new_password": "short"}, (400, "weak-password")),
        ({"password": "correct horse battery", "new_password": "password123"}, (400, "weak-password")),
        ({"password": "correct horse battery", "new_password": "ANNA@example.test"}, (400, "weak-password")),
    ],
)
def test_a_refusal_changes_nothing(
    suite: InProcessSuite, anna: Person, body: dict[str, Any], refused: tuple[int, str]
) -> None:
    """A wrong password, a weak new one, and bodies that are none."""
    session = suite.log_in(anna)
    before = suite.content()
    assert code_of(suite.post("/registration/password", body, session.access)) == refused
    assert suite.content() == before
    assert suite.verify(session).status_code == 200


def test_wrong_tries_are_counted(suite: InProcessSuite, anna: Person) -> None:
    """A session that somebody left open is no place to guess at leisure."""
    session = suite.log_in(anna)
    wrong = dataclasses.replace(anna, password="a guess of somebody")
    answers = [code_of(change(suite, session, wrong)) for _ in range(11)]
    assert answers == [(401, "bad-credentials")] * 10 + [(429, "too-many-attempts")]


def test_a_second_factor_is_asked_for(suite: InProcessSuite, anna: Person) -> None:
    """Without its code nothing is changed; with it the factor stays as it was."""
    session = suite.log_in(anna)
    begun = suite.post("/registration/otp/begin", {"password": anna.password}, session.access).get_json()
    app = scanned(begun["uri"])
    body = {"enrolment": begun["enrolment"], "otp": app.code(suite.clock())}
    assert suite.post("/registration/otp/confirm", body, session.access).status_code == 200
    assert code_of(change(suite, session, anna)) == (401, "otp-required")
    suite.clock.move(MINUTE)
    assert code_of(change(suite, session, anna, otp="000000")) == (401, "otp-invalid")
    after, _ = changed(suite, session, anna, otp=app.code(suite.clock()))
    assert code_of(suite.login(after)) == (401, "otp-required")


def test_an_ended_session_changes_nothing(build_suite: Build) -> None:
    """Also one that is taken over, at another process, while its request is under way (pitfall Z10)."""
    suite, elsewhere = build_suite(), build_suite()
    anna = suite.register()
    session, laptop = suite.log_in(anna), suite.pair(anna)
    question = suite.login(anna, laptop)

    def is_time(call: StoreCall) -> bool:
        checked = any(earlier.tables == ("UsersTable",) for earlier in suite.store.calls[: call.number - 1])
        return checked and call.verb == "get" and call.tables == ("SessionsTable",)

    suite.store.watch(before=once(is_time, lambda: elsewhere.take_over(question, laptop)))
    assert ended(change(suite, session, anna)) == "taken-over"
    suite.store.watch()
    suite.log_in(anna, laptop)


def test_of_two_changes_at_once_one_wins(build_suite: Build) -> None:
    """The later one is refused: its password was checked under credentials that are no more."""
    suite, elsewhere = build_suite(), build_suite()
    anna = suite.register()
    session = suite.log_in(anna)
    other = "quite another phrase of mine"

    def is_time(call: StoreCall) -> bool:
        return call.is_write and "SessionsTable" in call.tables

    suite.store.watch(before=once(is_time, lambda: change(elsewhere, session, anna, other)))
    assert code_of(change(suite, session, anna)) == (401, "bad-credentials")
    suite.store.watch()
    assert code_of(suite.login(dataclasses.replace(anna, password=NEW))) == (401, "bad-credentials")
    suite.log_in(dataclasses.replace(anna, password=other))
