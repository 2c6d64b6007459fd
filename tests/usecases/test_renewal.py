"""A certificate is renewed by whoever holds its key, once for each proof, and the old one is out at that moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from werkzeug.test import TestResponse

from common.account.history import EventKind
from tests.support.signing import Keys, given_keys, mldsa_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    HOUR,
    MILLISECOND,
    T0,
    Device,
    HandClock,
    InProcessSuite,
    Person,
    code_of,
)
from tests.usecases.test_revocation import certificate_of, crl, reason_on, revoke, unbind

END = T0 + 365 * DAY


def challenge(suite: InProcessSuite, person: Person, device: Device, purpose: str = "renew") -> TestResponse:
    """Ask what the device must sign."""
    body = {"username": person.username, "password": person.password, "client_cert_fp": device.fingerprint}
    return suite.post("/login/challenge", {**body, "purpose": purpose})


def proof(
    suite: InProcessSuite, person: Person, device: Device, keys: Keys | None = None, purpose: str = "renew"
) -> Any:
    """Sign a challenge."""
    asked = challenge(suite, person, device, purpose)
    assert asked.status_code == 200, asked.get_data(as_text=True)
    signer = given_keys(device.answer)
    if keys is not None:
        signer = Keys(keys.signing, signer.kem)
    return signer.proof(asked.get_json(), purpose, person.uuid, device.device_id)


def renew(suite: InProcessSuite, person: Person, device: Device, **more: Any) -> TestResponse:
    """Renew a device's certificate."""
    return suite.post("/device/renew", {"proof": proof(suite, person, device), **more})


def renewed(answer: TestResponse, device: Device) -> Device:
    """Return the device with the certificate that it was given."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    fields = answer.get_json()
    assert fields["client_cert_fp"] == fields["certificate"]["fingerprint"]
    assert "private_keys" not in fields
    return Device(fields["client_cert_fp"], fields["device_id"], {**device.answer, **fields})


class TestRenewal:
    @pytest.mark.regression("X40")
    def test_the_new_one_is_over_the_same_key_and_the_old_one_is_out(
        self, suite: InProcessSuite, clock: HandClock, anna: Person
    ) -> None:
        """Its session lives on; the history tells of it, laid down after the commit that did all of it."""
        phone = suite.log_in(anna)
        clock.move(HOUR)
        signed = proof(suite, anna, anna.first)
        suite.store.watch()
        new = renewed(suite.post("/device/renew", {"proof": signed}), anna.first)
        assert [write.tables[0] for write in suite.store.commits] == [
            "DeviceKeysTable",
            "SessionsTable",
            "DevicesTable",
            "RevocationsTable",
            "RevocationsTable",
            "LoginHistory",
        ]
        assert new.device_id == anna.first.device_id
        old, certificate = certificate_of(anna.first), certificate_of(new)
        assert certificate.public_key() == old.public_key()
        assert certificate.serial_number != old.serial_number
        assert certificate.not_valid_after_utc == clock.now + 365 * DAY
        names = x509.SubjectAlternativeName
        assert (
            certificate.extensions.get_extension_for_class(names).value
            == old.extensions.get_extension_for_class(names).value
        )
        assert [(e.kind, e.device_id) for e in suite.history(anna)[-1].events] == [
            (EventKind.CERTIFICATE_RENEWED, anna.first.device_id)
        ]
        assert suite.refresh(phone.refresh).status_code == 200
        assert suite.book(anna).devices[new.device_id].fingerprint == new.fingerprint
        assert (reason_on(crl(suite), anna.first), reason_on(crl(suite), new)) == ("superseded", None)

    @pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create"])
    def test_only_the_new_one_logs_in(self, suite: InProcessSuite, anna: Person, path: str) -> None:
        """At most one certificate of a device is good."""
        new = renewed(renew(suite, anna, anna.first), anna.first)
        assert code_of(suite.login(anna, anna.first, path=path)) == (401, "certificate-revoked")
        assert suite.login(anna, new, path=path).status_code == 200
        listed = suite.get("/device/list", suite.log_in(anna, new).access).get_json()["devices"]
        assert [device["fingerprint"] for device in listed] == [new.fingerprint]

    @pytest.mark.parametrize("late", [-DAY, 0 * DAY, 90 * DAY - MILLISECOND])
    def test_until_ninety_days_after_its_end(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, late: Any
    ) -> None:
        """An expired certificate opens nothing else."""
        clock.now = END + late
        new = renewed(renew(suite, anna, anna.first), anna.first)
        assert suite.login(anna, new).status_code == 200

    def test_not_later(self, suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
        """At that moment it is over, and nothing changes."""
        clock.now = END + 90 * DAY
        signed = proof(suite, anna, anna.first)
        before = suite.content()
        assert code_of(suite.post("/device/renew", {"proof": signed})) == (401, "certificate-expired")
        assert suite.content() == before

    def test_an_expired_one_that_is_renewed_counts_for_a_whole_year(
        self, suite: InProcessSuite, clock: HandClock, anna: Person
    ) -> None:
        """And again, as often as its key is there."""
        device = anna.first
        for _ in range(3):
            clock.now = certificate_of(device).not_valid_after_utc + 30 * DAY
            device = renewed(renew(suite, anna, device), device)
            assert suite.login(anna, device).status_code == 200

    def test_a_lost_answer_is_given_again(self, suite: InProcessSuite, anna: Person) -> None:
        """Who only has the old certificate signs anew and is given the present one; no third is made."""
        lost = renewed(renew(suite, anna, anna.first), anna.first)
        again = renewed(renew(suite, anna, anna.first, client_cert_fp=anna.first.fingerprint), anna.first)
        assert again.answer["client_cert"] == lost.answer["client_cert"]
        assert suite.book(anna).devices[anna.first.device_id].fingerprint == lost.fingerprint
        events = [event.kind for entry in suite.history(anna) for event in entry.events]
        assert events.count(EventKind.CERTIFICATE_RENEWED) == 1

    def test_a_proof_renews_once(self, suite: InProcessSuite, anna: Person) -> None:
        """The challenge is gone with the commit."""
        signed = proof(suite, anna, anna.first)
        assert suite.post("/device/renew", {"proof": signed}).status_code == 200
        assert suite.post("/device/renew", {"proof": signed}).status_code == 401
        assert code_of(suite.post("/device/renew", {"proof": signed}))[1] == "challenge-spent"

    def test_a_qr_code_that_names_the_old_one_is_void(self, suite: InProcessSuite, anna: Person) -> None:
        """The code of the registration tells fingerprint and validity, which are checked."""
        renewed(renew(suite, anna, anna.first), anna.first)
        body = {"username": "anna", "password": anna.password, "qr_code": anna.first.answer["qr_code"]}
        assert code_of(suite.post("/registration/", body)) == (400, "qr-invalid")


class TestRefused:
    """Nothing changes."""

    def test_without_a_proof(self, suite: InProcessSuite, anna: Person) -> None:
        """A fingerprint is public."""
        for body in ({}, {"client_cert_fp": anna.first.fingerprint}):
            answer = suite.post("/device/renew", body or {"username": "anna"})
            assert code_of(answer) == (401, "proof-required")

    def test_by_another_key(self, suite: InProcessSuite, anna: Person) -> None:
        """Opened by the device, signed by another."""
        signed = proof(suite, anna, anna.first, mldsa_keys())
        before = suite.book(anna)
        assert code_of(suite.post("/device/renew", {"proof": signed})) == (401, "proof-invalid")
        assert suite.book(anna) == before

    @pytest.mark.parametrize("purpose", ["login", "force", "takeover", "pair-issue"])
    def test_by_a_proof_for_something_else(self, suite: InProcessSuite, anna: Person, purpose: str) -> None:
        """A signature is good for what it says alone."""
        signed = proof(suite, anna, anna.first, purpose=purpose)
        assert code_of(suite.post("/device/renew", {"proof": signed})) == (401, "proof-invalid")

    @pytest.mark.parametrize("path", ["/login", "/login/force"])
    def test_a_proof_for_a_renewal_logs_nobody_in(self, build_suite: Build, path: str) -> None:
        """The other way round."""
        suite = build_suite(ICHIDAI_DEVICE_PROOF="signature")
        anna = suite.register()
        assert code_of(suite.login(anna, path=path, proof=proof(suite, anna, anna.first))) == (401, "proof-invalid")

    def test_a_revoked_one(self, suite: InProcessSuite, anna: Person) -> None:
        """Neither is a challenge given, nor one that was given before taken."""
        laptop, phone = suite.pair(anna), suite.log_in(anna)
        signed = proof(suite, anna, laptop)
        assert revoke(suite, phone, laptop).status_code == 200
        assert code_of(suite.post("/device/renew", {"proof": signed})) == (401, "certificate-revoked")
        assert code_of(challenge(suite, anna, laptop)) == (401, "certificate-revoked")

    def test_an_unbound_one(self, suite: InProcessSuite, anna: Person) -> None:
        """The same."""
        laptop, phone = suite.pair(anna), suite.log_in(anna)
        signed = proof(suite, anna, laptop)
        assert unbind(suite, phone, laptop).status_code == 200
        assert code_of(suite.post("/device/renew", {"proof": signed})) == (401, "certificate-revoked")
        assert code_of(challenge(suite, anna, laptop)) == (401, "certificate-revoked")

    def test_the_one_before_the_one_before(self, suite: InProcessSuite, anna: Person) -> None:
        """Only the last answer can have been lost."""
        second = renewed(renew(suite, anna, anna.first), anna.first)
        renewed(renew(suite, anna, second), second)
        assert code_of(challenge(suite, anna, anna.first)) == (401, "certificate-mismatch")

    def test_with_the_fingerprint_of_another(self, suite: InProcessSuite, anna: Person) -> None:
        """What is shown beside the proof must be this device's."""
        laptop = suite.pair(anna)
        signed = proof(suite, anna, anna.first)
        for fields in ({"client_cert_fp": laptop.fingerprint}, {"client_cert": laptop.answer["client_cert"]}):
            answer = suite.post("/device/renew", {"proof": signed, **fields})
            assert code_of(answer) == (401, "certificate-mismatch")

    def test_after_the_password_was_changed(self, suite: InProcessSuite, anna: Person) -> None:
        """The challenge belongs to the old one."""
        signed = proof(suite, anna, anna.first)
        suite.change_password(anna, "another long phrase")
        assert suite.post("/device/renew", {"proof": signed}).status_code == 401

    def test_with_a_wrong_password(self, suite: InProcessSuite, anna: Person, keys: Path) -> None:
        """There is no challenge to sign."""
        body = {"username": "anna", "password": "wrong one", "client_cert_fp": anna.first.fingerprint}
        assert code_of(suite.post("/login/challenge", {**body, "purpose": "renew"})) == (401, "bad-credentials")


class TestTooOften:
    """Each renewal leaves an entry on a list that everybody reads, for a year."""

    def test_ten_at_once_and_one_more_each_day(self, suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
        """A client that renews in a loop is told when to come again; its certificate and its proof stay good."""
        device = anna.first
        for _ in range(10):
            device = renewed(renew(suite, anna, device), device)
        signed = proof(suite, anna, device)
        before = suite.content()
        for _ in range(2):
            answer = suite.post("/device/renew", {"proof": signed})
            assert code_of(answer) == (429, "too-many-attempts")
            assert answer.headers["Retry-After"] == "86400"
            assert "renewed" in answer.get_json()["detail"]
        assert suite.content() == before
        assert suite.login(anna, device).status_code == 200
        clock.move(DAY)
        device = renewed(renew(suite, anna, device), device)
        assert renew(suite, anna, device).status_code == 429

    def test_a_lost_answer_is_given_however_often(self, suite: InProcessSuite, anna: Person) -> None:
        """Nothing is renewed by that."""
        device = anna.first
        for _ in range(9):
            device = renewed(renew(suite, anna, device), device)
        last = renewed(renew(suite, anna, device), device)
        for _ in range(3):
            again = renewed(renew(suite, anna, device, client_cert_fp=device.fingerprint), device)
            assert again.fingerprint == last.fingerprint

    def test_each_device_for_itself(self, suite: InProcessSuite, anna: Person) -> None:
        """Another one of hers is renewed."""
        laptop, device = suite.pair(anna), anna.first
        for _ in range(10):
            device = renewed(renew(suite, anna, device), device)
        assert renew(suite, anna, device).status_code == 429
        assert renew(suite, anna, laptop).status_code == 200
