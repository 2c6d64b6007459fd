"""The pages that each app serves of the console: whole ones for people, their looks and their modules.

A page holds every text it may show, in the language the browser asks for, and no script or style of its own; nothing
comes from another host, and the policy sent along makes the browser refuse what would.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from types import SimpleNamespace

from flask import Blueprint, Response, make_response, render_template, send_from_directory

from common.web.problems import language_of_request
from ichidai.console.texts import texts_in
from ichidai.topology import Part

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

_UNASKED = "ja"
"""The language of a page where the browser names none."""

_STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Told here, because a Windows registry may call a module plain text, and then no browser runs it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its name (which is its template's and its title's as well), where it answers, and which apps serve it."""

    name: str
    path: str
    served_by: frozenset[Part]


PAGES = (
    Page("home", "/", frozenset({Part.ALL})),
    Page("registration", "/registration/", frozenset({Part.ALL, Part.REGISTRATION})),
    Page("login", "/login", frozenset({Part.ALL, Part.LOGIN})),
)


def page_blueprint(serving: Part) -> Blueprint:
    """Return the pages of an app, with their modules, looks and pictures under `/console/`."""
    pages = [page for page in PAGES if serving in page.served_by]
    if not pages:
        return Blueprint("pages", __name__)
    blueprint = Blueprint("pages", __name__, template_folder="templates")
    blueprint.add_url_rule("/console/<path:filename>", "asset", _send_asset)
    for page in pages:
        blueprint.add_url_rule(page.path, page.name, partial(_show, page, pages))
    blueprint.after_request(_with_policy)
    return blueprint


def _show(page: Page, pages: list[Page]) -> Response:
    language = language_of_request() or _UNASKED
    links = {other.name: other.path for other in pages}
    text = SimpleNamespace(**texts_in(language))
    response = make_response(
        render_template(f"{page.name}.html", page=page.name, links=links, language=language, text=text)
    )
    response.headers["Content-Language"] = language
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Accept-Language")
    return response


def _send_asset(filename: str) -> Response:
    return send_from_directory(_STATIC, filename, mimetype=_MEDIA_TYPES.get(PurePath(filename).suffix))


def _with_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
