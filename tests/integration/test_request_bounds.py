"""What a request may take of a server: its head and its body are bounded in bytes and in time, and told so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.raw_http import RawAnswer, chunk, connected, head, post
from tests.support.servers import Server, combined, until

HEAD_SECONDS, BODY_SECONDS, HEAD_BYTES = 2, 3, 9000
LATE = 10.0
"""How much later than promised a shared machine may come to it."""
LOGIN = b'{"username": "nobody", "password": "correct horse 42", "client_cert_fp": "%s"}' % (b"0" * 64)
CHUNKED = head("POST", "/login", "Content-Type: application/json", "Transfer-Encoding: chunked")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server with short bounds."""
    settings = {
        "ICHIDAI_HEAD_SECONDS": str(HEAD_SECONDS),
        "ICHIDAI_BODY_SECONDS": str(BODY_SECONDS),
        "ICHIDAI_HEAD_BYTES": str(HEAD_BYTES),
        "ICHIDAI_TEST_CHEAP_HASH": "true",
    }
    suite = combined(tmp_path_factory.mktemp("bounds"), ICHIDAI_LOG="json", **settings)
    suite.start()
    yield suite.servers[0]
    suite.stop()


def ask(server: Server, *pieces: bytes, pause: float = 0.0) -> RawAnswer:
    """Send a request in pieces; return the answer."""
    with connected(server.port) as connection:
        for piece in pieces:
            connection.send(piece)
            time.sleep(pause)
        answer = connection.receive()
        assert answer is not None
        return answer


def refused(answer: RawAnswer, status: int, code: str) -> None:
    """Check a refusal after which the server closes the connection."""
    assert (answer.status, answer.problem["code"]) == (status, code)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("sent", "method", "status", "code", "waits"),
    [
        (post("/login", b"", announced=70_000), "POST", 413, "body-too-large", 0),
        (post("/login", b"{", announced=9), "POST", 408, "request-timeout", BODY_SECONDS),
        (head("GET", "/session/list", f"X-Padding: {'x' * HEAD_BYTES}"), "GET", 431, "head-too-large", 0),
    ],
    ids=["body too large", "body too slow", "head too large"],
)
def test_what_never_reached_the_app_has_its_line(
    server: Server, sent: bytes, method: str, status: int, code: str, waits: int
) -> None:
    """One, with the members of every other request's line, under the name that the client was told."""
    answer = ask(server, sent)
    refused(answer, status, code)
    name = answer.headers["x-request-id"]
    until(lambda: name in server.output, "the line is written")
    (line,) = [json.loads(line) for line in server.output.splitlines() if name in line]
    told = {"event": "request", "method": method, "route": "-", "status": status, "code": code, "app": "Ichidai"}
    assert told | {"address": "127.0.0.1", "reason": "before it reached the app"} == {
        member: line[member] for member in (*told, "address", "reason")
    }
    assert waits * 1000 <= line["duration_ms"] < (waits + LATE) * 1000


def test_a_body_may_come_in_pieces(server: Server) -> None:
    """With its length, and chunked."""
    whole = post("/login", LOGIN)
    assert ask(server, whole[:-20], whole[-20:], pause=0.2).problem["code"] == "bad-credentials"
    pieces = [chunk(LOGIN[at : at + 40]) for at in range(0, len(LOGIN), 40)]
    assert ask(server, CHUNKED, *pieces, chunk(b""), pause=0.05).problem["code"] == "bad-credentials"
    assert ask(server, CHUNKED, chunk(LOGIN), chunk(b"")).problem["code"] == "bad-credentials"


def test_a_body_has_so_long_in_all(server: Server) -> None:
    """However often a byte comes: the deadline is for the whole body."""
    with connected(server.port) as connection:
        connection.send(post("/login", LOGIN)[: -len(LOGIN)])
        while time.monotonic() < connection.begun + BODY_SECONDS * 0.8:
            connection.send(b" ")
            time.sleep(0.1)
        answer = connection.receive()
        assert answer is not None
        refused(answer, 408, "request-timeout")
        assert BODY_SECONDS * 0.9 < answer.seconds < BODY_SECONDS + LATE
        assert connection.receive() is None


def test_in_japanese(server: Server) -> None:
    """The answer of the server itself is in the client's language, too."""
    answer = ask(server, post("/login", b"", "Accept-Language: ja", announced=99_999))
    assert answer.problem["title"] == "本文が大きすぎます"


@pytest.mark.parametrize(
    "sent",
    [
        post("/login", LOGIN, announced=len(LOGIN) + 1),
        CHUNKED + chunk(LOGIN),
        CHUNKED + chunk(LOGIN)[:-1],
        CHUNKED + chunk(LOGIN) + b"junk\r\n",
    ],
    ids=["shorter than announced", "no last chunk", "a chunk cut", "no chunk"],
)
def test_a_body_that_breaks_off_is_none(server: Server, sent: bytes) -> None:
    """What came of it is never taken for the whole, though it may read as one."""
    with connected(server.port) as connection:
        connection.send(sent)
        connection.socket.shutdown(1)
        answer = connection.receive()
        assert answer is not None
        refused(answer, 400, "invalid-request")


@pytest.mark.parametrize("body", [b"{}" + b" " * 65_536, b"x" * 300_000])
def test_a_body_that_is_too_long(server: Server, body: bytes) -> None:
    """Announced, and found out on the way."""
    refused(ask(server, post("/login", b"", announced=len(body))), 413, "body-too-large")
    with connected(server.port) as connection:
        connection.send(CHUNKED)
        for at in range(0, len(body), 8192):
            try:
                connection.send(chunk(body[at : at + 8192]))
            except OSError:
                break  # it has been answered already
        answer = connection.receive()
        assert answer is not None
        refused(answer, 413, "body-too-large")


@pytest.mark.parametrize("path", ["/health", "/session/verify"])
def test_a_head_has_so_many_bytes(server: Server, path: str) -> None:
    """To the byte, whatever answers there."""
    bare = len(head("GET", path, "X-Padding: "))

    def padded(size: int) -> bytes:
        return head("GET", path, "X-Padding: " + "x" * (size - bare))

    assert ask(server, padded(HEAD_BYTES)).status != 431
    refused(ask(server, padded(HEAD_BYTES + 1)), 431, "head-too-large")


@pytest.mark.parametrize("sent", [b"", b"GET /heal", head("GET", "/health")[:-2]], ids=["nothing", "a line", "a head"])
def test_a_head_has_so_long(server: Server, sent: bytes) -> None:
    """Then the connection is closed."""
    with connected(server.port) as connection:
        connection.send(sent)
        assert HEAD_SECONDS * 0.9 < connection.closed_after() < HEAD_SECONDS + LATE


def test_a_connection_may_be_idle_as_long(server: Server) -> None:
    """After an answer the same timer runs."""
    with connected(server.port) as connection:
        connection.send(head("GET", "/health"))
        answered = connection.receive()
        assert answered is not None
        assert connection.closed_after() > answered.seconds + HEAD_SECONDS * 0.9


def test_http_2_is_not_spoken(server: Server) -> None:
    """Neither at once nor by an upgrade."""
    with connected(server.port) as connection:
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert connection.closed_after() < HEAD_SECONDS * 0.9
    upgrade = head("GET", "/health", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    assert ask(server, upgrade).status == 200


def test_requests_in_a_row_are_answered_in_order(server: Server) -> None:
    """Also when all are sent before the first is answered, and some are answered by other threads."""
    with connected(server.port) as connection:
        connection.send(head("GET", "/health") + post("/login", LOGIN) + head("GET", "/session/verify") * 2)
        answers = [connection.receive() for _ in range(4)]
        assert [answer and answer.status for answer in answers] == [200, 401, 401, 401]


@pytest.mark.parametrize(
    "line",
    ["X-Name: \xff\xfe", "Authorization: Bearer \xe9", "Cookie: a=\xff", "Content-Type: \xff", "Accept-Language: \xff"],
)
def test_headers_that_are_no_ascii(server: Server, line: str) -> None:
    """They harm nothing."""
    assert ask(server, head("GET", "/health", line)).status == 200
    assert ask(server, head("GET", "/session/verify", line)).status == 401


def test_a_header_with_an_underscore_is_dropped(server: Server) -> None:
    """An app could not tell it from the one with a hyphen, which a proxy may have removed."""
    assert ask(server, head("GET", "/nowhere", "Accept_Language: ja")).problem["title"] == "Not found"
    assert ask(server, head("GET", "/nowhere", "Accept-Language: ja")).problem["title"] != "Not found"


def test_half_sent_bodies_hold_nobody_up(server: Server) -> None:
    """With ten times as many of them as a worker has threads others are answered at once."""
    with ThreadPoolExecutor(40) as pool:

        def hang(_: int) -> int:
            return ask(server, post("/login", b"{", announced=50)).status

        hanging = [pool.submit(hang, number) for number in range(40)]
        time.sleep(0.3)
        for request in (head("GET", "/session/verify"), post("/login", LOGIN), head("GET", "/ready")):
            assert ask(server, request).seconds < BODY_SECONDS
        assert {each.result() for each in hanging} == {408}
