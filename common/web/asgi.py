"""The edge for ASGI apps (Starlette): the same problem documents, guards and origins as the Flask apps have."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from common.errors import Code, Refusal
from common.proof.dpop_service import RequestCredentials
from common.request_context import RequestContext, begin_request, end_request
from common.storage.port import StoreUnavailable
from common.web.app import SAFE_HEADERS
from common.web.client_certificate import fingerprint_in
from common.web.client_info import CertificateHeader, Network, address_of, is_trusted
from common.web.credentials import HeaderOf, Target, read_credentials
from common.web.problems import Problem, code_of_status, language_of, problem_of
from common.web.request_log import Collapsed, method_told, tell_outage, tell_request

_log = logging.getLogger(__name__)
_outage = Collapsed()

_BEGAN = "ichidai.began"
"""Where a request's scope says when it began, by `time.perf_counter`."""


def credentials_of(request: Request, url: str, certificates: CertificateHeader) -> RequestCredentials:
    """Return what a request presents; `url` is its own as clients know it. Raises Refusal(TOKEN_MISSING)."""
    certificate = certificate_of(request, certificates)
    return read_credentials(_headers_of(request), Target(request.method, url), certificate)


def certificate_of(connection: HTTPConnection, certificates: CertificateHeader) -> str | None:
    """Return the fingerprint of the client's certificate, as a listed proxy tells."""
    return fingerprint_in(certificates.of(_headers_of(connection), _peer(connection)))


def source_of(connection: HTTPConnection, trusted: Sequence[Network]) -> str:
    """Return the address at the other end, behind the proxies we trust; "" where it cannot be known."""
    forwarded = ",".join(connection.headers.getlist("X-Forwarded-For"))
    return address_of(_peer(connection), forwarded, trusted)


def problem_for(error: Exception, connection: HTTPConnection, base_url: str, trusted: Sequence[Network]) -> Problem:
    """Return the problem document of whatever was raised, and write the request's line.

    `trusted`: the proxies whose names of requests, and of clients' addresses, are believed.
    """
    refusal, is_proxy = _refusal_of(error), is_trusted(_peer(connection), trusted)
    context = begin_request(connection.headers.get if is_proxy else None)
    context.code, context.reason = str(refusal.code), refusal.reason
    try:
        language = language_of(connection.headers.get("Accept-Language", ""))
        made = problem_of(refusal, language, base_url)
    finally:
        end_request()
    if refusal.code is Code.STORE_UNAVAILABLE:
        tell_outage(_outage.add(), refusal.reason)
    else:
        _tell(context, connection, made.status, trusted)
    return Problem(made.status, {**made.headers, **context.names}, made.body)


def _tell(context: RequestContext, connection: HTTPConnection, status: int, trusted: Sequence[Network]) -> None:
    scope = connection.scope
    route = str(scope["path"]) if "endpoint" in scope else "-"  # no route here has parameters
    seconds = time.perf_counter() - scope.get(_BEGAN, time.perf_counter())
    method, address = method_told(scope.get("method", "GET")), source_of(connection, trusted)
    tell_request(context, logging.INFO, method, route, status, seconds, address, "events")


def problem_handlers(base_url: str, trusted: Sequence[Network]) -> Mapping[Any, ExceptionHandler]:
    """Return Starlette's handlers that answer every failure with a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        made = problem_for(error, request, base_url, trusted)
        headers = dict(made.headers)
        if isinstance(error, HTTPException):
            headers.update(error.headers or {})
        return Response(made.body, made.status, headers)

    return dict.fromkeys((Refusal, StoreUnavailable, HTTPException, Exception), answer)


class SafeHeaders:
    """Adds to every answer the headers that every answer of the suite carries; notes when a request began."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        scope[_BEGAN] = time.perf_counter()

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, safely if scope["type"] == "http" else send)


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def _headers_of(connection: HTTPConnection) -> HeaderOf:
    return lambda name: ",".join(connection.headers.getlist(name)) or None


def _refusal_of(error: Exception) -> Refusal:
    match error:
        case Refusal():
            return error
        case StoreUnavailable():
            return Refusal(Code.STORE_UNAVAILABLE, reason=str(error), retry_after=2)
        case HTTPException():
            return Refusal(code_of_status(error.status_code), problem=error.detail)
        case _:
            _log.error("an unforeseen %s", type(error).__name__, exc_info=error)
            return Refusal(Code.INTERNAL_ERROR)
