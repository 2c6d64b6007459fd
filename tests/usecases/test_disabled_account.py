"""A disabled account, written by hand as its own part will one day: nothing of it works, and nothing of it is told."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.book import AccountState
from tests.usecases.house import Device, House, Login, Person, code_of, ended


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
def before(house: House) -> Before:
    """Disable the account of somebody who is logged in, was asked on a second device, and shows two codes."""
    anna = house.register()
    laptop = house.pair(anna)
    first_qr_code = house.qr_code(anna)
    phone = house.log_in(anna)
    before = Before(anna, laptop, phone, house.login(anna, laptop), house.qr_code(anna), first_qr_code)
    house.put_book(replace(house.book(anna), state=AccountState.DISABLED))
    return before


def test_no_token_works(house: House, before: Before) -> None:
    """Its sessions are revoked."""
    assert ended(house.verify(before.phone)) == "revoked"
    assert ended(house.refresh(before.phone.refresh)) == "revoked"
    for path in ("/device/list", "/session/list", "/session/history"):
        assert ended(house.get(path, before.phone.access)) == "revoked"
    assert ended(house.post("/device/force_logout", token=before.phone.access)) == "revoked"


@pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create"])
def test_nobody_logs_in(house: House, before: Before, path: str) -> None:
    """As with a wrong password, and nothing is changed."""
    content = house.content()
    for device in (before.person.first, before.laptop):
        assert code_of(house.login(before.person, device, path=path)) == (401, "bad-credentials")
    assert house.content() == content


def test_a_consent_is_spent(house: House, before: Before) -> None:
    """Nobody is let in by it."""
    content = house.content()
    assert code_of(house.take_over(before.question, before.laptop)) == (410, "takeover-spent")
    assert house.content() == content


@pytest.mark.parametrize("path", ["/registration/", "/device/register"])
def test_no_device_joins(house: House, before: Before, path: str) -> None:
    """By no code, whether its device was logged in or not."""
    content = house.content()
    for qr_code in (before.qr_code, before.first_qr_code):
        body = {"username": "anna", "password": before.person.password, "qr_code": qr_code, "force": True}
        assert code_of(house.post(path, body)) == (401, "bad-credentials")
    assert house.content() == content


def test_no_pairing_token_is_issued(house: House, before: Before) -> None:
    """Nothing is left behind."""
    content = house.content()
    body = {
        "username": "anna",
        "password": before.person.password,
        "client_cert_fp": before.person.first.fingerprint,
    }
    assert code_of(house.post("/registration/request_pairing_token", body)) == (401, "bad-credentials")
    assert house.content() == content


def test_its_name_stays_taken(house: House, before: Before) -> None:
    """Nobody steps into it."""
    body = {"username": "ANNA", "email": "other@example.test", "password": "a long enough phrase"}
    assert code_of(house.post("/registration/", body)) == (409, "username-taken")


def test_a_logout_is_answered_as_ever(house: House, before: Before) -> None:
    """Leaving is always allowed."""
    assert house.post("/session/logout", token=before.phone.access).status_code == 200
    assert not house.book(before.person).sessions
