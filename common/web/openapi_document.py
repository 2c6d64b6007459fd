"""The OpenAPI document (3.1) of an app, written from its endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from common.errors import Code
from common.web.component_schemas import FORM_SUFFIX, Member, component_schemas, parameter_schemas, reference
from common.web.endpoints import Endpoint, OneOfBody
from common.web.guards import Guard
from common.web.problem_types import PROBLEM_TYPES, Problem
from common.web.problems import STATUSES
from common.web.request_body import Body

_DESCRIPTION = """\
Registration of users and their devices, login, and sessions; at most N devices of one account are active at a time.

- Every path answers with and without a trailing slash. Members of a body that are not described here are ignored.
- Every failure is a problem document (RFC 9457) with a `code` that never changes; `detail` follows `Accept-Language`
  (`en`, `ja`). Codes, reasons and members may be added: ignore what you do not know.
- A login that would exceed the limit answers 409 `device-active` and changes nothing. The user decides; posting
  `takeover.token` to `takeover.url` ends exactly the sessions that were shown.
- A session that has ended answers 401 `session-ended` with a `reason`; an access token that is only too old answers
  401 `token-expired`: refresh it.
"""
_ADMIN_DESCRIPTION = """\
What operators see and do. Each call shows an admin key (`ichidai admin-keys create`) as a Bearer token; its role says
what it is good for. Acts take effect at the next request of each session and leave a line in the audit log.
Every failure is a problem document (RFC 9457) with a `code` that never changes.
"""
_SECURITY: Member = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "dpop": {"type": "http", "scheme": "DPoP", "description": "With a proof in the header `DPoP` (RFC 9449)."},
    "receiverKey": {"type": "http", "scheme": "bearer", "description": "A key of a receiver of security events."},
}
_ADMIN_SECURITY: Member = {"adminKey": {"type": "http", "scheme": "bearer", "description": "A key of an operator."}}
_OF_TOKENS: Sequence[Member] = ({"bearer": []}, {"dpop": []})
_SECURITY_OF: Mapping[Guard, Sequence[Member]] = {
    Guard.OPEN: (),
    Guard.BEARER: _OF_TOKENS,
    Guard.SIGNED_IN: _OF_TOKENS,
    Guard.OPERATOR: ({"adminKey": []},),
    Guard.OPTIONAL: ({}, *_OF_TOKENS),
    Guard.RECEIVER: ({"receiverKey": []},),
}
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "How to authenticate (RFC 9110, 6750, 9449)."},
    429: {"Retry-After": "Seconds to wait."},
    503: {"Retry-After": "Seconds to wait."},
}
_SHARED_PARAMETERS: Member = {
    "Language": {
        "name": "Accept-Language",
        "in": "header",
        "description": "The language of texts for people: `en` or `ja`.",
        "schema": {"type": "string"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Chosen by the client; a repetition under the same key does not register twice.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
}


_VARIABLE = re.compile(r"<(\w+)>")
"""A variable in a rule, as Flask writes it."""


class About(Struct, frozen=True):
    """What the document says of the app itself; `server` is its base URL."""

    title: str
    version: str
    server: str


def document(about: About, packages: Mapping[str, Sequence[Endpoint]]) -> Member:
    """Return the document of an app that serves these endpoints, by the package that each belongs to."""
    paths: dict[str, Member] = {}
    is_admin = any(each.guard is Guard.OPERATOR for endpoints in packages.values() for each in endpoints)
    every = [(package, endpoint) for package, endpoints in packages.items() for endpoint in endpoints]
    for package, endpoint in every:
        paths.setdefault(_VARIABLE.sub(r"{\1}", endpoint.rule), {})[endpoint.method.lower()] = _operation(
            package, endpoint
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": about.version,
            "summary": "Accounts with devices, at most N of them active at a time.",
            "description": _ADMIN_DESCRIPTION if is_admin else _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": about.server}],
        "tags": [{"name": package} for package in packages],
        "paths": paths,
        "components": {
            "schemas": component_schemas([each for _, endpoint in every for each in _types_of(endpoint)]),
            "parameters": _SHARED_PARAMETERS,
            "securitySchemes": _ADMIN_SECURITY if is_admin else _SECURITY,
        },
    }


def _types_of(endpoint: Endpoint) -> Iterator[tuple[type[Struct], bool]]:
    """Yield the types that an operation refers to, and whether each is also read from a form."""
    yield from ((body, endpoint.forms) for body in _bodies_of(endpoint))
    yield from ((PROBLEM_TYPES.get(code, Problem), False) for code in (*_codes(endpoint), Code.INTERNAL_ERROR))
    yield from ((answer, False) for answer in (endpoint.answer, endpoint.accepted) if answer is not None)


def _operation(package: str, endpoint: Endpoint) -> Member:
    return {
        "tags": [package],
        "operationId": re.sub(r"\W+", "_", f"{endpoint.method} {endpoint.rule}".lower()).strip("_"),
        "summary": (endpoint.handler.__doc__ or "").strip().split("\n")[0],
        "parameters": _parameters(endpoint),
        **({} if endpoint.body is None else {"requestBody": _request_body(endpoint)}),
        **({"servers": [{"url": endpoint.server}]} if endpoint.server else {}),
        "responses": {"200": _success(endpoint), **_accepted(endpoint), **_refusals(endpoint)},
        "security": _SECURITY_OF[endpoint.guard],
    }


def _success(endpoint: Endpoint) -> Member:
    described: Member = {} if endpoint.answer is None else reference(endpoint.answer.__name__)
    return {
        "description": "OK",
        **_headers(endpoint.answer_headers),
        "content": {endpoint.media: {"schema": described}},
    }


def _accepted(endpoint: Endpoint) -> Member:
    if endpoint.accepted is None:
        return {}
    schema = {"application/json": {"schema": reference(endpoint.accepted.__name__)}}
    return {"202": {"description": "Accepted", "content": schema}}


def _refusals(endpoint: Endpoint) -> Member:
    codes = _codes(endpoint)
    return {str(status): _refusal(status, codes) for status in sorted({STATUSES[code] for code in codes})}


def _refusal(status: int, codes: Sequence[Code]) -> Member:
    """Return the response of one status: a document with members of its own, or, as for future codes, a general one."""
    here = sorted({code for code in codes if STATUSES[code] == status})
    names = sorted({PROBLEM_TYPES[code].__name__ for code in here if code in PROBLEM_TYPES})
    general = reference(Problem.__name__)
    schema = {"anyOf": [*map(reference, names), general]} if names else general
    return {
        "description": ", ".join(here),
        **_headers(_HEADERS.get(status, {})),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _headers(described: Mapping[str, str]) -> Member:
    text = {"type": "string"}
    named = {name: {"description": description, "schema": text} for name, description in described.items()}
    return {"headers": named} if named else {}


def _codes(endpoint: Endpoint) -> Sequence[Code]:
    """Return the codes that an operation may answer: those of its shape and its guard, and its own."""
    codes = [Code.STORE_UNAVAILABLE, Code.INTERNAL_ERROR]
    if endpoint.query is not None or endpoint.idempotency:
        codes += [Code.INVALID_REQUEST]
    if endpoint.body is not None:
        codes += [Code.INVALID_REQUEST, Code.REQUEST_TIMEOUT, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE]
    if endpoint.guard is Guard.OPERATOR:
        codes += [Code.TOKEN_MISSING, Code.ADMIN_KEY_INVALID, Code.ROLE_TOO_LOW, Code.TOO_MANY_ATTEMPTS, Code.BUSY]
        codes += [Code.FOREIGN_REQUEST]
    elif endpoint.guard is Guard.RECEIVER:
        codes += [Code.TOKEN_MISSING, Code.INVALID_TOKEN]
    elif endpoint.guard is not Guard.OPEN:
        codes += [Code.TOKEN_MISSING, Code.INVALID_TOKEN, Code.INVALID_DPOP_PROOF, Code.USE_DPOP_NONCE]
    if endpoint.guard in (Guard.SIGNED_IN, Guard.OPTIONAL):
        codes += [Code.TOKEN_EXPIRED, Code.CERTIFICATE_EXPIRED, Code.SESSION_ENDED]
    return [*codes, *endpoint.codes]


def _request_body(endpoint: Endpoint) -> Member:
    bodies = _bodies_of(endpoint)
    content = {"application/json": _media(bodies, "")}
    if endpoint.forms:
        content["application/x-www-form-urlencoded"] = _media(bodies, FORM_SUFFIX)
    return {"required": True, "content": content}


def _media(bodies: Sequence[type[Body]], suffix: str) -> Member:
    references = [reference(body.__name__ + suffix) for body in bodies]
    examples = {body.__name__: {"value": body.example} for body in bodies if body.example}
    schema = references[0] if len(references) == 1 else {"oneOf": references}
    return {"schema": schema, **({"examples": examples} if examples else {})}


def _bodies_of(endpoint: Endpoint) -> Sequence[type[Body]]:
    body = endpoint.body
    if isinstance(body, OneOfBody):
        return (body.otherwise, body.with_field)
    return () if body is None else (body,)


def _parameters(endpoint: Endpoint) -> Sequence[Member]:
    query = () if endpoint.query is None else parameter_schemas(endpoint.query)
    shared = ("IdempotencyKey", "Language") if endpoint.idempotency else ("Language",)
    variables = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(endpoint.rule)
    ]
    return [*variables, *query, *({"$ref": f"#/components/parameters/{name}"} for name in shared)]
