"""An account that is gone, taken away by hand as its own part will one day: what was begun before comes to nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from werkzeug.test import TestResponse

from common.storage.tables import SESSIONS
from tests.usecases.in_process_suite import MINUTE, Device, HandClock, InProcessSuite, Login, Person, code_of, ended


@dataclass(frozen=True)
class Before:
    """What anna had before her book was taken away; her name and her hash are still there for a moment."""

    person: Person
    laptop: Device
    phone: Login
    question: TestResponse
    qr_code: str


@pytest.fixture
def before(suite: InProcessSuite, clock: HandClock) -> Before:
    """Take the book of somebody away who is logged in, was asked on a second device, and shows a code."""
    anna = suite.register()
    laptop = suite.pair(anna)
    phone = suite.log_in(anna)
    clock.move(MINUTE)
    before = Before(anna, laptop, phone, suite.login(anna, laptop), suite.qr_code(anna))
    suite.store.inner.delete(SESSIONS.key(anna.uuid))
    return before


def test_no_token_works(suite: InProcessSuite, before: Before) -> None:
    """Its sessions are revoked."""
    assert ended(suite.verify(before.phone)) == "revoked"
    assert ended(suite.refresh(before.phone.refresh)) == "revoked"
    assert ended(suite.get("/session/list", before.phone.access)) == "revoked"


@pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create"])
def test_nobody_logs_in_and_no_book_is_made(suite: InProcessSuite, before: Before, path: str) -> None:
    """A book comes with a registration and never with a login."""
    assert code_of(suite.login(before.person, path=path)) == (401, "bad-credentials")
    assert suite.store.inner.get(SESSIONS.key(before.person.uuid)) is None


def test_a_consent_is_spent(suite: InProcessSuite, before: Before) -> None:
    """There is nobody to be ended."""
    assert code_of(suite.take_over(before.question, before.laptop)) == (410, "takeover-spent")


@pytest.mark.parametrize("path", ["/registration/", "/device/register"])
def test_no_device_joins(suite: InProcessSuite, before: Before, path: str) -> None:
    """As with a wrong password."""
    body = {"username": "anna", "password": before.person.password, "qr_code": before.qr_code}
    content = suite.content()
    assert code_of(suite.post(path, body)) == (401, "bad-credentials")
    assert suite.content() == content


def test_no_pairing_token_is_issued(suite: InProcessSuite, before: Before) -> None:
    """Nor shown."""
    body = {"username": "anna", "password": before.person.password, "client_cert_fp": before.person.first.fingerprint}
    assert code_of(suite.post("/registration/request_pairing_token", body)) == (401, "bad-credentials")


def test_a_logout_is_answered_as_ever(suite: InProcessSuite, before: Before) -> None:
    """Leaving is always allowed."""
    assert suite.post("/session/logout", token=before.phone.access).status_code == 200
