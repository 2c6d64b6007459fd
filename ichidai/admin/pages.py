"""The page of the admin app: find an account, see devices, sessions and history, act. It looks like the console.

The key is typed in and stays in the page's memory: it is neither kept nor part of any address.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from types import SimpleNamespace

from flask import Blueprint, Response, render_template, send_from_directory

from common.account.operator import MOST_WORDS
from ichidai.account_list import MOST_DAYS
from ichidai.admin.texts import said_in, texts_in
from ichidai.console.pages import CONTENT_SECURITY_POLICY, MEDIA_TYPES, answered, language_of_page, send_asset

_STATIC = Path(__file__).resolve().parent / "static"


def admin_pages() -> Blueprint:
    """Return the page and its files; those that it shares with the console lie where the console has them."""
    blueprint = Blueprint("admin_pages", __name__, template_folder="templates")
    blueprint.add_url_rule("/", "page", _page)
    blueprint.add_url_rule("/console/<path:filename>", "shared", send_asset)
    blueprint.add_url_rule("/admin/page/<path:filename>", "asset", _own_asset)
    blueprint.after_request(_with_policy)
    return blueprint


def _page() -> Response:
    language = language_of_page()
    text, said = SimpleNamespace(**texts_in(language)), said_in(language)
    bounds = {"most_words": MOST_WORDS, "most_days": MOST_DAYS}
    return answered(render_template("admin.html", language=language, text=text, said=said, **bounds))


def _own_asset(filename: str) -> Response:
    return send_from_directory(_STATIC, filename, mimetype=MEDIA_TYPES.get(PurePath(filename).suffix))


def _with_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
