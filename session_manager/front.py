"""Verifying and refreshing without a framework: a WSGI callable (PEP 3333) in front of the app answers what is good.

It asks the same questions as the app does, of the same functions: the signature, one strong read of the book, activity;
or the refresh itself. Whatever is not plainly good goes on to the app as if this were not here, and is answered there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import orjson

from common.granting import Caller, Grant
from common.memo import Memo
from common.patience import REQUEST_SECONDS, at_most
from common.possession import Presented
from common.web.certificates import fingerprint_in
from common.web.clients import CertificateHeader
from common.web.grants import GrantAnswer, grant_fields
from common.web.guards import Authenticator, touch_quietly
from session_manager.schemas import verify_fields, verify_headers

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
_Written: TypeAlias = tuple[Caller, list[tuple[str, str]], bytes]
WsgiApp: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

_VERIFY = frozenset({"/session/verify", "/session/verify/"})
_REFRESH = frozenset({"/session/refresh", "/session/refresh/"})
_JSON = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
_PLAIN = re.compile(rb'\s*\{\s*"refresh_token"\s*:\s*"([A-Za-z0-9._-]+)"\s*\}\s*'.replace(rb"\s", rb"[ \t\r\n]"))
"""A body that can be read in one way only. Whatever else JSON can be is the app's to judge."""
_SHORT = re.compile(r"[0-9]{1,4}")
"""The length of a body, in bytes, that is read here."""
_SCHEME = "Bearer "
_FOR_THE_APP = ("HTTP_ORIGIN", "HTTP_DPOP", "HTTP_IDEMPOTENCY_KEY", "HTTP_TRANSFER_ENCODING")
"""Headers that change what is answered: the app knows how."""
_MOST_WRITTEN = 8192


class Front:
    """Answers good verifications and refreshes, and hands all else to `app`.

    `refresh` gives a refresh token (and a certificate's fingerprint) its grant, or raises and has changed nothing.
    `headers`: what the app adds to every answer.
    """

    def __init__(
        self,
        app: WsgiApp,
        authenticator: Authenticator,
        refresh: Callable[[str, str | None], Grant],
        headers: Mapping[str, str],
        certificates: CertificateHeader,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._refresh = refresh
        self._certificates = certificates
        self._headers = [*headers.items(), ("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        self._written: Memo[str, _Written] = Memo(_MOST_WRITTEN)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method == "GET" and path in _VERIFY:
            with at_most(REQUEST_SECONDS):  # for both together
                caller = self._caller(environ)
                return self._app(environ, start_response) if caller is None else self._answer(caller, start_response)
        if method == "POST" and path in _REFRESH:
            with at_most(REQUEST_SECONDS):
                grant = self._grant(environ)
                return self._app(environ, start_response) if grant is None else self._granted(grant, start_response)
        return self._app(environ, start_response)

    def _grant(self, environ: Environ) -> Grant | None:
        """Return the new tokens; None when the app must say what is wrong. What was read of the body it reads again."""
        length = environ.get("CONTENT_LENGTH", "")
        is_plain = environ.get("CONTENT_TYPE") in _JSON and environ.keys().isdisjoint(_FOR_THE_APP)
        if not is_plain or not _SHORT.fullmatch(length):
            return None
        body = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = io.BytesIO(body)
        found = _PLAIN.fullmatch(body) if len(body) == int(length) else None
        try:
            return None if found is None else self._refresh(found[1].decode(), self._certificate(environ))
        except Exception:  # noqa: BLE001 - as for a verification
            return None

    def _granted(self, grant: Grant, start_response: StartResponse) -> Sequence[bytes]:
        body = msgspec.json.encode(GrantAnswer(**grant_fields(grant)))
        start_response("200 OK", [*self._headers, ("Content-Length", str(len(body)))])
        return [body]

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
