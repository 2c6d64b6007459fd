"""Where an app shows its OpenAPI document, and a viewer for it that needs no other host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

_ASSETS: Mapping[str, str] = {
    "css/swagger-ui.css": "text/css",
    "js/swagger-ui-bundle.js": "text/javascript",
    "images/swagger.svg": "image/svg+xml",
}
"""The viewer's files and their types, told here because a Windows registry may call a script plain text."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: API</title>
<link rel="icon" href="/docs/images/swagger.svg">
<link rel="stylesheet" href="/docs/css/swagger-ui.css">
<main id="viewer"></main>
<script src="/docs/js/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""

_START = """SwaggerUIBundle({ url: "/openapi.json", dom_id: "#viewer", deepLinking: true, validatorUrl: null });
"""


def openapi_blueprint(title: str, document: Callable[[], dict[str, object]]) -> Blueprint:
    """Return the routes of the document (`/openapi.json`), written when first asked, and of its viewer (`/docs`)."""
    blueprint = Blueprint("openapi", __name__)
    written = cache(document)

    @blueprint.get("/openapi.json")
    def openapi() -> dict[str, object]:
        return written()

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
        content = resources.files("flask_openapi3_swagger").joinpath("templates", "swagger", asset).read_bytes()
        return Response(content, mimetype=_ASSETS[asset], headers={"Cache-Control": "public, max-age=86400"})

    return blueprint
