"""Devices that bring their own keys: what they must show to join, and what is never let in without a signature."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from werkzeug.test import TestResponse

from common.storage.tables import DEVICE_KEYS, NAMES
from tests.support.signing import Keys, b64, enrolling, given_keys, mldsa_keys, p256_keys, requesting
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import PASSWORD, Device, InProcessSuite, Person, as_login, code_of
from tests.usecases.signers import Signer, content
from tests.usecases.test_challenges import ENDPOINTS, by_takeover, make_scene
from tests.usecases.watched_store import once

ANNA = {"username": "anna", "email": "anna@example.test", "password": PASSWORD}

KINDS: dict[str, Callable[[], Keys]] = {
    "ML-DSA-87 and sntrup761": mldsa_keys,
    "ML-DSA-87": lambda: mldsa_keys(kem=False),
    "P-256": p256_keys,
    "P-256 and sntrup761": lambda: p256_keys(kem=True),
}


def registered(suite: InProcessSuite, answer: TestResponse, keys: Keys, username: str = "anna") -> Signer:
    """Return the device of an answer that must be good."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    fields = answer.get_json()
    device = Device(fields["client_cert_fp"], fields["device_id"], fields)
    return Signer(suite, Person(fields["uuid"], username, device), device, keys)


def enrolled(suite: InProcessSuite, keys: Keys, username: str = "anna", **more: object) -> Signer:
    """Register somebody whose device brings its keys."""
    body = {**ANNA, "username": username, "email": f"{username}@example.test", **enrolling(keys, username), **more}
    return registered(suite, suite.post("/registration/", body), keys, username)


@pytest.mark.requirement("R37", "R54", "R55", "R56")
@pytest.mark.regression("X38", "X39", "X40")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["public_keys", "csr"])
def test_a_device_registers_with_its_own_keys(suite: InProcessSuite, kind: str, how: str) -> None:
    """Its certificate is over its key, no private key is made, and it is let in by its signature alone."""
    keys = KINDS[kind]()
    sent = enrolling(keys, "anna") if how == "public_keys" else {"csr": requesting(keys, "anna")}
    if how == "csr" and keys.kem_public is not None:
        sent |= {"public_keys": {"kem": b64(keys.kem_public)}}
    anna = registered(suite, suite.post("/registration/", {**ANNA, **sent}), keys)
    answer = anna.device.answer
    assert "private_keys" not in answer
    certificate = x509.load_der_x509_certificate(base64.b64decode(answer["client_cert"]))
    assert certificate.public_key() == keys.signing.public_key()
    row: Any = suite.store.inner.get(DEVICE_KEYS.key(anna.person.uuid, anna.device.device_id))
    kem = None if keys.kem_public is None else b64(keys.kem_public)
    assert (row["certificate"], row["kem"]) == (answer["client_cert"], kem)
    assert ("sealed" in anna.asked("login")) == (keys.kem is not None)
    assert code_of(suite.login(anna.person, anna.device)) == (401, "proof-required")
    assert as_login(anna.login()).device_id == anna.device.device_id


@pytest.mark.requirement("R55", "R56", "R53")
@pytest.mark.parametrize("path", ["/registration/", "/device/register"])
@pytest.mark.parametrize("how", ["public_keys", "csr"])
def test_a_second_device_joins_with_its_own_keys(suite: InProcessSuite, path: str, how: str) -> None:
    """By a QR code, at either endpoint; the first one's keys were made by the server and stay as they are."""
    anna, keys = suite.register(), mldsa_keys()
    pairing = suite.post(
        "/registration/request_pairing_token",
        {"username": "anna", "password": PASSWORD, "client_cert_fp": anna.first.fingerprint},
    ).get_json()
    body = {"username": "anna", "password": PASSWORD, "qr_code": pairing["qr_code"], "device_name": "Laptop"}
    own = enrolling(keys, "anna", pairing["pairing_token"]) if how == "public_keys" else {"csr": requesting(keys)}
    laptop = registered(suite, suite.post(path, {**body, **own}), keys)
    assert "private_keys" not in laptop.device.answer
    assert suite.book(anna).devices[laptop.device.device_id].self_keyed
    assert not suite.book(anna).devices[anna.first.device_id].self_keyed
    assert code_of(suite.login(anna, laptop.device)) == (401, "proof-required")
    as_login(laptop.login())


def test_the_username_is_signed_as_it_was_sent(suite: InProcessSuite) -> None:
    """White space and all, though it is trimmed for the account."""
    keys = p256_keys()
    body = {**ANNA, "username": "  Anna ", **enrolling(keys, "  Anna ")}
    assert suite.post("/registration/", body).status_code == 200
    other = p256_keys()
    wrong = {**ANNA, "username": " bert", "email": "b@b.test", **enrolling(other, "bert")}
    assert code_of(suite.post("/registration/", wrong)) == (401, "proof-invalid")


def _odd_spki(key: Any) -> str:
    public = key.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b64(der)


def _refusals() -> dict[str, tuple[Callable[[], Mapping[str, Any]], int, str, str | None]]:
    keys = mldsa_keys()
    good, ed = enrolling(keys, "anna"), ed25519.Ed25519PrivateKey.generate()
    public, proof = good["public_keys"], good["proof"]

    def csr(name: str | None = None, *extensions: x509.ExtensionType) -> dict[str, str]:
        return {"csr": requesting(keys, name, *extensions)}

    def of_key(key: Any, digest: Any = None) -> dict[str, str]:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return {"csr": builder.sign(key, digest).public_bytes(serialization.Encoding.PEM).decode()}

    def forged() -> dict[str, str]:
        """Return a request whose signature is another's."""
        request = x509.load_pem_x509_csr(requesting(p256_keys()).encode())
        der = bytearray(request.public_bytes(serialization.Encoding.DER))
        der[-1] ^= 1
        body = base64.encodebytes(bytes(der)).decode()
        return {"csr": f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"}

    def two_names() -> dict[str, str]:
        names = [x509.NameAttribute(NameOID.COMMON_NAME, "anna"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "us")]
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        return {"csr": builder.sign(keys.signing, None).public_bytes(serialization.Encoding.PEM).decode()}

    signing = x509.KeyUsage(True, *[False] * 4, True, *[False] * 3)  # noqa: FBT003 - as RFC 5280 lists them
    san = x509.SubjectAlternativeName([x509.DNSName("anna.example.test")])
    urn = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:uuid:5f2b0c9e-0000-4000-8000-000000000000")])
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    anchors = x509.BasicConstraints(ca=True, path_length=None)
    return {
        "no proof": (lambda: {"public_keys": public}, 401, "proof-required", None),
        "the proof of another key": (
            lambda: {"public_keys": public, "proof": enrolling(mldsa_keys(), "anna")["proof"]},
            401,
            "proof-invalid",
            None,
        ),
        "a weaker proof": (
            lambda: {"public_keys": public, "proof": enrolling(p256_keys(), "anna")["proof"]},
            401,
            "proof-invalid",
            None,
        ),
        "a proof for another user": (lambda: enrolling(keys, "bert"), 401, "proof-invalid", None),
        "a proof for a pairing": (lambda: enrolling(keys, "anna", "a token"), 401, "proof-invalid", None),
        "a proof for another service": (
            lambda: enrolling(keys, "anna", issuer="http://other.test"),
            401,
            "proof-invalid",
            None,
        ),
        "the wrong shape": (lambda: {"public_keys": "x"}, 400, "invalid-request", None),
        "no signing key": (lambda: {"public_keys": {"kem": "AAAA"}, "proof": proof}, 400, "missing-fields", None),
        "two signing keys": (lambda: {**csr(), **good}, 400, "invalid-request", None),
        "junk for a key": (lambda: {"public_keys": {"signing": "AAAA"}}, 400, "key-invalid", "unreadable"),
        "RSA": (
            lambda: {"public_keys": {"signing": _odd_spki(rsa.generate_private_key(65537, 2048))}},
            400,
            "key-invalid",
            "algorithm",
        ),
        "P-384": (
            lambda: {"public_keys": {"signing": _odd_spki(ec.generate_private_key(ec.SECP384R1()))}},
            400,
            "key-invalid",
            "algorithm",
        ),
        "ML-DSA-65": (
            lambda: {"public_keys": {"signing": _odd_spki(MLDSA65PrivateKey.generate())}},
            400,
            "key-invalid",
            "algorithm",
        ),
        "a short KEM key": (
            lambda: {"public_keys": {**public, "kem": "AAAA"}, "proof": proof},
            400,
            "key-invalid",
            "kem",
        ),
        "csr: junk": (lambda: {"csr": "x"}, 400, "csr-invalid", "unreadable"),
        "csr: two of them": (lambda: {"csr": csr()["csr"] * 2}, 400, "csr-invalid", "unreadable"),
        "csr: cut": (lambda: {"csr": csr()["csr"][:-100]}, 400, "csr-invalid", "unreadable"),
        "csr: bad signature": (forged, 400, "csr-invalid", "signature"),
        "csr: SHA-1": (
            lambda: of_key(ec.generate_private_key(ec.SECP256R1()), hashes.SHA224()),
            400,
            "csr-invalid",
            "signature",
        ),
        "csr: Ed25519": (lambda: of_key(ed), 400, "key-invalid", "algorithm"),
        "csr: RSA": (
            lambda: of_key(rsa.generate_private_key(65537, 2048), hashes.SHA256()),
            400,
            "key-invalid",
            "algorithm",
        ),
        "csr: CA:TRUE": (lambda: csr(None, anchors), 400, "csr-invalid", "authority"),
        "csr: may sign certificates": (lambda: csr(None, signing), 400, "csr-invalid", "authority"),
        "csr: foreign name": (lambda: csr("bert"), 400, "csr-invalid", "name"),
        "csr: look-alike name": (lambda: csr("аnna"), 400, "csr-invalid", "name"),
        "csr: NUL in the name": (lambda: csr("anna\0"), 400, "csr-invalid", "name"),
        "csr: more names": (two_names, 400, "csr-invalid", "name"),
        "csr: SAN": (lambda: csr(None, san), 400, "csr-invalid", "name"),
        "csr: SAN of another device": (lambda: csr(None, urn), 400, "csr-invalid", "name"),
        "csr: for servers": (lambda: csr(None, server), 400, "csr-invalid", "extension"),
        "csr: OCSP no check": (lambda: csr(None, x509.OCSPNoCheck()), 400, "csr-invalid", "extension"),
        **{
            f"{name}: {empty!r}": (lambda name=name, empty=empty: {name: empty}, 400, "invalid-request", None)
            for name in ("csr", "public_keys", "proof")
            for empty in ("", None, {})
        },
        "csr: 40 KB": (lambda: {"csr": csr()["csr"] + "A" * 40_000}, 400, "csr-invalid", "unreadable"),
        "csr: 1 MB": (lambda: {"csr": "A" * 2**20}, 413, "body-too-large", None),
    }


REFUSALS = _refusals()


@pytest.mark.requirement("D24", "R54")
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("path", ["/registration/", "/device/register"])
def test_what_is_refused_at_enrolment(suite: InProcessSuite, name: str, path: str) -> None:
    """Each with its own error, and nothing is left behind: the name is free, the pairing token good."""
    make, status, code, fault = REFUSALS[name]
    body: dict[str, Any] = dict(ANNA)
    if path == "/device/register":
        body = {"username": "anna", "password": PASSWORD, "qr_code": suite.register().first.answer["qr_code"]}
    before = content(suite)
    answer = suite.post(path, {**body, **make()})
    assert code_of(answer) == (status, code)
    assert answer.get_json().get("fault") == fault
    assert content(suite) == before
    assert suite.post(path, body).status_code == 200


class TestOneKeyOneDevice:
    """A key is one device's for ever."""

    def test_it_cannot_be_registered_twice(self, suite: InProcessSuite) -> None:
        """Not by another person, nor by a signing request."""
        keys = p256_keys()
        enrolled(suite, keys)
        before = content(suite)
        bert = {**ANNA, "username": "bert", "email": "b@b.test"}
        assert code_of(suite.post("/registration/", {**bert, **enrolling(keys, "bert")})) == (409, "key-in-use")
        assert code_of(suite.post("/registration/", {**bert, "csr": requesting(keys)})) == (409, "key-in-use")
        assert content(suite) == before
        assert suite.post("/registration/", bert).status_code == 200

    @pytest.mark.parametrize("path", ["/registration/", "/device/register"])
    def test_it_cannot_join_as_another_device(self, suite: InProcessSuite, path: str) -> None:
        """Of the same person or of another, whoever made it; the pairing token is not used up."""
        anna, bert = suite.register("anna"), suite.register("bert")
        for keys in (given_keys(anna.first.answer), given_keys(bert.first.answer)):
            body = {"username": "anna", "password": PASSWORD, "qr_code": suite.qr_code(anna)}
            before = content(suite)
            assert code_of(suite.post(path, {**body, "csr": requesting(keys)})) == (409, "key-in-use")
            assert content(suite) == before
        assert suite.post(path, body).status_code == 200

    def test_unbinding_does_not_free_it(self, suite: InProcessSuite) -> None:
        """A key that was given up, stolen perhaps, never comes back."""
        anna, keys = suite.register(), p256_keys()
        body = {"username": "anna", "password": PASSWORD, "csr": requesting(keys)}
        joined = suite.post("/registration/", {**body, "qr_code": suite.qr_code(anna)}).get_json()
        login = suite.log_in(anna)
        assert suite.post("/device/unbind", {"device_id": joined["device_id"]}, login.access).status_code == 200
        again = suite.post("/registration/", {**body, "qr_code": suite.qr_code(anna)})
        assert code_of(again) == (409, "key-in-use")

    def test_of_two_at_once_one_gets_it(self, build_suite: Build, suite: InProcessSuite) -> None:
        """Both saw it free; the later commit is refused whole."""
        keys, elsewhere = p256_keys(), build_suite()
        bert = {**ANNA, "username": "bert", "email": "b@b.test", "csr": requesting(keys)}
        rival = once(lambda call: call.is_write, lambda: elsewhere.post("/registration/", bert))
        suite.store.watch(before=rival)
        assert code_of(suite.post("/registration/", {**ANNA, "csr": requesting(keys)})) == (409, "key-in-use")
        assert len(suite.content()["UsersTable"]) == 1

    def test_a_lost_registration_is_repeated_with_the_same_key(self, suite: InProcessSuite) -> None:
        """Or with another; what was claimed in vain stays claimed."""
        keys, other = p256_keys(), p256_keys()
        headers = {"Idempotency_Key": "once"}
        answers = [
            suite.post("/registration/", {**ANNA, "csr": requesting(brought)}, **headers)
            for brought in (keys, keys, other, other)
        ]
        assert [answer.status_code for answer in answers] == [200] * 4
        anna = registered(suite, answers[-1], other)
        as_login(anna.login())
        assert len(suite.book(anna.person).devices) == 1
        late = {**ANNA, "username": "bert", "email": "b@b.test", "csr": requesting(keys)}
        assert code_of(suite.post("/registration/", late)) == (409, "key-in-use")

    def test_a_repeated_registration_cannot_take_anothers_key(self, suite: InProcessSuite) -> None:
        """Only the lost device's own."""
        keys = p256_keys()
        enrolled(suite, keys, "bert")
        headers = {"Idempotency_Key": "once"}
        assert suite.post("/registration/", {**ANNA, "csr": requesting(p256_keys())}, **headers).status_code == 200
        again = suite.post("/registration/", {**ANNA, "csr": requesting(keys)}, **headers)
        assert code_of(again) == (409, "key-in-use")


@pytest.mark.requirement("R73")
@pytest.mark.regression("X60", "X61")
@pytest.mark.parametrize("mode", ["fingerprint", "none", "signature"])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_device_with_its_own_key_never_enters_by_fingerprint(build_suite: Build, name: str, mode: str) -> None:
    """At no endpoint and in no mode; by its signature at every one."""
    scene = make_scene(build_suite(ICHIDAI_DEVICE_PROOF=mode), ENDPOINTS[name], enrolled(build_suite(), p256_keys()))
    assert scene.refused(None)[1] in {"proof-required", "missing-fields"}
    forger = Signer(scene.suite, scene.signer.person, scene.signer.device, p256_keys())
    token = scene.question and scene.question["token"]
    assert scene.refused(forger.proof(scene.challenge(), scene.endpoint.purpose, token)) == (401, "proof-invalid")
    assert scene.send(scene.right()).status_code == 200


def test_a_takeover_by_token_alone_needs_the_key_of_such_a_device(build_suite: Build) -> None:
    """Where no device proof is asked the token is enough for all others."""
    suite = build_suite(ICHIDAI_DEVICE_PROOF="none")
    scene = make_scene(suite, ENDPOINTS["takeover"], enrolled(suite, p256_keys()))
    bare = suite.post("/login/takeover", {"takeover_token": scene.question["token"]})
    assert code_of(bare) == (401, "proof-required")
    assert by_takeover(scene.signer, scene.right(), scene.question).status_code == 200


class TestSignatureMode:
    """Everybody proves."""

    @pytest.mark.parametrize("path", ["/registration/", "/device/register"])
    def test_nobody_joins_by_a_code_without_a_key(self, build_suite: Build, path: str) -> None:
        """Whoever photographed the QR code and knows the password would get keys made to them."""
        suite = build_suite(ICHIDAI_DEVICE_PROOF="signature")
        anna = enrolled(suite, p256_keys())
        body = {"username": "anna", "password": PASSWORD, "qr_code": anna.device.answer["qr_code"]}
        before = content(suite)
        assert code_of(suite.post(path, body)) == (401, "proof-required")
        assert content(suite) == before
        assert suite.post(path, {**body, "csr": requesting(p256_keys())}).status_code == 200

    def test_it_is_told(self, build_suite: Build) -> None:
        """To clients that ask what is demanded."""
        suite = build_suite(ICHIDAI_DEVICE_PROOF="signature")
        about = suite.get("/.well-known/ichidai.json").get_json()
        assert about["device_proof"] == "signature"
        assert about["challenge_endpoint"].endswith("/login/challenge")


def test_the_answer_at_device_register_needs_no_challenge_to_take_over(suite: InProcessSuite) -> None:
    """The same body again, with the same signature and the takeover token."""
    anna = suite.register()
    suite.log_in(anna)
    keys = mldsa_keys()
    pairing = suite.post(
        "/registration/request_pairing_token",
        {"username": "anna", "password": PASSWORD, "client_cert_fp": anna.first.fingerprint},
    ).get_json()
    own = enrolling(keys, "anna", pairing["pairing_token"])
    body = {"username": "anna", "password": PASSWORD, "qr_code": pairing["qr_code"], **own}
    before = content(suite)
    question = suite.post("/device/register", body)
    assert code_of(question) == (409, "device-active")
    assert "challenge" not in question.get_json()["takeover"]
    assert content(suite) == before
    taken = suite.post("/device/register", {**body, "takeover_token": question.get_json()["takeover"]["token"]})
    assert taken.status_code == 200


def test_a_claim_tells_nothing_but_whose_it_is(suite: InProcessSuite) -> None:
    """A hash of the public key."""
    keys = p256_keys()
    anna = enrolled(suite, keys)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(keys.spki)
    item = suite.store.inner.get(NAMES.key(f"key#{digest.finalize().hex()}"))
    assert item is not None
    assert (item["uuid"], item["device_id"]) == (anna.person.uuid, anna.device.device_id)
