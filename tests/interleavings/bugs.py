"""The mistakes that the limit's rules are there to prevent, each as a part to be handed to the use cases in a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from common.account.admission import Admit, AuthenticatedUser, ConcurrencyMode, Consent, ConsentToEnd, Decision
from common.account.book import Book, Session
from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo
from common.account.rows import rows_from_items
from common.account.transactions import AccountTransactions
from common.crypto.tokens import SignedTokens
from common.storage.port import Condition, Item, Key, OutcomeUnknown, Page, Sort, Store, Table
from common.storage.tables import FEED, LOGIN_HISTORY, SESSIONS
from device_manager.concurrency_policy import decide
from tests.interleavings.process import OneRead

CACHED_FOR = timedelta(seconds=5)


@dataclass(slots=True)
class Around:
    """A store around another: what it does not bend goes through."""

    inner: Store

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self.inner.get(key)

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        return self.inner.query(table, partition, after=after, limit=limit, descending=descending)

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self.inner.put(table, item, when)

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self.inner.delete(key, when)

    def close(self) -> None:
        """See `Store.close`."""
        self.inner.close()


class Unconditional(Around):
    """Count, then create: what was decided on is written whatever lies there by then."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put without the condition."""
        self.inner.put(table, item)

    def delete(self, key: Key, when: Condition = None) -> None:
        """Delete without the condition."""
        self.inner.delete(key)


class RowsFirst(Around):
    """Rows that are overwritten before the book's put: the certificate is revoked first, then the book learns of it."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put what a book carries for other tables, then the book."""
        if table is SESSIONS:
            for row in rows_from_items(item.get("rows", ())):  # type: ignore[arg-type, union-attr]
                self.inner.put(row.table, row.item)
        self.inner.put(table, item, when)


class Forgetting(Around):
    """A challenge that is judged in the loop, and whose mark is forgotten: as one that expires at once."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put a book without marks."""
        self.inner.put(table, _unmarked(item), when)


def _unmarked(item: Item) -> Item:
    return {name: value for name, value in item.items() if name != "marks"}


class OutboxDropped(Around):
    """A book without an outbox: what happened is noted when it has happened."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put a book without what it carries."""
        self.inner.put(table, {name: value for name, value in item.items() if name != "outbox"}, when)


class LeftOpen(Around):
    """A closing that ends the sessions, and that the book does not know of."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put a book that is open."""
        if table is SESSIONS:
            item = replace(Book.from_item(item), closed_until=None).to_item()
        self.inner.put(table, item, when)


@dataclass(slots=True)
class QueuedLater(Around):
    """A closing whose days are written down when the account is closed already."""

    waiting: list[Item] = field(default_factory=list)

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put what waits for its day after the book."""
        if table is FEED:
            self.waiting.append(item)
            return
        self.inner.put(table, item, when)
        while table is SESSIONS and self.waiting:
            self.inner.put(FEED, self.waiting.pop())


class LaidDownTwice(Around):
    """An entry of the history that is written whether its number is taken or not, each time under the next one."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put an entry under the first number that is free."""
        while table is LOGIN_HISTORY and self.inner.get(table.key_of(item)) is not None:
            item = {**item, "change_no": int(str(item["change_no"])) + 1}
        self.inner.put(table, item, when)


class ChangeIdForgotten(Around):
    """Books that remember another id than that of the change that wrote them."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put a book under another id."""
        changes: Any = item.get("changes", [])
        if table is SESSIONS:
            item = {**item, "changes": [["forgotten", *rest] for _, *rest in changes]}
        self.inner.put(table, item, when)


@dataclass(slots=True)
class LosingAnswers(Around):
    """Not a bug but what brings one out: the answer of the first commit of each book's change is lost."""

    lost: bool = field(default=False)

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put; the first time the answer does not come."""
        self.inner.put(table, item, when)
        self._lose(table)

    def _lose(self, *tables: Table) -> None:
        if not self.lost and SESSIONS in tables:
            self.lost = True
            raise OutcomeUnknown("the answer was lost")


def by_count(
    live: Sequence[Session], device_id: str, *, limit: int, mode: ConcurrencyMode, consent: Consent | None
) -> Decision:
    """Consent by count: whoever agreed to end one session ends any one."""
    others = tuple(session for session in live if session.device_id != device_id)
    if isinstance(consent, ConsentToEnd) and len(others) <= len(consent.session_ids):
        return Admit(evicted=others)
    return decide(live, device_id, limit=limit, mode=mode, consent=consent)


class AnyEpoch(int):
    """An epoch, or a count, that equals every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return int.__hash__(self)


@dataclass(frozen=True, slots=True)
class WithoutEpoch:
    """A password check whose outcome is tied to no password: login without the epoch condition."""

    inner: OneRead

    def authenticate(self, *args: Any, **more: Any) -> AuthenticatedUser:
        """See `CredentialCheck.prove`."""
        proven = self.inner.authenticate(*args, **more)
        return replace(proven, credential_version=AnyEpoch(proven.credential_version))

    def reauthenticate(self, *args: Any, **more: Any) -> AuthenticatedUser:
        """See `CredentialCheck.reauthenticate`: a change of the password is not what is bent here."""
        return self.inner.reauthenticate(*args, **more)

    def remember(self, user_uuid: str, device_hint: str, client: ClientInfo, counted_as: str | None = None) -> None:
        """See `CredentialCheck.remember`."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Consents whose number of admissions is not compared with the book's."""

    inner: SignedTokens

    def sign(self, value: Any) -> str:
        """See `SignedTokens.seal`."""
        return self.inner.sign(value)

    def verify(self, token: str) -> Any:
        """Return what a token says, with a number that equals every other."""
        *fields, admissions, counted_as = self.inner.verify(token)
        return [*fields, AnyEpoch(admissions), counted_as]


class Caching:
    """Account transactions whose books are read anew after five seconds only: a cache in verification."""

    def __init__(self, inner: AccountTransactions, clock: Callable[[], datetime]) -> None:
        self._inner = inner
        self._clock = clock
        self._kept: dict[str, tuple[datetime, Book | None]] = {}

    def get_book(self, user_uuid: str) -> Book | None:
        """Return the book as it was read at most five seconds ago."""
        read_at, book = self._kept.get(user_uuid, (None, None))
        if read_at is None or self._clock() - read_at > CACHED_FOR:
            book = self._inner.get_book(user_uuid)
            self._kept[user_uuid] = (self._clock(), book)
        return book


@dataclass(frozen=True, slots=True)
class Unbinding:
    """Account transactions under which a refresh loses what the session is bound to."""

    inner: AccountTransactions

    def run(
        self,
        user_uuid: str,
        transition: Callable[[Snapshot], TransactionResult[Any]],
        *,
        client: ClientInfo,
    ) -> Any:
        """Change the book, without the mark of the session."""

        def unbinding(snapshot: Snapshot) -> TransactionResult[Any]:
            change = transition(snapshot)
            if change.draft is None or change.result is None:
                return change
            book, session = change.result
            bare = replace(session, certified=False)
            return TransactionResult((book, bare), change.draft.with_book(change.draft.book.updated(bare)))

        return self.inner.run(user_uuid, unbinding, client=client)


@dataclass(frozen=True, slots=True)
class Minting:
    """Account transactions under which the grace mints: whoever repeats a refresh gets a successor of the successor."""

    inner: AccountTransactions

    def run(
        self,
        user_uuid: str,
        transition: Callable[[Snapshot], TransactionResult[Any]],
        *,
        client: ClientInfo,
    ) -> Any:
        """Change the book where the answer alone was to be repeated."""

        def minting(snapshot: Snapshot) -> TransactionResult[Any]:
            change = transition(snapshot)
            if change.draft is not None or change.result is None:
                return change
            book, session = change.result
            next_one = replace(session, generation=session.generation + 1, rotated_at=snapshot.now)
            return TransactionResult((book, next_one), snapshot.draft.with_book(snapshot.book.updated(next_one)))

        return self.inner.run(user_uuid, minting, client=client)
