"""Pairing by QR code: what the code holds, that it works once and for whom, and what a device is given."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import zxingcpp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from PIL import Image
from pqcrypto.kem import sntrup_761

from tests.support.client import Account, Client, all_at_once, device_of, granted, login_of, refused
from tests.support.servers import Suite

Pool = Callable[..., Suite]
Joining = Callable[..., Any]


def shown_in(qr_code: str) -> dict[str, Any]:
    """Return what a QR code's text says."""
    shown: dict[str, Any] = json.loads(base64.urlsafe_b64decode(qr_code + "=" * (-len(qr_code) % 4)))
    return shown


def coded(shown: Mapping[str, object]) -> str:
    """Return a text that says this."""
    return base64.urlsafe_b64encode(json.dumps(shown).encode()).rstrip(b"=").decode()


def scanned(data_uri: str) -> str:
    """Return the text that a scanner reads in a picture."""
    kind, _, data = data_uri.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        assert image.format == "PNG"
        (code,) = zxingcpp.read_barcodes(image)
    assert code.format == zxingcpp.BarcodeFormat.QRCode
    return str(code.text)


@pytest.fixture(params=["registration", "device/register"])
def joining(request: pytest.FixtureRequest) -> Joining:
    """Return one of the two ways in which a device joins by QR code: without a login, or with one that is forced."""
    if request.param == "registration":
        return Account.try_pair
    return partial(Account.try_join, force=True)


# --- The code ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("D09", "D10", "D11", "D12", "R47", "R48", "R52", "R59", "R62", "R67", "R68", "B21")
@pytest.mark.regression("X49")
def test_the_pictures_read_as_their_codes(client: Client) -> None:
    """A scanner reads the very text; it is base64url of JSON, names what it should, and holds no password."""
    account = client.register()
    pairing = account.pairing()
    at_registration = account.phone.answer
    for answer in (at_registration, pairing):
        assert scanned(answer["qr_png"]) == answer["qr_link"]
        assert answer["qr_link"] == client.page_url("/registration/#join=") + answer["qr_code"]
        assert account.password not in str(shown_in(answer["qr_code"]))
    assert shown_in(pairing["qr_code"]) == {"uuid": account.uuid, "token": pairing["pairing_token"]}
    shown = shown_in(at_registration["qr_code"])
    assert shown.keys() == {"uuid", "token", "fingerprint", "not_after"}
    assert shown["fingerprint"] == account.phone.fingerprint
    not_after = x509.load_pem_x509_certificate(at_registration["certificate"]["pem"].encode()).not_valid_after_utc
    assert datetime.fromisoformat(shown["not_after"]) == not_after


@pytest.mark.requirement("R60", "R61", "R62", "R67")
def test_a_pairing_token_lives_ten_minutes_and_cannot_be_guessed(client: Client) -> None:
    """Its life is told in seconds and as a time; each has at least 128 bits of its own."""
    account = client.register()
    pairings = [account.pairing() for _ in range(3)]
    assert {pairing["expires_in"] for pairing in pairings} == {600}
    assert all(pairing["uuid"] == account.uuid for pairing in pairings)
    left = datetime.fromisoformat(pairings[0]["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    tokens = {pairing["pairing_token"] for pairing in pairings}
    assert len(tokens) == 3
    assert all(len(base64.urlsafe_b64decode(token + "=")) >= 16 for token in tokens)


@pytest.mark.requirement("R70", "R74")
def test_any_registered_device_may_bring_in_another(client: Client) -> None:
    """The second brings in a third, and when the first is lost the others go on."""
    account = client.register()
    laptop = account.pair("Laptop")
    tablet = account.pair("Tablet", by=laptop)
    session = account.login(tablet)
    granted(client.post("/device/unbind", {"device_id": account.phone.device_id}, token=session.access))
    fourth = account.pair("Fourth", by=laptop)
    names = [device["device_name"] for device in granted(client.get("/device/list", token=session.access))["devices"]]
    assert names == ["Laptop", "Tablet", "Fourth"]
    assert fourth.fingerprint


# --- Once, and for whom ------------------------------------------------------------------------------------------


@pytest.mark.requirement("R59", "R60", "R64")
@pytest.mark.regression("X35")
def test_a_code_works_once(client: Client, joining: Joining) -> None:
    """Used by either way it is gone for both."""
    account = client.register()
    qr_code = account.pairing()["qr_code"]
    granted(joining(account, qr_code))
    refused(account.try_pair(qr_code), 410, "pairing-token-spent")
    refused(account.try_join(qr_code, force=True), 410, "pairing-token-spent")


@pytest.mark.requirement("R60", "D33")
@pytest.mark.regression("X35", "X05", "X48")
def test_of_many_that_use_a_code_at_once_one_joins(pool: Pool, joining: Joining) -> None:
    """Thirty-two at the same moment in two processes: one device more, and no trace of the others."""
    suite = pool(workers=2)
    client = suite.client
    account = client.register()
    qr_code = account.pairing()["qr_code"]
    replies = all_at_once([partial(joining, account, qr_code)] * 32)
    assert Counter(reply.status_code for reply in replies) == {200: 1, 410: 31}
    session = account.login(force=True)
    assert len(granted(client.get("/device/list", token=session.access))["devices"]) == 2
    rows = Counter(table for table, user, _ in suite.rows() if user == account.uuid)
    assert rows["DevicesTable"] == rows["DeviceKeysTable"] == 2


@pytest.mark.requirement("R49", "R63", "R75")
@pytest.mark.regression("X36", "X02")
def test_failed_tries_do_not_burn_a_code(suite: Suite, joining: Joining) -> None:
    """Wrong password, unknown name, another person, a missing field, an altered code: it works after all of them."""
    client = suite.client
    account, stranger = client.register(), client.register()
    qr_code = account.pairing()["qr_code"]
    before = suite.rows()
    refused(joining(account, qr_code, password="not the password"), 401, "bad-credentials")
    refused(joining(account, qr_code, username="nobody of this name"), 401, "bad-credentials")
    refused(joining(stranger, qr_code), 403, "pairing-token-foreign")
    refused(joining(account, qr_code, password=""), 400, "missing-fields")
    refused(joining(account, qr_code[:-4]), 400, "qr-invalid")
    refused(joining(account, qr_code, csr="-----BEGIN"), 400, "csr-invalid")
    assert suite.rows() == before
    granted(joining(account, qr_code))


@pytest.mark.requirement("D48")
@pytest.mark.regression("X36")
def test_a_refusal_by_the_limit_does_not_burn_a_code(suite: Suite) -> None:
    """409 as often as one likes: nothing is registered, no keys are made, and the code works for the consent."""
    client = suite.client
    account = client.register()
    session = account.login()
    qr_code = account.pairing()["qr_code"]
    before = suite.rows()
    asked = [refused(account.try_join(qr_code), 409, "device-active") for _ in range(3)]
    assert all("private_keys" not in body for body in asked)
    assert suite.rows() == before
    login_of(account.try_join(qr_code, takeover_token=asked[0]["takeover"]["token"]))
    refused(client.verify(session.access), 401, "session-ended")


@pytest.mark.requirement("R57")
@pytest.mark.regression("X36")
def test_the_cap_of_devices(pool: Pool, joining: Joining) -> None:
    """One too many is 409 before the limit is asked, and leaves the code valid for later."""
    suite = pool(ICHIDAI_MAX_DEVICES="3")
    client = suite.client
    account = client.register()
    laptop, tablet = account.pair("Laptop"), account.pair("Tablet")
    session = account.login(laptop)
    qr_code = account.pairing()["qr_code"]
    before = suite.rows()
    for _ in range(2):
        body = refused(joining(account, qr_code), 409, "too-many-devices")
        assert body["max_devices"] == 3
    refused(account.try_join(qr_code), 409, "too-many-devices")
    assert suite.rows() == before
    granted(client.post("/device/unbind", {"device_id": tablet.device_id}, token=session.access))
    granted(joining(account, qr_code))


@pytest.mark.regression("X05")
def test_the_cap_holds_when_many_join_at_once(pool: Pool) -> None:
    """Eight valid codes at the same moment, two devices short of the cap."""
    client = pool(ICHIDAI_MAX_DEVICES="3").client
    account = client.register()
    codes = [account.pairing()["qr_code"] for _ in range(8)]
    replies = all_at_once([partial(account.try_pair, qr_code) for qr_code in codes])
    assert Counter(reply.status_code for reply in replies) == {200: 2, 409: 6}
    assert len(granted(client.get("/device/list", token=account.login().access))["devices"]) == 3


@pytest.mark.requirement("R59", "R75")
class TestIssuer:
    """A code dies with what it was issued under."""

    @pytest.mark.parametrize("how", ["logged out", "taken over", "forced out", "revoked by itself", "logged in again"])
    def test_a_code_dies_with_the_session_it_was_issued_from(self, client: Client, joining: Joining, how: str) -> None:
        """However that ended."""
        account = client.register()
        laptop, session = account.pair(), account.login()
        qr_code = account.pairing()["qr_code"]
        match how:
            case "logged out":
                granted(client.post("/session/logout", token=session.access))
            case "taken over":
                granted(account.take_over(account.question(laptop), laptop))
            case "forced out":
                account.login(laptop, force=True)
            case "revoked by itself":
                granted(client.post("/session/revoke", {"session_id": session.session_id}, token=session.access))
            case _:
                account.login()
        refused(joining(account, qr_code), 410, "pairing-token-spent")

    def test_a_code_dies_with_the_device_that_issued_it(self, client: Client, joining: Joining) -> None:
        """Unbound, it brings nobody in any more; the code of its registration neither."""
        account = client.register()
        laptop, session = account.pair(), account.login()
        codes = [account.pairing(laptop)["qr_code"], laptop.answer["qr_code"]]
        granted(client.post("/device/unbind", {"device_id": laptop.device_id}, token=session.access))
        for qr_code in codes:
            refused(joining(account, qr_code), 410, "pairing-token-spent")

    def test_a_code_of_a_device_that_was_not_logged_in_outlives_logins(self, client: Client, joining: Joining) -> None:
        """It was issued under no session, so none can end it."""
        account = client.register()
        qr_code = account.pairing()["qr_code"]
        session = account.login()
        granted(client.post("/session/logout", token=session.access))
        granted(joining(account, qr_code))


@pytest.mark.requirement("D13", "R48", "R75")
@pytest.mark.regression("X02", "X37", "X38")
def test_an_altered_code_is_refused(suite: Suite, joining: Joining) -> None:
    """Another certificate or another validity than DevicesTable knows, or half of either: 400, and the code lives."""
    account, stranger = suite.client.register(), suite.client.register()
    shown = shown_in(account.phone.answer["qr_code"])
    later = (datetime.fromisoformat(shown["not_after"]) + timedelta(days=365)).isoformat()
    before = suite.rows()
    altered: list[dict[str, object]] = [
        {"fingerprint": "0" * 64},
        {"fingerprint": stranger.phone.fingerprint},
        {"fingerprint": shown["fingerprint"].upper()},
        {"fingerprint": 5},
        {"fingerprint": None},
        {"not_after": later},
        {"not_after": shown["not_after"].removesuffix("Z")},
        {"not_after": "tomorrow"},
        {"not_after": None},
        {"not_after": 0},
        {"uuid": "no uuid"},
        {"uuid": account.uuid.upper()},
        {"token": ""},
        {"token": None},
    ]
    for change in altered:
        refused(joining(account, coded({**shown, **change})), 400, "qr-invalid")
    refused(joining(account, coded({**shown, "uuid": stranger.uuid})), 403, "pairing-token-foreign")
    for token in (shown["token"][:-1], shown["token"].swapcase(), "x" * 2000, "\x00"):
        refused(joining(account, coded({**shown, "token": token})), 410, "pairing-token-spent")
    assert suite.rows() == before
    granted(joining(account, account.phone.answer["qr_code"]))


@pytest.mark.requirement("D11", "R48")
@pytest.mark.regression("X37")
def test_a_code_is_read_in_either_alphabet_and_its_expiry_is_ours(client: Client, joining: Joining) -> None:
    """Padded or not, with `+/` or `-_`; what a client adds to it has no effect."""
    account = client.register()
    shown = shown_in(account.pairing()["qr_code"])
    raw = json.dumps({**shown, "expires_at": "2999-01-01T00:00:00Z", "x": "?>~" * 5}).encode()
    assert {b"+", b"/"} & {base64.b64encode(raw)[place : place + 1] for place in range(len(base64.b64encode(raw)))}
    granted(joining(account, f" {base64.b64encode(raw).decode()}\n"))


@pytest.mark.requirement("R60", "D33")
def test_the_link_that_a_camera_reads_is_taken_as_its_code(client: Client, joining: Joining) -> None:
    """Whole, as pasted, of whatever console; and the code alone still is."""
    account = client.register()
    pairing = account.pairing()
    granted(joining(account, f" {pairing['qr_link']}\n"))
    granted(joining(account, f"https://elsewhere.test/registration/#join={account.pairing()['qr_code']}"))
    granted(joining(account, account.pairing()["qr_code"]))
    refused(joining(account, pairing["qr_link"].partition("#")[0] + "#join="), 400, "qr-invalid")


@pytest.mark.requirement("R75", "R77")
@pytest.mark.regression("X34", "X47")
def test_no_registered_device_no_code(suite: Suite) -> None:
    """Name and password alone bring no code: the fingerprint must be there, be one, and be this person's."""
    client = suite.client
    account, stranger = client.register(), client.register()
    path = "/registration/request_pairing_token"
    before = suite.rows()
    refused(client.post(path, account.credentials), 400, "missing-fields")
    for empty in ("", None):
        refused(client.post(path, {**account.credentials, "client_cert_fp": empty}), 400, "missing-fields")
    refused(client.post(path, {**account.credentials, "client_cert_fp": "junk"}), 400, "invalid-request")
    for fingerprint in ("0" * 64, stranger.phone.fingerprint):
        body = {**account.credentials, "client_cert_fp": fingerprint}
        refused(client.post(path, body), 403, "device-unknown")
    body = {**account.credentials, **account.phone.proof, "password": "not the password"}
    refused(client.post(path, body), 401, "bad-credentials")
    assert suite.rows() == before


# --- What a device is given --------------------------------------------------------------------------------------


def der_of(answer: Mapping[str, Any]) -> bytes:
    """Return a device's certificate."""
    return base64.b64decode(answer["client_cert"], validate=True)


@pytest.mark.requirement("D24", "R12", "R13", "R27", "R37", "R53", "R55")
@pytest.mark.regression("X38", "X44", "X60")
class TestCertificate:
    """A device's certificate, as anybody can verify it."""

    @pytest.fixture
    def answer(self, client: Client) -> Mapping[str, Any]:
        """Return the registration of a second device."""
        account = client.register()
        answer: Mapping[str, Any] = granted(account.try_pair(account.pairing()["qr_code"]))
        return answer

    @pytest.fixture
    def certificate(self, answer: Mapping[str, Any]) -> x509.Certificate:
        """Return its certificate."""
        return x509.load_der_x509_certificate(der_of(answer))

    @pytest.fixture
    def authority(self, client: Client) -> x509.Certificate:
        """Return the authority's certificate."""
        reply = client.get("/device/ca")
        assert reply.status_code == 200
        return x509.load_pem_x509_certificate(reply.content)

    def test_it_verifies_against_our_authority(
        self, pool: Pool, certificate: x509.Certificate, authority: x509.Certificate
    ) -> None:
        """A standard verifier accepts it as a client's, and refuses it under the authority of another installation."""
        verifier = PolicyBuilder().store(Store([authority])).build_client_verifier()
        assert verifier.verify(certificate, []).chain == [certificate, authority]
        other = x509.load_pem_x509_certificate(pool(MAX_CONCURRENT_DEVICES="3").client.get("/device/ca").content)
        stranger = PolicyBuilder().store(Store([other])).build_client_verifier()
        with pytest.raises(VerificationError):
            stranger.verify(certificate, [])

    def test_its_fingerprint_is_the_sha256_of_its_der(
        self, answer: Mapping[str, Any], certificate: x509.Certificate
    ) -> None:
        """All particulars that the answer tells are the certificate's own."""
        told = answer["certificate"]
        assert answer["client_cert_fp"] == told["fingerprint"] == hashlib.sha256(der_of(answer)).hexdigest()
        assert certificate.fingerprint(hashes.SHA256()).hex() == told["fingerprint"]
        assert x509.load_pem_x509_certificate(told["pem"].encode()) == certificate
        assert int(told["serial"], 16) == certificate.serial_number
        assert datetime.fromisoformat(told["not_before"]) == certificate.not_valid_before_utc
        assert datetime.fromisoformat(told["not_after"]) == certificate.not_valid_after_utc

    def test_it_names_user_and_device_and_may_sign_no_other(
        self, answer: Mapping[str, Any], certificate: x509.Certificate, authority: x509.Certificate
    ) -> None:
        """Its usage is a client's signature; the authority's is to sign certificates and lists."""
        extensions = certificate.extensions
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == answer["device_id"]
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        assert uris == [f"urn:uuid:{answer['uuid']}", f"urn:uuid:{answer['device_id']}"]
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
        extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(extended) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        above = authority.extensions.get_extension_for_class(x509.KeyUsage).value
        assert (above.digital_signature, above.key_cert_sign, above.crl_sign) == (False, True, True)
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc >= timedelta(days=365)

    def test_it_is_signed_with_ml_dsa_87_over_an_ml_dsa_87_key(
        self, certificate: x509.Certificate, authority: x509.Certificate
    ) -> None:
        """Which is what Dilithium5 became."""
        assert isinstance(certificate.public_key(), MLDSA87PublicKey)
        above = authority.public_key()
        assert isinstance(above, MLDSA87PublicKey)
        above.verify(certificate.signature, certificate.tbs_certificate_bytes)
        assert certificate.signature_algorithm_oid.dotted_string == "2.16.840.1.101.3.4.3.19"


@pytest.mark.requirement("R37", "R54", "R56", "D19")
@pytest.mark.regression("X40", "X41", "X39")
def test_the_keys_a_device_is_given_are_one_pair_each(client: Client, joining: Joining) -> None:
    """The signing key is the certificate's own, and every device has other keys than the rest."""
    account = client.register()
    answers = [account.phone.answer, granted(joining(account, account.pairing()["qr_code"]))]
    for answer in answers:
        private = serialization.load_der_private_key(base64.b64decode(answer["private_keys"]["signing"]), None)
        assert isinstance(private, MLDSA87PrivateKey)
        public = x509.load_der_x509_certificate(der_of(answer)).public_key()
        assert isinstance(public, MLDSA87PublicKey)
        public.verify(private.sign(b"challenge"), b"challenge")
        assert private.public_key().public_bytes_raw() == public.public_bytes_raw()
    keys = [key for answer in answers for key in answer["private_keys"].values()]
    assert len(set(keys)) == 4


@pytest.mark.requirement("R56", "R58", "D15")
def test_the_stored_public_keys_belong_to_the_private_ones(suite: Suite) -> None:
    """What is sealed for the key in DeviceKeysTable opens with the key that the device was given."""
    account = suite.client.register()
    rows = suite.rows()
    row, keys = (
        json.loads(rows[table, account.uuid, account.phone.device_id]) for table in ("DevicesTable", "DeviceKeysTable")
    )
    sealed_for = base64.b64decode(keys["kem"])
    ciphertext, secret = sntrup_761.encaps(sealed_for)
    opened = sntrup_761.decaps(base64.b64decode(account.phone.answer["private_keys"]["kem"]), ciphertext)
    assert bytes(opened) == bytes(secret)
    assert base64.b64decode(keys["certificate"]) == der_of(account.phone.answer)
    certificate = x509.load_der_x509_certificate(der_of(account.phone.answer))
    given = base64.b64decode(account.phone.answer["private_keys"]["signing"])
    private = serialization.load_der_private_key(given, None)
    assert private.public_key() == certificate.public_key()
    assert row["certificate"]["fingerprint"] == account.phone.fingerprint


def spellings(secret: str) -> list[bytes]:
    """Return a secret as text and as raw bytes, in every way in which it might have been written down."""
    raw = base64.b64decode(secret)
    return [secret.encode(), raw, raw.hex().encode(), base64.urlsafe_b64encode(raw), raw[-32:], raw[:40]]


@pytest.mark.requirement("R56", "R47")
@pytest.mark.regression("X30", "X31", "X39", "X77", "X32")
def test_what_is_secret_is_written_nowhere(suite: Suite) -> None:
    """No private key, password or token of anybody in any file of the store, beside it, or in what the server says."""
    client = suite.client
    account = client.register(password="an unusual password 77")
    laptop = device_of(granted(account.try_join(account.pairing()["qr_code"])))
    session = account.login(laptop)
    asked = account.question(account.phone)
    pairing = account.pairing(laptop)
    account.try_pair("junk", password="a wrong password 88")
    refused(client.verify(session.access[:-4]), 401, "invalid-token")
    texts = [
        account.password,
        "a wrong password 88",
        session.access,
        session.refresh,
        asked["takeover"]["token"],
        pairing["pairing_token"],
        pairing["qr_code"],
    ]
    secrets = [text.encode() for text in texts]
    for device in (account.phone, laptop):
        secrets += [spelling for key in device.answer["private_keys"].values() for spelling in spellings(key)]
    files = [path for path in suite.folder.rglob("*") if path.is_file()]
    assert {"ichidai.sqlite", "keyring.json", "all.log"} <= {path.name for path in files}
    written = {path.name: path.read_bytes() for path in files}
    found = [name for name, content in written.items() for secret in secrets if secret in content]
    assert found == []
    assert account.username.encode() in b"".join(written.values())


@pytest.mark.regression("X30", "X31")
def test_private_keys_come_once(client: Client) -> None:
    """No route hands them out again: not a login, not a list, not another pairing."""
    account = client.register()
    session = account.login()
    replies = [
        account.try_login(),
        client.get("/device/list", token=session.access),
        client.get("/session/list", token=session.access),
        client.get("/session/history", token=session.access),
        account.request_pairing(),
    ]
    keys = account.phone.answer["private_keys"].values()
    for reply in replies:
        assert "private" not in reply.text
        assert not any(key in reply.text for key in keys)


@pytest.mark.requirement("R11", "R18", "D15", "D36", "D38")
@pytest.mark.regression("X32", "X69")
def test_what_is_stored_of_a_person(pool: Callable[..., Suite]) -> None:
    """Argon2id with a salt in hex; the user's row knows no device; each device stands under user and device id."""
    suite = pool(ICHIDAI_TEST_CHEAP_HASH="false")
    account = suite.client.register()
    other = suite.client.register(password=account.password)
    rows = suite.rows()
    user, twin = (json.loads(rows["UsersTable", each.uuid, ""]) for each in (account, other))
    assert user["password"]["algorithm"] == "argon2id"
    assert user["password"]["cost"] == {"memory": 19_456, "iterations": 2, "lanes": 1}
    assert len(bytes.fromhex(user["password"]["salt"])) == 16
    assert len(bytes.fromhex(user["password"]["digest"])) == 32
    assert user["password"]["digest"] != twin["password"]["digest"]
    assert "device_id" not in str(user)
    device = json.loads(rows["DevicesTable", account.uuid, account.phone.device_id])
    assert (device["device_name"], device["role"]) == ("Phone", "primary")
    assert abs(device["registered_at"] - time.time() * 1000) < 60_000
    assert device["uuid"] == account.uuid
    book = json.loads(rows["SessionsTable", account.uuid, ""])
    assert book["devices"].keys() == {account.phone.device_id}
