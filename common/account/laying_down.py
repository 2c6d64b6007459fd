"""Laying down: what a book carries is written to its tables, after the put that made it so: rows, feed and history.

It may be done twice, and by any process: a record's number is taken once, and a stream that was told of an ending is
over. Rows and feed come first, so that what lies in the history was told; records are laid down in their order, so that
the history has no gap before its end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import orjson

from common.account.account_metrics import OUTBOX_FAILURES
from common.account.book import Book
from common.account.event_queue import queue_puts
from common.account.feed import endings_in, tell_endings
from common.account.history import HistoryRecord, history_put, read_laid_down, read_record, record_to_item
from common.account.retention import FOR_EVER, Retention
from common.account.row_store import lay_row
from common.account.rows import PendingRow
from common.background import InBackground
from common.bounded_cache import BoundedCache
from common.clock import Clock
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Conflict, Store, StoreUnavailable

_MOST_KNOWN = 65_536
_AGAIN_SECONDS = 1.0

_UNKNOWN_SECONDS = 5.0
"""For how long a write whose answer was lost is looked for: a request that is still under way arrives by then."""

_log = logging.getLogger(__name__)


class LayingDown:
    """Lays outboxes down, and remembers which records were, for each user: by what they say, not by their numbers.

    For a store may be restored while processes live, and then its numbers are given anew; a book of an earlier version
    than one that was laid down is taken for one that never was.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        in_background: InBackground,
        tell: Callable[[str, HistoryRecord], None] = lambda _user, _record: None,
        retention: Retention = FOR_EVER,
        receivers: Sequence[str] = (),
        before_change: Callable[[], object] = lambda: None,
    ) -> None:
        """`tell` is told of each change before the history has it, at least once; it may raise StoreUnavailable.

        `receivers`: the machines in whose queues every ending is put. `before_change` is called before each put of a
        book: a process that serves has its heartbeat then, a command begins it.
        """
        self.retention = retention
        self.before_change = before_change
        self._receivers = receivers
        self._tell = tell
        self._store = store
        self._clock = clock
        self._in_background = in_background
        self._done: BoundedCache[str, tuple[int, frozenset[int]]] = BoundedCache(_MOST_KNOWN)
        self._done_rows: BoundedCache[str, tuple[int, frozenset[str]]] = BoundedCache(_MOST_KNOWN)
        self._handed: BoundedCache[str, tuple[tuple[int, int], float]] = BoundedCache(_MOST_KNOWN)
        self._settled: BoundedCache[str, Book | None] = BoundedCache(_MOST_KNOWN)

    def pending(self, book: Book) -> tuple[HistoryRecord, ...]:
        """Return what is not known to be laid down."""
        done = self._done_of(book)
        return tuple(record for record in book.outbox if _fingerprint(record) not in done) if done else book.outbox

    def pending_rows(self, book: Book) -> tuple[PendingRow, ...]:
        """Return the rows that are not known to be laid down."""
        version, done = self._done_rows.get(book.user_uuid) or (0, frozenset[str]())
        if version > book.version:
            return book.rows
        return tuple(row for row in book.rows if row.change_id not in done)

    def hand_over(self, book: Book, *, own: bool) -> None:
        """Have what is pending laid down in the background. `own`: this process has just recorded the last of it.

        What was handed over a second ago is not handed over again. It never raises, and waits for no store where the
        background is a thread.
        """
        if self._settled.get(book.user_uuid) is book:  # the very one of which nothing was pending before
            return
        records, rows = self.pending(book), self.pending_rows(book)
        if not records and not rows:
            self._settled.put(book.user_uuid, book)
            return
        last, now = (records[-1].change_no if records else 0, rows[-1].version if rows else 0), time.monotonic()
        handed, at = self._handed.get(book.user_uuid) or ((0, 0), 0.0)
        if not own and handed >= last and now - at < _AGAIN_SECONDS:
            return
        self._handed.put(book.user_uuid, (last, now))
        self._in_background(partial(self.lay_down, book, own=last[0] if own else 0))

    def lay_down_unknown(self, read: Callable[[], Book | None]) -> None:
        """Have laid down what a write without an answer may have put in a book, for as long as it may still come there.

        `read` reads the book, and may raise StoreUnavailable.
        """
        end = time.monotonic() + _UNKNOWN_SECONDS

        def lay_down() -> bool:
            try:
                book = read()
            except StoreUnavailable:
                return False
            return (book is None or self.lay_down(book)) and time.monotonic() >= end

        self._in_background(lay_down)

    def lay_down(self, book: Book, own: int = 0) -> bool:
        """Lay down in order what is pending of a book, as far as the store allows; say whether all is.

        `own`: the number of the record that this process has just made. It is written without a look whether it is
        there.
        """
        user_uuid, records, rows = book.user_uuid, self.pending(book), self.pending_rows(book)
        self._settled.put(user_uuid, None)
        try:
            for row in rows:
                lay_row(self._store, user_uuid, row)
            if rows:  # what the book carried that was done before is gone from it with its next write
                self._done_rows.put(user_uuid, (book.version, frozenset(row.change_id for row in book.rows)))
            there = self._laid_down(user_uuid, [record for record in records if record.change_no != own])
            for record in records:
                if record.change_no not in there:
                    self._lay(user_uuid, record)
                self._remember(book, record)
        except StoreUnavailable as error:
            OUTBOX_FAILURES.add()
            _log.warning("a change is not laid down yet: %s", error)
            return False
        return True

    def _remember(self, book: Book, record: HistoryRecord) -> None:
        """Remember that a record is laid down, and forget those that no book of this account carries any more."""
        carried = map(_fingerprint, book.outbox)
        done = frozenset((*self._done_of(book).intersection(carried), _fingerprint(record)))
        self._done.put(book.user_uuid, (book.version, done))

    def _done_of(self, book: Book) -> frozenset[int]:
        version, done = self._done.get(book.user_uuid) or (0, frozenset[int]())
        return done if version <= book.version else frozenset()

    def _laid_down(self, user_uuid: str, records: Sequence[HistoryRecord]) -> Collection[int]:
        """Return the numbers of those that lie in the history; say to the log which of them is another one there."""
        if len(records) <= 1:
            found = [read_record(self._store, user_uuid, record.change_no) for record in records]
        else:  # one call for all: a book that many processes change must not wait for as many reads
            last, first = records[-1].change_no, records[0].change_no
            found = [*read_laid_down(self._store, user_uuid, before=last + 1, limit=last + 1 - first)]
        there = {each.change_no: each for each in found if each is not None}
        for record in records:
            if there.get(record.change_no, record) != record:
                _log.error(
                    "the history of %s is not that of its book: change %d lies there otherwise. Were they restored to "
                    "different times? The account works; the change is lost to the history.",
                    user_uuid,
                    record.change_no,
                )
        return there.keys()

    def _lay(self, user_uuid: str, record: HistoryRecord) -> None:
        endings = endings_in(user_uuid, record.events)
        if endings:
            tell_endings(self._store, self._clock, endings, record.change_no)
            for put in queue_puts(self._receivers, endings, record.change_no):
                write_known(self._store, put, RetryBudget())
        self._tell(user_uuid, record)
        try:
            write_known(self._store, history_put(user_uuid, record, self.retention.end_of(record)), RetryBudget())
        except Conflict:
            self._laid_down(user_uuid, [record])


def _fingerprint(record: HistoryRecord) -> int:
    """Return what tells a record from another one of the same number. It holds in this process alone."""
    return hash(orjson.dumps(record_to_item(record)))
