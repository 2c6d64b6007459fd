"""`GET /session/verify` without a framework: a WSGI callable (PEP 3333) in front of the app that answers what is good.

It asks the same questions as the app does, of the same functions: the signature, one strong read of the book, activity.
Whatever is not plainly good goes on to the app as if this were not here, and is answered there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from common.granting import Caller
from common.memo import Memo
from common.patience import REQUEST_SECONDS, at_most
from common.possession import Presented
from common.web.certificates import fingerprint_in
from common.web.clients import CertificateHeader
from common.web.guards import Authenticator, touch_quietly
from session_manager.schemas import verify_fields, verify_headers

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
_Written: TypeAlias = tuple[Caller, list[tuple[str, str]], bytes]
WsgiApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

_PATHS = frozenset({"/session/verify", "/session/verify/"})
_SCHEME = "Bearer "
_FOR_THE_APP = ("HTTP_ORIGIN", "HTTP_DPOP", "HTTP_IDEMPOTENCY_KEY")
"""Headers that change what is answered: the app knows how."""
_MOST_WRITTEN = 8192


class Front:
    """Answers good verifications, and hands all else to `app`. `headers`: what the app adds to every answer."""

    def __init__(
        self, app: WsgiApp, authenticator: Authenticator, headers: Mapping[str, str], certificates: CertificateHeader
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._certificates = certificates
        self._headers = [*headers.items(), ("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        self._written: Memo[str, _Written] = Memo(_MOST_WRITTEN)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if environ["PATH_INFO"] not in _PATHS or environ["REQUEST_METHOD"] != "GET":
            return self._app(environ, start_response)
        with at_most(REQUEST_SECONDS):  # for both together
            caller = self._caller(environ)
            return self._app(environ, start_response) if caller is None else self._answer(caller, start_response)

    def _caller(self, environ: Environ) -> Caller | None:
        """Return who calls; None when the app must say what is wrong, or do what is not done here."""
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if not authorization.startswith(_SCHEME) or not environ.keys().isdisjoint(_FOR_THE_APP):
            return None
        try:
            token, certificate = authorization[len(_SCHEME) :].strip(), self._certificate(environ)
            caller = self._authenticator.authenticate(Presented(token, certificate=certificate))
            touch_quietly(self._authenticator, caller)
        except Exception:  # noqa: BLE001 - whatever it is, the app meets it too, and has an answer for it
            return None
        return caller

    def _certificate(self, environ: Environ) -> str | None:
        def header(name: str) -> str | None:
            return environ.get("HTTP_" + name.upper().replace("-", "_"))

        return fingerprint_in(self._certificates.of(header, environ.get("REMOTE_ADDR", "")))

    def _answer(self, caller: Caller, start_response: StartResponse) -> Sequence[bytes]:
        """Write the answer; for the caller that was answered before, by the same book and token, the same bytes."""
        known = self._written.get(caller.session.session_id)
        if known is None or known[0] is not caller:
            known = self._written.put(caller.session.session_id, self._write(caller))
        start_response("200 OK", list(known[1]))
        return [known[2]]  # a list is sent at once, any other iterable piece by piece

    def _write(self, caller: Caller) -> _Written:
        body = orjson.dumps({"success": True, "active": True, **verify_fields(caller)})
        own = [*verify_headers(caller).items(), ("Content-Length", str(len(body)))]
        return caller, self._headers + own, body
