"""The pages that each app serves of the console: whole ones for people, their looks and their modules.

Every page is the same document with all the views of its app, in one language; its path says which view is first. So
going from view to view loads nothing, and what is in memory stays. A page has no script or style of its own; nothing
comes from another host, and the policy sent along makes the browser refuse what would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path, PurePath
from types import SimpleNamespace
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, render_template, request, send_from_directory
from msgspec import Struct

from common.web.messages import LANGUAGES
from common.web.problems import language_of_request
from ichidai.console.texts import said_in, texts_in
from ichidai.topology import Addresses, Part

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

LANGUAGE_COOKIE = "ichidai_language"
"""What the language switch of the pages sets; it carries no authority, and no call of the API sends it."""

_UNASKED = "ja"
"""The language of a page where neither the person nor the browser names one."""

_INDENTATION = re.compile(r"\n\s+")
"""Left out of a page; nothing in one depends on it."""

_STATIC = Path(__file__).resolve().parent / "static"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Told here, because a Windows registry may call a module plain text, and then no browser runs it."""

_OUTSIDE = ("register", "join", "done")
_AT_THE_DOOR = ("login", "ended")
_INSIDE = ("landing", "home", "devices", "add", "sessions", "history")

VIEWS: Mapping[Part, tuple[str, ...]] = {
    Part.ALL: (*_INSIDE, *_OUTSIDE, *_AT_THE_DOOR),
    Part.REGISTRATION: _OUTSIDE,
    Part.LOGIN: (*_AT_THE_DOOR, "inside"),
}
"""The views that each app's pages have; the other apps have none."""


class Page(Struct, frozen=True):
    """A page: its name (its title is the text `<name>_title`), where it answers, and which apps serve it."""

    name: str
    path: str
    served_by: frozenset[Part]


PAGES = (
    Page("home", "/", frozenset({Part.ALL})),
    Page("registration", "/registration/", frozenset({Part.ALL, Part.REGISTRATION})),
    Page("login", "/login", frozenset({Part.ALL, Part.LOGIN})),
)


def policy_with(events_url: str) -> str:
    """Return the policy under which a page may also connect to the event streams, by either of their doors."""
    parts = urlsplit(events_url)
    if not parts.netloc:
        return CONTENT_SECURITY_POLICY
    socket = "wss" if parts.scheme == "https" else "ws"
    own = f"connect-src 'self' {parts.scheme}://{parts.netloc} {socket}://{parts.netloc}"
    return CONTENT_SECURITY_POLICY.replace("connect-src 'self'", own)


def page_blueprint(serving: Part, addresses: Addresses) -> Blueprint:
    """Return the pages of an app, with their modules, looks and pictures under `/console/`.

    `addresses` tell the issuer, whose name devices sign, and where the event streams are, which pages may connect to.
    """
    pages = [page for page in PAGES if serving in page.served_by]
    if not pages:
        return Blueprint("pages", __name__)
    blueprint = Blueprint("pages", __name__, template_folder="templates")
    blueprint.add_url_rule("/console/<path:filename>", "asset", _send_asset)
    shared = {
        "issuer": addresses.issuer,
        "links": {page.name: page.path for page in pages},
        "views": VIEWS[serving],
    }
    for page in pages:
        blueprint.add_url_rule(page.path, page.name, partial(_show, page, shared))
    if "home" in VIEWS[serving]:
        blueprint.add_url_rule("/console/factor.html", "factor", _show_factor)
    blueprint.after_request(partial(_with_policy, addresses.events))
    return blueprint


def _show(page: Page, shared: Mapping[str, object]) -> Response:
    language = _language()
    document = render_template(
        "console.html",
        page=page.name,
        **shared,
        modules=_modules(),
        language=language,
        text=SimpleNamespace(**texts_in(language)),
        said=said_in(language),
    )
    return _answered(document, language)


def _show_factor() -> Response:
    """Return the dialogs of the second factor, which only those fetch who want them."""
    language = _language()
    return _answered(render_template("factor.html", text=SimpleNamespace(**texts_in(language))), language)


def _answered(document: str, language: str) -> Response:
    response = make_response(_INDENTATION.sub("\n", document))
    response.headers["Content-Language"] = language
    response.headers["Cache-Control"] = "no-cache"
    response.vary.update(("Accept-Language", "Cookie"))
    return response


def _language() -> str:
    """Return the language that the person chose, or the one that the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return chosen if chosen in LANGUAGES else language_of_request() or _UNASKED


def _send_asset(filename: str) -> Response:
    return send_from_directory(_STATIC, filename, mimetype=_MEDIA_TYPES.get(PurePath(filename).suffix))


def _with_policy(events_url: str, response: Response) -> Response:
    response.headers["Content-Security-Policy"] = policy_with(events_url)
    return response


@cache
def _modules(name: str = "main.js") -> list[str]:
    """Return a module and all that it imports, so that the browser can fetch them at once; not what it loads later."""
    found, waiting = [], [_STATIC / name]
    while waiting:
        path = waiting.pop()
        found.append(path)
        named = re.findall(r'^import .*"(\..+)";$', path.read_text(encoding="utf-8"), re.MULTILINE)
        waiting += [new for other in named if (new := (path.parent / other).resolve()) not in (*found, *waiting)]
    return sorted(path.relative_to(_STATIC).as_posix() for path in found)
