"""No secret and no token is ever in the log, in metrics, traces or problems.

Canaries in every field of every route, and a walk with real secrets.
"""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.crypto.otp import read_secret
from ichidai.admin.keys import WRONG_KEYS, Role
from ichidai.apps import app_for
from ichidai.process_log import LogFormat, LogSettings, configure_logging
from ichidai.server.metrics_endpoint import shown
from ichidai.server.metrics_pipe import MetricsCollector
from ichidai.topology import App
from ichidai.tracing import spans_to
from session_manager.event_receivers import digest_of
from tests.usecases.in_process_suite import HandClock, InProcessSuite, Person
from tests.usecases.test_admin_app import HERE, Admin

CANARY = "canary-5f3a9c"
RECEIVER_KEY = "k" * 43
POLLS = "/session/security-events"
_SECRET_FIELDS = (
    "access_token", "refresh_token", "device_token", "qr_code", "pairing_token", "secret", "enrolment",
    "recovery_codes", "private_keys", "client_cert",
)  # fmt: skip


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return all that is logged at any level, as the server writes it."""
    written, root = io.StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logging(LogSettings(LogFormat.JSON, "debug"), written)
    root.setLevel(logging.DEBUG)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def told(suite: InProcessSuite, log: io.StringIO) -> Callable[[], str]:
    """Return what gives all that was logged, counted and traced by now; traces as they are sent."""
    exporter = InMemorySpanExporter()
    suite.client = app_for(App.ALL, suite.suite, spans_to(exporter, "1")).test_client()

    def everything() -> str:
        deadline = time.monotonic() + 10
        while not exporter.get_finished_spans() and time.monotonic() < deadline:
            time.sleep(0.05)
        spans = exporter.get_finished_spans()
        assert spans
        collector = MetricsCollector()
        return log.getvalue() + shown(collector) + repr(encode_spans(spans))

    return everything


def fields_of(schema: Any, components: Any, depth: int = 0) -> dict[str, Any]:
    """Return a body with a canary in every field that a schema knows."""
    schema = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    body: dict[str, Any] = {}
    for variant in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        body |= fields_of(variant, components, depth + 1)
    for name, kind in schema.get("properties", {}).items():
        nested = fields_of(kind, components, depth + 1) if depth < 3 else {}
        body[name] = nested or CANARY
    return body


Open = Callable[..., Any]


def tried_with_canaries(open_: Open, described: Any, good: Callable[[], str]) -> tuple[int, str]:
    """Put a canary into every field of every route; return how many requests that were, and what the problems told.

    With a false token, and with a good one (`good`), for who has none is refused before the rest is looked at.
    """
    names = ("DPoP", "Idempotency-Key", "User-Agent", "X-Request-Id", "traceparent", "Cookie")
    asked, problems = 0, ""
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {})
            body = fields_of(schema, described["components"]["schemas"])
            known = [each["name"] for each in operation.get("parameters", ()) if each.get("in") == "query"]
            queries = [dict.fromkeys(("q", "limit", *known), CANARY), *({name: CANARY} for name in known)]
            bodies = [body, *({name: value} for name, value in body.items())]
            for query, tried in [(queries[0], each) for each in bodies] + [(each, body) for each in queries[1:]]:
                for token in (CANARY, f"Bearer {CANARY}", f"DPoP {CANARY}.{CANARY}.{CANARY}", f"Bearer {good()}"):
                    sent = {name: CANARY for name in names if name != "DPoP" or CANARY in token}
                    answer = open_(
                        re.sub(r"{\w+}", CANARY, path),
                        method=method.upper(),
                        query_string=query,
                        json=tried or None,
                        headers={**sent, "Authorization": token},
                    )
                    problems += answer.text if answer.status_code >= 400 else ""
                    asked += 1
    return asked, problems


def is_clean(everything: str) -> bool:
    """Say whether no canary is in what was told."""
    return CANARY not in everything and CANARY.upper() not in everything


def test_canaries_in_every_field_of_every_route_are_not_told(
    log: io.StringIO, told: Callable[[], str], suite: InProcessSuite, anna: Person
) -> None:
    """In bodies, headers, queries and paths; each alone too, so that no first fault hides the others."""
    login: list[str] = [suite.log_in(anna).access]

    def good() -> str:
        if suite.get("/session/verify", login[0]).status_code != 200:
            login[0] = suite.log_in(anna).access
        return login[0]

    described = suite.get("/openapi.json").get_json()
    asked, problems = tried_with_canaries(suite.client.open, described, good)
    suite.get(f"/{CANARY}")
    suite.client.open("/login", method=CANARY.upper())
    assert asked > 500
    assert '"event": "request"' in log.getvalue()
    everything = told()
    assert "ichidai_requests_total{" in everything
    assert is_clean(everything)
    assert is_clean(problems)


def test_canaries_in_every_field_of_the_admin_app_and_of_polls(
    suite: InProcessSuite, log: io.StringIO, keys: Path, clock: HandClock, tmp_path: Path
) -> None:
    """By a good admin key, and by a receiver's key; the operator's words stand in the audit log's table alone."""
    settings = {"ICHIDAI_EVENT_RECEIVERS": f"ledger=poll:{digest_of(RECEIVER_KEY)}"}
    admin = Admin(suite.store.inner, keys, clock, tmp_path / "witness.json")

    def opened(path: str, **more: Any) -> Any:
        return admin.client.open(path, base_url=HERE, **more)

    described = opened("/openapi.json").get_json()

    def good() -> str:
        clock.move(4 * WRONG_KEYS.interval)  # a source that shows wrong keys has none looked at for a while
        return admin.texts[Role.OWNER]

    asked, problems = tried_with_canaries(opened, described, good)
    assert asked > 100
    assert '"too-many-attempts"' not in problems
    with closing(InProcessSuite(tmp_path, keys, clock, store=suite.store.inner, **settings)) as polled:
        described = polled.get("/openapi.json").get_json()
        described["paths"] = {POLLS: described["paths"][POLLS]}
        asked, told = tried_with_canaries(polled.client.open, described, lambda: RECEIVER_KEY)
    assert asked > 10
    assert '"invalid-request"' in told
    assert is_clean(log.getvalue() + problems + told + shown(MetricsCollector()))


def test_no_real_secret_is_told(suite: InProcessSuite, anna: Person, log: io.StringIO, told: Callable[[], str]) -> None:
    """A registration, logins, a takeover, a refresh, a second factor, a wrong password."""
    secrets: set[str] = set()

    def gather(value: Any, name: str = "") -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                gather(each, key if name not in _SECRET_FIELDS else name)
        elif isinstance(value, list):
            for each in value:
                gather(each, name)
        elif isinstance(value, str) and name in _SECRET_FIELDS:
            secrets.add(value)

    gather(anna.first.answer)
    laptop = suite.pair(anna, "Laptop")
    gather(laptop.answer)
    phone = suite.log_in(anna)
    gather(phone.answer)
    question = suite.login(anna, laptop)
    secrets.add(question.get_json()["takeover"]["token"])
    gather(suite.take_over(question, laptop).get_json())
    again = suite.log_in(anna, laptop)
    gather(again.answer)
    gather(suite.refresh(again.refresh).get_json())
    begun = suite.post("/registration/otp/begin", {"password": anna.password}, again.access).get_json()
    gather(begun)
    assert read_secret(begun["secret"])
    suite.verify(phone)
    wrong = "a wrong guess that is long"
    suite.post("/login", {"username": anna.username, "password": wrong, "client_cert_fp": anna.first.fingerprint})
    secrets |= {anna.password, wrong}
    assert len(secrets) > 10
    everything = told()
    assert [secret for secret in secrets if secret in everything] == []
    assert anna.uuid in log.getvalue()
