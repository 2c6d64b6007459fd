"""The edge for ASGI apps (Starlette): the same problem documents, guards and origins as the Flask apps have."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from common.errors import Code, Refusal
from common.possession import Presented
from common.storage.port import StoreUnavailable
from common.web.certificates import fingerprint_in
from common.web.clients import CertificateHeader, Network, address_of
from common.web.factory import SAFE_HEADERS
from common.web.messages import Language
from common.web.presenting import HeaderOf, Target, presented
from common.web.problems import Problem, code_of_status, language_of, problem_of

_log = logging.getLogger(__name__)


def presented_by(request: Request, url: str, certificates: CertificateHeader) -> Presented:
    """Return what a request presents; `url` is its own as clients know it. Raises Refusal(TOKEN_MISSING)."""
    certificate = certificate_of(request, certificates)
    return presented(_headers_of(request), Target(request.method, url), certificate)


def certificate_of(connection: HTTPConnection, certificates: CertificateHeader) -> str | None:
    """Return the fingerprint of the client's certificate, as a listed proxy tells."""
    return fingerprint_in(certificates.of(_headers_of(connection), _peer(connection)))


def source_of(connection: HTTPConnection, trusted: Sequence[Network]) -> str:
    """Return the address at the other end, behind the proxies we trust; "" where it cannot be known."""
    forwarded = ",".join(connection.headers.getlist("X-Forwarded-For"))
    return address_of(_peer(connection), forwarded, trusted)


def problem_for(error: Exception, language: Language, base_url: str) -> Problem:
    """Return the problem document of whatever was raised."""
    return problem_of(_refusal_of(error), language, base_url)


def problem_handlers(base_url: str) -> Mapping[Any, ExceptionHandler]:
    """Return Starlette's handlers that answer every failure with a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        made = problem_for(error, language_of(request.headers.get("Accept-Language", "")), base_url)
        headers = dict(made.headers)
        if isinstance(error, HTTPException):
            headers.update(error.headers or {})
        return Response(made.body, made.status, headers)

    return dict.fromkeys((Refusal, StoreUnavailable, HTTPException, Exception), answer)


class SafeHeaders:
    """Adds to every answer the headers that every answer of the suite carries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

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
            if error.reason:
                _log.info("refused %s: %s", error.code, error.reason)
            return error
        case StoreUnavailable():
            _log.warning("the store is unavailable: %s", error)
            return Refusal(Code.STORE_UNAVAILABLE, retry_after=2)
        case HTTPException():
            return Refusal(code_of_status(error.status_code), problem=error.detail)
        case _:
            _log.error("an unforeseen %s", type(error).__name__, exc_info=error)
            return Refusal(Code.INTERNAL_ERROR)
