"""Verifying without a framework: in front of the app, over WSGI (PEP 3333) or RSGI, what is good is answered.

It asks the same questions as the app does, of the same functions: the signature, one strong read of the book, activity.
Whatever is not plainly good goes on to the app as if this were not here, and is answered there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from common.account.admission import Caller
from common.bounded_cache import BoundedCache
from common.proof.dpop_service import RequestCredentials
from common.retry import REQUEST_SECONDS, deadline
from common.web.client_certificate import fingerprint_in
from common.web.client_info import CertificateHeader
from common.web.guards import Authenticator
from common.web.request_metrics import REQUESTS, VERIFICATIONS
from common.web.wsgi_bridge import Answer, Environ, Scope, WsgiApp, address_in
from session_manager.prompt_verification import PromptVerification
from session_manager.schemas import verify_fields, verify_headers
from session_manager.session_service import SessionDependencies

StartResponse: TypeAlias = Callable[..., Any]
_Written: TypeAlias = tuple[Caller, tuple[list[tuple[str, str]], bytes]]

VERIFY_PATHS = frozenset({"/session/verify", "/session/verify/"})
_ROUTE = "/session/verify"
_SCHEME = "Bearer "
_FOR_THE_APP = ("HTTP_ORIGIN", "HTTP_DPOP", "HTTP_IDEMPOTENCY_KEY", "HTTP_TRANSFER_ENCODING")
"""Headers that change what is answered: the app knows how."""
_FOR_THE_APP_TOO = frozenset(
    {"authorization", "origin", "dpop", "idempotency-key", "transfer-encoding", "content-length"}
)
"""The same for an event loop, where a second `authorization` is one, and a body must be read first."""
_ROOM = len("GET /session/verify/? HTTP/1.1\r\n\r\n")
_MOST_WRITTEN = 16_384


class FastPath:
    """Answers good verifications, and hands all else to `app`. `headers`: what the app adds to every answer."""

    def __init__(
        self,
        app: WsgiApp,
        authenticator: Authenticator,
        headers: Mapping[str, str],
        certificates: CertificateHeader,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._certificates = certificates
        self._answers = _Answers(headers)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method == "GET" and path in VERIFY_PATHS:
            with deadline(REQUEST_SECONDS):  # for both together
                begun, caller = time.perf_counter(), self._caller(environ)
                if caller is None:
                    return self._app(environ, start_response)
                VERIFICATIONS.observe(time.perf_counter() - begun, "thread")
                REQUESTS.add(_ROUTE, "200", "")
                return self._answer(caller, start_response)
        return self._app(environ, start_response)

    def _caller(self, environ: Environ) -> Caller | None:
        """Return who calls; None when the app must say what is wrong, or do what is not done here."""
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if not authorization.startswith(_SCHEME) or not environ.keys().isdisjoint(_FOR_THE_APP):
            return None
        try:
            token, certificate = authorization[len(_SCHEME) :].strip(), self._certificate(environ)
            caller = self._authenticator.authenticate(RequestCredentials(token, certificate=certificate))
            self._authenticator.touch(caller)
        except Exception:  # noqa: BLE001 - whatever it is, the app meets it too, and has an answer for it
            return None
        return caller

    def _certificate(self, environ: Environ) -> str | None:
        def header(name: str) -> str | None:
            return environ.get("HTTP_" + name.upper().replace("-", "_"))

        return fingerprint_in(self._certificates.of(header, environ.get("REMOTE_ADDR", "")))

    def _answer(self, caller: Caller, start_response: StartResponse) -> Sequence[bytes]:
        headers, body = self._answers.to(caller)
        start_response("200 OK", list(headers))
        return [body]  # a list is sent at once, any other iterable piece by piece


class VerifyOnLoop:
    """Answers a good verification on an event loop, at once; for all else it returns None, and the app must answer.

    `dependencies` and `touch` must not wait: where the first would, they raise. `headers`: what the app adds to every
    answer. `head_bytes`: a longer head is not answered here.
    """

    def __init__(
        self,
        dependencies: SessionDependencies,
        touch: Callable[[Caller], None],
        headers: Mapping[str, str],
        certificates: CertificateHeader,
        head_bytes: int,
    ) -> None:
        answers = _Answers(headers)
        self._answer_to = PromptVerification(
            dependencies, touch, lambda caller: (200, *answers.write(caller))
        ).answer_to
        self._certificates = certificates if certificates.name else None
        self._head_bytes = head_bytes
        self._verified = VERIFICATIONS.tally("loop")
        REQUESTS.tally(_ROUTE, "200", "", of=self._verified)

    def __call__(self, headers: Sequence[tuple[str, str]], scope: Scope) -> Answer | None:
        """Return the answer to a GET with these headers."""
        begun, authorization, size = time.perf_counter(), "", len(scope.query_string) + _ROOM
        for name, value in headers:
            size += len(name) + len(value) + 4
            if name == "authorization" and not authorization:
                authorization = value
            elif name in _FOR_THE_APP_TOO:
                return None
        if size > self._head_bytes or not authorization.startswith(_SCHEME):
            return None
        try:
            certificate = None if self._certificates is None else self._certificate(self._certificates, headers, scope)
            answer = self._answer_to(authorization[len(_SCHEME) :].strip(), certificate)
        except Exception:  # noqa: BLE001 - as above
            return None
        self._verified.add(time.perf_counter() - begun)
        return answer

    @staticmethod
    def _certificate(certificates: CertificateHeader, headers: Sequence[tuple[str, str]], scope: Scope) -> str | None:
        def header(name: str) -> str | None:
            shown = [value for each, value in headers if each == name.lower()]
            if len(shown) > 1:
                raise ValueError("the proxy's, or one that a client has put before it")
            return shown[0] if shown else None

        return fingerprint_in(certificates.of(header, address_in(scope.client)))


class _Answers:
    """What is answered to good verifications. `headers`: what the app adds to every answer."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = [*headers.items(), ("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        self._written: BoundedCache[str, _Written] = BoundedCache(_MOST_WRITTEN)

    def to(self, caller: Caller) -> tuple[list[tuple[str, str]], bytes]:
        """Return headers and body; for the caller that was answered before, by the same book and token, the same."""
        known = self._written.get(caller.session.session_id)
        if known is None or known[0] is not caller:
            known = self._written.put(caller.session.session_id, (caller, self.write(caller)))
        return known[1]

    def write(self, caller: Caller) -> tuple[list[tuple[str, str]], bytes]:
        """Write them anew."""
        body = orjson.dumps({"success": True, "active": True, **verify_fields(caller)})
        own = [*verify_headers(caller).items(), ("Content-Length", str(len(body)))]
        return self._headers + own, body
