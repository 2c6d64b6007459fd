"""The schema of what a store holds: told by the key ring's item, which every server reads first and then every second.

Schema 1 is what release 0.1.0 wrote and says nothing of itself. From 2 on the item says its schema and keeps the list
of keys under another name, with a digest that is written otherwise: a server of 0.1.0 refuses to start on it, and one
that runs still fails to read the list and serves nothing more. A later schema may say that releases of this one may
serve the store beside it (`least`), until its operator has updated all servers.
"""

from __future__ import annotations

from typing import Any

from common.keys.keyring import KeyRingError
from common.keys.store_move import place_fault
from common.storage.port import Item

SCHEMA = 2
"""What this release reads and writes."""

_LEAST = "least"
"""Says from which schema on a release may serve the store: so a later release lets this one work beside it."""

_NOTE = "The list of keys is in `listed`: this store needs a release that knows its schema."


class SchemaError(KeyRingError):
    """The store holds another schema than this release's; the text says what to do."""


def schema_of(item: Item | None) -> int:
    """Return the schema of the store whose key ring's item this is; a fresh store gets ours."""
    schema: Any = SCHEMA if item is None else item.get("schema", 1)
    return int(schema)


def is_migrating(item: Item | None) -> bool:
    """Say whether a migration was begun and has not come to its end."""
    return item is not None and item.get("migrating") is True


def least_writer_of(item: Item | None) -> int:
    """Return the schema of the earliest release that may still serve the store; its own, where it does not say."""
    least: Any = None if item is None else item.get(_LEAST)
    return schema_of(item) if least is None else int(least)


def check_schema(item: Item | None) -> None:
    """Raise SchemaError unless the store is this release's to serve, where it lies: it is not being moved here or gone.

    Raises UnknownForm for a move of a later release.
    """
    elsewhere = place_fault(item)
    if elsewhere is not None:
        raise SchemaError(elsewhere)
    check_release(item)


def check_release(item: Item | None) -> None:
    """Raise SchemaError unless the store is of this release's schema, or of a later one that lets it."""
    schema = schema_of(item)
    if least_writer_of(item) > SCHEMA:
        raise SchemaError(
            f"This store was written by a later release (schema {schema}, not {SCHEMA}): update this one."
        )
    if schema < SCHEMA:
        raise SchemaError("This store was written by an earlier release: stop all servers, then run `ichidai migrate`.")
    if is_migrating(item):
        raise SchemaError("The migration of this store is not finished: run `ichidai migrate` again.")


def digest_to_item(digest: str) -> str:
    """Return the digest of the keys as every schema since 2 writes it."""
    return f"schema-2:{digest}"


def marked(item: Item, *, migrating: bool) -> Item:
    """Return a ring's item of schema 1 as one of schema 2. `migrating`: nobody may serve the store yet."""
    old: dict[str, Any] = {name: value for name, value in item.items() if name != "migrating"}
    if schema_of(item) < SCHEMA:
        listed = {"listed": old["keys"]} if "keys" in old else {}
        old |= {"schema": SCHEMA, "digest": digest_to_item(old["digest"]), "keys": _NOTE, **listed}
    if migrating:
        old["migrating"] = True
    old["version"] = old.get("version", 0) + 1
    return old


def ring_item(digest: str, version: int, listed: list[dict[str, Any]], found: Item | None = None) -> Item:
    """Return the key ring's item, with all that the item it takes the place of says besides."""
    return {
        **(found or {}),
        "id": "ring",
        "schema": max(SCHEMA, schema_of(found)),
        "digest": digest,
        "version": version,
        "listed": listed,
        "keys": _NOTE,
    }
