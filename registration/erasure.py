"""A closed account whose days are over goes: no row of it is left but what must outlive it.

Certificates that were revoked stay on their list, and a key stays claimed, by nobody: it must never become another
device's. Lines of the audit log stay without a name. What expires by itself has expired by then.

A tombstone in the book's place comes first: from then on the account is not there, and no commit of it can succeed.
Every step may be done twice and by several processes at once, and what tells of others goes after them: who finds a
row of FeedTable that says that an account is due begins anew, wherever another was killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from common.account.account_metrics import ERASURES
from common.account.audit import unnamed
from common.account.book import Book
from common.account.claims import CLOSED, Claim
from common.account.history import failures_of
from common.account.laying_down import LayingDown
from common.account.tombstone import is_tombstone, tombstone
from common.clock import Clock
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.paging import all_items
from common.storage.port import Conflict, Delete, Equals, Item, Put, Store, StoreUnavailable, Write
from common.storage.tables import LOGIN_HISTORY, NAMES, SESSIONS, USERS
from registration.account_db import claims_of
from registration.account_model import Account, mail_claim, name_claim
from registration.closing import Closing, due_closings
from registration.factors import factor_key
from registration.look_alikes import look_of

LOOK_SECONDS = 60.0
"""How often each process looks for accounts whose days are over."""

_AT_ONCE = 100

_log = logging.getLogger(__name__)


class Erasure:
    """Erases closed accounts whose days are over.

    `forget_devices` removes a user's devices; `audit_kept`: how old a line of the audit log can be.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        laying: LayingDown,
        forget_devices: Callable[[str, datetime], None],
        audit_kept: timedelta,
    ) -> None:
        self._store = store
        self._clock = clock
        self._laying = laying
        self._forget_devices = forget_devices
        self._audit_kept = audit_kept

    def erase_due(self) -> int:
        """Erase what is due; return how many accounts are gone. One that cannot be erased holds no other up.

        Raises StoreUnavailable: nobody knows what is due.
        """
        erased = 0
        for closing in due_closings(self._store, self._clock(), _AT_ONCE):
            try:
                is_erased = self._erased(closing)
                erased += is_erased
                ERASURES.add("erased", amount=is_erased)
            except StoreUnavailable as error:
                ERASURES.add("failed")
                _log.warning("a closed account is erased later: %s", error)
        return erased

    def _erased(self, closing: Closing) -> bool:
        """Erase an account unless it was reopened or closed again; say whether it was."""
        user_uuid = closing.user_uuid
        is_due = self._entomb(user_uuid)
        if is_due is None:
            return False
        if is_due:
            now = self._clock()
            self._forget_devices(user_uuid, now)
            self._forget_person(user_uuid, now)
            self._write(Delete(SESSIONS.key(user_uuid), Equals("tombstone", True)))  # noqa: FBT003 - a stored value
        self._write(Delete(closing.key))
        return is_due

    def _entomb(self, user_uuid: str) -> bool | None:
        """Put a tombstone in the place of the book; False where the account stays, None: not now.

        What the book carries is laid down a turn before, so that no process brings a row of it back.
        """
        item = self._store.get(SESSIONS.key(user_uuid))
        if item is None or is_tombstone(item):
            return True
        book = Book.from_item(item)
        if book.closed_until is None or book.closed_until > self._clock():
            return False
        if book.outbox or book.rows:
            if self._laying.lay_down(book):  # and next time nobody is about to do so
                laid = replace(book, version=book.version + 1, outbox=(), rows=())
                self._write(Put(SESSIONS, laid.to_item(), Equals("version", book.version)))
            return None
        tomb: Item = {**tombstone(user_uuid, self._clock()), "version": book.version + 1}
        return self._write(Put(SESSIONS, tomb, Equals("version", book.version))) or None

    def _forget_person(self, user_uuid: str, now: datetime) -> None:
        row = self._store.get(USERS.key(user_uuid))
        if row is not None:
            account = Account.from_item(row)
            for write in _names_given_up(account):
                self._write(write)
            since = max(account.created_at, now - self._audit_kept)
            for put in unnamed(self._store, since, now, user_uuid):
                self._write(put)
        for partition in (user_uuid, failures_of(user_uuid)):
            for item in list(all_items(self._store, LOGIN_HISTORY, partition)):
                self._write(Delete(LOGIN_HISTORY.key_of(item)))
        self._write(Delete(factor_key(user_uuid)))
        self._write(Delete(USERS.key(user_uuid)))

    def _write(self, write: Write) -> bool:
        """Write, and say whether the condition held."""
        try:
            write_known(self._store, write, RetryBudget())
        except Conflict:
            return False
        return True


def _names_given_up(account: Account) -> list[Write]:
    """Return the writes that free an account's names, addresses and looks; an invitation stays used, by nobody."""
    names = (account.username, *(each.text for each in account.former_names))
    mails = (account.email, *(each.text for each in account.former_emails))
    claims = {
        *(claim.name for claim in claims_of(account)),
        *map(name_claim, names),
        *(look_of(name).claim for name in names),
        *map(mail_claim, filter(None, mails)),
    } - {account.invitation}
    owned = Equals("uuid", account.uuid)
    used = [] if account.invitation is None else [Put(NAMES, Claim(account.invitation, CLOSED).to_item(), owned)]
    return [*(Delete(NAMES.key(name), owned) for name in sorted(claims)), *used]
