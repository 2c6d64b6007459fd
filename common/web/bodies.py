"""Reading a request's body: JSON or, where a route takes it, a form; then a strict schema. Bad input ends here."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

import orjson
from flask import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from common.errors import Code, Refusal

DEEPEST = 20
LARGEST = 64 * 1024

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Body(BaseModel):
    """A request's body. Known fields have exactly their type; others are ignored and never stored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    example: ClassVar[Mapping[str, object] | None] = None
    """A body that the OpenAPI document shows."""

    missing_variant: ClassVar[str | None] = None
    """Which text of `missing-fields` tells that a field of this body is missing; None: the general one."""


def _printable(text: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("it holds control characters")
    return text


def _hex_digits(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):  # noqa: PLR2004 - SHA-256 in hex
        raise ValueError("a fingerprint is 64 lower-case hex digits")
    return text


def _mail(text: str) -> str:
    local, at, domain = text.partition("@")
    if not (local.strip() and at and domain.strip()) or "@" in domain:
        raise ValueError("a mail address has one @ with something on both sides")
    return text


Printable = AfterValidator(_printable)
Username = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), Printable]
DeviceName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), Printable]
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), Printable, AfterValidator(_mail)]
Fingerprint = Annotated[str, AfterValidator(_hex_digits)]
Trimmed = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LARGEST)]
Opaque = Annotated[str, Field(min_length=1, max_length=LARGEST)]

B = TypeVar("B", bound=BaseModel)


def read_fields(request: Request, *, forms: bool) -> Mapping[str, Any]:
    """Return the fields of a body. A null or empty field counts as absent.

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
    return {name: value for name, value in _object(raw).items() if value is not None and value != ""}


def parse(schema: type[B], fields: Mapping[str, Any]) -> B:
    """Return the fields as a schema has them. Raises Refusal: MISSING_FIELDS (`fields`), INVALID_REQUEST (`field`)."""
    try:
        return schema.model_validate(dict(fields))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
    missing = [str(fault["loc"][0]) for fault in faults if fault["type"] == "missing"]
    if missing:
        variant = getattr(schema, "missing_variant", None)
        raise Refusal(Code.MISSING_FIELDS, variant=variant, names=", ".join(missing), fields=missing)
    field = ".".join(str(part) for part in faults[0]["loc"])
    message = faults[0]["msg"].removeprefix("Value error, ")
    raise Refusal(Code.INVALID_REQUEST, problem=f"{field}: {message}", field=field)


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
