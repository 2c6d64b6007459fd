"""A certificate is renewed by whoever holds its key, once for each proof, and the old one is out at that moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from werkzeug.test import TestResponse

from common.history import Kind
from tests.signing import Keys, given_keys, mldsa_keys
from tests.usecases.conftest import Build
from tests.usecases.house import DAY, HOUR, MILLISECOND, T0, Device, HandClock, House, Person, code_of
from tests.usecases.test_revocation import certificate_of, crl, reason_on, revoke, unbind

END = T0 + 365 * DAY


def challenge(house: House, person: Person, device: Device, purpose: str = "renew") -> TestResponse:
    """Ask what the device must sign."""
    body = {"username": person.username, "password": person.password, "client_cert_fp": device.fingerprint}
    return house.post("/login/challenge", {**body, "purpose": purpose})


def proof(house: House, person: Person, device: Device, keys: Keys | None = None, purpose: str = "renew") -> Any:
    """Sign a challenge."""
    asked = challenge(house, person, device, purpose)
    assert asked.status_code == 200, asked.get_data(as_text=True)
    signer = given_keys(device.answer)
    if keys is not None:
        signer = Keys(keys.signing, signer.kem)
    return signer.proof(asked.get_json(), purpose, person.uuid, device.device_id)


def renew(house: House, person: Person, device: Device, **more: Any) -> TestResponse:
    """Renew a device's certificate."""
    return house.post("/device/renew", {"proof": proof(house, person, device), **more})


def renewed(answer: TestResponse, device: Device) -> Device:
    """Return the device with the certificate that it was given."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    fields = answer.get_json()
    assert fields["client_cert_fp"] == fields["certificate"]["fingerprint"]
    assert "private_keys" not in fields
    return Device(fields["client_cert_fp"], fields["device_id"], {**device.answer, **fields})


class TestRenewal:
    @pytest.mark.pitfall("X40")
    def test_the_new_one_is_over_the_same_key_and_the_old_one_is_out(
        self, house: House, clock: HandClock, anna: Person
    ) -> None:
        """Its session lives on; the history tells of it; one commit did all of it."""
        phone = house.log_in(anna)
        clock.move(HOUR)
        signed = proof(house, anna, anna.first)
        house.store.watch()
        new = renewed(house.post("/device/renew", {"proof": signed}), anna.first)
        (commit,) = house.store.commits
        assert sorted(commit.tables) == [
            "ChallengesTable",
            "DeviceKeysTable",
            "DevicesTable",
            "LoginHistory",
            "RevocationsTable",
            "RevocationsTable",
            "SessionsTable",
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
        assert [(e.kind, e.device_id) for e in house.history(anna)[-1].events] == [
            (Kind.CERTIFICATE_RENEWED, anna.first.device_id)
        ]
        assert house.refresh(phone.refresh).status_code == 200
        assert house.book(anna).devices[new.device_id].fingerprint == new.fingerprint
        assert (reason_on(crl(house), anna.first), reason_on(crl(house), new)) == ("superseded", None)

    @pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create"])
    def test_only_the_new_one_logs_in(self, house: House, anna: Person, path: str) -> None:
        """At most one certificate of a device is good."""
        new = renewed(renew(house, anna, anna.first), anna.first)
        assert code_of(house.login(anna, anna.first, path=path)) == (401, "certificate-revoked")
        assert house.login(anna, new, path=path).status_code == 200
        listed = house.get("/device/list", house.log_in(anna, new).access).get_json()["devices"]
        assert [device["fingerprint"] for device in listed] == [new.fingerprint]

    @pytest.mark.parametrize("late", [-DAY, 0 * DAY, 90 * DAY - MILLISECOND])
    def test_until_ninety_days_after_its_end(self, house: House, clock: HandClock, anna: Person, late: Any) -> None:
        """An expired certificate opens nothing else."""
        clock.now = END + late
        new = renewed(renew(house, anna, anna.first), anna.first)
        assert house.login(anna, new).status_code == 200

    def test_not_later(self, house: House, clock: HandClock, anna: Person) -> None:
        """At that moment it is over, and nothing changes."""
        clock.now = END + 90 * DAY
        signed = proof(house, anna, anna.first)
        before = house.content()
        assert code_of(house.post("/device/renew", {"proof": signed})) == (401, "certificate-expired")
        assert house.content() == before

    def test_an_expired_one_that_is_renewed_counts_for_a_whole_year(
        self, house: House, clock: HandClock, anna: Person
    ) -> None:
        """And again, as often as its key is there."""
        device = anna.first
        for _ in range(3):
            clock.now = certificate_of(device).not_valid_after_utc + 30 * DAY
            device = renewed(renew(house, anna, device), device)
            assert house.login(anna, device).status_code == 200

    def test_a_lost_answer_is_given_again(self, house: House, anna: Person) -> None:
        """Who only has the old certificate signs anew and is given the present one; no third is made."""
        lost = renewed(renew(house, anna, anna.first), anna.first)
        again = renewed(renew(house, anna, anna.first, client_cert_fp=anna.first.fingerprint), anna.first)
        assert again.answer["client_cert"] == lost.answer["client_cert"]
        assert house.book(anna).devices[anna.first.device_id].fingerprint == lost.fingerprint
        events = [event.kind for entry in house.history(anna) for event in entry.events]
        assert events.count(Kind.CERTIFICATE_RENEWED) == 1

    def test_a_proof_renews_once(self, house: House, anna: Person) -> None:
        """The challenge is gone with the commit."""
        signed = proof(house, anna, anna.first)
        assert house.post("/device/renew", {"proof": signed}).status_code == 200
        assert house.post("/device/renew", {"proof": signed}).status_code == 401
        assert code_of(house.post("/device/renew", {"proof": signed}))[1] == "challenge-spent"

    def test_a_qr_code_that_names_the_old_one_is_void(self, house: House, anna: Person) -> None:
        """The code of the registration tells fingerprint and validity, which are checked."""
        renewed(renew(house, anna, anna.first), anna.first)
        body = {"username": "anna", "password": anna.password, "qr_code": anna.first.answer["qr_code"]}
        assert code_of(house.post("/registration/", body)) == (400, "qr-invalid")


class TestRefused:
    """Nothing changes."""

    def test_without_a_proof(self, house: House, anna: Person) -> None:
        """A fingerprint is public."""
        for body in ({}, {"client_cert_fp": anna.first.fingerprint}):
            answer = house.post("/device/renew", body or {"username": "anna"})
            assert code_of(answer) == (401, "proof-required")

    def test_by_another_key(self, house: House, anna: Person) -> None:
        """Opened by the device, signed by another."""
        signed = proof(house, anna, anna.first, mldsa_keys())
        before = house.book(anna)
        assert code_of(house.post("/device/renew", {"proof": signed})) == (401, "proof-invalid")
        assert house.book(anna) == before

    @pytest.mark.parametrize("purpose", ["login", "force", "takeover", "pair-issue"])
    def test_by_a_proof_for_something_else(self, house: House, anna: Person, purpose: str) -> None:
        """A signature is good for what it says alone."""
        signed = proof(house, anna, anna.first, purpose=purpose)
        assert code_of(house.post("/device/renew", {"proof": signed})) == (401, "proof-invalid")

    @pytest.mark.parametrize("path", ["/login", "/login/force"])
    def test_a_proof_for_a_renewal_logs_nobody_in(self, build_house: Build, path: str) -> None:
        """The other way round."""
        house = build_house(ICHIDAI_DEVICE_PROOF="signature")
        anna = house.register()
        assert code_of(house.login(anna, path=path, proof=proof(house, anna, anna.first))) == (401, "proof-invalid")

    def test_a_revoked_one(self, house: House, anna: Person) -> None:
        """Neither is a challenge given, nor one that was given before taken."""
        laptop, phone = house.pair(anna), house.log_in(anna)
        signed = proof(house, anna, laptop)
        assert revoke(house, phone, laptop).status_code == 200
        assert code_of(house.post("/device/renew", {"proof": signed})) == (401, "certificate-revoked")
        assert code_of(challenge(house, anna, laptop)) == (401, "certificate-revoked")

    def test_an_unbound_one(self, house: House, anna: Person) -> None:
        """The same."""
        laptop, phone = house.pair(anna), house.log_in(anna)
        signed = proof(house, anna, laptop)
        assert unbind(house, phone, laptop).status_code == 200
        assert code_of(house.post("/device/renew", {"proof": signed})) == (401, "certificate-revoked")
        assert code_of(challenge(house, anna, laptop)) == (401, "certificate-revoked")

    def test_the_one_before_the_one_before(self, house: House, anna: Person) -> None:
        """Only the last answer can have been lost."""
        second = renewed(renew(house, anna, anna.first), anna.first)
        renewed(renew(house, anna, second), second)
        assert code_of(challenge(house, anna, anna.first)) == (401, "certificate-mismatch")

    def test_with_the_fingerprint_of_another(self, house: House, anna: Person) -> None:
        """What is shown beside the proof must be this device's."""
        laptop = house.pair(anna)
        signed = proof(house, anna, anna.first)
        for fields in ({"client_cert_fp": laptop.fingerprint}, {"client_cert": laptop.answer["client_cert"]}):
            answer = house.post("/device/renew", {"proof": signed, **fields})
            assert code_of(answer) == (401, "certificate-mismatch")

    def test_after_the_password_was_changed(self, house: House, anna: Person) -> None:
        """The challenge belongs to the old one."""
        signed = proof(house, anna, anna.first)
        house.change_password(anna, "another long phrase")
        assert house.post("/device/renew", {"proof": signed}).status_code == 401

    def test_with_a_wrong_password(self, house: House, anna: Person, keys: Path) -> None:
        """There is no challenge to sign."""
        body = {"username": "anna", "password": "wrong one", "client_cert_fp": anna.first.fingerprint}
        assert code_of(house.post("/login/challenge", {**body, "purpose": "renew"})) == (401, "bad-credentials")


class TestTooOften:
    """Each renewal leaves an entry on a list that everybody reads, for a year."""

    def test_ten_at_once_and_one_more_each_day(self, house: House, clock: HandClock, anna: Person) -> None:
        """A client that renews in a loop is told when to come again; its certificate and its proof stay good."""
        device = anna.first
        for _ in range(10):
            device = renewed(renew(house, anna, device), device)
        signed = proof(house, anna, device)
        before = house.content()
        for _ in range(2):
            answer = house.post("/device/renew", {"proof": signed})
            assert code_of(answer) == (429, "too-many-attempts")
            assert answer.headers["Retry-After"] == "86400"
            assert "renewed" in answer.get_json()["detail"]
        assert house.content() == before
        assert house.login(anna, device).status_code == 200
        clock.move(DAY)
        device = renewed(renew(house, anna, device), device)
        assert renew(house, anna, device).status_code == 429

    def test_a_lost_answer_is_given_however_often(self, house: House, anna: Person) -> None:
        """Nothing is renewed by that."""
        device = anna.first
        for _ in range(9):
            device = renewed(renew(house, anna, device), device)
        last = renewed(renew(house, anna, device), device)
        for _ in range(3):
            again = renewed(renew(house, anna, device, client_cert_fp=device.fingerprint), device)
            assert again.fingerprint == last.fingerprint

    def test_each_device_for_itself(self, house: House, anna: Person) -> None:
        """Another one of hers is renewed."""
        laptop, device = house.pair(anna), anna.first
        for _ in range(10):
            device = renewed(renew(house, anna, device), device)
        assert renew(house, anna, device).status_code == 429
        assert renew(house, anna, laptop).status_code == 200
