"""One line in the log for each request that is not a good verification; and the names that requests have.

Requests that fail because the store is unavailable share one line a second, which counts them. A line holds no header
and no body of the client's, and of the path only the route that it matched.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from flask import Flask, Response, g, request
from msgspec import Struct

from common.errors import Code
from common.request_context import RequestContext, begin_request, current_request, end_request
from common.web.client_info import Network, address_of, is_trusted
from common.web.request_metrics import REQUESTS

_QUIET = frozenset({"/health", "/ready"})
"""Routes that load balancers ask all the time: their good answers are told at the level `debug`."""
_VERIFY = "/session/verify"
_SERVER_ERROR = 500

_log = logging.getLogger("ichidai.request")


class FinishedRequest(Struct, frozen=True):
    """A request that was answered, as a trace has it: all of it is ours, or has a form of its own.

    `traceparent` names its span, `caller` the span that it continues. `route`, `method`: - where they are none of ours.
    """

    method: str
    route: str
    status: int
    code: str | None
    seconds: float
    request_id: str
    traceparent: str
    caller: str | None


class Collapsed:
    """Counts what happens more often than it may be told: at most once a second, with the count since.

    `now`: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._count, self._next = 0, 0.0

    def add(self) -> int:
        """Count one more; return how many there were since the last line if it is time for another, else 0."""
        with self._lock:
            self._count += 1
        return self.due()

    def due(self) -> int:
        """Return how many there were since the last line if it is time for another, else 0."""
        with self._lock:
            now = self._now()
            if not self._count or now < self._next:
                return 0
            count, self._count, self._next = self._count, 0, now + 1.0
            return count


def log_requests(
    app: Flask, name: str, trusted: Sequence[Network], trace: Callable[[FinishedRequest], None] | None = None
) -> None:
    """Let an app name and log its requests. `name`: the app's, in each line; `trusted`: proxies that are believed.

    `trace` takes each request that was answered, those of load balancers excepted.
    """
    outage = Collapsed()

    @app.before_request
    def begin() -> None:
        is_proxy = is_trusted(request.remote_addr or "", trusted)
        g.began = time.perf_counter()
        begin_request(request.headers.get if is_proxy else None, traced=trace is not None)

    @app.after_request
    def end(response: Response) -> Response:
        context = current_request()
        if context is None:
            return response
        route = request.url_rule.rule if request.url_rule else "-"
        REQUESTS.add(route, str(response.status_code), context.code or "")
        if trace is not None and route not in _QUIET:
            trace(_finished(context, route, response.status_code))
        is_good = response.status_code < 400  # noqa: PLR2004 - HTTP's
        if not (is_good and route == _VERIFY):  # a good verification is the same answer on every path
            response.headers.update(context.names)
            if context.code == Code.STORE_UNAVAILABLE:
                tell_outage(outage.add(), context.reason)
            else:
                tell_outage(outage.due(), "")
                _tell(context, name, route, response.status_code, trusted)
        return response

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        end_request()


def _finished(context: RequestContext, route: str, status: int) -> FinishedRequest:
    return FinishedRequest(
        method=method_told(request.method),
        route=route,
        status=status,
        code=context.code,
        seconds=time.perf_counter() - g.began,
        request_id=context.request_id,
        traceparent=context.traceparent,
        caller=context.caller,
    )


def method_told(method: str) -> str:
    """Return a request's method as the log has it; - for what a client made up."""
    return method if len(method) <= 10 and method.isalpha() else "-"  # noqa: PLR2004


def _tell(context: RequestContext, name: str, route: str, status: int, trusted: Sequence[Network]) -> None:
    level = logging.WARNING if status >= _SERVER_ERROR else logging.DEBUG if route in _QUIET else logging.INFO
    if not _log.isEnabledFor(level):
        return
    address = address_of(request.remote_addr or "", request.headers.get("X-Forwarded-For", ""), trusted)
    tell_request(
        context, level, method_told(request.method), route, status, time.perf_counter() - g.began, address, name
    )


def tell_request(
    context: RequestContext,
    level: int,
    method: str,
    route: str,
    status: int,
    seconds: float,
    address: str,
    app: str,
) -> None:
    """Write the line of a request."""
    facts = {
        "request_id": context.request_id,
        "trace_id": context.trace_id,
        "method": method,
        "route": route,
        "status": status,
        "code": context.code,
        "reason": context.reason,
        "duration_ms": round(seconds * 1000, 1),
        "address": address,
        "user_uuid": context.user_uuid,
        "app": app,
    }
    _log.log(level, "request", extra={key: fact for key, fact in facts.items() if fact not in (None, "")})


def tell_outage(count: int, reason: str) -> None:
    """Write the line of an outage, if there is a count to tell."""
    if count:
        _log.warning("store-unavailable", extra={"count": count, **({"reason": reason} if reason else {})})
