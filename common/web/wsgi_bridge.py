"""From RSGI to WSGI (PEP 3333): a request's environ, made of its scope, and the answer of a WSGI app, whole."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

Environ: TypeAlias = dict[str, Any]
WsgiApp: TypeAlias = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Answer: TypeAlias = tuple[int, Sequence[tuple[str, str]], bytes]
"""A status, headers and a body."""

_OWN_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_NOT_HANDED_ON = frozenset({"content-length", "transfer-encoding", "connection"})
"""Headers about how the body came: it is there, and whole."""


class Headers(Protocol):
    """The headers of a request: names in lower case; a value that is not visible ASCII is left out."""

    def __contains__(self, name: str) -> bool:
        """Say whether a header is there, whatever its value."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a header."""

    def keys(self) -> list[str]:
        """Return each name once."""

    def items(self) -> list[tuple[str, str]]:
        """Return all headers, in their order; one that came twice is there twice."""


class Scope(Protocol):
    """What a request is about. `path` is decoded, `client` and `server` are addresses with their ports."""

    method: str
    path: str
    query_string: str
    scheme: str
    http_version: str
    client: str
    server: str
    authority: str | None

    @property
    def headers(self) -> Headers:
        """The headers."""


def environ_of(scope: Scope, headers: Sequence[tuple[str, str]], body: bytes | None) -> Environ:
    """Return the environ of a request whose body is there.

    A header with an underscore in its name is dropped: an environ could not tell it from the one with a hyphen, which
    a proxy may have been told to remove.
    """
    server, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": address_in(scope.client),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name in scope.headers.keys():  # noqa: SIM118 - not a mapping; a value that is no text leaves its name behind
        _add(environ, name, "")
    for name, value in headers:
        _add(environ, name, value)
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    if scope.authority and "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority
    return environ


def answered(app: WsgiApp, environ: Environ) -> Answer:
    """Return what a WSGI app answers."""
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], Any]:
        told[:] = [int(status[:3]), headers]
        return io.BytesIO().write  # of the old interface, which Flask does not use

    pieces = app(environ, start_response)
    try:
        body = b"".join(pieces)
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
    return told[0], told[1], body


def address_in(client: str) -> str:
    """Return the address without its port, an IPv6 one without its brackets."""
    return client.rpartition(":")[0].strip("[]")


def _add(environ: Environ, name: str, value: str) -> None:
    """Add a header; one that comes again is joined to itself (RFC 9110, section 5.3; cookies: RFC 9113, 8.2.3)."""
    if "_" in name or name in _NOT_HANDED_ON:
        return
    key = _OWN_NAMES.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
    before = environ.get(key)
    if not before:
        environ[key] = value
    elif key not in _OWN_NAMES.values():
        environ[key] = f"{before}{';' if name == 'cookie' else ','}{value}"
