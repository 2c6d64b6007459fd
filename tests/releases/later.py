"""A made-up later release, N+1: what it writes that this one, N, does not know, and what N must have kept of it.

It gives a member of its own to each item and to each part of one that has members by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.storage.port import Item
from common.storage.tables import ALL

MEMBER = "later"
_TABLES = {table.name: table for table in ALL}
_ENTRIES = frozenset(("marks", "values", "said", "was", "became", "sources", "facts", "jwk", "cost"))
"""Members that hold entries by their keys, or one value of several numbers: nobody adds a member to those."""
_PARTS = frozenset(("sessions", "devices"))
"""Members that hold parts by their ids."""
_NAMES = ("change_no", "c", "kid", "name", "host", "mark", "session_id")
"""What tells one part of a list from another; without any of them, its place does."""


def with_members(value: Any, name: str = "") -> Any:
    """Return an item as N+1 writes it."""
    if isinstance(value, Mapping):
        if name in _ENTRIES:
            return value
        inner = {key: with_members(each, key) for key, each in value.items()}
        return inner if name in _PARTS else {**inner, MEMBER: "kept"}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [with_members(each) if isinstance(each, Mapping) else each for each in value]
    return value


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield each part that had N+1's member, is still there, and has it no more."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        if MEMBER in before and MEMBER not in after:
            yield path
        for name in before.keys() & after.keys():
            yield from lost(before[name], after[name], f"{path}/{name}")
    elif _is_list(before) and _is_list(after):
        there = _by_name(after)
        for name, part in _by_name(before).items():
            yield from lost(part, there.get(name), f"{path}/{name}")


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _by_name(parts: Sequence[Any]) -> Mapping[Any, Any]:
    named = [part for part in parts if isinstance(part, Mapping)]
    return {_name_of(part, place): part for place, part in enumerate(named)}


def _name_of(part: Mapping[str, Any], place: int) -> Any:
    """Return what tells a part from another; a row on its way, by its change, its table and its key there."""
    if part.keys() >= {"v", "t", "i", "k"}:
        key = _TABLES[part["t"]].key_of(part["i"])
        return part["k"], part["t"], key.partition, key.sort
    return next((part[name] for name in _NAMES if name in part), place)


def lost_in_store(before: Mapping[tuple[str, Any], Item], after: Mapping[tuple[str, Any], Item]) -> list[str]:
    """Return what was lost of all items that are still there."""
    return [
        fault
        for place in before.keys() & after.keys()
        for fault in lost(before[place], after[place], f"{place[0]} {place[1]}")
    ]
