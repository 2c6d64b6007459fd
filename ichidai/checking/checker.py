"""Checking accounts, claims and lines of the audit log one by one, while servers change them.

What a process that died has not laid down is laid down, as any reader of the book would do. What looks wrong at first
may be a change that is half laid down, or two moments read as one. So it is judged again after what the account's book
carries was laid down, until the book was the same before and after. An account that is changed all the time is judged
so often that what is found each time is no accident.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from common.account.book import Book
from common.account.history import read_record
from common.account.laying_down import LayingDown
from common.account.rows import NUMBER, PendingRow
from common.clock import Clock, to_millis
from common.storage.port import Key, Store, StoreUnavailable
from common.storage.tables import AUDIT
from ichidai.checking.finding import Finding, Kind
from ichidai.checking.judging import judge, judge_claim
from ichidai.checking.reading import UnreadableItem, read_account, read_book, read_claim, read_owner

_TRIES, _PAUSE_SECONDS = 20, 0.05

Judge = Callable[[], Sequence[Finding]]


class StoreChecker:
    """Checks what lies in a store; every method raises StoreUnavailable, also for what only a later release can read.

    `laying` writes what a book carries, as any server would; `audit_kept`: how long lines of the audit log are.
    """

    def __init__(
        self,
        store: Store,
        laying: LayingDown,
        clock: Clock,
        audit_kept: timedelta,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._laying = laying
        self._clock = clock
        self._audit_kept = audit_kept
        self._pause = pause
        self.caught_up = 0
        """Of how many accounts something was laid down that no process had."""

    def of_account(self, user_uuid: str) -> Sequence[Finding]:
        """Return what is wrong with an account, once what its book carries is laid down."""
        self._catch_up(user_uuid)

        def look() -> Sequence[Finding]:
            now = self._clock()
            rows = read_account(self._store, user_uuid, now, self._audit_kept)
            return tuple(judge(rows, now, self._laying.retention, self._audit_kept))

        return self._settled(user_uuid, look)

    def of_claim(self, name: str) -> Sequence[Finding]:
        """Return what is wrong with a claim; what its account lacks, the account tells."""
        try:
            claim = read_claim(self._store, name)
        except UnreadableItem as fault:
            return (_unreadable(fault, ""),)
        if claim is None:
            return ()

        def look() -> Sequence[Finding]:
            found, now = read_claim(self._store, name), self._clock()
            if found is None:
                return ()
            rows = read_owner(self._store, found.user_uuid, now)
            if rows.book is None and found.is_confirmed:
                rows = read_account(self._store, found.user_uuid, now, self._audit_kept)
            return tuple(judge_claim(found, rows, now))

        return self._settled(claim.user_uuid, look)

    def of_line(self, line: Mapping[str, Any]) -> Sequence[Finding]:
        """Return what is wrong with an item of AuditTable: it is about an account that is not there."""
        key, user = AUDIT.key_of(line), line.get("user_uuid")
        if not isinstance(user, str):
            return ()

        def look() -> Sequence[Finding]:
            is_there = self._store.get(key) is None or read_book(self._store, user) is not None
            text = "it tells of an account that is not there"
            return () if is_there else (Finding(Kind.AUDIT_OF_NOBODY, key, user, text),)

        return self._settled(user, look)

    def _settled(self, user_uuid: str, look: Judge) -> Sequence[Finding]:
        """Return what is wrong for good."""
        found = self._found(user_uuid, look)
        standing = {each.identity: each for each in found}
        for _ in range(_TRIES):
            if not standing:
                break
            before = self._laid_down(user_uuid)
            found = self._found(user_uuid, look)
            standing = {each.identity: each for each in found if each.identity in standing}
            if before == self._version(user_uuid):
                return found
            self._pause(_PAUSE_SECONDS)
        return tuple(standing.values())

    def _catch_up(self, user_uuid: str) -> None:
        try:
            book = read_book(self._store, user_uuid)
        except UnreadableItem:
            return
        if book is None or not self._is_behind(book):
            return
        if not self._laying.lay_down(book):
            raise StoreUnavailable("what an account's book carries cannot be laid down")
        self.caught_up += 1

    def _is_behind(self, book: Book) -> bool:
        """Say whether a book carries what is not laid down: records are laid down in their order, so the last tells."""
        last = book.outbox[-1] if book.outbox else None
        end = None if last is None else self._laying.retention.end_of(last).get("expires_at")
        is_kept = last is not None and (not isinstance(end, int) or end > to_millis(self._clock()))
        if last is not None and is_kept and read_record(self._store, book.user_uuid, last.change_no) is None:
            return True
        return any(not self._lies(row) for row in book.rows)

    def _lies(self, row: PendingRow) -> bool:
        """Say whether a row lies in its table, or a later one in its place."""
        lying: Any = self._store.get(row.key)
        return lying is not None and lying.get(NUMBER, row.version) >= row.version

    def _laid_down(self, user_uuid: str) -> int | None:
        """Lay down what an account's book carries, and return the book's version. Raises StoreUnavailable."""
        try:
            book = read_book(self._store, user_uuid)
        except UnreadableItem:
            return None
        if book is not None and not self._laying.lay_down(book):
            raise StoreUnavailable("what an account's book carries cannot be laid down")
        return None if book is None else book.version

    def _version(self, user_uuid: str) -> int | None:
        try:
            book = read_book(self._store, user_uuid)
        except UnreadableItem:
            return None
        return None if book is None else book.version

    def _found(self, user_uuid: str, look: Judge) -> Sequence[Finding]:
        try:
            return look()
        except UnreadableItem as fault:
            return (_unreadable(fault, user_uuid),)


def _unreadable(fault: UnreadableItem, user_uuid: str) -> Finding:
    key: Key = fault.key
    return Finding(Kind.UNREADABLE, key, user_uuid or key.partition, str(fault))
