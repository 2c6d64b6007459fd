"""A disabled account, written by hand as an unfinished act could leave it: nothing of it works."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.account.book import AccountState
from tests.usecases.in_process_suite import Device, InProcessSuite, Login, Person, code_of, ended


@dataclass(frozen=True)
class Before:
    """What anna had before her account was disabled."""

    person: Person
    laptop: Device
    phone: Login
    question: TestResponse
    qr_code: str
    first_qr_code: str


@pytest.fixture
def before(suite: InProcessSuite) -> Before:
    """Disable the account of somebody who is logged in, was asked on a second device, and shows two codes."""
    anna = suite.register()
    laptop = suite.pair(anna)
    first_qr_code = suite.qr_code(anna)
    phone = suite.log_in(anna)
    before = Before(anna, laptop, phone, suite.login(anna, laptop), suite.qr_code(anna), first_qr_code)
    suite.put_book(replace(suite.book(anna), state=AccountState.DISABLED))
    return before


def test_no_token_works(suite: InProcessSuite, before: Before) -> None:
    """Its sessions are revoked."""
    assert ended(suite.verify(before.phone)) == "revoked"
    assert ended(suite.refresh(before.phone.refresh)) == "revoked"
    for path in ("/device/list", "/session/list", "/session/history"):
        assert ended(suite.get(path, before.phone.access)) == "revoked"
    assert ended(suite.post("/device/force_logout", token=before.phone.access)) == "revoked"


@pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create"])
def test_nobody_logs_in(suite: InProcessSuite, before: Before, path: str) -> None:
    """Only a right password is told why, and nothing is changed."""
    content = suite.content()
    for device in (before.person.first, before.laptop):
        assert code_of(suite.login(before.person, device, path=path)) == (403, "account-disabled")
    assert suite.content() == content


def test_a_consent_is_spent(suite: InProcessSuite, before: Before) -> None:
    """Nobody is let in by it."""
    content = suite.content()
    assert code_of(suite.take_over(before.question, before.laptop)) == (410, "takeover-spent")
    assert suite.content() == content


@pytest.mark.parametrize("path", ["/registration/", "/device/register"])
def test_no_device_joins(suite: InProcessSuite, before: Before, path: str) -> None:
    """By no code, whether its device was logged in or not."""
    content = suite.content()
    for qr_code in (before.qr_code, before.first_qr_code):
        body = {"username": "anna", "password": before.person.password, "qr_code": qr_code, "force": True}
        assert code_of(suite.post(path, body)) == (403, "account-disabled")
    assert suite.content() == content


def test_no_pairing_token_is_issued(suite: InProcessSuite, before: Before) -> None:
    """Nothing is left behind."""
    content = suite.content()
    body = {
        "username": "anna",
        "password": before.person.password,
        "client_cert_fp": before.person.first.fingerprint,
    }
    assert code_of(suite.post("/registration/request_pairing_token", body)) == (403, "account-disabled")
    assert suite.content() == content


def test_its_name_stays_taken(suite: InProcessSuite, before: Before) -> None:
    """Nobody steps into it."""
    body = {"username": "ANNA", "email": "other@example.test", "password": "a long enough phrase"}
    assert code_of(suite.post("/registration/", body)) == (409, "username-taken")


def test_a_logout_is_answered_as_ever(suite: InProcessSuite, before: Before) -> None:
    """Leaving is always allowed."""
    assert suite.post("/session/logout", token=before.phone.access).status_code == 200
    assert not suite.book(before.person).sessions
