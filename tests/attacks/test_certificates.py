"""Attacks by certificates, each a line: none is accepted, none is answered 5xx, and nothing changes by any of them.

Each is tried as the body's `client_cert`, and as what a proxy forwards: then even with TLS having proven its key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from common.keys.authority_file import FILE_NAME as AUTHORITIES
from common.keys.authority_file import load_file
from common.keys.keyring import FILE_NAME as RING
from common.keys.keyring import load_ring
from tests.attacks.certificates import FORGERIES, Model, der_of
from tests.attacks.conftest import LOOSE
from tests.support.client import unique
from tests.support.signing import given_keys, p256_keys, requesting
from tests.usecases.in_process_suite import PASSWORD, Device, HandClock, InProcessSuite, Person, code_of

SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[InProcessSuite]:
    """Return a suite behind a proxy, which is the tests' client."""
    trusting = {**LOOSE, "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1", "ICHIDAI_CLIENT_CERT_HEADER": "Client-Cert"}
    with closing(InProcessSuite(tmp_path_factory.mktemp("suite"), keys, HandClock(), **trusting)) as built:
        yield built


@dataclass(frozen=True)
class Scene:
    """Anna with a phone and a laptop, and what a forger imitates."""

    suite: InProcessSuite
    anna: Person
    laptop: Device
    model: Model

    def change(self) -> object:
        """Return all of hers that an attack could have changed."""
        return self.suite.book(self.anna), self.suite.history(self.anna)


@pytest.fixture(scope="module")
def scene(suite: InProcessSuite, keys: Path) -> Scene:
    """Set the scene."""
    anna = suite.register(unique())
    (classical,) = load_file(keys / AUTHORITIES)
    genuine = x509.load_pem_x509_certificate(anna.first.answer["certificate"]["pem"].encode())
    root, key = load_ring(keys / RING).authority, given_keys(anna.first.answer).signing
    model = Model(genuine, anna.uuid, anna.first.device_id, root, classical, key)
    return Scene(suite, anna, suite.pair(anna), model)


Way = Callable[[Scene, bytes], TestResponse]


def person(scene: Scene) -> dict[str, str]:
    """Return Anna's name and password: the forger knows them."""
    return {"username": scene.anna.username, "password": PASSWORD}


def in_the_body(scene: Scene, der: bytes) -> TestResponse:
    """Log in with a certificate."""
    return scene.suite.post("/login", {**person(scene), "client_cert": base64.b64encode(der).decode()})


def header(der: bytes) -> dict[str, str]:
    """Return what a proxy forwards."""
    return {"Client_Cert": f":{base64.b64encode(der).decode()}:"}


def forwarded(scene: Scene, der: bytes) -> TestResponse:
    """Log in behind the proxy."""
    return scene.suite.post("/login/force", person(scene), None, **header(der))


def forwarded_to_pair(scene: Scene, der: bytes) -> TestResponse:
    """Ask for a pairing token behind the proxy."""
    return scene.suite.post("/registration/request_pairing_token", person(scene), None, **header(der))


def forwarded_to_renew(scene: Scene, der: bytes) -> TestResponse:
    """Renew behind the proxy: here the certificate itself says whose it is."""
    return scene.suite.post("/device/renew", {"please": True}, None, **header(der))


WAYS: dict[str, tuple[Way, tuple[int, str]]] = {
    "body": (in_the_body, (401, "certificate-mismatch")),
    "forwarded": (forwarded, (401, "certificate-mismatch")),
    "pairing": (forwarded_to_pair, (403, "device-unknown")),
    "renewal": (forwarded_to_renew, (401, "certificate-mismatch")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_certificate_opens_nothing(scene: Scene, kind: str, way: str) -> None:
    """Not even one made with our own root's key: the book has one fingerprint for each device."""
    send, expected = WAYS[way]
    before = scene.change()
    assert code_of(send(scene, FORGERIES[kind](scene.model))) == expected
    assert scene.change() == before


def test_the_genuine_one_opens_what_the_forged_ones_do_not(scene: Scene) -> None:
    """Otherwise the lines above would show nothing."""
    assert len(FORGERIES) * len(WAYS) >= 60
    der = der_of(scene.model.genuine)
    for send in (in_the_body, forwarded, forwarded_to_pair, forwarded_to_renew):
        assert send(scene, der).status_code == 200


class TestTakenAway:
    """A certificate that was good once, or is good for somebody else."""

    @pytest.fixture
    def anna(self, suite: InProcessSuite) -> Person:
        """Return somebody for one test alone."""
        return suite.register(unique())

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("how", ["revoked", "unbound", "superseded", "another's"])
    def test_it_opens_nothing_of_hers(
        self, scene: Scene, suite: InProcessSuite, anna: Person, how: str, way: str
    ) -> None:
        """TLS still takes it, and the book does not."""
        laptop = suite.pair(anna)
        own = Scene(suite, anna, laptop, scene.model)
        login = suite.log_in(anna, force=True)
        der = base64.b64decode(laptop.answer["client_cert"])
        if how in ("revoked", "unbound"):
            path = "/device/revoke_certificate" if how == "revoked" else "/device/unbind"
            assert suite.post(path, {"device_id": laptop.device_id}, login.access).status_code == 200
        elif how == "superseded":
            assert suite.post("/device/renew", {"x": 1}, None, **header(der)).status_code == 200
        else:
            der = base64.b64decode(suite.register(unique()).first.answer["client_cert"])
        before = own.change()
        answer = WAYS[way][0](own, der)
        if (how, way) in (("superseded", "renewal"), ("another's", "renewal")):
            assert answer.status_code == 200, "it is given its own present certificate, or renews its own"
        else:
            assert answer.status_code in (401, 403)
            code = {"another's": "certificate-mismatch"}.get(how, "certificate-revoked")
            assert code_of(answer)[1] == ("device-unknown" if way == "pairing" else code)
        assert own.change() == before


def _cut(der: bytes, to: int) -> str:
    return base64.b64encode(der[:to]).decode()


MALFORMED: dict[str, Callable[[bytes], Any]] = {
    "nothing in base64": lambda _: "====",
    "white space": lambda _: " \n ",
    "no base64": lambda _: "~" * 40,
    "a fingerprint": lambda _: "0" * 64,
    "hex": lambda der: der.hex(),
    "one byte": lambda der: _cut(der, 1),
    "cut in the head": lambda der: _cut(der, 40),
    "cut in the key": lambda der: _cut(der, 1000),
    "cut in the signature": lambda der: _cut(der, len(der) - 1),
    "a byte too many": lambda der: base64.b64encode(der + b"\0").decode(),
    "twice": lambda der: base64.b64encode(der + der).decode(),
    "an empty sequence": lambda _: base64.b64encode(b"\x30\x00").decode(),
    "a length without end": lambda _: base64.b64encode(b"\x30\x84\xff\xff\xff\xff").decode(),
    "an indefinite length": lambda der: base64.b64encode(b"\x30\x80" + der[4:] + b"\0\0").decode(),
    "an unknown version": lambda der: base64.b64encode(
        der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1)
    ).decode(),
    "PEM without an end": lambda der: "-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der).decode(),
    "PEM of nothing": lambda _: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    "PEM of a key": lambda _: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "PEM of a request": lambda _: requesting(p256_keys()),
    "escaped PEM": lambda der: "-----BEGIN%20CERTIFICATE-----%0A" + base64.b64encode(der).decode(),
    "a NUL": lambda _: "\0",
    "a NUL after it": lambda der: base64.b64encode(der).decode() + "\0",
    "too long": lambda _: "A" * 60_000,
    "nested a thousand times": lambda _: base64.b64encode(b"\x30\x82\x03\xe8" * 1000).decode(),
    "a number": lambda _: 7,
    "a list": lambda der: [base64.b64encode(der).decode()],
    "an object": lambda der: {"pem": base64.b64encode(der).decode()},
    "true": lambda _: True,
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_certificate_is_a_bad_request(scene: Scene, kind: str) -> None:
    """400, in the body and, where it can be written there, in the header."""
    text = MALFORMED[kind](der_of(scene.model.genuine))
    before = scene.change()
    for path in ("/login", "/login/takeover", "/login/challenge", "/registration/request_pairing_token"):
        body = {**person(scene), "takeover_token": "junk", "client_cert": text}
        assert code_of(scene.suite.post(path, body)) == (400, "invalid-request")
    if isinstance(text, str) and text.isprintable():
        for sent in (text, f":{text}"):
            answer = scene.suite.post("/login", person(scene), None, Client_Cert=sent)
            assert code_of(answer) == (400, "invalid-request")
    assert scene.change() == before


def test_a_megabyte_is_too_much(scene: Scene) -> None:
    """As of any body."""
    answer = scene.suite.post("/login", {**person(scene), "client_cert": "A" * 1_000_000})
    assert code_of(answer) == (413, "body-too-large")


@SOME
@given(place=st.integers(0, 600) | st.integers(0, 8000), bits=st.integers(1, 255))
@example(place=0, bits=1)
def test_a_turned_bit_makes_it_another_or_none(scene: Scene, place: int, bits: int) -> None:
    """0 accepted, 0 answers of 5xx."""
    der = bytearray(der_of(scene.model.genuine))
    der[place % len(der)] ^= bits
    for send in (in_the_body, forwarded, forwarded_to_renew):
        assert send(scene, bytes(der)).status_code in (400, 401)


@SOME
@given(st.data())
def test_a_part_of_it_is_none(scene: Scene, data: st.DataObject) -> None:
    """Cut at either end, or with a piece left out or put in."""
    der = der_of(scene.model.genuine)
    start = data.draw(st.integers(0, len(der) - 1))
    end = data.draw(st.integers(start, len(der) - 1) | st.just(start + 1))
    piece = data.draw(
        st.sampled_from([der[:end], der[start + 1 :], der[:start] + der[end + 1 :], der + der[start:end]])
    )
    if piece == der:
        return
    for send in (in_the_body, forwarded, forwarded_to_renew):
        assert send(scene, piece).status_code in (400, 401)


def registering(suite: InProcessSuite, der: bytes) -> TestResponse:
    """Register somebody with a signing request."""
    body = base64.encodebytes(der).decode()
    csr = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    name = unique()
    form = {"username": name, "email": f"{name}@b.test", "password": PASSWORD, "csr": csr}
    return suite.post("/registration/", form)


@pytest.fixture(scope="module")
def request_der() -> bytes:
    """Return a good signing request, never used."""
    pem = requesting(p256_keys()).encode()
    return x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)


@SOME
@given(place=st.integers(0, 2**16), bits=st.integers(1, 255))
def test_a_turned_bit_of_a_signing_request_is_refused(
    suite: InProcessSuite, request_der: bytes, place: int, bits: int
) -> None:
    """Its signature is over all of it: nobody is registered by it, and it is never our fault."""
    der = bytearray(request_der)
    der[place % len(der)] ^= bits
    assert registering(suite, bytes(der)).status_code == 400


@SOME
@given(st.data())
def test_a_part_of_a_signing_request_is_refused(suite: InProcessSuite, request_der: bytes, data: st.DataObject) -> None:
    """Cut, or with a piece left out."""
    start = data.draw(st.integers(0, len(request_der) - 1))
    end = data.draw(st.integers(start, len(request_der) - 1))
    piece = request_der[:start] + data.draw(st.sampled_from([b"", request_der[end + 1 :]]))
    assert registering(suite, piece).status_code == 400


def test_the_request_itself_is_good(suite: InProcessSuite, request_der: bytes) -> None:
    """Otherwise the refusals above would show nothing."""
    assert registering(suite, request_der).status_code == 200
