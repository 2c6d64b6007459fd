"""Heartbeats: an item for each process that changes accounts, so that its death is noticed while it may owe a hint.

A process that is killed after a change's put and before it laid the change down tells no stream of its endings. So it
writes every ten seconds that it lives, and how often it may have left something untold though it lives. A process that
has laid everything down deletes its heartbeat when it ends. A process with open event streams looks at all heartbeats
every ten seconds; one that has stopped, or that tells of more than before, lets it read the books of all its streams
once. A heartbeat decides nothing: one that stops for no reason costs some reads. While the store is unavailable no
conclusion is drawn. See `docs/decisions/0082-a-dead-process-is-noticed.md`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from msgspec import Struct

from common.background import BackgroundThread, RepeatingThread
from common.clock import Clock, from_millis, to_millis
from common.ids import new_id
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.paging import all_items
from common.storage.port import Delete, Put, Store, StoreUnavailable
from common.storage.tables import FEED

BEAT_SECONDS = 10.0
"""How often a process writes its heartbeat."""

STOPPED_AFTER = timedelta(seconds=25)
"""How old a heartbeat is whose process counts as dead: two beats, and a few seconds for one that is late."""

LATE_SECONDS = 15.0
"""How long a change may wait to be laid down by a process that lives before it counts as left untold."""

_KEPT = timedelta(minutes=10)
_LONGEST_GAP = _KEPT / 2
_BUCKET = "processes"


class Heartbeat(Struct, frozen=True):
    """That a process lived `at` a time of the store, and how often by then it may have left an ending `untold`."""

    process: str
    at: datetime
    untold: int

    def put(self) -> Put:
        """Return its write."""
        at, until = to_millis(self.at), to_millis(self.at + _KEPT)
        return Put(FEED, {"bucket": _BUCKET, "id": self.process, "at": at, "untold": self.untold, "expires_at": until})

    def has_stopped(self, now: datetime) -> bool:
        """Say whether its process counts as dead, or stuck."""
        return now - self.at > STOPPED_AFTER


class Looked(Struct, frozen=True):
    """What a look found: all heartbeats by process, and when that was."""

    at: datetime
    heartbeats: Mapping[str, Heartbeat] = {}

    def shows_more_than(self, before: Looked | None) -> bool:
        """Say whether something may have been left untold since the look `before`, or unseen by it. Pure.

        Each stop counts once: of a process that goes on and stops again, both do.
        """
        if before is not None and self.at - before.at > _LONGEST_GAP:
            return True  # a heartbeat that stopped meanwhile may be gone
        return any(_is_news(before, each, self.at) for each in self.heartbeats.values())


def _is_news(before: Looked | None, found: Heartbeat, now: datetime) -> bool:
    known = before and before.heartbeats.get(found.process)
    if not before or not known:
        return found.untold > 0 or found.has_stopped(now)
    was_stopped = known.at == found.at and known.has_stopped(before.at)
    return found.untold > known.untold or (found.has_stopped(now) and not was_stopped)


class HeartbeatReader:
    """Looks at the heartbeats. One thread at a time asks it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before: Looked | None = None

    def look(self, now: datetime) -> bool:
        """Say whether a process may have left an ending untold since the last look. Raises StoreUnavailable."""
        looked = Looked(now, {each.process: each for each in _heartbeats(self._store) if now - each.at < _KEPT})
        shows_more = looked.shows_more_than(self._before)
        self._before = looked
        return shows_more


class HeartbeatWriter:
    """Writes the heartbeat of this process, from `start` to `close`."""

    def __init__(self, store: Store, clock: Clock, background: BackgroundThread) -> None:
        """`background` lays down what the process changes."""
        self._store = store
        self._clock = clock
        self._background = background
        self._thread = RepeatingThread("heartbeat", BEAT_SECONDS, self.beat)
        self._lock = threading.Lock()
        self._process: str | None = None
        self._late = 0

    def start(self) -> None:
        """Write the first one, and go on in a thread, unless that was done. Raises StoreUnavailable.

        It comes before the first change, and after the process was forked. What long dead processes left is deleted:
        engines do that late, and every look would read it.
        """
        with self._lock:
            if self._process is not None:
                return
            oldest = self._clock() - _KEPT
            for each in [each for each in _heartbeats(self._store) if each.at < oldest]:
                self._delete(each.process)
            self._process = new_id()
            try:
                self._write(self._process)
            except StoreUnavailable:
                self._process = None
                raise
        self._thread.start()

    def beat(self) -> None:
        """Write that the process lives, and what it may have left untold. Raises StoreUnavailable."""
        with self._lock:
            if self._process is not None:
                self._late += self._background.waiting()[1] > LATE_SECONDS
                self._write(self._process)

    def close(self) -> None:
        """End, and delete the heartbeat once everything is laid down; else it stays, and is seen to have stopped."""
        self._thread.close()
        with self._lock:
            process, self._process = self._process, None
        if process is None or self._background.waiting()[0] or self._untold:
            return
        self._delete(process)

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Close it after a block; after one that was interrupted, as by Ctrl-C, leave the heartbeat."""
        try:
            yield
        except Exception:
            self.close()
            raise
        self.close()

    @property
    def _untold(self) -> int:
        return self._late + self._background.given_up

    def _write(self, process: str) -> None:
        write_known(self._store, Heartbeat(process, self._clock(), self._untold).put(), RetryBudget())

    def _delete(self, process: str) -> None:
        """Delete a heartbeat; where the store fails it stays, and is only read in vain."""
        with suppress(StoreUnavailable):
            write_known(self._store, Delete(FEED.key(_BUCKET, process)), RetryBudget())


def _heartbeats(store: Store) -> Iterator[Heartbeat]:
    for item in all_items(store, FEED, _BUCKET):
        yield Heartbeat(item["id"], from_millis(item["at"]), item["untold"])
