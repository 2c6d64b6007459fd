"""The line of each request: what it tells, whose names it believes, and what an outage writes."""

from __future__ import annotations

import asyncio
import io
import ipaddress
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from werkzeug.test import TestResponse

from common.errors import Code, Refusal
from common.request_context import note_user
from common.storage.port import StoreUnavailable
from common.web.asgi import SafeHeaders, problem_handlers
from common.web.problems import register_problem_handlers
from common.web.request_log import Collapsed, log_requests
from ichidai.process_log import LogFormat, LogSettings, configure_logging

PROXY, STRANGER = "192.0.2.1", "203.0.113.9"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NAMES = {"X-Request-Id": "edge-77", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.fixture
def app() -> Flask:
    """Return an app with a route for each kind of answer."""
    app = Flask("test")
    register_problem_handlers(app, "http://here")
    log_requests(app, "Ichidai", [ipaddress.ip_network(f"{PROXY}/32")])

    @app.get("/fine/<word>")
    def fine(word: str) -> dict[str, str]:
        note_user("anna")
        return {"word": word}

    @app.get("/session/verify")
    def verify() -> dict[str, bool]:
        return {"active": True}

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"success": True}

    @app.get("/refused")
    def refused() -> None:
        raise Refusal(Code.DEVICE_MISMATCH, reason="not the one that asked")

    @app.get("/away")
    def away() -> None:
        raise StoreUnavailable("nobody answers")

    return app


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Return what is written to stderr as JSON."""
    written, root = io.StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging(LogSettings(LogFormat.JSON, "info"), written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def told(lines: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines, each of which must be a JSON object."""
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def ask(app: Flask, path: str, peer: str = STRANGER, **headers: str) -> TestResponse:
    """Send a GET from an address."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().get(path, headers=named, environ_base={"REMOTE_ADDR": peer})


def test_a_request_is_one_line_that_names_the_route_and_not_the_path(app: Flask, lines: io.StringIO) -> None:
    """Nothing that the client wrote is in it."""
    answer = ask(app, "/fine/canary?secret=canary", User_Agent="canary", Authorization="Bearer canary")
    (line,) = told(lines)
    assert (line["event"], line["route"], line["status"], line["address"]) == (
        "request",
        "/fine/<word>",
        200,
        STRANGER,
    )
    assert (line["user_uuid"], line["app"], line["level"]) == ("anna", "Ichidai", "info")
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert "canary" not in lines.getvalue()


def test_a_problem_names_the_request_as_its_line_does(app: Flask, lines: io.StringIO) -> None:
    """With its code, and the reason that only the log is told."""
    answer = ask(app, "/refused")
    (line,) = told(lines)
    assert (line["code"], line["reason"]) == ("device-mismatch", "not the one that asked")
    assert answer.get_json()["request_id"] == line["request_id"] == answer.headers["X-Request-Id"]
    assert "not the one" not in answer.get_data(as_text=True)
    ask(app, "/nowhere/canary")
    assert (told(lines)[-1]["route"], told(lines)[-1]["code"]) == ("-", "not-found")


def test_a_good_verification_is_no_line_and_health_is_quiet(app: Flask, lines: io.StringIO) -> None:
    """Both are asked all the time."""
    assert "X-Request-Id" not in ask(app, "/session/verify").headers
    ask(app, "/health")
    assert told(lines) == []


def test_names_are_taken_from_trusted_proxies_alone(app: Flask, lines: io.StringIO) -> None:
    """The trace goes on under a span of our own; a stranger's names are ignored, and so is what has not the form."""
    answer = ask(app, "/fine/x", PROXY, **NAMES, X_Forwarded_For="198.51.100.7")
    assert answer.headers["X-Request-Id"] == "edge-77"
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert "00f067aa0ba902b7" not in answer.headers["traceparent"]
    assert (told(lines)[-1]["trace_id"], told(lines)[-1]["address"]) == (TRACE, "198.51.100.7")
    for peer, names in ((STRANGER, NAMES), (PROXY, {"X-Request-Id": "a b", "traceparent": "00-0-0-0"})):
        headers = ask(app, "/fine/x", peer, **names).headers
        assert headers["X-Request-Id"] not in names.values()
        assert TRACE not in headers["traceparent"]


def test_an_outage_is_one_line_a_second_with_a_count(app: Flask, lines: io.StringIO) -> None:
    """And its requests are no lines of their own."""
    for _ in range(50):
        assert ask(app, "/away").status_code == 503
    found = told(lines)
    assert {line["event"] for line in found} == {"store-unavailable"}
    assert 1 <= len(found) < 10
    assert found[0]["reason"] == "nobody answers"


@pytest.mark.parametrize("path", ["/refused", "/nowhere"])
@pytest.mark.parametrize("peer", [PROXY, STRANGER])
def test_a_refused_event_stream_is_a_line_of_the_same_form(lines: io.StringIO, peer: str, path: str) -> None:
    """With route, status, code, how long it took and the client's address; a trusted proxy may name the request."""

    async def refused(_request: Request) -> Response:
        raise Refusal(Code.SESSION_ENDED, reason="logged out", session_reason="logged-out")

    trusted = [ipaddress.ip_network(f"{PROXY}/32")]
    handlers = problem_handlers("http://here", trusted)
    app = Starlette(
        routes=[Route("/refused", refused)], middleware=[Middleware(SafeHeaders)], exception_handlers=handlers
    )
    headers, document = asked(app, path, peer, {**NAMES, "X-Forwarded-For": "198.51.100.7"})
    (line,) = told(lines)
    is_there, is_named = path == "/refused", peer == PROXY
    assert (line["event"], line["app"], line["method"]) == ("request", "events", "GET")
    expected = ("/refused", 401, "session-ended") if is_there else ("-", 404, "not-found")
    assert (line["route"], line["status"], line["code"]) == expected
    assert line["address"] == ("198.51.100.7" if is_named else STRANGER)
    assert line["duration_ms"] >= 0
    assert line["request_id"] == headers["x-request-id"] == document["request_id"]
    assert (line["request_id"] == "edge-77", line["trace_id"] == TRACE) == (is_named, is_named)


def asked(app: ASGIApp, path: str, peer: str, headers: Mapping[str, str]) -> tuple[dict[str, str], Any]:
    """Send a GET from an address to an ASGI app; return the answer's headers and document."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": raw, "client": (peer, 1)}

    async def run() -> None:
        await app(scope, receive, send)

    asyncio.run(run())
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return answered, json.loads(sent[1]["body"])


def test_collapsed_lines_count_everything() -> None:
    """Nothing is lost: what was not told is counted in the next line."""
    now = [0.0]
    collapsed = Collapsed(lambda: now[0])
    assert [collapsed.add() for _ in range(3)] == [1, 0, 0]
    now[0] = 1.0
    assert (collapsed.add(), collapsed.due()) == (3, 0)
    collapsed.add()
    now[0] = 2.5
    assert (collapsed.due(), collapsed.due()) == (1, 0)


def test_the_console_form_holds_the_same(app: Flask, lines: io.StringIO) -> None:
    """In one line for people."""
    configure_logging(LogSettings(LogFormat.CONSOLE, "info"), lines)
    ask(app, "/refused")
    (line,) = lines.getvalue().splitlines()
    assert "code=device-mismatch" in line
