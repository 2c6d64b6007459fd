"""JSON Schemas of bodies and answers, for the components of an OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import msgspec
from msgspec import Struct

from common.web.fields import described_text
from common.web.request_body import Body, Query

Member = dict[str, Any]
"""A part of the document, as JSON has it."""

FORM_SUFFIX = "Form"
"""Ends the name of the schema of a body that comes as a form."""

_REFERENCE = "#/components/schemas/{name}"
_NULL = {"type": "null"}


def component_schemas(types: Sequence[tuple[type[Struct], bool]]) -> Member:
    """Return the schemas of these types, and of those inside them, by name; of a body in a form too where told so."""
    named = {each.__name__: each for each, _ in types}
    _, found = msgspec.json.schema_components(named.values(), schema_hook=described_text, ref_template=_REFERENCE)
    bodies = _with_parents(Body)
    described = {
        name: _with_constants(_of_body(schema, bodies[name]) if name in bodies else _of_answer(schema))
        for name, schema in found.items()
    }
    forms = {each.__name__ for each, in_form in types if in_form}
    return described | {name + FORM_SUFFIX: _of_form(described[name]) for name in sorted(forms)}


def parameter_schemas(query: type[Query]) -> Iterator[Member]:
    """Yield the parameters of a query string."""
    _, found = msgspec.json.schema_components([query], schema_hook=described_text, ref_template=_REFERENCE)
    for name, schema in found[query.__name__]["properties"].items():
        yield {"name": name, "in": "query", "schema": _with_constants(_optional(schema))}


def reference(name: str) -> Member:
    """Return a reference to a component's schema."""
    return {"$ref": _REFERENCE.format(name=name)}


def _of_body(schema: Member, body: type[Body]) -> Member:
    """Return what a client may send: what it does not send it leaves out, and the body's conditions hold."""
    properties = {name: _optional(about) for name, about in schema.get("properties", {}).items()}
    conditions = dict(deepcopy(body.conditions))
    stated: Any = conditions.pop("properties", {})
    properties = {name: {**about, **stated.get(name, {})} for name, about in properties.items()}
    return {**schema, "properties": properties, **conditions}


def _of_answer(schema: Member) -> Member:
    """Return what a server answers: a member with a default is always there."""
    if "properties" not in schema:
        return schema
    properties, required = schema["properties"], set(schema.get("required", ()))
    required |= {name for name, about in properties.items() if "default" in about}
    shown = {
        name: {key: value for key, value in about.items() if key != "default"} for name, about in properties.items()
    }
    return {**schema, "properties": shown, "required": [name for name in properties if name in required]}


def _of_form(schema: Member) -> Member:
    """Return the schema of a body as an HTML form can carry it: without members that have members of their own."""
    properties = {name: about for name, about in schema["properties"].items() if "$ref" not in about}
    without = {key: value for key, value in schema.items() if key != "dependentSchemas"}
    return {**without, "title": schema["title"] + FORM_SUFFIX, "properties": properties}


def _optional(schema: Member) -> Member:
    """Return the schema of a member that may be left out, without the null or the default that stands for it."""
    if "default" not in schema:
        return schema
    if schema["default"] is not None:
        return _with_default_in_words(schema)
    kinds = [kind for kind in schema["anyOf"] if kind != _NULL]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**rest, **kinds[0]} if len(kinds) == 1 else {**rest, "anyOf": kinds}


def _with_default_in_words(schema: Member) -> Member:
    """Return a member's schema with its default told in words: generators take one that has a default for required."""
    told = f"Without it: {schema['default']!s}.".replace("False", "false").replace("True", "true")
    described = " ".join(filter(None, (schema.get("description"), told)))
    return {**{key: value for key, value in schema.items() if key != "default"}, "description": described}


def _with_constants(schema: Any) -> Any:
    """Return a schema in which one allowed value is a constant and several texts are told to be texts.

    Generators of clients make nothing of `{"enum": [false]}`, and a class of an enumeration that has one member.
    """
    if isinstance(schema, list):
        return [_with_constants(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    values = schema.get("enum")
    if not isinstance(values, list):
        return {key: _with_constants(value) for key, value in schema.items()}
    if len(values) == 1:
        return {**{key: value for key, value in schema.items() if key != "enum"}, "const": values[0]}
    return {"type": "string", **schema}


def _with_parents(kind: type[Body]) -> dict[str, type[Body]]:
    """Return a class and all that derive from it, by name."""
    found = {kind.__name__: kind}
    for derived in kind.__subclasses__():
        found |= _with_parents(derived)
    return found
