"""Traces by OpenTelemetry: a span for each request that an app answers, sent by OTLP over HTTP.

Only this module knows OpenTelemetry, and only where an endpoint is set and the extra `tracing` is installed. The spans
have the names that requests have anyway (`common/request_context.py`); good verifications on the fast path have none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

from common.clock import system_clock, to_millis
from common.web.request_log import FinishedRequest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_SERVICE = "ichidai"
_PATH = "/v1/traces"
_SERVER_ERROR = 500

_log = logging.getLogger(__name__)


def tracer_for(endpoint: str, version: str) -> Callable[[FinishedRequest], None] | None:
    """Return what sends a span for each request to an OTLP endpoint; None without one, or without the extra."""
    if not endpoint:
        return None
    if find_spec("opentelemetry") is None:
        _log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but no trace is sent: pip install 'ichidai[tracing]'")
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra

    return spans_to(OTLPSpanExporter(endpoint.rstrip("/") + _PATH), version)


def spans_to(exporter: SpanExporter, version: str) -> Callable[[FinishedRequest], None]:
    """Return what hands a span for each request to an exporter, from a thread of its own, until this process ends."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415

    processor = BatchSpanProcessor(exporter)
    resource = Resource.create({"service.name": _SERVICE, "service.version": version})
    Finalize(None, processor.shutdown, exitpriority=1)

    def context(trace: str, span: str, flags: str, *, is_remote: bool) -> SpanContext:
        return SpanContext(int(trace, 16), int(span, 16), is_remote, TraceFlags(int(flags, 16)))

    def send(request: FinishedRequest) -> None:
        _, trace, span, flags = request.traceparent.split("-")
        ended = to_millis(system_clock()) * 1_000_000
        is_fault = request.status >= _SERVER_ERROR
        processor.on_end(
            ReadableSpan(
                f"{request.method} {request.route}",
                context(trace, span, flags, is_remote=False),
                context(trace, request.caller, flags, is_remote=True) if request.caller else None,
                resource,
                _attributes(request),
                kind=SpanKind.SERVER,
                status=Status(StatusCode.ERROR if is_fault else StatusCode.UNSET),
                start_time=ended - int(request.seconds * 1e9),
                end_time=ended,
            )
        )

    return send


def _attributes(request: FinishedRequest) -> dict[str, str | int]:
    """Return what a span tells, by OpenTelemetry's names for HTTP; nothing of headers, queries and bodies."""
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "http.route": request.route,
        "http.response.status_code": request.status,
        "ichidai.request_id": request.request_id,
    }
    return attributes if request.code is None else {**attributes, "error.type": request.code}
