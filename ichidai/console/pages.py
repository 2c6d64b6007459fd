"""The console: one address at which people find every page, and what the other apps answer a browser instead.

Every page is the same document with all views, in one language; its path says which view is first. So going from view
to view loads nothing, and what is in memory stays. A page has no script or style of its own; nothing comes from another
host, and the policy sent along makes the browser refuse what would. Which app answers what is decided in decision 0027.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path, PurePath
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

from flask import Blueprint, Response, make_response, render_template, request, send_file, send_from_directory
from werkzeug.exceptions import NotFound

from common.errors import Code, Refusal
from common.web.messages import LANGUAGES
from common.web.problems import language_of_request, problem
from ichidai.brand import LOGO_TYPES, Brand
from ichidai.console.texts import said_in, texts_in
from ichidai.topology import Addresses, App, is_same_place

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)

LANGUAGE_COOKIE = "ichidai_language"
"""What the language switch of the pages sets; it carries no authority, and no call of the API sends it."""

_UNASKED = "ja"
"""The language of a page where neither the user nor the browser names one."""

_INDENTATION = re.compile(r"\n\s+")
"""Left out of a page; nothing in one depends on it."""

_STATIC = Path(__file__).resolve().parent / "static"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Told here, because a Windows registry may call a module plain text, and then no browser runs it."""

VIEWS = (
    *("landing", "add", "history"),
    *("register", "join", "done"),
    *("login", "ended"),
)
"""The views of the first document, in the order in which they stand there; the others come with LATER."""

LATER = ("factor", "account", "recover", "links", "approval")
"""Parts of the pages that are fetched later: of the second factor, the account, the way back in, mails, approvals."""

PAGES: Mapping[str, str] = {"home": "/", "registration": "/registration/", "login": "/login"}
"""The pages and their paths; the title of each is the text `<name>_title`."""

_EVERYWHERE = tuple(PAGES)
_BESIDE: Mapping[App, tuple[str, ...]] = {
    App.LOGIN: ("home", "login"),
    App.SESSION: ("home",),
    App.DEVICE: ("home",),
}
"""Where people may end up at an app that is not the console's."""


def page_blueprint(
    serving: App,
    where: Addresses,
    brand: Brand | None = None,
    *,
    is_closed: bool = False,
    has_mail: bool = False,
    may_join: bool = False,
) -> Blueprint:
    """Return what an app answers people: the pages, or a redirect to the console that has them; and the files of both.

    The registration app and the combined one have the pages, wherever the console is: a proxy may stand before them.
    The others have theirs only where all apps are at the console's own address. `is_closed`: nobody registers here;
    `has_mail`: links are mailed; `may_join`: browsers join by approval.
    """
    blueprint = Blueprint("pages", __name__, template_folder="templates")
    blueprint.add_url_rule("/console/<path:filename>", "asset", send_asset)
    brand = brand or Brand()
    blueprint.add_url_rule("/console/brand.css", "brand_css", partial(_brand_css, brand))
    blueprint.add_url_rule("/console/brand-logo", "brand_logo", partial(_brand_logo, brand))
    shared = {
        "branding": brand,
        "issuer": where.issuer,
        "console": where.console,
        "apps": json.dumps(
            {domain: base for domain, base in where.bases.items() if not is_same_place(base, where.console)}
        ),
        "links": PAGES,
        "views": VIEWS,
        "is_closed": is_closed,
        "has_mail": has_mail,
        "may_join": may_join,
    }
    has_pages = serving not in _BESIDE or where.own == where.console
    for name in _BESIDE.get(serving, _EVERYWHERE):
        view = partial(_show, name, shared) if has_pages else partial(_lead, where.console + PAGES[name])
        blueprint.add_url_rule(PAGES[name], name, view)
    if has_pages:
        for name in LATER:
            view = partial(_show_later, name, shared)
            blueprint.add_url_rule(f"/console/{name}.html", name, view)
    blueprint.after_request(partial(_with_policy, policy_for(where)))
    blueprint.app_errorhandler(NotFound)(partial(_unknown, where, brand))
    return blueprint


def policy_for(where: Addresses) -> str:
    """Return the policy under which a page may also call apps that have other origins, and the event streams."""
    streams = _origin(where.events)
    apps = [_origin(base) for base in where.bases.values() if not is_same_place(base, where.console)]
    also = dict.fromkeys([*apps, *([streams, streams.replace("http", "ws", 1)] if streams else [])])
    return CONTENT_SECURITY_POLICY.replace("connect-src 'self'", " ".join(["connect-src 'self'", *also]))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _lead(address: str) -> Response:
    """Send a browser on to the console; it keeps the fragment by itself, and we the query."""
    query = quote(request.query_string, safe="%/?:@!$&'()*+,;=-._~")
    return Response(status=302, headers={"Location": f"{address}?{query}" if query else address})


def _unknown(where: Addresses, brand: Brand, error: NotFound) -> Response:
    """Answer for an unknown path: a browser gets a page, every other client the problem document."""
    if request.accept_mimetypes.best_match(("application/problem+json", "text/html")) == "text/html":
        text = SimpleNamespace(**texts_in(language_of_page()))
        response = answered(
            render_template(
                "unknown.html", text=text, language=language_of_page(), home=where.console + "/", branding=brand
            )
        )
        response.status_code = 404
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    else:
        response = problem(Refusal(Code.NOT_FOUND, problem=error.name), language_of_request(), where.own)
    response.vary.add("Accept")
    return response


def _show(name: str, shared: Mapping[str, object]) -> Response:
    language = language_of_page()
    document = render_template(
        "console.html",
        page=name,
        **shared,
        modules=_modules(),
        language=language,
        text=SimpleNamespace(**texts_in(language)),
        said=said_in(language),
    )
    return answered(document)


def _show_later(name: str, shared: Mapping[str, object]) -> Response:
    """Return a part of the pages that only those fetch who want it."""
    language = language_of_page()
    text = SimpleNamespace(**texts_in(language))
    return answered(render_template(f"{name}.html", **shared, text=text))


def answered(document: str) -> Response:
    """Return a page in the language of its reader."""
    response = make_response(_INDENTATION.sub("\n", document))
    response.headers["Content-Language"] = language_of_page()
    response.headers["Cache-Control"] = "no-cache"
    response.vary.update(("Accept-Language", "Cookie"))
    return response


def language_of_page() -> str:
    """Return the language that the user chose, or the one that the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    return chosen if chosen in LANGUAGES else language_of_request() or _UNASKED


def send_asset(filename: str) -> Response:
    """Return a file of the pages."""
    return send_from_directory(_STATIC, filename, mimetype=MEDIA_TYPES.get(PurePath(filename).suffix))


def _brand_css(brand: Brand) -> Response:
    return Response(brand.stylesheet, mimetype="text/css")


def _brand_logo(brand: Brand) -> Response:
    if brand.logo is None:
        raise NotFound
    return send_file(brand.logo, mimetype=LOGO_TYPES[brand.logo.suffix.lower()])


def _with_policy(policy: str, response: Response) -> Response:
    response.headers["Content-Security-Policy"] = policy
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
