"""The one loop through which every book changes: read, decide, commit if nothing changed meanwhile, else again.

A decision is a pure function of a `Snapshot`. What it records goes into the book's outbox, and from there into the
history and the feed (`laying_down`), and so do the rows of other tables that follow from it. A change is one put of the
book on condition of its version. See `docs/decisions/0039-one-change-is-one-put.md` and 0047.
Changes of one user queue inside a process; across processes the condition on the book's version decides. Where an
answer was lost the book itself tells whether the change was made, by its id; it is never taken for a conflict.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from common.account.account_metrics import tell_events
from common.account.book import Book
from common.account.decision import DecisionFunction, Snapshot, completed
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, HistoryRecord
from common.account.laying_down import LayingDown
from common.account.marks import kept
from common.account.outbox import has_capacity
from common.account.policy import UNLIMITED, Policies, Policy
from common.account.rows import pending_at, rows_of
from common.account.tombstone import is_tombstone
from common.background import at_once
from common.bounded_cache import BoundedCache
from common.clock import Clock
from common.errors import Code, Refusal
from common.ids import new_change_id
from common.retry import DEADLINE_SECONDS, RetryBudget
from common.storage.batches import Outcome, put_each
from common.storage.engine_rules import size_of
from common.storage.idempotent_commit import put_each_known, write_known
from common.storage.optimistic import write_optimistically
from common.storage.port import (
    Absent,
    Conflict,
    Equals,
    Item,
    Key,
    OutcomeUnknown,
    Put,
    Store,
    StoreUnavailable,
    Write,
)
from common.storage.stored_form import UnknownForm
from common.storage.tables import SESSIONS

R = TypeVar("R")

_QUEUES = 256
_MOST_BOOKS = 16_384
"""Books whose item is known to say what it said, for each process: as many as are verified at a time."""


class NoSuchUser(Exception):
    """The user has no book: the account was never there, or is gone."""


class AccountTransactions:
    """Reads and changes books.

    `store`, `clock`, `pause` and `deadline` (seconds) are parameters so that tests own them. `laying` writes what
    changes recorded into the history and the feed; by default before the answer. `policies`: the policy in force; each
    change is decided under one, and the book carries its number.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        deadline: float = DEADLINE_SECONDS,
        pause: Callable[[float], None] = time.sleep,
        laying: LayingDown | None = None,
        policies: Policies = UNLIMITED,
    ) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock
        self._deadline = deadline
        self._pause = pause
        self._laying = laying or LayingDown(store, clock, at_once)
        self._books: BoundedCache[str, tuple[Key, Item, Book]] = BoundedCache(_MOST_BOOKS)
        self._queues = tuple(threading.Lock() for _ in range(_QUEUES))

    def promptly(self, store: Store, policies: Policies) -> AccountTransactions:
        """Return the same over a store and policies that never wait. What either reads the other knows as last read."""
        prompt = AccountTransactions(store, self._clock, laying=self._laying, policies=policies)
        prompt._books = self._books
        return prompt

    def get_book(self, user_uuid: str) -> Book | None:
        """Return the user's book as of now: one strong read. Raises StoreUnavailable.

        The store is asked every time; only what an unchanged item says is not worked out anew.
        """
        known = self._books.get(user_uuid)
        key = SESSIONS.key(user_uuid) if known is None else known[0]
        item = self._store.get(key)
        if known is not None and known[1] is item:  # the very bytes that were read before
            book = known[2]
        elif item is None or is_tombstone(item):
            return None
        else:
            book = self._books.put(user_uuid, (key, item, Book.from_item(item)))[2]
        if book.outbox or book.rows:
            self._laying.hand_over(book, own=False)
        return book

    def policy(self) -> Policy:
        """Return the policy in force. Raises StoreUnavailable."""
        return self._policies.current()

    def create(self, draft: Draft, prepared: Sequence[Put], client: ClientInfo, rows: Sequence[Put] = ()) -> None:
        """Write a new user's book with its first history entry, after what means nothing without it.

        `rows` follow from it. Raises Conflict: its id is taken; StoreUnavailable.
        """
        snapshot = Snapshot(Book(draft.book.user_uuid), {}, self._clock(), self._policies.current())
        put, book, events = self._put_of(snapshot, draft, rows, client, is_new=True)
        budget = self._retry_budget()
        put_each_known(self._store, prepared, budget)
        write_known(self._store, put, budget, _was_made)
        tell_events(book.user_uuid, events)
        self._lay_down(book)
        self._policies.note_change()

    def dry_run(self, user_uuid: str, transition: DecisionFunction[R], reading: Sequence[Key] = ()) -> R:
        """Take the decision once and write nothing: what a caller asks before it makes anything expensive."""
        return transition(self._snapshot(user_uuid, reading)).result

    def run(
        self,
        user_uuid: str,
        transition: DecisionFunction[R],
        *,
        reading: Sequence[Key] = (),
        client: ClientInfo = ClientInfo(),
    ) -> R:
        """Take the decision on the book as it is and make it so; nothing is answered before it is durable.

        `transition` is called once a try and must be pure. What it raises passes through and nothing was written.
        Where rows follow from the change the answer waits until they are laid down, so that the request that comes next
        sees them. Raises NoSuchUser, Refusal(BUSY) past the deadline, StoreUnavailable; OutcomeUnknown too: the change
        is made, and its rows are laid down by the process that reads the book next.
        """
        prepared: set[Key] = set()
        budget = self._retry_budget()

        def decide() -> tuple[tuple[R, Book | None, Sequence[Event]], Put | None]:
            snapshot = self._snapshot(user_uuid, reading)
            change = transition(snapshot)
            if change.draft is None:
                return (change.result, None, ()), None
            draft, puts = completed(snapshot, change.draft, change.writes)
            put, book, events = self._put_that_fits(snapshot, draft, puts, client)
            new = [each for each in change.prepared if each.key not in prepared]
            put_each_known(self._store, new, budget)
            prepared.update(each.key for each in new)
            return (change.result, book, events), put

        try:
            with self._queue(user_uuid, budget):
                result, book, events = write_optimistically(
                    self._store, decide, contended="this account's book", budget=budget, was_done=_was_made
                )
        except StoreUnavailable as error:
            self._lay_down_unknown(user_uuid, error)
            raise
        except Exception:
            self._take_away(prepared)
            raise
        if book is not None:
            tell_events(user_uuid, events)
            self._policies.note_change()
            self._lay_down(book)
        return result

    def _lay_down_unknown(self, user_uuid: str, error: StoreUnavailable) -> None:
        """Have laid down what a change may have recorded whose answer was lost."""
        if isinstance(error, OutcomeUnknown):
            self._laying.lay_down_unknown(partial(self.get_book, user_uuid))

    def _take_away(self, prepared: Collection[Key]) -> None:
        """Delete what a refused change had put beforehand; where the store fails it stays, and means nothing."""
        with suppress(StoreUnavailable):
            for key in prepared:
                self._store.delete(key)

    def _lay_down(self, book: Book) -> None:
        """Have what a change of this process left in its book laid down; rows of its own before the answer."""
        if any(row.version == book.version for row in book.rows):
            if not self._laying.lay_down(book, own=book.change_no):
                self._laying.hand_over(book, own=True)
                raise OutcomeUnknown("the change is made, and not laid down yet")
        else:
            self._laying.hand_over(book, own=True)

    def change_each(self, transitions: Mapping[str, DecisionFunction[None]]) -> Collection[str]:
        """Change many users' books, each for itself: for what is done in the background and may wait for the next time.

        A decision is taken on the book as it was last read here, without reading it: its version tells whether it is
        still so. Where it is not, and where that book needs no change (which no condition confirms), the decision is
        taken once more on the book as it is. Returns the users whose change is not known to be made. Users who are
        gone are passed over. Raises StoreUnavailable.
        """
        first = self._try_each(transitions, self._last_read)
        unsure = {
            user: transition
            for user, transition in transitions.items()
            if user not in first or isinstance(first[user], Conflict)
        }
        faults = {**first, **dict.fromkeys(unsure), **self._try_each(unsure, self.get_book)}
        return [user for user, fault in faults.items() if fault is not None]

    def _try_each(
        self, transitions: Mapping[str, DecisionFunction[None]], book_of: Callable[[str], Book | None]
    ) -> Mapping[str, Outcome]:
        """Return what became of each change that needs a write."""
        puts: dict[str, Put] = {}
        recorded: dict[str, Sequence[Event]] = {}
        for user_uuid, transition in transitions.items():
            try:
                book = book_of(user_uuid)
            except UnknownForm:  # one account that only a later release may write holds no other up
                continue
            if book is None:
                continue
            snapshot = self._snapshot_of(book, {})
            change = transition(snapshot)
            if change.draft is not None:
                draft, rows = completed(snapshot, change.draft, change.writes)
                puts[user_uuid], _, recorded[user_uuid] = self._put_of(snapshot, draft, rows, ClientInfo())
        outcomes = dict(zip(puts, put_each(self._store, tuple(puts.values())), strict=True))
        for user_uuid, outcome in outcomes.items():
            if outcome is None:
                tell_events(user_uuid, recorded[user_uuid])
        if puts:
            self._policies.note_change()
        return outcomes

    def _last_read(self, user_uuid: str) -> Book | None:
        """Return the book as it was when it was read last; as it is now if that is not known any more."""
        known = self._books.get(user_uuid)
        return self.get_book(user_uuid) if known is None else known[2]

    def _snapshot(self, user_uuid: str, reading: Sequence[Key]) -> Snapshot:
        """Read the book first: an item that changes after it is then caught by the book's version."""
        book = self.get_book(user_uuid)
        if book is None:
            raise NoSuchUser
        return self._snapshot_of(book, {key: pending_at(book.rows, key) or self._store.get(key) for key in reading})

    def _snapshot_of(self, book: Book, items: Mapping[Key, Item | None]) -> Snapshot:
        now, policy = self._clock(), self._policies.of(book)
        current = book.in_generation(policy.generation)
        return Snapshot(current, items, now, policy, () if current is book else book.in_order())

    def _put_of(
        self, snapshot: Snapshot, draft: Draft, puts: Sequence[Put], client: ClientInfo, *, is_new: bool = False
    ) -> tuple[Put, Book, Sequence[Event]]:
        """Return the book's write, the book as it will be, its outbox included, and what the change records.

        Sessions that were over the limit when the change was decided leave with it, whatever the change was.
        """
        self._laying.before_change()
        before, now = snapshot.book, snapshot.now
        draft = draft.without_over_limit(before, snapshot.rules, now)
        book, version, policy = draft.book, before.version + 1, max(before.policy, snapshot.policy.number)
        generation = max(before.generation, snapshot.policy.generation)
        change_id = new_change_id()
        outbox, change_no = self._laying.pending(book), book.change_no + bool(draft.events)
        if draft.events:
            outbox = (*outbox, HistoryRecord(change_no, draft.events, self._laying.retention.origin_of(client)))
        rows = (*self._laying.pending_rows(book), *rows_of(puts, version, change_id))
        marks = kept(book.marks, now)
        numbers = {"policy": policy, "generation": generation}
        written = replace(book, change_no=change_no, outbox=outbox, rows=rows, marks=marks, **numbers)
        written = written.remembering(change_id, version, now)
        condition = Absent() if is_new else Equals("version", before.version)
        return Put(SESSIONS, written.to_item(), condition), written, draft.events

    def _put_that_fits(
        self, snapshot: Snapshot, draft: Draft, puts: Sequence[Put], client: ClientInfo
    ) -> tuple[Put, Book, Sequence[Event]]:
        """Return what `_put_of` does, once the book can take what is recorded: what it carries is laid down before.

        Raises Refusal(BUSY): that cannot be done, or does not help.
        """
        pending, rows = self._laying.pending(draft.book), self._laying.pending_rows(draft.book)
        decided = self._put_of(snapshot, draft, puts, client)
        if has_capacity(pending, draft.events, size_of(decided[0].item)):
            return decided
        if (pending or rows) and self._laying.lay_down(draft.book):
            decided = self._put_of(snapshot, draft, puts, client)
            if has_capacity((), draft.events, size_of(decided[0].item)):
                return decided
        raise Refusal(Code.BUSY, reason="the account's book is full", retry_after=1)

    def _retry_budget(self) -> RetryBudget:
        return RetryBudget(self._deadline, self._pause)

    @contextmanager
    def _queue(self, user_uuid: str, budget: RetryBudget) -> Iterator[None]:
        lock = self._queues[hash(user_uuid) % _QUEUES]
        if not lock.acquire(timeout=budget.left()):
            raise Refusal(Code.BUSY, reason="the queue of this account", retry_after=1)
        try:
            yield
        finally:
            lock.release()


def _was_made(write: Write, found: Item | None) -> bool:
    """Say whether the change that a book's write makes was made. Raises OutcomeUnknown: the book may have forgotten."""
    if found is None or not isinstance(write, Put):
        return False
    change = Book.from_item(write.item).changes[-1]
    made = Book.from_item(found).was_made(change.change_id, change.version)
    if made is None:
        raise OutcomeUnknown("an answer was lost, and the account has changed too often since")
    return made
