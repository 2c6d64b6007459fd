"""Where an app shows its OpenAPI document, and a viewer for it that needs no other host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import orjson
from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

_VIEWER = "offapi"
"""The distribution whose files the viewer is. Its package is never imported: that would read 9 MB."""

_ASSETS: Mapping[str, tuple[str, str]] = {
    "swagger-ui.css": ("swagger_style.css", "text/css"),
    "swagger-ui.js": ("swagger_bundle.js", "text/javascript"),
}
"""The viewer's files: their names there and their types (a Windows registry may call a script plain text)."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<main id="viewer"></main>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</html>
"""

_START = """SwaggerUIBundle({ url: "/openapi.json", dom_id: "#viewer", deepLinking: true, validatorUrl: null });
"""


def openapi_blueprint(title: str, document: Callable[[], dict[str, object]]) -> Blueprint:
    """Return the routes of the document (`/openapi.json`), written when first asked, and of its viewer (`/docs`)."""
    blueprint = Blueprint("openapi", __name__)

    @cache
    def written() -> bytes:
        return orjson.dumps(document())

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return Response(written(), mimetype="application/json")

    @blueprint.get("/docs")
    def viewer() -> Response:
        return Response(_PAGE.format(title=title), mimetype="text/html")

    @blueprint.get("/docs/start.js")
    def start() -> Response:
        return Response(_START, mimetype="text/javascript")

    @blueprint.get("/docs/<path:asset>")
    def viewer_asset(asset: str) -> Response:
        if asset not in _ASSETS:
            raise NotFound
        name, mimetype = _ASSETS[asset]
        content = Path(str(metadata.distribution(_VIEWER).locate_file(f"{_VIEWER}/{name}"))).read_bytes()
        return Response(content, mimetype=mimetype, headers={"Cache-Control": "public, max-age=86400"})

    return blueprint
