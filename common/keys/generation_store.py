"""The generation in the store: read once a second, raised by an operator's command, and its progress marked.

A process that reads an older store than it has seen serves nothing until the store is accepted under a new generation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Protocol, runtime_checkable

from common.errors import Refusal
from common.keys.generation import GENERATION, Generation, Witnessed, seen
from common.keys.key_registry import REGISTRY
from common.keys.keyring import KeyRingError
from common.keys.registry_item import version_of
from common.keys.witness import ACCEPT, WitnessFile
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.optimistic import write_optimistically
from common.storage.port import Absent, Condition, Conflict, Equals, Put, Store, StoreReplaced, StoreUnavailable
from common.storage.tables import KEY_RING

_log = logging.getLogger(__name__)


class RestoredStoreError(KeyRingError):
    """The store is older than this host has seen it; the text says what to do."""


@runtime_checkable
class HasFile(Protocol):
    """An engine whose file may be replaced by another one while it is open."""

    def is_replaced(self) -> bool:
        """Say whether another file lies at its path than the one that is open, or none."""

    def close(self) -> None:
        """See `Store.close`."""


class GenerationProvider:
    """The generation as it was read last. `witness`: None where this process keeps none, as a command does not.

    `ring_version`: that of the list of keys, as it was read last.

    It has no thread of its own: `PolicyProvider` reads it with the policy.
    """

    def __init__(
        self,
        store: Store,
        known: Generation | None,
        witness: WitnessFile | None = None,
        ring_version: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._witness = witness
        self._ring_version = ring_version
        self._known = known
        self._ring = 0
        self._kept: Witnessed | None = None
        self._kept_progress: int | None = None
        self._is_replaced = False
        self._has_changed = False

    @property
    def number(self) -> int:
        """The generation's number; 0 for a store that has none yet."""
        return 0 if self._known is None else self._known.number

    @property
    def since(self) -> datetime | None:
        """When it began; None for the first."""
        return None if self._known is None else self._known.since

    def note_change(self) -> None:
        """Note that something was changed: `keep` marks the store's progress."""
        self._has_changed = True

    def reread(self) -> None:
        """Read it again. Raises StoreReplaced where the store is not what it was; StoreUnavailable."""
        if isinstance(self._store, HasFile) and self._store.is_replaced():
            self._store.close()  # the next call opens what lies there now
            self._is_replaced = True
        shared = None if self._witness is None else self._witness.read_if_whole()  # before the store: it only grows
        before, found = self._known, read_generation(self._store)
        ring = self._ring_version()
        fault = self._fault(before, found, ring) or (shared and shared.fault(found, shared.ring))
        if fault is not None:
            raise StoreReplaced(f"{fault}. Run {ACCEPT}.")
        if found is None:
            return
        if before is not None and found.number > before.number:
            _log.warning("generation %d is in force: %s by %s", found.number, found.why, found.who)
        self._is_replaced, self._known, self._ring = False, found, ring

    def keep(self) -> None:
        """Mark the store's progress and keep what was seen of it, once a second. Raises StoreUnavailable.

        Where another process has marked it since the last time, ours waits for the next.
        """
        if self._known is None:
            return
        if self._known.progress == self._kept_progress:
            self.flush()
        self._kept_progress, last = self._known.progress, self._kept
        self._kept = seen(self._known, self._ring)
        if self._witness is not None and self._kept != last:
            self._witness.advance(self._kept)

    def flush(self) -> None:
        """Mark the store's progress, if anything was changed since it was marked last. Raises StoreUnavailable."""
        known = self._known
        if known is None or not self._has_changed:
            return
        self._has_changed = False
        marked = known.marked()
        try:
            write_known(self._store, Put(KEY_RING, marked.to_item(), Equals("mark", known.mark)), RetryBudget())
        except Conflict:  # another process was quicker: whether its mark is of after our change is seen next time
            self._has_changed = True
        except StoreUnavailable:
            self._has_changed = True
            raise
        else:
            self._known = marked

    def _fault(self, before: Generation | None, found: Generation | None, ring: int) -> str | None:
        if before is None:
            return None
        if self._is_replaced and (found is None or found.number <= before.number):
            return "The store's file was replaced while it was served"
        return seen(before, self._ring).fault(found, ring)


def read_generation(store: Store) -> Generation | None:
    """Return what the store says of itself; None where no server of this release has run on it."""
    item = store.get(GENERATION)
    return None if item is None else Generation.from_item(item)


def check_witness(store: Store, witness: WitnessFile) -> None:
    """Refuse a store that is older than this host has seen it, before anything is written to it.

    Raises RestoredStoreError, KeyRingError (the witness is not whole), StoreUnavailable.
    """
    known = witness.read()
    if known is None:
        return
    fault = known.fault(read_generation(store), version_of(store.get(REGISTRY)))
    if fault is not None:
        raise RestoredStoreError(f"{fault}. If that is meant, run {ACCEPT}; if not, see ICHIDAI_STORE_URL.")


def open_generation(store: Store, witness: WitnessFile, ring_version: Callable[[], int]) -> GenerationProvider:
    """Return the generation of a store that was checked, making the first one where there is none.

    Raises StoreUnavailable.
    """
    if read_generation(store) is None:
        with suppress(Conflict):  # another process was first
            write_known(store, Put(KEY_RING, Generation.first().to_item(), Absent()), RetryBudget())
    provider = GenerationProvider(store, None, witness, ring_version)
    provider.reread()
    provider.keep()
    return provider


def raise_generation(store: Store, *, who: str, why: str, now: datetime) -> Generation:
    """Make all void that was given out before, on every host within five seconds. Raises StoreUnavailable."""

    def raising() -> tuple[Generation, Put]:
        found = read_generation(store)
        raised = (found or Generation.first()).raised(who, why, now)
        when: Condition = Absent() if found is None else Equals("mark", found.mark)
        return raised, Put(KEY_RING, raised.to_item(), when)

    try:
        return write_optimistically(store, raising, contended="the generation")
    except Refusal as busy:
        raise StoreUnavailable(f"the generation: {busy.reason}") from busy
