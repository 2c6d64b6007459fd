"""Counters: items of ThrottleTable, read and changed by one put each that holds only while the item is as it was read.

The threads of a process change one item in turn, each from what the one before left there; between processes the
condition decides. Otherwise many clients of one account would spend its time on conflicts with itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from msgspec import Struct

from common.clock import Clock, from_millis, to_millis
from common.errors import Code, Refusal
from common.ids import new_id
from common.retry import RetryBudget
from common.storage.eventual_reads import get_eventual
from common.storage.port import Absent, Conflict, Equals, Item, Key, OutcomeUnknown, Store
from common.storage.stored_form import carried
from common.storage.tables import THROTTLE
from registration.attempts import Attempts, Quotas

_TURNS = 256


class Counter(Struct, frozen=True):
    """Where an item that counts lies, and what it bounds. That of a device is there only while the device is known."""

    key: Key
    quotas: Quotas
    is_device: bool = False


class Forgotten(Exception):
    """A device that was known is not any more."""


Rule = Callable[[Attempts], Attempts]
"""What becomes of the attempts that an item counts by now; what it raises passes through and nothing is written."""


class Counters:
    """Reads and changes counters."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))

    def read(self, counter: Counter) -> Item | None:
        """Return a counter's item. Raises StoreUnavailable."""
        return self._store.get(counter.key)

    def glance(self, counter: Counter) -> Item | None:
        """Return a counter's item, perhaps as it was a moment ago: to take from it, and to refuse nothing by it.

        A take holds only while the item has the version that was read, and else reads it anew, strongly. Raises
        StoreUnavailable.
        """
        return get_eventual(self._store, counter.key)

    def is_known(self, item: Item | None) -> bool:
        """Say whether a device's item says that the device is known."""
        return item is not None and _expiry(item) > to_millis(self._clock())

    def counted(self, counter: Counter, item: Item | None) -> Attempts:
        """Return what an item counts by now; one that is not there counts nothing. Raises Forgotten."""
        if counter.is_device and not self.is_known(item):
            raise Forgotten
        now = self._clock()
        return Attempts(now) if item is None else Attempts.from_item(item).leaked(now)

    def take(self, counter: Counter, item: Item | None, rule: Rule) -> Item:
        """Change a counter whose item was just read, and return its item. A write whose answer was lost is made again.

        Raises Forgotten, Refusal(BUSY), StoreUnavailable.
        """
        return self._change(counter, item, rule, None, (Conflict, OutcomeUnknown))

    def refund(self, counter: Counter, item: Item, rule: Rule, known_until: datetime | None = None) -> None:
        """Change a counter whose item is perhaps still this one; a device is known until then.

        Raises Forgotten, Refusal(BUSY), StoreUnavailable; OutcomeUnknown too: it may be done, and is not done twice.
        """
        self._change(counter, item, rule, known_until, Conflict)

    def remember(self, counter: Counter, known_until: datetime, at_least: datetime, *, is_new: bool = False) -> None:
        """Let a device be known until a time, unless it is `at_least` until another. Raises Conflict, StoreUnavailable.

        A conflict: another request writes there at this moment. `is_new`: it was not known, so that at first its item
        is put without a look at it.
        """
        if is_new:
            with suppress(Conflict, OutcomeUnknown):
                self._write(counter.key, Attempts(self._clock()), None, known_until)
                return
        for _ in RetryBudget():
            item = self._store.get(counter.key)
            if item is not None and _expiry(item) >= to_millis(at_least):
                return
            now = self._clock()
            counted = Attempts(now) if item is None else Attempts.from_item(item).leaked(now)
            with suppress(OutcomeUnknown):
                self._write(counter.key, counted, item, known_until)
                return

    def _change(
        self,
        counter: Counter,
        item: Item | None,
        rule: Rule,
        known_until: datetime | None,
        again: type[Exception] | tuple[type[Exception], ...],
    ) -> Item:
        budget = RetryBudget()
        with self._turn(counter.key, budget) as waited:
            for number, _ in enumerate(budget):
                before = self._store.get(counter.key) if number or waited else item
                after = rule(self.counted(counter, before))
                until = known_until or (from_millis(_expiry(before or {})) if counter.is_device else after.empty_at())
                try:
                    return self._write(counter.key, after, before, until)
                except again:
                    continue
        raise Refusal(Code.BUSY, reason="the throttle's counters", retry_after=1)

    @contextmanager
    def _turn(self, key: Key, budget: RetryBudget) -> Iterator[bool]:
        """Wait for one's turn; give whether others were there, who may have changed what was read before."""
        lock = self._turns[hash(key.partition) % _TURNS]
        waited = not lock.acquire(blocking=False)
        if waited and not lock.acquire(timeout=budget.left()):
            raise Refusal(Code.BUSY, reason="the queue of the throttle's counters", retry_after=1)
        try:
            yield waited
        finally:
            lock.release()

    def _write(self, key: Key, attempts: Attempts, before: Item | None, until: datetime) -> Item:
        """Write an item that is as it was read, and return it. Raises Conflict, StoreUnavailable, OutcomeUnknown.

        Versions are drawn at random: an item that expired and was made anew has none that a request still holds.
        """
        fields = {**attempts.to_fields(), "expires_at": to_millis(until)}
        item = {**carried(before or {}, _KNOWN), "bucket": key.partition, "version": new_id(), **fields}
        self._store.put(THROTTLE, item, Absent() if before is None else Equals("version", before["version"]))
        return item


_KNOWN = frozenset(("bucket", "version", "expires_at", "at", "spent", "codes", "others", "sources"))


def _expiry(item: Item) -> int:
    value = item.get("expires_at")
    return value if isinstance(value, int) else 0
