"""`Client-Cert` (RFC 9440): from a listed proxy it names the device and proves its key, from others it is nothing.

Under a name that no client can guess, what clients write is nothing either, whatever the proxy lets through.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.crypto.certificates import generate_client_certificate, new_authority
from common.crypto.device_keys import new_signing_key
from tests.support.signing import p256_keys, requesting
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import T0, Device, InProcessSuite, Person, as_login, code_of
from tests.usecases.test_revocation import revoke

LISTED = {"ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"}
"""The tests' client is the proxy."""

NAMED = {"ICHIDAI_CLIENT_CERT_HEADER": "Client-Cert"}
PROXY = {**LISTED, **NAMED, "ICHIDAI_DEVICE_PROOF": "signature"}
SECRET = "Client-Cert-0f1e2d3c4b5a69788796a5b4c3d2e1f0"

Send = Callable[..., TestResponse]


def header(device: Device) -> str:
    """Return a device's certificate as a proxy writes it."""
    return f":{device.answer['client_cert']}:"


def login_at(path: str) -> Send:
    """Return a login."""

    def send(suite: InProcessSuite, person: Person, _device: Device, **headers: str) -> TestResponse:
        body = {"username": person.username, "password": person.password}
        return suite.post(path, body, None, **headers)

    return send


def joined(suite: InProcessSuite, person: Person) -> Device:
    """Bind another device by a certificate signing request, whose key is the device's own."""
    body = {"username": person.username, "password": person.password}
    code = suite.post("/registration/request_pairing_token", body, None, Client_Cert=header(person.first)).get_json()
    answer = suite.post("/registration/", {**body, "qr_code": code["qr_code"], "csr": requesting(p256_keys())})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    fields = answer.get_json()
    return Device(fields["client_cert_fp"], fields["device_id"], fields)


def takeover(suite: InProcessSuite, person: Person, device: Device, **headers: str) -> TestResponse:
    """Ask, and consent. The question is asked by the device itself."""
    tablet = joined(suite, person)
    assert login_at("/login/force")(suite, person, tablet, Client_Cert=header(tablet)).status_code == 200
    question = login_at("/login")(suite, person, device, Client_Cert=header(device))
    return suite.post("/login/takeover", {"takeover_token": question.get_json()["takeover"]["token"]}, None, **headers)


def pairing(suite: InProcessSuite, person: Person, _device: Device, **headers: str) -> TestResponse:
    """Ask for a pairing token."""
    body = {"username": person.username, "password": person.password}
    return suite.post("/registration/request_pairing_token", body, None, **headers)


def renewal(suite: InProcessSuite, _person: Person, _device: Device, **headers: str) -> TestResponse:
    """Renew. What is in the body is not looked at."""
    return suite.post("/device/renew", {"device": "mine"}, None, **headers)


ENDPOINTS = {
    "login": login_at("/login"),
    "force": login_at("/login/force"),
    "session/create": login_at("/session/create"),
    "takeover": takeover,
    "pairing": pairing,
    "renewal": renewal,
}


@pytest.fixture(params=ENDPOINTS)
def endpoint(request: pytest.FixtureRequest) -> Send:
    """Return each endpoint at which a certificate counts as the proof."""
    return ENDPOINTS[request.param]


@pytest.fixture
def suite(build_suite: Build) -> InProcessSuite:
    """Return a suite behind a proxy, where every device must prove its key."""
    return build_suite(**PROXY)


class TestListed:
    """A listed proxy says it."""

    def test_it_names_the_device_and_is_the_proof(self, suite: InProcessSuite, anna: Person, endpoint: Send) -> None:
        """No fingerprint, no signature."""
        answer = endpoint(suite, anna, anna.first, Client_Cert=header(anna.first))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        if "device_id" in answer.get_json():
            assert answer.get_json()["device_id"] == anna.first.device_id

    def test_without_it_nothing_opens(self, suite: InProcessSuite, anna: Person, endpoint: Send) -> None:
        """The proxy is no proof by itself."""
        code = "proof-required" if endpoint is renewal else "missing-fields"
        assert code_of(endpoint(suite, anna, anna.first))[1] == code

    def test_that_of_another_person_opens_nothing(self, suite: InProcessSuite, anna: Person, endpoint: Send) -> None:
        """But for a renewal, which is then the other's own."""
        if endpoint is renewal:
            return
        bert = suite.register("bert")
        assert endpoint(suite, anna, anna.first, Client_Cert=header(bert.first)).status_code in (401, 403)

    def test_a_revoked_one_opens_nothing(self, suite: InProcessSuite, anna: Person, endpoint: Send) -> None:
        """TLS does not know; the book does."""
        laptop = joined(suite, anna)
        phone = as_login(login_at("/login")(suite, anna, anna.first, Client_Cert=header(anna.first)))
        if endpoint is takeover:
            question = login_at("/login")(suite, anna, laptop, Client_Cert=header(laptop))
            assert revoke(suite, phone, laptop).status_code == 200
            body = {"takeover_token": question.get_json()["takeover"]["token"]}
            assert code_of(suite.post("/login/takeover", body, None, Client_Cert=header(laptop)))[0] == 403
            return
        assert revoke(suite, phone, laptop).status_code == 200
        assert endpoint(suite, anna, laptop, Client_Cert=header(laptop)).status_code in (401, 403)

    def test_a_forgery_that_names_the_device_opens_nothing(
        self, suite: InProcessSuite, anna: Person, endpoint: Send
    ) -> None:
        """Of an authority of the same name, with the same names in it."""
        if endpoint is takeover:
            return
        key = new_signing_key().public_key()
        forged = generate_client_certificate(anna.uuid, anna.first.device_id, key, new_authority(T0), T0)
        text = f":{base64.b64encode(forged.der).decode()}:"
        assert endpoint(suite, anna, anna.first, Client_Cert=text).status_code in (401, 403)

    def test_it_names_the_device_for_a_challenge(self, suite: InProcessSuite, anna: Person) -> None:
        """Which is still to be signed by whoever wants to."""
        body = {"username": "anna", "password": anna.password}
        answer = suite.post("/login/challenge", body, None, Client_Cert=header(anna.first))
        assert answer.get_json()["device_id"] == anna.first.device_id

    def test_what_is_shown_twice_must_be_one(self, suite: InProcessSuite, anna: Person) -> None:
        """A body that says otherwise is no request we can read."""
        bert = suite.register("bert")
        for fields in ({"client_cert_fp": bert.first.fingerprint}, {"client_cert": bert.first.answer["client_cert"]}):
            body = {"username": "anna", "password": anna.password, **fields}
            answer = suite.post("/login", body, None, Client_Cert=header(anna.first))
            assert code_of(answer) == (400, "invalid-request")
        body = {"username": "anna", "password": anna.password, "client_cert_fp": anna.first.fingerprint}
        assert suite.post("/login", body, None, Client_Cert=header(anna.first)).status_code == 200

    def test_the_password_is_still_asked(self, suite: InProcessSuite, anna: Person) -> None:
        """The key is one factor."""
        body = {"username": "anna", "password": "wrong one"}
        assert code_of(suite.post("/login", body, None, Client_Cert=header(anna.first))) == (401, "bad-credentials")

    @pytest.mark.parametrize(
        "write",
        [
            pytest.param(lambda b: b, id="no colons"),
            pytest.param(lambda b: f":{b}", id="one colon"),
            pytest.param(lambda b: f":{b}:;a=1", id="parameters"),
            pytest.param(lambda b: f":{b}:, :{b}:", id="two"),
            pytest.param(lambda b: f":{b[:-8]}:", id="cut"),
            pytest.param(lambda b: f":{b[:400]}{b[404:]}:", id="four letters less"),
            pytest.param(lambda b: f": {b} :", id="spaces"),
            pytest.param(lambda b: f":{b.replace('A', '-', 1)}:", id="the other alphabet"),
            pytest.param(lambda b: f":{b}AAAA:", id="more after it"),
            pytest.param(lambda _: f":{'A' * 20000}:", id="too long"),
            pytest.param(lambda _: "::", id="nothing"),
            pytest.param(lambda _: ":====:", id="padding alone"),
            pytest.param(lambda _: ":MAA=:", id="an empty sequence"),
            pytest.param(lambda b: f'"{b}"', id="a string"),
            pytest.param(lambda b: "-----BEGIN%20CERTIFICATE-----%0A" + b, id="escaped PEM"),
        ],
    )
    def test_what_is_not_the_form_is_refused(
        self, suite: InProcessSuite, anna: Person, write: Callable[[str], str]
    ) -> None:
        """A proxy that is set up wrongly is told so, and lets nobody in."""
        body = {"username": "anna", "password": anna.password, "client_cert_fp": anna.first.fingerprint}
        answer = suite.post("/login", body, None, Client_Cert=write(anna.first.answer["client_cert"]))
        assert code_of(answer) == (400, "invalid-request")
        assert "Client-Cert" in answer.get_json()["detail"]


class TestStranger:
    """Anybody else says it."""

    @pytest.fixture(params=[{"ICHIDAI_TRUSTED_PROXIES": "10.0.0.0/8", **NAMED}, {}, LISTED])
    def suite(self, request: pytest.FixtureRequest, build_suite: Build) -> InProcessSuite:
        """Return a suite that lists another proxy, or none, or one that is listed for its other headers alone."""
        return build_suite(**request.param)

    @pytest.mark.parametrize("name", ["login", "force", "session/create", "pairing", "renewal"])
    def test_it_is_not_looked_at(self, suite: InProcessSuite, anna: Person, name: str) -> None:
        """Neither believed nor read: junk in it is no fault."""
        bare = ENDPOINTS[name](suite, anna, anna.first)
        for text in (header(anna.first), "junk", ":AAAA:"):
            answer = ENDPOINTS[name](suite, anna, anna.first, Client_Cert=text)
            assert code_of(answer) == code_of(bare)
            assert code_of(answer)[0] in (400, 401)

    def test_it_is_no_proof_where_one_is_demanded(self, build_suite: Build) -> None:
        """Nor behind a forwarded address that is a listed proxy's."""
        suite = build_suite(**NAMED, ICHIDAI_DEVICE_PROOF="signature", ICHIDAI_TRUSTED_PROXIES="10.0.0.1")
        anna = suite.register()
        body: dict[str, Any] = {"username": "anna", "password": anna.password, "client_cert_fp": anna.first.fingerprint}
        headers = {"Client_Cert": header(anna.first), "X_Forwarded_For": "10.0.0.1"}
        assert code_of(suite.post("/login", body, None, **headers)) == (401, "proof-required")


class TestSecretName:
    """The proxy writes into a header whose name no client knows, and lets through all that clients write."""

    @pytest.fixture
    def suite(self, build_suite: Build) -> InProcessSuite:
        """Return a suite behind such a proxy."""
        return build_suite(**{**PROXY, "ICHIDAI_CLIENT_CERT_HEADER": SECRET})

    def test_the_proxys_header_counts(self, suite: InProcessSuite, anna: Person) -> None:
        """However it is spelt; headers have no case."""
        for name in (SECRET, SECRET.lower(), SECRET.upper()):
            answer = login_at("/login")(suite, anna, anna.first, **{name: header(anna.first)})
            assert answer.status_code == 200, answer.get_data(as_text=True)

    @pytest.mark.parametrize("name", ["login", "force", "session/create", "pairing", "renewal"])
    def test_what_a_client_writes_is_nothing(self, suite: InProcessSuite, anna: Person, name: str) -> None:
        """Under the name of the RFC, and under what looks like ours."""
        bare = ENDPOINTS[name](suite, anna, anna.first)
        for guess in ("Client-Cert", SECRET[:-1], SECRET + "0", SECRET.rpartition("-")[2], "X-" + SECRET):
            answer = ENDPOINTS[name](suite, anna, anna.first, **{guess: header(anna.first)})
            assert code_of(answer) == code_of(bare)

    def test_what_a_client_writes_beside_is_nothing(self, suite: InProcessSuite, anna: Person) -> None:
        """A device with a certificate of its own is not the other."""
        bert = suite.register("bert")
        both = {SECRET: header(anna.first), "Client-Cert": header(bert.first)}
        assert as_login(login_at("/login")(suite, anna, anna.first, **both)).device_id == anna.first.device_id
        stolen = {SECRET: header(bert.first), "Client-Cert": header(anna.first)}
        assert code_of(login_at("/login")(suite, anna, anna.first, **stolen)) == (401, "certificate-mismatch")

    def test_nobody_is_told_the_name(
        self, suite: InProcessSuite, anna: Person, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not where the header is faulty, nor by what the suite tells of itself."""
        caplog.set_level("DEBUG")
        told = login_at("/login")(suite, anna, anna.first, **{SECRET: "junk"}).get_data(as_text=True)
        told += suite.get("/openapi.json").get_data(as_text=True)
        told += suite.get("/.well-known/ichidai.json").get_data(as_text=True)
        assert SECRET.rpartition("-")[2] not in told + caplog.text
