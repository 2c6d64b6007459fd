"""The OpenAPI document of an app, written from its endpoints, and a viewer for it that needs no other host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import BaseModel
from werkzeug.exceptions import NotFound

from common.errors import Code
from common.web.endpoints import Choice, Endpoint
from common.web.guards import Guard
from common.web.problems import STATUSES

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


class Problem(BaseModel):
    """A problem document (RFC 9457). `success` and `error` are there for clients of an older habit."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    success: Literal[False]
    error: str


def described(endpoint: Endpoint) -> dict[str, Any]:
    """Return what the OpenAPI document (3.1) says of an endpoint, as keywords of the library's route decorators."""
    success = endpoint.answer or {"description": "OK", "content": {endpoint.media: {}}}
    extensions: dict[str, Any] = {}
    if endpoint.body is not None:
        extensions["requestBody"] = _request_body(endpoint)
    if endpoint.query is not None:
        extensions["parameters"] = _parameters(endpoint.query)
    if endpoint.server:
        extensions["servers"] = [{"url": endpoint.server}]
    return {
        "summary": (endpoint.handler.__doc__ or "").strip().split("\n")[0],
        "responses": {200: success, **_refusals(endpoint)},
        "openapi_extensions": extensions,
        "security": [] if endpoint.guard is Guard.OPEN else [{"bearer": []}, {"dpop": []}],
    }


def openapi_blueprint(title: str, document: Callable[[], dict[str, object]]) -> Blueprint:
    """Return the routes of the document (`/openapi.json`) and of its viewer (`/docs`)."""
    blueprint = Blueprint("openapi", __name__)
    swagger = resources.files("flask_openapi3_swagger").joinpath("templates", "swagger")

    @blueprint.get("/openapi.json")
    def openapi() -> dict[str, object]:
        return document()

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
        content = swagger.joinpath(asset).read_bytes()
        return Response(content, mimetype=_ASSETS[asset], headers={"Cache-Control": "public, max-age=86400"})

    return blueprint


def _refusals(endpoint: Endpoint) -> Mapping[int, Mapping[str, Any]]:
    codes = [*_codes_of_shape_and_guard(endpoint), *endpoint.codes]
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": ", ".join(sorted({str(code) for code in codes if STATUSES[code] == status})),
            "content": content,
        }
        for status in sorted({STATUSES[code] for code in codes})
    }


def _codes_of_shape_and_guard(endpoint: Endpoint) -> Sequence[Code]:
    codes = [Code.STORE_UNAVAILABLE]
    if endpoint.query is not None:
        codes += [Code.INVALID_REQUEST]
    if endpoint.body is not None:
        codes += [Code.INVALID_REQUEST, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE]
    if endpoint.guard is not Guard.OPEN:
        codes += [Code.TOKEN_MISSING, Code.INVALID_TOKEN, Code.INVALID_DPOP_PROOF, Code.USE_DPOP_NONCE]
    if endpoint.guard is Guard.SIGNED_IN:
        codes += [Code.TOKEN_EXPIRED, Code.CERTIFICATE_EXPIRED, Code.SESSION_ENDED]
    return codes


def _request_body(endpoint: Endpoint) -> Mapping[str, Any]:
    body = endpoint.body
    bodies = [one for one in ((body.otherwise, body.with_field) if isinstance(body, Choice) else (body,)) if one]
    schemas = [one.model_json_schema() for one in bodies]
    content: dict[str, Any] = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}
    examples = {
        schema.__name__: {"value": schema.example} for schema in bodies if schema is not None and schema.example
    }
    if examples:
        content["examples"] = examples
    media = ("application/json", "application/x-www-form-urlencoded") if endpoint.forms else ("application/json",)
    return {"required": True, "content": dict.fromkeys(media, content)}


def _parameters(query: type[BaseModel]) -> Sequence[Mapping[str, Any]]:
    properties = query.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
