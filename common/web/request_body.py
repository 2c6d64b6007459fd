"""Reading a request's body: JSON or, where a route takes it, a form; then a strict schema. Bad input ends here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import Any, ClassVar, TypeVar

import msgspec
import orjson
from flask import Request
from msgspec import Struct
from werkzeug.exceptions import RequestEntityTooLarge

from common.errors import Code, Refusal
from common.web.fields import LARGEST, read_text

DEEPEST = 20

NEVER_EMPTY = frozenset({"csr", "public_keys", "proof"})
"""What shows who made or holds a key. Taken for absent, an empty one would be answered with keys that we made."""

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Body(Struct, frozen=True, kw_only=True):
    """A request's body. Known fields have exactly their type; others are ignored and never stored."""

    example: ClassVar[Mapping[str, object] | None] = None
    """A body that the OpenAPI document shows."""

    conditions: ClassVar[Mapping[str, object]] = {}
    """What JSON Schema says beyond the fields' types: conditions that reading the body, or its use case, enforces."""

    missing_variant: ClassVar[str | None] = None
    """Which text of `missing-fields` tells that a field of this body is missing; None: the general one."""


class Query(Struct, frozen=True, kw_only=True):
    """What stands behind the question mark: texts, of which numbers are made where a field is one."""


B = TypeVar("B", bound=Body | Query)

_learning = Lock()

_PLACE = " - at `$"
"""Stands between what is wrong and where."""


def read_fields(request: Request, *, forms: bool) -> Mapping[str, Any]:
    """Return the fields of a body. A null or empty field counts as absent, but for NEVER_EMPTY in JSON.

    Raises Refusal: UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST (also for no body at all); RequestEntityTooLarge.
    """
    raw = request.get_data()
    if len(raw) > LARGEST:
        raise RequestEntityTooLarge
    if forms and request.mimetype in _FORMS:
        return {name: value for name, value in _form(request).items() if value != ""}
    if not raw:
        raise _invalid("there is no body")
    if not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
        raise Refusal(Code.UNSUPPORTED_MEDIA_TYPE)
    return json_fields(raw)


def json_fields(raw: bytes) -> Mapping[str, Any]:
    """Return the fields of a JSON object that count as there. Raises Refusal: INVALID_REQUEST, BODY_TOO_LARGE."""
    if len(raw) > LARGEST:
        raise Refusal(Code.BODY_TOO_LARGE)
    return {name: value for name, value in _object(raw).items() if value not in (None, "") or name in NEVER_EMPTY}


def parse(schema: type[B], fields: Mapping[str, Any]) -> B:
    """Return the fields as a schema has them. Raises Refusal: MISSING_FIELDS (`fields`), INVALID_REQUEST (`field`)."""
    missing = [name for name in _learned(schema) if name not in fields]  # type: ignore[arg-type] # classes are hashable
    empty = sorted(name for name in NEVER_EMPTY.intersection(fields, schema.__struct_fields__) if not fields[name])
    try:
        if not missing and not empty:
            return _converted(schema, fields)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(_PLACE)
    else:
        raise _missing(schema, missing) if missing else _empty(empty[0])
    field = place.strip(".`")
    if problem.startswith("Object missing"):
        raise _missing(schema, [field.partition(".")[0]])
    if problem.startswith("Invalid enum value"):  # the library quotes it, and it may be a secret in the wrong field
        problem = "it is none of the words that stand there"
    raise Refusal(Code.INVALID_REQUEST, problem=f"{field}: {problem}", field=field)


def _converted(schema: type[B], fields: Mapping[str, Any]) -> B:
    return msgspec.convert(fields, schema, strict=not issubclass(schema, Query), dec_hook=read_text)  # noqa: TID251 - it is learned


@cache
def _learned(schema: type[Any]) -> tuple[str, ...]:
    """Return the fields that must be there, once the library has learned the schema, and those within it.

    It learns at the first use, and a second thread that comes meanwhile would meet types half read: the process died
    of it (a null pointer). So no schema is used before this, and one thread learns at a time.
    """
    with _learning:
        with suppress(msgspec.ValidationError):
            _converted(schema, {})
        return tuple(about.name for about in msgspec.structs.fields(schema) if about.required)


def _empty(name: str) -> Refusal:
    problem = f"{name}: it is empty; leave it out, or send one"
    return Refusal(Code.INVALID_REQUEST, problem=problem, field=name)


def _missing(schema: type[Struct], names: list[str]) -> Refusal:
    variant = getattr(schema, "missing_variant", None)
    return Refusal(Code.MISSING_FIELDS, variant=variant, names=", ".join(names), fields=names)


def idempotency_key(request: Request) -> str | None:
    """Return the `Idempotency-Key` header: 1 to 255 printable ASCII characters. Raises Refusal(INVALID_REQUEST)."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):  # noqa: PLR2004
        raise _invalid("Idempotency-Key has 1 to 255 printable ASCII characters")
    return key


def _form(request: Request) -> Mapping[str, Any]:
    """Return a form's fields; the words true and false stand for the JSON values."""
    words = {"true": True, "false": False}
    fields = {}
    for name, values in request.form.lists():
        if len(values) > 1:
            raise _invalid(f"{name} is there twice")
        fields[name] = words.get(values[0], values[0]) if name in _BOOLEANS else values[0]
    return fields


_BOOLEANS = frozenset({"force"})
"""The fields of forms that are truth values."""


def _object(raw: bytes) -> Mapping[str, Any]:
    """Read a JSON object: UTF-8, no NaN, no lone surrogate (orjson refuses them), not too deep, no key twice."""
    try:
        value = orjson.loads(raw)
        if _depth(value) > DEEPEST:
            raise _invalid(f"it is nested deeper than {DEEPEST}")
        if not isinstance(value, dict):
            raise _invalid("the body is not a JSON object")
        json.loads(raw, object_pairs_hook=_unique)
    except (orjson.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise _invalid("the body is not JSON in UTF-8") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _invalid("a key is there twice")
    return fields


def _depth(value: Any) -> int:
    """Return how deep lists and objects are nested, level by level and without recursion."""
    depth, level = 0, [value]
    while level:
        level = [child for node in level for child in _children(node)]
        depth += 1
    return depth - 1


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values()) or [None]
    if isinstance(node, list):
        return node or [None]
    return []


def _invalid(what: str) -> Refusal:
    return Refusal(Code.INVALID_REQUEST, problem=what)
