"""Routes as data: what a route takes, answers and demands is declared once, and served and documented from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel

from common.bookkeeping import NoSuchUser
from common.errors import Code, Refusal
from common.granting import Caller
from common.history import Origin, Reason
from common.liveness import SessionGone
from common.web.bodies import Body, parse, read_fields
from common.web.clients import Network, device_name_of, origin_of
from common.web.guards import Authenticator, Guard, bearer_token, touch_quietly
from common.web.messages import Language
from common.web.problems import STATUSES, language_of_request


class Answer(BaseModel):
    """A success. A member whose default is None is left out while it is None."""

    success: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with headers of its own."""

    answer: Answer
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a use case needs it: `body` and `query` as declared, the caller, the bare token, where it is from."""

    body: Any
    query: Any
    token: str | None
    caller: Caller | None
    origin: Origin
    language: Language

    @property
    def signed_in(self) -> Caller:
        """The caller of a route that demands one."""
        if self.caller is None:
            raise AssertionError("the route does not demand a signed-in caller")
        return self.caller

    @property
    def device_name(self) -> str:
        """A name for the device at the other end, where it gives none itself."""
        return device_name_of(self.origin.user_agent)


Handler = Callable[[Call], Answer | Reply | Response]


@dataclass(frozen=True, slots=True)
class Choice:
    """A body that has one schema or another: `with_field` when that field is there, `otherwise` when it is not."""

    field: str
    with_field: type[Body]
    otherwise: type[Body]

    def of(self, fields: Mapping[str, Any]) -> type[Body]:
        """Return the schema for these fields."""
        return self.with_field if self.field in fields else self.otherwise


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route. Its summary is the handler's docstring.

    `forms`: HTML forms are read too. `activity`: a call counts as activity of its session. `codes`: the refusals a client
    may expect, beside those of its guard.
    """

    method: str
    rule: str
    handler: Handler
    guard: Guard
    answer: type[BaseModel] = Answer
    body: type[Body] | Choice | None = None
    query: type[BaseModel] | None = None
    forms: bool = False
    activity: bool = False
    codes: Sequence[Code] = field(default=())


@dataclass(frozen=True, slots=True)
class Edge:
    """What every route needs of the suite: who calls, and which proxies are believed."""

    authenticator: Authenticator
    trusted_proxies: Sequence[Network]


def blueprint_of(name: str, endpoints: Sequence[Endpoint], edge: Edge) -> APIBlueprint:
    """Return a blueprint that serves and documents the endpoints."""
    blueprint = APIBlueprint(name, name)
    for number, endpoint in enumerate(endpoints):
        document = getattr(blueprint, endpoint.method.lower())(
            endpoint.rule, endpoint=f"{endpoint.handler.__name__}_{number}", **described(endpoint)
        )
        document(_view(endpoint, edge))
    return blueprint


def _view(endpoint: Endpoint, edge: Edge) -> Callable[[], Response]:
    def view() -> Response:
        try:
            return _respond(endpoint.handler(_call(endpoint, edge)))
        except NoSuchUser:
            raise Refusal(Code.SESSION_ENDED, session_reason=str(Reason.REVOKED)) from None
        except SessionGone as gone:
            raise edge.authenticator.explain(gone) from None

    return view


def _call(endpoint: Endpoint, edge: Edge) -> Call:
    """Check the call in the contract's order: who calls, then the shape of what is sent."""
    token = None if endpoint.guard is Guard.OPEN else bearer_token(request)
    caller = None
    if endpoint.guard is Guard.SIGNED_IN and token is not None:
        caller = edge.authenticator.authenticate(token)
    body = _body(endpoint)
    query = None if endpoint.query is None else parse(endpoint.query, request.args.to_dict())
    if caller is not None and endpoint.activity:
        touch_quietly(edge.authenticator, caller)
    return Call(body, query, token, caller, origin_of(request, edge.trusted_proxies), language_of_request())


def _body(endpoint: Endpoint) -> Body | None:
    if endpoint.body is None:
        return None
    fields = read_fields(request, forms=endpoint.forms)
    schema = endpoint.body.of(fields) if isinstance(endpoint.body, Choice) else endpoint.body
    return parse(schema, fields)


def _respond(reply: Answer | Reply | Response) -> Response:
    if isinstance(reply, Response):
        return reply
    answer, headers = (reply.answer, reply.headers) if isinstance(reply, Reply) else (reply, {})
    optional = {name for name, about in type(answer).model_fields.items() if about.default is None}
    absent = {name for name in optional if getattr(answer, name) is None}
    content = orjson.dumps(answer.model_dump(mode="json", exclude=absent))
    return Response(content, 200, {"Cache-Control": "no-store", **headers}, mimetype="application/json")


def described(endpoint: Endpoint) -> dict[str, Any]:
    """Return what the OpenAPI document (3.1) says of an endpoint."""
    codes = [*_codes_of_guard(endpoint), *endpoint.codes]
    statuses = sorted({STATUSES[code] for code in codes})
    refusals = {
        status: {
            "description": ", ".join(sorted({str(code) for code in codes if STATUSES[code] == status})),
            "content": {"application/problem+json": {"schema": PROBLEM_SCHEMA}},
        }
        for status in statuses
    }
    extensions = {"requestBody": _request_body(endpoint)} if endpoint.body is not None else {}
    return {
        "summary": (endpoint.handler.__doc__ or "").strip().split("\n")[0],
        "responses": {200: endpoint.answer, **refusals},
        "openapi_extensions": extensions,
        "security": [] if endpoint.guard is Guard.OPEN else [{"bearer": []}],
    }


PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "A problem document (RFC 9457); `success` and `error` are there for clients of an older habit.",
    "required": ["type", "title", "status", "code", "detail", "success", "error"],
    "properties": {
        **{name: {"type": "string"} for name in ("type", "title", "code", "detail", "error")},
        "status": {"type": "integer"},
        "success": {"const": False},
    },
}


def _codes_of_guard(endpoint: Endpoint) -> Sequence[Code]:
    codes = [Code.STORE_UNAVAILABLE]
    if endpoint.body is not None:
        codes += [Code.INVALID_REQUEST, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE]
    if endpoint.guard is not Guard.OPEN:
        codes += [Code.TOKEN_MISSING, Code.INVALID_TOKEN]
    if endpoint.guard is Guard.SIGNED_IN:
        codes += [Code.TOKEN_EXPIRED, Code.SESSION_ENDED]
    return codes


def _request_body(endpoint: Endpoint) -> Mapping[str, Any]:
    body = endpoint.body
    schemas = [body.otherwise, body.with_field] if isinstance(body, Choice) else [body]
    described_schemas = [schema.model_json_schema() for schema in schemas if schema is not None]
    schema = described_schemas[0] if len(described_schemas) == 1 else {"oneOf": described_schemas}
    media = ["application/json", *(["application/x-www-form-urlencoded"] if endpoint.forms else [])]
    return {"required": True, "content": {kind: {"schema": schema} for kind in media}}
