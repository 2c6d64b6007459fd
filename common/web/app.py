"""Making a Flask app of blueprints: problem documents, CORS, health, the OpenAPI document, and safe headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from flask import Blueprint, Flask, Response
from flask_cors import CORS
from msgspec import Struct
from werkzeug.exceptions import NotFound

from common.errors import Code
from common.web.dispatch import HttpContext, blueprint_of
from common.web.endpoints import Endpoint
from common.web.fields import LARGEST
from common.web.messages import TEXTS
from common.web.openapi_document import About, document
from common.web.openapi_pages import openapi_blueprint
from common.web.problems import STATUSES, language_of_request, register_problem_handlers
from common.web.request_log import FinishedRequest, log_requests

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


class AppParts(Struct, frozen=True):
    """What an app is made of.

    `base_url` is where clients reach it, and stands in the problems' `type`; `is_ready` raises while the store is
    unavailable. `trace` takes each request that was answered (None: nothing does).
    """

    title: str
    version: str
    base_url: str
    cors_origins: Sequence[str]
    is_ready: Callable[[], None]
    trace: Callable[[FinishedRequest], None] | None = None


def make_app(
    parts: AppParts,
    endpoints_by_package: Mapping[str, Sequence[Endpoint]],
    context: HttpContext,
    pages: Sequence[Blueprint],
) -> Flask:
    """Return an app that serves the packages' endpoints and documents them, and `pages` for people."""
    app = Flask(parts.title, static_folder=None)
    about = About(parts.title, parts.version, parts.base_url)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # it would redirect, to an address made of the Host header
    # One byte more than is allowed: a body of unknown length is cut there in silence, and that byte shows it.
    app.config.update(MAX_CONTENT_LENGTH=LARGEST + 1, MAX_FORM_MEMORY_SIZE=LARGEST, MAX_FORM_PARTS=100)
    for package, endpoints in endpoints_by_package.items():
        app.register_blueprint(blueprint_of(package, endpoints, context))
    for page in pages:
        app.register_blueprint(page)
    app.register_blueprint(_common_routes(parts))
    app.register_blueprint(openapi_blueprint(parts.title, partial(document, about, endpoints_by_package)))
    register_problem_handlers(app, parts.base_url)
    log_requests(app, parts.title, context.trusted_proxies, parts.trace)
    if parts.cors_origins:
        CORS(
            app,
            origins=[_exactly(client) for client in parts.cors_origins],
            always_send=False,
            allow_headers=["Authorization", "Content-Type", "DPoP", "Idempotency-Key"],
            expose_headers=["DPoP-Nonce", "Retry-After", "WWW-Authenticate", "X-Request-Id", "X-Session-Reason"],
            max_age=600,
        )
    app.after_request(_with_safe_headers)
    return app


def _common_routes(parts: AppParts) -> Blueprint:
    """Return what every app answers: its health, and a page for each problem."""
    blueprint = Blueprint("every_app", __name__)

    @blueprint.get("/health")
    def health() -> dict[str, object]:
        return {"success": True, "status": "up"}

    @blueprint.get("/ready")
    def ready() -> dict[str, object]:
        parts.is_ready()
        return {"success": True, "status": "ready"}

    @blueprint.get("/problems/<code>")
    def about_problem(code: str) -> Response:
        if code not in set(Code):
            raise NotFound
        texts, language = TEXTS[Code(code)], language_of_request()
        status, title = STATUSES[Code(code)], texts.title.in_language(language, {})
        return Response(f"{code} ({status}): {title}\n", mimetype="text/plain")

    return blueprint


def _exactly(client: str) -> str:
    """Return an origin so that the library compares it whole: an IPv6 address looks like an expression to it."""
    return re.escape(client) + r"\Z" if "://[" in client else client


def _with_safe_headers(response: Response) -> Response:
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
