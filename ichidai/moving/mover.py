"""The steps of a move, in the order in which nothing can be lost. See `docs/decisions/0072-moving-a-store.md`.

Either side says in its key ring's item how far it is; so whatever was cut short goes on, and a run that was overtaken
by another one writes nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from common.account.audit_carried import carrying, lay_line
from common.clock import to_millis
from common.ids import new_id
from common.keys.key_registry import REGISTRY
from common.keys.registry_item import version_of
from common.keys.store_move import (
    IncomingMove,
    Move,
    Phase,
    incoming_item,
    incoming_of,
    move_of,
    opened_item,
    with_move,
)
from common.keys.store_schema import check_release, schema_of
from common.retry import RetryBudget
from common.storage.enumeration import EnumerableStore
from common.storage.idempotent_commit import write_known
from common.storage.port import Absent, Conflict, Equals, Item, Key, Put, Store, Table, WritesRefused
from common.storage.tables import ALL, KEY_RING
from common.storage.write_guard import RereadingGuard, always, guard_writes
from ichidai.moving.comparing import Comparison, is_empty
from ichidai.moving.copying import Copied, write_all

SETTLED_SECONDS = 12.0
"""After so long no process writes that has not read of the fence: what it read is trusted for four seconds, and a write
waits for its engine for six at most (SQLite: three for its turn, three for the lock)."""

UNSERVED_SECONDS = 6.0
"""After so long no process verifies by the source any more: five, as for a retired key, and one to spare."""

_MOST_PASSES = 5
"""It is copied while it is served until little is left to copy, but no more often than this."""


class MoveRefused(Exception):
    """The move cannot be made, or not go on; the text says why and what to do. Nothing was lost."""


class Places(Struct, frozen=True):
    """Both stores, and the URLs by which either is known anywhere."""

    source: EnumerableStore
    source_url: str
    target: EnumerableStore
    target_url: str


class TableMoved(Struct, frozen=True):
    """A table as it is on both sides: its name, how many items, and their digest."""

    table: str
    count: int
    digest: str


class Mover:
    """One run of a move. `pause` waits for so many seconds; `tell` is given a line about each step.

    Every method raises MoveRefused, SchemaError, StoreUnavailable, and WritesRefused where another run has taken over.
    """

    def __init__(
        self,
        places: Places,
        now: Callable[[], datetime],
        tell: Callable[[str], None],
        *,
        tables: Sequence[Table] = ALL,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._places = places
        self._source, self._target = places.source, places.target
        self.now = now
        self._tell = tell
        self._tables = tables
        self._pause = pause
        self._run = new_id()
        self.fenced_seconds = 0.0

    def is_done(self) -> bool:
        """Say whether the source was moved to this target and the target is open. Nothing is changed."""
        move, ring = move_of(self._source.get(REGISTRY)), self._target.get(REGISTRY)
        has_left = move is not None and move.to == self._places.target_url and move.phase is Phase.MOVED
        return has_left and ring is not None and incoming_of(ring) is None

    def move(self, line: Put) -> Sequence[TableMoved]:
        """Move the store, or go on where a run was cut short, and return what was verified. `line`: of the audit log.

        Nothing where the run that was cut short had verified it.
        """
        move = self._begin()
        moved: Sequence[TableMoved] = ()
        if move.phase is not Phase.MOVED:
            if move.phase is Phase.COPYING:
                self._copy_served()
            begun = time.monotonic()
            self._set(Phase.FENCED)
            self._tell(f"Nothing can be changed from now on; waiting {SETTLED_SECONDS:.0f} s for what is under way.")
            self._pause(SETTLED_SECONDS)
            self._tell(f"{self._copy(consistent=True).writes} items changed since.")
            moved = self._verified()
            self._set(Phase.MOVED)
            self.fenced_seconds = time.monotonic() - begun
        self._tell(f"All is there; waiting {UNSERVED_SECONDS:.0f} s until no server uses the source.")
        self._pause(UNSERVED_SECONDS)
        self._open(line)
        return moved

    def abandon(self) -> None:
        """Give a move up that was begun: the source is written again. The target was never open, and stays so."""
        item = self._source.get(REGISTRY)
        move = move_of(item)
        if item is None or move is None:
            raise MoveRefused("No move of this store is under way.")
        if move.to != self._places.target_url:
            raise MoveRefused(f"This store is being moved to {move.to}: give that as --to.")
        if move.phase is Phase.MOVED:  # a run that may be about to open the target is overtaken first
            ring = self._target.get(REGISTRY)
            if incoming_of(ring) is None:
                raise MoveRefused(f"The move is over, and {move.to} may have been served: to go back, move it back.")
            self._arrive(move.id, schema_of(item), ring)
        _write_ring(self._source, with_move(item, None), item)

    def _begin(self) -> Move:
        """Say on both sides that this run does it."""
        item, ring = self._source.get(REGISTRY), self._target.get(REGISTRY)
        if item is None:
            raise MoveRefused(f"{self._places.source_url} holds no store: nothing is there to move.")
        check_release(item)
        if (arriving := incoming_of(item)) is not None:
            raise MoveRefused(f"{self._places.source_url} has not arrived yet from {arriving.source}: finish that.")
        move, incoming = move_of(item), incoming_of(ring)
        if move is not None and move.to != self._places.target_url:
            raise MoveRefused(f"This store is being moved to {move.to}: go on with that, or give it up by --abandon.")
        self._check_target(incoming, ring)
        move = replace(move or Move(new_id(), self._places.target_url, ""), run=self._run)
        if move.phase is Phase.MOVED and incoming is None:
            raise MoveRefused(f"This store was moved to {move.to}, and nothing is there any more.")
        _write_ring(self._source, with_move(item, move), item)
        self._arrive(move.id, schema_of(item), ring)
        guard_writes(self._target, RereadingGuard(self._target, REGISTRY, self._check_run).check)
        return move

    def _check_target(self, incoming: IncomingMove | None, ring: Item | None) -> None:
        if incoming is not None and incoming.source != self._places.source_url:
            raise MoveRefused(f"Another store is being moved to {self._places.target_url}: {incoming.source}.")
        if incoming is None and (ring is not None or not is_empty(self._target, self._tables)):
            raise MoveRefused(f"{self._places.target_url} is not empty: a store is moved to a fresh place alone.")

    def _arrive(self, move_id: str, schema: int, ring: Item | None) -> None:
        incoming = IncomingMove(move_id, self._places.source_url, self._run)
        _write_ring(self._target, incoming_item(incoming, schema, ring), ring)

    def _check_run(self, ring: Item | None) -> None:
        incoming = incoming_of(ring)
        if incoming is None or incoming.run != self._run:
            raise WritesRefused("another run of this move has taken over")

    def _copy_served(self) -> None:
        for _ in range(_MOST_PASSES):
            copied = self._copy(consistent=False)
            self._tell(f"{copied.writes} items copied while servers use the source.")
            if copied.is_little:
                return

    def _copy(self, *, consistent: bool) -> Copied:
        """Make the target's tables as the source's."""
        of_tables = [self._copy_table(table, consistent=consistent) for table in self._tables]
        return Copied(sum(each.writes for each in of_tables), sum(each.items for each in of_tables))

    def _copy_table(self, table: Table, *, consistent: bool) -> Copied:
        comparison = Comparison(table, self._source, self._target, self._cut(), consistent=consistent)
        writes = write_all(self._target, (each.write for each in comparison.differences()))
        return Copied(writes, comparison.source.count)

    def _verified(self) -> Sequence[TableMoved]:
        """Compare all tables once more, and return what both sides hold. Raises MoveRefused where they differ."""
        return [self._verified_table(table) for table in self._tables]

    def _verified_table(self, table: Table) -> TableMoved:
        comparison = Comparison(table, self._source, self._target, self._cut(), consistent=True)
        found = list(comparison.differences())
        unlike = [each for each in found if each.end is None or each.end >= self._cut()]  # the others expired meanwhile
        if unlike:
            raise MoveRefused(
                f"{table.name}: {len(unlike)} items differ on both sides, such as {_named(unlike[0].write.key)}: "
                "something writes to the source, or to the target, that does not heed the move. End it, then run this "
                "again; nothing is lost. By --abandon the source is written again."
            )
        if not found and comparison.source != comparison.target:
            raise MoveRefused(f"{table.name}: the digests differ although all items are the same: this is a defect.")
        return TableMoved(table.name, comparison.source.count, comparison.source.digest)

    def _set(self, phase: Phase) -> None:
        """Bring the source into a phase, as long as this run has the move. Raises MoveRefused."""
        item = self._source.get(REGISTRY)
        move = move_of(item)
        if item is None or move is None or move.run != self._run:
            raise MoveRefused("The move was given up, or another run of it has taken over.")
        if move.phase is not phase:
            _write_ring(self._source, with_move(item, replace(move, phase=phase)), item)

    def _open(self, line: Put) -> None:
        """Let the target be served: its ring's item is the source's now."""
        item, ring = self._source.get(REGISTRY), self._target.get(REGISTRY)
        if item is None or ring is None:
            raise MoveRefused("The key ring's item is gone: nothing was opened.")
        self._check_run(ring)
        put = carrying(self._target, Put(KEY_RING, opened_item(item), Equals("version", version_of(ring))), item, line)
        guard_writes(self._target, always)
        _write(self._target, put)
        lay_line(self._target, line)

    def _cut(self) -> int:
        return to_millis(self.now())


def _write_ring(store: Store, new: Item, found: Item | None) -> None:
    """Write a ring's item if it is still as it was found."""
    when = Absent() if found is None else Equals("version", version_of(found))
    _write(store, Put(KEY_RING, new, when))


def _write(store: Store, put: Put) -> None:
    try:
        write_known(store, put, RetryBudget())
    except Conflict:
        raise MoveRefused(
            "The key ring's item was changed meanwhile, by a rotation of keys, a server that started on the target, or "
            "another run of this move. Run this again."
        ) from None


def _named(key: Key) -> str:
    return key.partition if key.sort is None else f"{key.partition} {key.sort}"
