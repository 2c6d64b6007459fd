"""Where a store is in a move to another place, as the key ring's item says it on either side. Pure.

The source's item has a member `move`, the target's one `incoming`, until the target is opened. Servers read the item
before they start, and then every second. See `docs/decisions/0072-moving-a-store.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from common.storage.port import Item, WritesRefused
from common.storage.stored_form import known

_MOVE, _INCOMING = "move", "incoming"


class Phase(StrEnum):
    """How far a move has come, from the source's point of view."""

    COPYING = "copying"
    """It is served as always."""

    FENCED = "fenced"
    """Nothing may be written; what is read holds."""

    MOVED = "moved"
    """Nobody may serve it: the target is about to be opened, or was."""


class Move(Struct, frozen=True):
    """A move, as the source tells it: its id, the target's URL, and the id of the last run of the command."""

    id: str
    to: str
    run: str
    phase: Phase = Phase.COPYING


class IncomingMove(Struct, frozen=True):
    """A move, as a target tells it that is not open yet."""

    id: str
    source: str
    run: str


def move_of(item: Item | None) -> Move | None:
    """Return the move of a source; None where it is in none. Raises UnknownForm for a later release's phase."""
    said: Any = None if item is None else item.get(_MOVE)
    return None if said is None else Move(said["id"], said["to"], said["run"], known(Phase, said["phase"]))


def incoming_of(item: Item | None) -> IncomingMove | None:
    """Return the move to a target that is not open yet; None for any other store."""
    said: Any = None if item is None else item.get(_INCOMING)
    return None if said is None else IncomingMove(said["id"], said["source"], said["run"])


def with_move(item: Item, move: Move | None) -> Item:
    """Return the next version of a ring's item that tells this of a move; None: it is in none."""
    said = {} if move is None else {_MOVE: {"id": move.id, "to": move.to, "run": move.run, "phase": str(move.phase)}}
    return {**_without(item, _MOVE), **said, "version": _version(item) + 1}


def incoming_item(incoming: IncomingMove, schema: int, found: Item | None) -> Item:
    """Return the ring's item of a target that is not open: no release serves it, for its digest is that of no keys."""
    said = {"id": incoming.id, "source": incoming.source, "run": incoming.run}
    return {"id": "ring", "schema": schema, "digest": "arriving", "version": _version(found or {}) + 1, _INCOMING: said}


def opened_item(source: Item) -> Item:
    """Return the ring's item by which a target is open: the source's, one version on, so that no witness misses it."""
    return with_move(source, None)


def place_fault(item: Item | None) -> str | None:
    """Say why a store may not be served where it lies; None where it may."""
    incoming, move = incoming_of(item), move_of(item)
    if incoming is not None:
        return f"This store is being moved here from {incoming.source} and not all has arrived: see `ichidai move`."
    if move is not None and move.phase is Phase.MOVED:
        return f"This store was moved to {move.to}: set ICHIDAI_STORE_URL to that."
    return None


def check_writable(item: Item | None) -> None:
    """Raise WritesRefused where a store may not be written."""
    move = move_of(item)
    if move is not None and move.phase is not Phase.COPYING:
        raise WritesRefused(f"the store is being moved to {move.to}: nothing can be changed until it is there")


def _without(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {other: value for other, value in item.items() if other != name}


def _version(item: Mapping[str, Any]) -> int:
    return int(item.get("version", 0))
