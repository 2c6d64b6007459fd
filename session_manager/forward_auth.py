"""Verification for proxies that ask with their client's own method and path (Envoy's ext_authz, for one).

Any method at `/session/verify`, and any method and path below it, is the question that GET `/session/verify` is. What
the client sent along is neither read nor judged: its body, its length and its content type belong to the product.
OPTIONS at `/session/verify` itself stays what browsers ask before they call it from another origin.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from common.web.wsgi_bridge import Environ, WsgiApp

VERIFY_PATH = "/session/verify"
_ITS_OWN = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_THE_BODY = ("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_ENCODING", "QUERY_STRING")


class AnyMethod:
    """A WSGI app before another: it hands every such question on as a GET of `/session/verify`, without a body."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if is_below(path) or (path == VERIFY_PATH and method not in _ITS_OWN):
            environ = {name: value for name, value in environ.items() if name not in _OF_THE_BODY}
            environ |= {
                "REQUEST_METHOD": "HEAD" if method == "HEAD" else "GET",
                "PATH_INFO": VERIFY_PATH,
                "QUERY_STRING": "",
                "wsgi.input": io.BytesIO(),
            }
        return self._app(environ, start_response)


def is_below(path: str) -> bool:
    """Say whether a path lies below the question's own; what only begins alike does not."""
    return path.startswith(f"{VERIFY_PATH}/")


def is_verification(path: str) -> bool:
    """Say whether a request there is the question, whose body is not read."""
    return path == VERIFY_PATH or is_below(path)
