"""The OpenAPI document (3.1) of an app, written from its endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from common.errors import Code
from common.web.bodies import Body, Query
from common.web.endpoints import Answer, Choice, Endpoint
from common.web.fields import described_text
from common.web.guards import Guard
from common.web.problems import STATUSES

Member = dict[str, Any]
"""A part of the document, as JSON has it."""

_SCHEMAS = "#/components/schemas/{name}"
_SECURITY: Member = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "dpop": {"type": "http", "scheme": "DPoP"},
}


class Problem(Struct, frozen=True):
    """A problem document (RFC 9457). `success` and `error` are there for clients of an older habit."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    success: Literal[False]
    error: str


def document(title: str, version: str, rooms: Mapping[str, Sequence[Endpoint]]) -> Member:
    """Return the document of an app that serves these endpoints, by the room that each belongs to."""
    paths: dict[str, Member] = {}
    for room, endpoint in ((room, each) for room, endpoints in rooms.items() for each in endpoints):
        paths.setdefault(endpoint.rule, {})[endpoint.method.lower()] = _operation(room, endpoint)
    every = [each for endpoints in rooms.values() for each in endpoints]
    named = {each.__name__: each for each in _types_of(every)}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "tags": [{"name": room} for room in rooms],
        "paths": paths,
        "components": {"schemas": _schemas([Problem, *named.values()]), "securitySchemes": _SECURITY},
    }


def _types_of(endpoints: Sequence[Endpoint]) -> Iterator[type[Answer | Body]]:
    for endpoint in endpoints:
        yield from _bodies_of(endpoint)
        if endpoint.answer is not None:
            yield endpoint.answer


def _schemas(types: Sequence[type[Struct]]) -> Member:
    _, found = msgspec.json.schema_components(types, schema_hook=described_text, ref_template=_SCHEMAS)
    return found


def _operation(room: str, endpoint: Endpoint) -> Member:
    schema = {} if endpoint.answer is None else {"schema": _reference(endpoint.answer)}
    return {
        "tags": [room],
        "operationId": f"{endpoint.method} {endpoint.rule}".lower().replace(" ", "").replace("/", "_"),
        "summary": (endpoint.handler.__doc__ or "").strip().split("\n")[0],
        **({} if endpoint.query is None else {"parameters": _parameters(endpoint.query)}),
        **({} if endpoint.body is None else {"requestBody": _request_body(endpoint)}),
        **({"servers": [{"url": endpoint.server}]} if endpoint.server else {}),
        "responses": {"200": {"description": "OK", "content": {endpoint.media: schema}}, **_refusals(endpoint)},
        "security": [] if endpoint.guard is Guard.OPEN else [{"bearer": []}, {"dpop": []}],
    }


def _refusals(endpoint: Endpoint) -> Member:
    codes = [*_codes_of_shape_and_guard(endpoint), *endpoint.codes]
    content = {"application/problem+json": {"schema": _reference(Problem)}}
    return {
        str(status): {
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


def _request_body(endpoint: Endpoint) -> Member:
    bodies = _bodies_of(endpoint)
    references = [_reference(body) for body in bodies]
    content: Member = {"schema": references[0] if len(references) == 1 else {"oneOf": references}}
    examples = {body.__name__: {"value": body.example} for body in bodies if body.example}
    if examples:
        content["examples"] = examples
    media = ("application/json", "application/x-www-form-urlencoded") if endpoint.forms else ("application/json",)
    return {"required": True, "content": dict.fromkeys(media, content)}


def _bodies_of(endpoint: Endpoint) -> Sequence[type[Body]]:
    body = endpoint.body
    if isinstance(body, Choice):
        return (body.otherwise, body.with_field)
    return () if body is None else (body,)


def _parameters(query: type[Query]) -> Sequence[Member]:
    properties = _schemas([query])[query.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _reference(schema: type[Struct]) -> Member:
    return {"$ref": _SCHEMAS.format(name=schema.__name__)}
