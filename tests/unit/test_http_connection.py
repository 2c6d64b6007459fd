"""The connection of the lean reads: what it takes for an answer, and what it does not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from common.storage.dynamodb.http_connection import HttpConnection, ServerAddress, UnsupportedResponse

ASK = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhello"

Talk = Callable[[socket.socket], None]


@contextmanager
def listening(*talks: Talk, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Listen on a port and treat one connection after another as told."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for talk in talks:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection if tls is None else tls.wrap_socket(connection, server_side=True) as line:
                    talk(line)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
    thread.join(timeout=5)


def answering(*answers: bytes) -> Talk:
    """Answer each request in turn, then close."""

    def talk(line: socket.socket) -> None:
        for answer in answers:
            line.recv(65536)
            line.sendall(answer)

    return talk


def line_to(port: int, tls: ssl.SSLContext | None = None, seconds: float = 2.0) -> HttpConnection:
    """Return a line that is connected."""
    line = HttpConnection(ServerAddress("127.0.0.1", port, tls, seconds, seconds))
    line.open()
    return line


def test_one_connection_serves_many_questions() -> None:
    """Status, headers and the whole body come back, and the line stays."""
    with listening(answering(PLAIN, PLAIN)) as port:
        line = line_to(port)
        for _ in range(2):
            answer = line.request(ASK)
            assert (answer.status, answer.body, answer.headers[b"x-one"]) == (200, b"hello", b"1")
        assert line.is_open
        line.close()
        assert not line.is_open


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000,
    ],
)
def test_what_is_not_plain_is_an_error_and_closes(answer: bytes) -> None:
    """Nothing of it is guessed, and no later answer can be taken for this one's."""
    with listening(answering(answer)) as port:
        line = line_to(port)
        with pytest.raises(UnsupportedResponse):
            line.request(ASK)
        assert not line.is_open


def test_a_server_that_closes_is_told_from_one_that_is_silent() -> None:
    """The first is a broken connection, the second a timeout."""
    silent = threading.Event()
    with listening(answering(b""), lambda _line: silent.wait(5) and None) as port:
        with pytest.raises(ConnectionError):
            line_to(port).request(ASK)
        with pytest.raises(TimeoutError):
            line_to(port, seconds=0.2).request(ASK)
        silent.set()


def test_an_announced_end_is_believed() -> None:
    """The next question goes over a new connection."""
    with listening(answering(PLAIN.replace(b"X-One: 1", b"Connection: close"))) as port:
        line = line_to(port)
        assert line.request(ASK).body == b"hello"
        assert not line.is_open


def test_over_tls_the_certificate_must_be_the_hosts(tmp_path: Path) -> None:
    """With the authority known it answers; without, no byte of the question is sent."""
    server, authority = _certificate(tmp_path)
    heard: list[bytes] = []

    def talk(line: socket.socket) -> None:
        heard.append(line.recv(65536))
        line.sendall(PLAIN)

    with listening(talk, tls=server) as port:
        line = line_to(port, ssl.create_default_context(cafile=str(authority)))
        assert line.request(ASK).body == b"hello"
        line.close()
    refusing = threading.Event()

    def refused(port: int) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            line_to(port, ssl.create_default_context())
        refusing.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refused, args=(listener.getsockname()[1],))
        thread.start()
        with listener.accept()[0] as connection, pytest.raises((ssl.SSLError, OSError)):
            server.wrap_socket(connection, server_side=True)
        thread.join(5)
    assert refusing.is_set()
    assert heard == [ASK]


def _certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    own, private = folder / "own.pem", folder / "key.pem"
    own.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, private)
    return context, own
