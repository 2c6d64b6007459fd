"""A real nginx with mutual TLS before a real server: the file of `deploy/nginx` does what its words say."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.sync.client import connect

from common.crypto.certificates import KeyKind, generate_client_certificate, new_authority
from tests.integration.test_events import is_up
from tests.support.client import PASSWORD, Client, granted, refused, unique
from tests.support.nginx import Nginx, nginx_program
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, until
from tests.support.signing import Keys, p256_keys, requesting
from tests.support.streams import Listener, events_url

Files = tuple[str, str]

HEADER = "Client-Cert-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SETTINGS = {
    "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1",
    "ICHIDAI_CLIENT_CERT_HEADER": HEADER,
    "ICHIDAI_DEVICE_PROOF": "signature",
    "ICHIDAI_CERTIFICATE_BOUND_TOKENS": "true",
}


@dataclass(frozen=True)
class Behind:
    """The suite behind nginx: a client that comes through it, with TLS, and one that goes around it."""

    client: Client
    around: Client
    folder: Path

    def call(self, path: str, body: object, certificate: Files | None = None, **headers: str) -> requests.Response:
        """Post through nginx, with a client certificate and its key if they are given."""
        return self.client.post(path, body, **self._tls(certificate), headers=headers)

    def use(self, token: str, certificate: Files | None = None, path: str = "/session/verify") -> requests.Response:
        """Use an access token through nginx."""
        return self.client.get(path, token=token, **self._tls(certificate))

    def _tls(self, certificate: Files | None) -> dict[str, Any]:
        return {"verify": str(self.folder / "server.pem"), **({} if certificate is None else {"cert": certificate})}

    def stored(self, name: str, pem: str, keys: Keys) -> Files:
        """Write a certificate and its key where TLS can find them; return both paths."""
        form = serialization.PrivateFormat.PKCS8
        secret = keys.signing.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (self.folder / f"{name}.pem").write_text(pem, encoding="ascii")
        (self.folder / f"{name}.key").write_bytes(secret)
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")


def server_certificate(folder: Path) -> dict[str, str]:
    """Make nginx a certificate of its own; return what its file needs of it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    certificate = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "server.key").write_bytes(secret)
    return {"CERTIFICATE": str(folder / "server.pem"), "KEY": str(folder / "server.key")}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Return a suite that demands a proof of every device, behind nginx."""
    nginx_program()
    folder = tmp_path_factory.mktemp("nginx")
    suite: Suite = combined(folder / "suite", **SETTINGS, ICHIDAI_EVENTS_PORT=str(free_port()))
    around = suite.start()
    try:
        until(lambda: is_up(around), "the streams answer")
        roots = around.get("/device/ca", params={"kind": "p-256"}).text
        (folder / "authorities.pem").write_text(roots, encoding="ascii")
        told = {"AUTHORITIES": str(folder / "authorities.pem"), "NAME": "localhost", "HEADER": HEADER}
        told |= server_certificate(folder)
        with closing(Nginx("client-certificates.conf", {**told, "UPSTREAM": suite.servers[0].base}, folder)) as nginx:
            yield Behind(Client({"all": f"https://127.0.0.1:{nginx.port}"}), around, folder)
    finally:
        suite.stop()


@dataclass(frozen=True)
class Person:
    """A person whose device has a P-256 key, with the files that TLS needs."""

    username: str
    answer: dict[str, Any]
    keys: Keys
    files: Files

    @property
    def body(self) -> dict[str, str]:
        """Name and password."""
        return {"username": self.username, "password": PASSWORD}


@pytest.fixture
def anna(behind: Behind) -> Person:
    """Register somebody by a signing request."""
    return registered(behind)


def registered(behind: Behind) -> Person:
    """Register somebody by a signing request, through nginx."""
    keys, username = p256_keys(), unique()
    form = {"username": username, "email": f"{username}@b.test", "password": PASSWORD, "csr": requesting(keys)}
    answer = granted(behind.call("/registration/", form))
    assert "private_keys" not in answer
    return Person(username, answer, keys, behind.stored(username, answer["certificate"]["pem"], keys))


@pytest.mark.requirement("R37", "D24", "R73")
def test_the_handshake_is_the_proof(behind: Behind, anna: Person) -> None:
    """No fingerprint, no signature: certificate, key and password."""
    answer = granted(behind.call("/login", anna.body, anna.files))
    assert answer["device_id"] == anna.answer["device_id"]
    granted(behind.use(answer["access_token"], anna.files))
    refused(behind.call("/login", anna.body), 400, "missing-fields")
    named = {**anna.body, "client_cert_fp": anna.answer["client_cert_fp"]}
    refused(behind.call("/login", named), 401, "proof-required")


def test_a_renewal_by_tls(behind: Behind, anna: Person) -> None:
    """The new certificate gets in, the old one is refused although TLS takes it; its list says why."""
    answer = granted(behind.call("/device/renew", {"please": True}, anna.files))
    new = behind.stored("renewed", answer["certificate"]["pem"], anna.keys)
    refused(behind.call("/login", anna.body, anna.files), 401, "certificate-revoked")
    granted(behind.call("/login", anna.body, new))
    found = x509.load_der_x509_crl(behind.around.get("/device/crl", params={"issuer": "p-256"}).content)
    entry = found.get_revoked_certificate_by_serial_number(int(anna.answer["certificate"]["serial"], 16))
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded


def test_a_stolen_token_is_worth_nothing_without_the_certificate(behind: Behind, anna: Person) -> None:
    """Nor with that of another device, nor from the suite's own network: 401, and the device goes on."""
    login, bert = granted(behind.call("/login", anna.body, anna.files)), registered(behind)
    stolen, body = login["access_token"], {"refresh_token": login["refresh_token"]}
    for path in ("/session/verify", "/session/list", "/device/list"):
        for files in (None, bert.files):
            refused(behind.use(stolen, files, path), 401, "invalid-token")
        refused(behind.around.get(path, token=stolen), 401, "invalid-token")
    for files in (None, bert.files):
        answer = behind.call("/session/refresh", body, files)
        refused(answer, 401, "invalid-token")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    by_name = {"Client-Cert": f":{anna.answer['client_cert']}:"}
    refused(behind.call("/session/refresh", body, bert.files, **by_name), 401, "invalid-token")
    later = granted(behind.call("/session/refresh", body, anna.files))
    granted(behind.use(later["access_token"], anna.files))


def test_a_token_is_bound_to_the_new_certificate_after_a_renewal(behind: Behind, anna: Person) -> None:
    """TLS takes the old one still; the book does not."""
    login = granted(behind.call("/login", anna.body, anna.files))
    answer = granted(behind.call("/device/renew", {"please": True}, anna.files))
    new = behind.stored(f"{anna.username}-new", answer["certificate"]["pem"], anna.keys)
    refused(behind.use(login["access_token"], anna.files), 401, "invalid-token")
    refused(behind.use(login["access_token"], new), 401, "token-expired")
    body = {"refresh_token": login["refresh_token"]}
    refused(behind.call("/session/refresh", body, anna.files), 401, "invalid-token")
    later = granted(behind.call("/session/refresh", body, new))
    granted(behind.use(later["access_token"], new))
    refused(behind.use(later["access_token"], anna.files), 401, "invalid-token")


def test_an_event_stream_is_the_devices_alone(behind: Behind, anna: Person) -> None:
    """As a stream and as a WebSocket; nginx would forward what is written here."""
    token = granted(behind.call("/login", anna.body, anna.files))["access_token"]
    url, shown = events_url(behind.around), {HEADER: f":{anna.answer['client_cert']}:"}
    for headers in ({}, {HEADER: f":{registered(behind).answer['client_cert']}:"}):
        answer = requests.get(url, headers={"Authorization": f"Bearer {token}", **headers}, timeout=30)
        refused(answer, 401, "invalid-token")
        with connect(url.replace("http", "ws", 1), additional_headers=headers) as socket_:
            socket_.send(json.dumps({"access_token": token}))
            assert json.loads(socket_.recv(5))["data"]["code"] == "invalid-token"
    with connect(url.replace("http", "ws", 1), additional_headers=shown) as socket_:
        socket_.send(json.dumps({"access_token": token}))
        assert json.loads(socket_.recv(5))["event"] == "open"
        listener = Listener(url, token, **shown)
        granted(behind.around.post("/session/logout", token=token, headers=shown))
        assert listener.event.data["reason"] == "logged-out"
        assert json.loads(socket_.recv(5))["event"] == "session-revoked"


def test_what_a_client_writes_into_the_header_is_overwritten(behind: Behind, anna: Person) -> None:
    """With no certificate of its own, or with one of its own, it is not the other device, even if it knew the name."""
    stolen = f":{anna.answer['client_cert']}:"
    for name in (HEADER, HEADER.lower(), HEADER.upper()):
        refused(behind.call("/login", anna.body, **{name: stolen}), 400, "missing-fields")
    bert = registered(behind)
    answer = behind.call("/login", anna.body, bert.files, **{HEADER: stolen})
    refused(answer, 401, "certificate-mismatch")


def test_what_a_client_writes_is_nothing_though_the_proxy_lets_it_through(behind: Behind, anna: Person) -> None:
    """The file overwrites no `Client-Cert`; and a proxy that lets underscores through is asked here by its own words.

    A server cannot tell `Client_Cert` from `Client-Cert`: only a name that the client does not know helps.
    """
    stolen, bert = f":{anna.answer['client_cert']}:", registered(behind)
    for name in ("Client-Cert", "client_cert", HEADER[:-1], HEADER + "0"):
        refused(behind.call("/login", anna.body, **{name: stolen}), 400, "missing-fields")
        answer = behind.call("/login", anna.body, bert.files, **{name: stolen})
        refused(answer, 401, "certificate-mismatch")
        by_proxy = {HEADER: f":{bert.answer['client_cert']}:", name: stolen}
        refused(behind.around.post("/login", anna.body, headers=by_proxy), 401, "certificate-mismatch")


def test_a_certificate_of_a_stranger_gets_no_further_than_nginx(behind: Behind, anna: Person) -> None:
    """Of an authority of the same name, with the same names in it."""
    keys, now = p256_keys(), dt.datetime.now(dt.UTC)
    stranger = new_authority(now, KeyKind.CLASSICAL)
    assert isinstance(keys.signing, ec.EllipticCurvePrivateKey)
    forged = generate_client_certificate(
        anna.answer["uuid"], anna.answer["device_id"], keys.signing.public_key(), stranger, now
    )
    answer = behind.call("/login", anna.body, behind.stored("forged", forged.pem, keys))
    assert answer.status_code == 400
    assert "nginx" in answer.text


def test_the_certificate_without_its_key_shakes_no_hands(behind: Behind, anna: Person) -> None:
    """What TLS is for."""
    mixed = (anna.files[0], behind.stored("other", "", p256_keys())[1])
    with pytest.raises((requests.exceptions.SSLError, OSError, ssl.SSLError)):
        behind.call("/login", anna.body, mixed)
