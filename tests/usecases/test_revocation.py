"""A certificate's right is taken away: every endpoint is closed at once, and the signed list says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from common.account.book import Book
from common.account.history import EventKind, Reason
from common.crypto.certificates import KeyKind, issuer_name
from common.keys.authorities import Authorities, open_authorities
from common.keys.keyring import FILE_NAME, load_ring
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Device,
    HandClock,
    InProcessSuite,
    Login,
    Person,
    as_login,
    code_of,
    ended,
)

LOGIN_PATHS = ["/login", "/login/force", "/session/create"]


def revoke(suite: InProcessSuite, login: Login, device: Device, **more: Any) -> Any:
    """Ask to revoke a device's certificate."""
    return suite.post("/device/revoke_certificate", {"device_id": device.device_id, **more}, login.access)


def unbind(suite: InProcessSuite, login: Login, device: Device) -> Any:
    """Ask to unbind a device."""
    return suite.post("/device/unbind", {"device_id": device.device_id}, login.access)


def certificate_of(device: Device) -> x509.Certificate:
    """Return a device's certificate."""
    return x509.load_pem_x509_certificate(device.answer["certificate"]["pem"].encode())


def crl(suite: InProcessSuite, **query: str) -> x509.CertificateRevocationList:
    """Fetch a list, whose signature must be that of an authority of the suite."""
    answer = suite.get("/device/crl", **query)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.mimetype == "application/pkix-crl"
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    found = x509.load_der_x509_crl(answer.data)
    roots = x509.load_pem_x509_certificates(suite.get("/device/ca").data)
    assert sum(found.is_signature_valid(root.public_key()) for root in roots) == 1  # type: ignore[arg-type]
    return found


def number_of(found: x509.CertificateRevocationList) -> int:
    """Return a list's number."""
    return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def reason_on(found: x509.CertificateRevocationList, device: Device) -> str | None:
    """Return why a device's certificate is on a list; None when it is not."""
    entry = found.get_revoked_certificate_by_serial_number(certificate_of(device).serial_number)
    if entry is None:
        return None
    return str(entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value)


class TestRevokeCertificate:
    """`POST /device/revoke_certificate`."""

    @pytest.mark.regression("X42", "X43", "X62")
    def test_everything_of_it_changes_in_one_commit(self, build_suite: Build) -> None:
        """Session, book, row, list, history, and the notice to who listens."""
        suite = build_suite(MAX_CONCURRENT_DEVICES="2")
        anna = suite.register()
        laptop = suite.pair(anna)
        phone, on_laptop = suite.log_in(anna), suite.log_in(anna, laptop)
        suite.store.watch()
        assert revoke(suite, phone, laptop).status_code == 200
        commit, *laid_down = suite.store.commits
        assert commit.tables == ("SessionsTable",)
        assert [write.tables[0] for write in laid_down] == [
            "DevicesTable",
            "RevocationsTable",
            "RevocationsTable",
            "FeedTable",
            "LoginHistory",
        ]
        assert ended(suite.verify(on_laptop)) == "revoked"
        assert ended(suite.refresh(on_laptop.refresh)) == "revoked"
        assert suite.verify(phone).status_code == 200
        assert [(e.kind, e.reason, e.by) for e in suite.history(anna)[-1].events] == [
            (EventKind.SESSION_ENDED, Reason.REVOKED, anna.first.device_id),
            (EventKind.CERTIFICATE_REVOKED, None, anna.first.device_id),
        ]

    @pytest.mark.regression("X42", "X43")
    @pytest.mark.parametrize("path", LOGIN_PATHS)
    def test_no_login_by_it_succeeds(self, suite: InProcessSuite, anna: Person, laptop: Device, path: str) -> None:
        """At no way in, by fingerprint or by the certificate itself."""
        assert revoke(suite, suite.log_in(anna), laptop).status_code == 200
        assert code_of(suite.login(anna, laptop, path=path)) == (401, "certificate-revoked")
        body = {"username": "anna", "password": anna.password, "client_cert": laptop.answer["client_cert"]}
        assert code_of(suite.post(path, body)) == (401, "certificate-revoked")

    def test_no_takeover_by_it_succeeds(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Asked while it was good, answered when it no longer is: nobody is ended."""
        phone = suite.log_in(anna)
        question = suite.login(anna, laptop)
        assert revoke(suite, phone, laptop).status_code == 200
        assert code_of(suite.take_over(question, laptop)) == (403, "device-mismatch")
        assert suite.verify(phone).status_code == 200

    def test_no_pairing_by_it_succeeds(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Neither a new token nor one that it issued before."""
        qr_code = suite.qr_code(anna, laptop)
        assert revoke(suite, suite.log_in(anna), laptop).status_code == 200
        person = {"username": "anna", "password": anna.password}
        asked = suite.post("/registration/request_pairing_token", {**person, "client_cert_fp": laptop.fingerprint})
        assert code_of(asked) == (403, "device-unknown")
        for path in ("/registration/", "/device/register"):
            joined = suite.post(path, {**person, "qr_code": qr_code, "force": True})
            assert code_of(joined) == (410, "pairing-token-spent")

    def test_the_device_is_still_listed_until_it_is_unbound(
        self, suite: InProcessSuite, anna: Person, laptop: Device
    ) -> None:
        """The list tells what is wrong with it."""
        phone = suite.log_in(anna)
        assert revoke(suite, phone, laptop).status_code == 200
        listed = {d["device_id"]: d for d in suite.get("/device/list", phone.access).get_json()["devices"]}
        assert listed[laptop.device_id]["certificate_revoked"] is True
        assert listed[laptop.device_id]["is_active"] is False
        assert listed[anna.first.device_id]["certificate_revoked"] is False
        assert unbind(suite, phone, laptop).status_code == 200
        assert laptop.device_id not in suite.book(anna).devices
        assert reason_on(crl(suite), laptop) == "keyCompromise", "the first reason stays"

    def test_repeating_it_changes_nothing(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Not even the time of the revocation."""
        phone = suite.log_in(anna)
        assert revoke(suite, phone, laptop).status_code == 200
        before = suite.content()
        assert revoke(suite, phone, laptop).status_code == 200
        assert suite.content() == before

    @pytest.mark.regression("X01", "X42")
    def test_a_device_of_another_is_not_found(self, suite: InProcessSuite, anna: Person) -> None:
        """As one that never was; the other notices nothing."""
        bert = suite.register("bert")
        other = suite.pair(bert)
        phone, before = suite.log_in(anna), suite.book(bert)
        for device_id in (other.device_id, "00000000-0000-4000-8000-000000000000", "junk"):
            answer = suite.post("/device/revoke_certificate", {"device_id": device_id}, phone.access)
            assert code_of(answer) == (404, "not-found")
        assert suite.book(bert) == before
        assert reason_on(crl(suite), other) is None

    def test_whoever_is_not_signed_in_revokes_nothing(
        self, suite: InProcessSuite, anna: Person, laptop: Device
    ) -> None:
        """Without a token, or with a dead one."""
        body = {"device_id": laptop.device_id}
        assert code_of(suite.post("/device/revoke_certificate", body)) == (401, "token-missing")
        on_laptop = suite.log_in(anna, laptop)
        suite.log_in(anna, force=True)
        assert ended(revoke(suite, on_laptop, laptop)) == "forced-out"

    def test_the_last_one_that_can_log_in_stays(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Revoked or unbound, nobody could ever come back; a revoked device beside it does not count."""
        phone = suite.log_in(anna)
        assert revoke(suite, phone, laptop).status_code == 200
        before = suite.content()
        assert code_of(revoke(suite, phone, anna.first)) == (409, "last-device")
        assert code_of(unbind(suite, phone, anna.first)) == (409, "last-device")
        assert suite.content() == before

    def test_a_device_may_revoke_itself(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """A thief has it, and it is the one at hand."""
        on_laptop = suite.log_in(anna, laptop)
        assert revoke(suite, on_laptop, laptop).status_code == 200
        assert ended(suite.verify(on_laptop)) == "revoked"
        assert suite.login(anna).status_code == 200

    def test_an_old_password_check_is_not_enough(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """As for unbinding."""
        phone = suite.log_in(anna)
        clock.move(9 * MINUTE)
        phone = as_login(suite.refresh(phone.refresh))
        clock.move(MINUTE + SECOND)
        assert code_of(revoke(suite, phone, laptop)) == (403, "reauthenticate")
        assert code_of(revoke(suite, phone, laptop, password="wrong one")) == (403, "reauthenticate")
        assert revoke(suite, phone, laptop, password=anna.password).status_code == 200


class TestList:
    """`GET /device/crl`."""

    def test_it_is_as_new_as_the_store(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """Asked again at once it names what was revoked meanwhile, by whichever process."""
        phone = suite.log_in(anna)
        empty = crl(suite)
        assert (len(empty), empty.last_update_utc, empty.next_update_utc) == (0, clock.now, clock.now + DAY)
        clock.move(SECOND)
        assert unbind(suite, phone, laptop).status_code == 200
        found = crl(suite)
        assert reason_on(found, laptop) == "cessationOfOperation"
        assert number_of(found) > number_of(empty)
        entry = found.get_revoked_certificate_by_serial_number(certificate_of(laptop).serial_number)
        assert entry is not None
        assert entry.revocation_date_utc == clock.now
        assert reason_on(found, anna.first) is None

    def test_it_is_signed_anew_every_hour_and_not_at_every_request(
        self, suite: InProcessSuite, clock: HandClock
    ) -> None:
        """The same bytes within the hour."""
        first = suite.get("/device/crl").data
        clock.move(HOUR - SECOND)
        assert suite.get("/device/crl").data == first
        clock.move(SECOND)
        assert number_of(crl(suite)) > number_of(x509.load_der_x509_crl(first))

    def test_another_process_revokes_and_this_one_tells(self, suite: InProcessSuite, build_suite: Build) -> None:
        """What is kept in memory is asked about at every request."""
        neighbour = build_suite()
        anna = suite.register()
        laptop = suite.pair(anna)
        assert reason_on(crl(neighbour), laptop) is None
        assert revoke(suite, suite.log_in(anna), laptop).status_code == 200
        assert reason_on(crl(neighbour), laptop) == "keyCompromise"

    def test_a_clock_that_is_behind_dates_no_list_before_what_it_tells(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """The list of a slow host is as late as its latest entry."""
        revoked_at = clock.now
        assert revoke(suite, suite.log_in(anna), laptop).status_code == 200
        clock.move(-10 * MINUTE)
        assert crl(suite).last_update_utc == revoked_at

    def test_a_certificate_leaves_it_two_days_after_its_own_end(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """It was on a list that began when it had already expired."""
        assert revoke(suite, suite.log_in(anna), laptop).status_code == 200
        clock.now = certificate_of(laptop).not_valid_after_utc + 2 * DAY - SECOND
        assert reason_on(crl(suite), laptop) == "keyCompromise"
        clock.move(HOUR)
        assert reason_on(crl(suite), laptop) is None

    def test_each_authority_has_its_own(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """By its name, or by its kind while it issues."""
        assert revoke(suite, suite.log_in(anna), laptop).status_code == 200
        name = issuer_name(certificate_of(laptop))
        for query in ({}, {"issuer": "ml-dsa-87"}, {"issuer": name}):
            assert reason_on(crl(suite, **query), laptop) == "keyCompromise"
        assert len(crl(suite, issuer="p-256")) == 0

    @pytest.mark.parametrize("issuer", ["rsa", "0" * 40, "ml-dsa-87#0", "\0", "\N{SNOWMAN}"])
    def test_a_stranger_has_none(self, suite: InProcessSuite, issuer: str) -> None:
        """404, as for all that is not there."""
        assert code_of(suite.get("/device/crl", issuer=issuer)) == (404, "not-found")

    def test_a_certificate_says_where_its_list_is(self, suite: InProcessSuite, anna: Person) -> None:
        """At the route that has it."""
        points = certificate_of(anna.first).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        ((name,),) = [point.full_name or [] for point in points]
        assert name.value == f"http://127.0.0.1:8000/device/crl?issuer={issuer_name(certificate_of(anna.first))}"


class TestRotation:
    """`ichidai ca rotate`, as the running processes meet it."""

    @pytest.fixture
    def own_keys(self, keys: Path, tmp_path: Path) -> Path:
        """Return a folder of keys for this test alone, with the ring of all."""
        (tmp_path / "keys").mkdir()
        shutil.copy(keys / FILE_NAME, tmp_path / "keys")
        return tmp_path / "keys"

    @pytest.fixture
    def suite(
        self, suite: InProcessSuite, tmp_path: Path, own_keys: Path, clock: HandClock
    ) -> Iterator[InProcessSuite]:
        """Return a suite on these keys."""
        folder = tmp_path / "suite"
        folder.mkdir()
        with closing(InProcessSuite(folder, own_keys, clock)) as built:
            yield built

    @pytest.fixture
    def operator(self, suite: InProcessSuite, clock: HandClock, own_keys: Path) -> Authorities:
        """Return the authorities as the command line opens them."""
        founder = load_ring(own_keys / FILE_NAME).authority
        return open_authorities(own_keys, suite.store.inner, clock, founder)

    def test_old_and_new_are_both_in_force(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device, operator: Authorities
    ) -> None:
        """Devices of the old one log in, new ones are issued by the new one, and each has its list."""
        old = issuer_name(certificate_of(laptop))
        new = operator.rotate(KeyKind.POST_QUANTUM, clock.now + DAY).name
        assert issuer_name(certificate_of(suite.pair(anna, "Still old"))) == old
        clock.move(DAY)
        tablet = suite.pair(anna, "Tablet")
        assert issuer_name(certificate_of(tablet)) == new
        roots = x509.load_pem_x509_certificates(suite.get("/device/ca", kind="ml-dsa-87").data)
        certificate_of(tablet).verify_directly_issued_by(roots[0])
        certificate_of(laptop).verify_directly_issued_by(roots[1])
        assert len(roots) == 2
        phone = suite.log_in(anna)
        for device in (laptop, tablet):
            assert revoke(suite, phone, device).status_code == 200
        assert reason_on(crl(suite, issuer=old), laptop) == reason_on(crl(suite), tablet) == "keyCompromise"
        assert reason_on(crl(suite, issuer=old), tablet) is reason_on(crl(suite), laptop) is None

    def test_a_year_after_the_new_one_began_the_old_one_is_gone(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, operator: Authorities
    ) -> None:
        """Its last leaf has ended by then."""
        old = issuer_name(certificate_of(anna.first))
        operator.rotate(KeyKind.POST_QUANTUM, clock.now)
        clock.move(365 * DAY - SECOND)
        assert suite.get("/device/crl", issuer=old).status_code == 200
        clock.move(SECOND)
        assert code_of(suite.get("/device/crl", issuer=old)) == (404, "not-found")
        assert len(x509.load_pem_x509_certificates(suite.get("/device/ca", kind="ml-dsa-87").data)) == 1


def test_a_book_full_of_revoked_devices_is_small(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """The mark takes ten bytes, and reads back."""
    assert revoke(suite, suite.log_in(anna), laptop).status_code == 200
    book = suite.book(anna)
    assert book.devices[laptop.device_id].revoked
    assert Book.from_item(book.to_item()) == book
