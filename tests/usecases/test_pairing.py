"""Pairing: one token, one device, ten minutes, and nothing burnt by a failed try."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    MILLISECOND,
    MINUTE,
    PASSWORD,
    SECOND,
    HandClock,
    InProcessSuite,
    Person,
    as_login,
    code_of,
    ended,
)
from tests.usecases.watched_store import once

ENDPOINTS = ["/registration/", "/device/register"]


def join(suite: InProcessSuite, person: Person, qr_code: str, path: str = "/registration/", **more: Any) -> Any:
    """Ask to join with another device."""
    body = {"username": person.username, "password": person.password, "qr_code": qr_code, "device_name": "Laptop"}
    return suite.post(path, {**body, **more})


def altered(qr_code: str, **fields: Any) -> str:
    """Return a QR code's text with other fields in it."""
    shown = orjson.loads(base64.urlsafe_b64decode(qr_code + "=" * (-len(qr_code) % 4)))
    return base64.urlsafe_b64encode(orjson.dumps({**shown, **fields})).decode()


@pytest.mark.requirement("R53", "R54", "R57", "R60", "R63", "R64", "D14", "D16", "D20")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_token_brings_in_one_device_with_keys_of_its_own(suite: InProcessSuite, anna: Person, path: str) -> None:
    """Its certificate and private keys are new; the second use is spent."""
    qr_code = suite.qr_code(anna)
    answer = join(suite, anna, qr_code, path)
    assert answer.status_code == 200
    fields = answer.get_json()
    assert fields["uuid"] == anna.uuid
    assert fields["client_cert_fp"] != anna.first.fingerprint
    assert fields["private_keys"] != anna.first.answer["private_keys"]
    before = suite.content()
    assert code_of(join(suite, anna, qr_code, path)) == (410, "pairing-token-spent")
    assert suite.content() == before


@pytest.mark.requirement("R60")
@pytest.mark.regression("X37")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_at_exactly_ten_minutes_a_token_is_spent(
    suite: InProcessSuite, clock: HandClock, anna: Person, path: str
) -> None:
    """A millisecond earlier it is good."""
    good, spent = suite.qr_code(anna), suite.qr_code(anna)
    clock.move(10 * MINUTE - MILLISECOND)
    assert join(suite, anna, good, path).status_code == 200
    clock.move(MILLISECOND)
    before = suite.content()
    assert code_of(join(suite, anna, spent, path)) == (410, "pairing-token-spent")
    assert suite.content() == before


def test_the_code_of_the_registration_lives_as_long(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """And is good without any further asking."""
    qr_code = anna.first.answer["qr_code"]
    clock.move(10 * MINUTE - MILLISECOND)
    assert join(suite, anna, qr_code).status_code == 200
    clock.move(MILLISECOND)
    assert code_of(join(suite, anna, qr_code)) == (410, "pairing-token-spent")


@pytest.mark.requirement("R47", "R49")
@pytest.mark.regression("X02", "X36")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_failed_try_does_not_burn_the_token(suite: InProcessSuite, anna: Person, path: str) -> None:
    """A wrong password, another person, a garbled or altered code, no password: then it is still good."""
    bert = suite.register("bert")
    qr_code = anna.first.answer["qr_code"]
    before = suite.content()
    assert code_of(join(suite, anna, qr_code, path, password="wrong password")) == (401, "bad-credentials")
    assert code_of(join(suite, bert, qr_code, path)) == (403, "pairing-token-foreign")
    assert code_of(join(suite, anna, "junk", path)) == (400, "qr-invalid")
    assert code_of(join(suite, anna, altered(qr_code, fingerprint="0" * 64), path)) == (400, "qr-invalid")
    assert code_of(join(suite, anna, altered(qr_code, not_after="2099-01-01T00:00:00Z"), path)) == (400, "qr-invalid")
    assert code_of(join(suite, anna, altered(qr_code, token="x"), path)) == (410, "pairing-token-spent")
    assert code_of(join(suite, bert, altered(qr_code, uuid=bert.uuid), path)) == (403, "pairing-token-foreign")
    assert code_of(join(suite, anna, qr_code, path, password=None)) == (400, "missing-fields")
    assert code_of(join(suite, anna, qr_code, path, csr="x")) == (400, "csr-invalid")
    assert suite.content() == before
    assert join(suite, anna, qr_code, path).status_code == 200


@pytest.mark.regression("X35")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_of_two_devices_with_one_token_the_quicker_joins(
    build_suite: Build, suite: InProcessSuite, anna: Person, path: str
) -> None:
    """The other, which saw the token unused, is told that it is spent, and leaves nothing behind."""
    qr_code, elsewhere = suite.qr_code(anna), build_suite()
    suite.store.watch(
        before=once(
            lambda call: call.is_write and "SessionsTable" in call.tables,
            lambda: join(elsewhere, anna, qr_code, ENDPOINTS[0]),
        )
    )
    assert code_of(join(suite, anna, qr_code, path)) == (410, "pairing-token-spent")
    assert len(suite.book(anna).devices) == 2


@pytest.mark.requirement("R61", "R67", "R70", "R74", "R77")
@pytest.mark.regression("X03", "X04", "X34")
def test_any_registered_device_may_show_a_token_and_no_other(suite: InProcessSuite, anna: Person) -> None:
    """The second as well as the first; not another person's, not an unbound one, not one made up."""
    laptop = suite.pair(anna)
    assert join(suite, anna, suite.qr_code(anna, laptop), device_name="Tablet").status_code == 200
    bert = suite.register("bert")
    phone = suite.log_in(anna)
    suite.post("/device/unbind", {"device_id": laptop.device_id}, phone.access)
    for fingerprint in (bert.first.fingerprint, laptop.fingerprint, "0" * 64):
        body = {"username": "anna", "password": anna.password, "client_cert_fp": fingerprint}
        assert code_of(suite.post("/registration/request_pairing_token", body)) == (403, "device-unknown")


def test_a_token_dies_with_the_device_that_showed_it(suite: InProcessSuite, anna: Person) -> None:
    """A thief's device that was thrown out brings in no other."""
    laptop = suite.pair(anna)
    qr_code = suite.qr_code(anna, laptop)
    phone = suite.log_in(anna)
    suite.post("/device/unbind", {"device_id": laptop.device_id}, phone.access)
    assert code_of(join(suite, anna, qr_code)) == (410, "pairing-token-spent")


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_device_whose_session_has_expired_shows_a_good_token(
    suite: InProcessSuite, clock: HandClock, anna: Person, path: str
) -> None:
    """Nobody's request has swept the dead session out of the book yet; the token was not issued from it."""
    suite.log_in(anna)
    clock.move(2 * DAY)
    assert join(suite, anna, suite.qr_code(anna), path).status_code == 200


@pytest.mark.parametrize("how", ["logged out", "evicted", "logged in again", "idle"])
def test_a_token_dies_with_the_session_that_showed_it(
    suite: InProcessSuite, build_suite: Build, clock: HandClock, anna: Person, how: str
) -> None:
    """However that ended."""
    laptop = suite.pair(anna)
    if how == "idle":
        suite = build_suite(ICHIDAI_IDLE_SECONDS="60")
    phone = suite.log_in(anna)
    qr_code = suite.qr_code(anna)
    if how == "logged out":
        suite.post("/session/logout", token=phone.access)
    elif how == "evicted":
        suite.log_in(anna, laptop, force=True)
    elif how == "logged in again":
        suite.log_in(anna)
    else:
        clock.move(MINUTE + 6 * SECOND)
    assert code_of(join(suite, anna, qr_code)) == (410, "pairing-token-spent")


def test_no_more_devices_join_than_may(build_suite: Build) -> None:
    """At the cap a token is refused and not burnt: it is valid once a device was removed."""
    suite = build_suite(ICHIDAI_MAX_DEVICES="2")
    anna = suite.register()
    laptop = suite.pair(anna)
    qr_code = suite.qr_code(anna)
    for path in ENDPOINTS:
        answer = join(suite, anna, qr_code, path)
        assert code_of(answer) == (409, "too-many-devices")
        assert "2 devices" in answer.get_json()["detail"]
    phone = suite.log_in(anna)
    qr_code = suite.qr_code(anna)
    assert code_of(join(suite, anna, qr_code)) == (409, "too-many-devices")
    suite.post("/device/unbind", {"device_id": laptop.device_id}, phone.access)
    assert join(suite, anna, qr_code).status_code == 200


class TestRegisterAndLogIn:
    """At `/device/register` a device joins and is logged in, under the same limit as everywhere."""

    @pytest.mark.requirement("D47", "D48", "D49")
    @pytest.mark.regression("X05", "X64")
    def test_at_the_limit_the_person_is_asked_and_no_device_is_made(self, suite: InProcessSuite, anna: Person) -> None:
        """No row, no keys, and the token is not used up."""
        phone = suite.log_in(anna)
        qr_code = suite.qr_code(anna)
        before = suite.content()
        question = join(suite, anna, qr_code, "/device/register")
        assert code_of(question) == (409, "device-active")
        assert question.get_json()["takeover"]["url"].endswith("/device/register")
        assert suite.content() == before
        assert suite.verify(phone).status_code == 200

    def test_the_same_body_with_the_consent_joins_and_logs_in(self, suite: InProcessSuite, anna: Person) -> None:
        """The phone is out, told that it was taken over."""
        phone = suite.log_in(anna)
        qr_code = suite.qr_code(anna)
        question = join(suite, anna, qr_code, "/device/register").get_json()
        answer = join(suite, anna, qr_code, "/device/register", takeover_token=question["takeover"]["token"])
        on_laptop = as_login(answer)
        assert (on_laptop.answer["is_active"], on_laptop.answer["registered_at"]) == (True, "2036-11-21T09:00:00.000Z")
        assert ended(suite.verify(phone)) == "taken-over"
        assert suite.verify(on_laptop).status_code == 200

    @pytest.mark.requirement("D58")
    def test_force_joins_and_logs_in_too(self, suite: InProcessSuite, anna: Person) -> None:
        """Where it is allowed."""
        phone = suite.log_in(anna)
        as_login(join(suite, anna, suite.qr_code(anna), "/device/register", force=True))
        assert ended(suite.verify(phone)) == "forced-out"

    def test_a_consent_is_bound_to_its_pairing_token(self, suite: InProcessSuite, anna: Person) -> None:
        """Another code, though it is as good, does not carry it."""
        suite.log_in(anna)
        one, other = suite.qr_code(anna), suite.qr_code(anna)
        token = join(suite, anna, one, "/device/register").get_json()["takeover"]["token"]
        before = suite.content()
        refused = join(suite, anna, other, "/device/register", takeover_token=token)
        assert code_of(refused) == (403, "device-mismatch")
        assert suite.content() == before

    @pytest.mark.regression("X64")
    def test_a_consent_of_one_endpoint_is_none_at_the_other(self, suite: InProcessSuite, anna: Person) -> None:
        """Login's at the registration of a device, and the other way round."""
        laptop = suite.pair(anna)
        suite.log_in(anna)
        qr_code = suite.qr_code(anna)
        at_login = suite.login(anna, laptop).get_json()["takeover"]["token"]
        at_register = join(suite, anna, qr_code, "/device/register").get_json()["takeover"]["token"]
        refused = join(suite, anna, qr_code, "/device/register", takeover_token=at_login)
        assert code_of(refused) == (400, "takeover-invalid")
        body = {"takeover_token": at_register, "client_cert_fp": laptop.fingerprint}
        assert code_of(suite.post("/login/takeover", body)) == (400, "takeover-invalid")

    def test_a_stale_consent_ends_nobody_who_was_not_shown(self, suite: InProcessSuite, anna: Person) -> None:
        """Asked anew, with a consent that works; the pairing token is still good."""
        laptop = suite.pair(anna)
        qr_code = anna.first.answer["qr_code"]
        phone = suite.log_in(anna)
        token = join(suite, anna, qr_code, "/device/register").get_json()["takeover"]["token"]
        on_laptop = suite.log_in(anna, laptop, force=True)
        anew = join(suite, anna, qr_code, "/device/register", takeover_token=token)
        assert code_of(anew) == (409, "device-active")
        assert [device["device_name"] for device in anew.get_json()["active"]] == ["Laptop"]
        assert suite.verify(on_laptop).status_code == 200
        as_login(join(suite, anna, qr_code, "/device/register", takeover_token=anew.get_json()["takeover"]["token"]))
        assert ended(suite.verify(on_laptop)) == "taken-over"
        assert ended(suite.verify(phone)) == "forced-out"


def test_a_pairing_token_is_asked_for_by_a_form_too(suite: InProcessSuite, anna: Person) -> None:
    """As its sisters are; and the fingerprint may be written as other programs show it."""
    shown = ":".join(anna.first.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    form = {"username": "anna", "password": PASSWORD, "client_cert_fp": shown, "otp": "", "client_cert": ""}
    answer = suite.client.post("/registration/request_pairing_token", data=form)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    joining = {"username": "anna", "password": PASSWORD, "qr_code": answer.get_json()["qr_code"]}
    assert suite.client.post("/registration/", data=joining).status_code == 200
