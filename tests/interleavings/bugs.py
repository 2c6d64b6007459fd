"""The mistakes that the limit's rules are there to prevent, each as a part to be handed to the use cases in a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from common.admission import Admit, ConcurrencyMode, Consent, Decision, Proven, Shown
from common.book import Book, Session
from common.bookkeeping import Bookkeeper, Change, Snapshot
from common.history import Origin
from common.ids import new_id
from common.storage.port import Item, Key, OutcomeUnknown, Page, Sort, Store, Table, Write
from common.storage.tables import CHALLENGES, DEVICES, LOGIN_HISTORY, SESSIONS
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

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """See `Store.commit`."""
        self.inner.commit(writes, request_id)

    def close(self) -> None:
        """See `Store.close`."""
        self.inner.close()


class Unconditional(Around):
    """Count, then create: what was decided on is written whatever lies there by then."""

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Commit without conditions."""
        self.inner.commit([replace(write, when=None) for write in writes], request_id)


class TwoWrites(Around):
    """Unbinding in two writes: the certificate is revoked first, then the book learns of it."""

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Commit the devices' rows apart from the rest."""
        apart = [write for write in writes if write.key.table is DEVICES]
        if not apart or len(apart) == len(writes):
            self.inner.commit(writes, request_id)
            return
        self.inner.commit(apart, new_id())
        self.inner.commit([write for write in writes if write not in apart], request_id)


class Forgetting(Around):
    """A challenge that is judged in the loop, and whose end is forgotten in the commit."""

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Commit without the challenge."""
        self.inner.commit([write for write in writes if write.key.table is not CHALLENGES], request_id)


class HistoryApart(Around):
    """The history outside the commit: what happened is noted when it has happened."""

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Commit the history's entries after the rest."""
        entries = [write for write in writes if write.key.table is LOGIN_HISTORY]
        if not entries or len(entries) == len(writes):
            self.inner.commit(writes, request_id)
            return
        self.inner.commit([write for write in writes if write not in entries], request_id)
        self.inner.commit(entries, new_id())


class NewRequestIds(Around):
    """A repetition without the request id: every sending is a commit of its own."""

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Commit under a fresh id."""
        self.inner.commit(writes, new_id())


@dataclass(slots=True)
class LosingAnswers(Around):
    """Not a bug but what brings one out: the answer of the first commit of each book's change is lost."""

    lost: bool = field(default=False)

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Commit; the first time the answer does not come."""
        self.inner.commit(writes, request_id)
        if not self.lost and any(write.key.table is SESSIONS for write in writes):
            self.lost = True
            raise OutcomeUnknown("the answer was lost")


def by_count(
    live: Sequence[Session], device_id: str, *, limit: int, mode: ConcurrencyMode, consent: Consent
) -> Decision:
    """Consent by count: whoever agreed to end one session ends any one."""
    others = tuple(session for session in live if session.device_id != device_id)
    if isinstance(consent, Shown) and len(others) <= len(consent.session_ids):
        return Admit(evicted=others)
    return decide(live, device_id, limit=limit, mode=mode, consent=consent)


class AnyEpoch(int):
    """An epoch that equals every other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return int.__hash__(self)


@dataclass(frozen=True, slots=True)
class WithoutEpoch:
    """A password check whose outcome is tied to no password: login without the epoch condition."""

    inner: OneRead

    def prove(self, *args: Any, **more: Any) -> Proven:
        """See `CredentialCheck.prove`."""
        proven = self.inner.prove(*args, **more)
        return replace(proven, epoch=AnyEpoch(proven.epoch))

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """See `CredentialCheck.remember`."""


class Caching:
    """A bookkeeper whose books are read anew after five seconds only: a cache in verification."""

    def __init__(self, inner: Bookkeeper, clock: Callable[[], datetime]) -> None:
        self._inner = inner
        self._clock = clock
        self._kept: dict[str, tuple[datetime, Book | None]] = {}

    def read(self, user_uuid: str) -> Book | None:
        """Return the book as it was read at most five seconds ago."""
        read_at, book = self._kept.get(user_uuid, (None, None))
        if read_at is None or self._clock() - read_at > CACHED_FOR:
            book = self._inner.read(user_uuid)
            self._kept[user_uuid] = (self._clock(), book)
        return book


@dataclass(frozen=True, slots=True)
class Unbinding:
    """A bookkeeper under which a refresh loses what the session is bound to."""

    inner: Bookkeeper

    def change(
        self, user_uuid: str, transition: Callable[[Snapshot], Change[Any]], *, reading: Sequence[Key], origin: Origin
    ) -> Any:
        """Change the book, without the mark of the session."""

        def unbinding(snapshot: Snapshot) -> Change[Any]:
            change = transition(snapshot)
            if change.draft is None or change.result is None:
                return change
            book, session = change.result
            bare = replace(session, certified=False)
            return Change((book, bare), change.draft.with_book(change.draft.book.updated(bare)))

        return self.inner.change(user_uuid, unbinding, reading=reading, origin=origin)


@dataclass(frozen=True, slots=True)
class Minting:
    """A bookkeeper under which the grace mints: whoever repeats a refresh gets a successor of the successor."""

    inner: Bookkeeper

    def change(
        self, user_uuid: str, transition: Callable[[Snapshot], Change[Any]], *, reading: Sequence[Key], origin: Origin
    ) -> Any:
        """Change the book where the answer alone was to be repeated."""

        def minting(snapshot: Snapshot) -> Change[Any]:
            change = transition(snapshot)
            if change.draft is not None or change.result is None:
                return change
            book, session = change.result
            next_one = replace(session, generation=session.generation + 1, rotated_at=snapshot.now)
            return Change((book, next_one), snapshot.draft.with_book(snapshot.book.updated(next_one)))

        return self.inner.change(user_uuid, minting, reading=reading, origin=origin)
