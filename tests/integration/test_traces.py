"""Traces of a real server, as a collector receives them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ichidai.tracing import tracer_for
from tests.support.collector import collector
from tests.support.servers import combined, until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ROOT = Path(__file__).parents[2]


def test_requests_are_spans_of_their_callers_traces(tmp_path: Path) -> None:
    """A trace that a listed proxy began goes on, unless it is not recorded; others begin here. Named as the answer."""
    with collector() as received:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        suite = combined(tmp_path, 1, ICHIDAI_TRUSTED_PROXIES="127.0.0.1", **settings)
        client = suite.start()
        try:
            asked = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-Id": "from-the-proxy"}
            continued = client.get("/session/verify", headers=asked)
            client.get("/session/history", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
            begun = client.post("/login", {"username": "anna", "password": "a secret guess 42"})
            client.get("/ready")
            until(lambda: len(received.spans) >= 2, "the spans came", 15)
        finally:
            suite.stop()
        by_name = {span.name: span for span in received.spans}
        assert set(by_name) == {"GET /session/verify", "POST /login"}
        verify, login = by_name["GET /session/verify"], by_name["POST /login"]
        assert (verify.trace_id.hex(), verify.parent_span_id.hex()) == (TRACE, CALLER)
        assert continued.headers["traceparent"] == f"00-{TRACE}-{verify.span_id.hex()}-01"
        assert begun.headers["traceparent"] == f"00-{login.trace_id.hex()}-{login.span_id.hex()}-01"
        assert login.parent_span_id == b""
        told = {each.key: each.value.string_value or each.value.int_value for each in verify.attributes}
        assert told == {
            "http.request.method": "GET",
            "http.route": "/session/verify",
            "http.response.status_code": 401,
            "ichidai.request_id": "from-the-proxy",
            "error.type": "token-missing",
        }
        assert 0 < verify.end_time_unix_nano - verify.start_time_unix_nano < 5e9
        assert [body for body in received.bodies if b"a secret guess" in body] == []


def test_without_an_endpoint_or_the_extra_nothing_is_imported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An endpoint without the extra is told, and the server serves."""
    asked = "import sys; from ichidai.tracing import tracer_for as t; print(t('', '1'), 'opentelemetry' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True, cwd=ROOT)
    assert told.stdout == "None False\n"
    monkeypatch.setattr("ichidai.tracing.find_spec", lambda _name: None)
    assert tracer_for("http://127.0.0.1:4318", "1") is None
    assert "pip install 'ichidai[tracing]'" in caplog.text
