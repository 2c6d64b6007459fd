"""The one loop through which every book changes: read, decide, commit if nothing changed meanwhile, else again.

A decision is a pure function of a `Snapshot`. Its history entry, what the feed tells of the sessions it ended, and its
companion writes go into the same commit.
Changes of one user queue inside a process; across processes the condition on the book's version decides. A commit
whose answer was lost is repeated under its own request id until it is known; it is never taken for a conflict.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from common.book import Book
from common.clock import Clock
from common.draft import Draft
from common.errors import Code, Refusal
from common.feed import endings_in, feed_put
from common.history import Entry, Origin, entry_put
from common.memo import Memo
from common.patience import DEADLINE_SECONDS, Patience
from common.storage.port import (
    Absent,
    Conflict,
    Equals,
    Item,
    Key,
    Put,
    Store,
    Write,
)
from common.storage.resolving import commit_known
from common.storage.tables import SESSIONS

R = TypeVar("R")

_QUEUES = 256
_MOST_BOOKS = 8192
"""Books whose item is known to say what it said, for each process: as many as are verified at a time."""


class Snapshot(Struct, frozen=True):
    """What a decision sees: the book, the items it asked for (read after the book), and the time of this try."""

    book: Book
    items: tuple[Item | None, ...]
    now: datetime

    @property
    def draft(self) -> Draft:
        """The book, ready to be changed."""
        return Draft(self.book)


class Change(Struct, Generic[R], frozen=True):
    """A decision: the changed book with its events, writes of neighbours that belong to it, and what to answer.

    `draft` None: there is nothing to write, only an answer to give.
    """

    result: R
    draft: Draft | None = None
    writes: tuple[Write, ...] = ()


Transition = Callable[[Snapshot], Change[R]]


class NoSuchUser(Exception):
    """The user has no book: the account was never there, or is gone."""


class Bookkeeper:
    """Reads and changes books.

    `store`, `clock`, `pause` and `deadline` (seconds) are parameters so that tests own them.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        deadline: float = DEADLINE_SECONDS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._deadline = deadline
        self._pause = pause
        self._books: Memo[str, tuple[Key, Item, Book]] = Memo(_MOST_BOOKS)
        self._queues = tuple(threading.Lock() for _ in range(_QUEUES))

    def read(self, user_uuid: str) -> Book | None:
        """Return the user's book as of now: one strong read. Raises StoreUnavailable.

        The store is asked every time; only what an unchanged item says is not worked out anew.
        """
        known = self._books.get(user_uuid)
        key = SESSIONS.key(user_uuid) if known is None else known[0]
        item = self._store.get(key)
        if known is not None and known[1] is item:  # the very bytes that were read before
            return known[2]
        return None if item is None else self._books.put(user_uuid, (key, item, Book.from_item(item)))[2]

    def create(self, draft: Draft, writes: Sequence[Write], origin: Origin) -> None:
        """Write a new user's book with its first history entry and its companions.

        Raises Conflict, whose positions are those of `writes` (an id that is taken lies beyond them); StoreUnavailable.
        """
        commit_known(self._store, (*writes, *_book_writes(None, draft, origin, self._clock())), self._patience())

    def preview(self, user_uuid: str, transition: Transition[R], reading: Sequence[Key] = ()) -> R:
        """Take the decision once and write nothing: what a caller asks before it makes anything expensive."""
        return transition(self._snapshot(user_uuid, reading)).result

    def change(
        self, user_uuid: str, transition: Transition[R], *, reading: Sequence[Key] = (), origin: Origin = Origin()
    ) -> R:
        """Take the decision on the book as it is and make it so; nothing is answered before it is durable.

        `transition` is called once a try and must be pure. What it raises passes through and nothing was written.
        Raises NoSuchUser, Refusal(BUSY) past the deadline, StoreUnavailable.
        """
        patience = self._patience()
        with self._queue(user_uuid, patience):
            for _ in patience:
                snapshot = self._snapshot(user_uuid, reading)
                change = transition(snapshot)
                if change.draft is None:
                    return change.result
                writes = (*change.writes, *_book_writes(snapshot.book, change.draft, origin, snapshot.now))
                try:
                    commit_known(self._store, writes, patience)
                except Conflict:
                    continue
                return change.result
        raise Refusal(Code.BUSY, reason="conflicts up to the deadline", retry_after=1)

    def _snapshot(self, user_uuid: str, reading: Sequence[Key]) -> Snapshot:
        """Read the book first: an item that changes after it is then caught by the book's version."""
        book = self.read(user_uuid)
        if book is None:
            raise NoSuchUser
        return Snapshot(book, tuple(self._store.get(key) for key in reading), self._clock())

    def _patience(self) -> Patience:
        return Patience(self._deadline, self._pause)

    @contextmanager
    def _queue(self, user_uuid: str, patience: Patience) -> Iterator[None]:
        lock = self._queues[hash(user_uuid) % _QUEUES]
        if not lock.acquire(timeout=patience.left()):
            raise Refusal(Code.BUSY, reason="the queue of this account", retry_after=1)
        try:
            yield
        finally:
            lock.release()


def _book_writes(before: Book | None, draft: Draft, origin: Origin, now: datetime) -> tuple[Write, ...]:
    """Return the book's write, and what it records: the history entry, and the feed's item if sessions ended."""
    book, recorded = draft.book, bool(draft.events)
    version = 1 if before is None else before.version + 1
    written = replace(book, version=version, change_no=book.change_no + recorded)
    condition = Absent() if before is None else Equals("version", before.version)
    writes: tuple[Write, ...] = (Put(SESSIONS, written.to_item(), condition),)
    if recorded:
        writes = (*writes, entry_put(book.user_uuid, Entry(written.change_no, draft.events, origin)))
    endings = endings_in(book.user_uuid, draft.events)
    return (*writes, feed_put(endings, written.change_no, now)) if endings else writes
