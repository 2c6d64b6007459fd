"""Accounts in the store: UsersTable, and NamesTable for what must be unique."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.account.claim_store import ClaimStore
from common.account.claims import Claim
from common.account.decision import Snapshot
from common.account.rows import pending_at, rows_from_items
from common.account.transactions import NoSuchUser
from common.clock import to_millis
from common.errors import Code, Refusal
from common.storage.port import Absent, Put, Store
from common.storage.tables import NAMES, SESSIONS, USERS
from registration.account_model import Account, mail_claim, name_claim
from registration.look_alikes import look_of


class AccountDb:
    """Finds accounts by claim and by uuid; every method raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def owner_of(self, claim: str) -> str | None:
        """Return the uuid of the account that holds a name or a mail, has reserved it, or had it once.

        Whether the account still goes by it, its row says (`Account.goes_by`).
        """
        item = self._store.get(NAMES.key(claim))
        return None if item is None else Claim.from_item(item).user_uuid

    def account_of(self, claim: str, now: datetime) -> Account | None:
        """Return the account that has a name or a mail, or may take it back."""
        owner = self.owner_of(claim)
        account = None if owner is None else self.find(owner)
        return account if account is not None and account.goes_by(claim, now) else None

    def find(self, user_uuid: str) -> Account | None:
        """Return an account, as its last change was laid down."""
        item = self._store.get(USERS.key(user_uuid))
        return None if item is None else Account.from_item(item)

    def find_pending(self, user_uuid: str) -> Account | None:
        """Return an account as its book has it, where that is not laid down yet."""
        book: Any = self._store.get(SESSIONS.key(user_uuid))
        rows = () if book is None else rows_from_items(book.get("rows", ()))
        item = pending_at(rows, USERS.key(user_uuid))
        return None if item is None else Account.from_item(item)


def account_in(snapshot: Snapshot) -> Account:
    """Return the account that a decision asked to read, as it is beside the book. Raises NoSuchUser."""
    item = snapshot.at(USERS.key(snapshot.book.user_uuid))
    if item is None:
        raise NoSuchUser
    return Account.from_item(item)


def user_put(account: Account) -> Put:
    """Return the write of an account's new state, which follows from its book."""
    return Put(USERS, account.to_item())


def user_writes(account: Account) -> tuple[Put, ...]:
    """Return the writes that save a new user, whose book is put after them."""
    return (Put(USERS, account.to_item(), Absent()),)


def claims_of(account: Account) -> tuple[Claim, ...]:
    """Return what must be the account's alone, in the order in which it is claimed.

    The name, its look, the mail, and the invitation that let it register.
    """
    invited = () if account.invitation is None else (Claim(account.invitation, account.uuid),)
    return (
        Claim(name_claim(account.username), account.uuid),
        look_of(account.username).claim_for(account.uuid),
        Claim(mail_claim(account.email), account.uuid),
        *invited,
    )


def names_in(row: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    """Return the claims that a row of UsersTable tells of at a time.

    That is of the name, its look, a mail and an invitation, if any; and of names and mails that may be taken back.
    """
    mail = (mail_claim(row["email"]),) if row["email"] else ()
    invited = (row["invitation"],) if "invitation" in row else ()
    kept = (
        claim_of(each["text"])
        for kind, claim_of in (("former_names", name_claim), ("former_emails", mail_claim))
        for each in row.get(kind, ())
        if to_millis(now) < each["until"]
    )
    return name_claim(row["username"]), look_of(row["username"]).claim, *mail, *invited, *kept


def claims_coming_back(before: Account, after: Account) -> tuple[Claim, ...]:
    """Return the claims on a name and an address of before that an account has again."""
    had = {name_claim(before.username), *((mail_claim(before.email),) if before.email else ())}
    present = {name_claim(after.username): None, **({mail_claim(after.email): None} if after.email else {})}
    return tuple(Claim(name, after.uuid) for name in present if name not in had)


def refuse_taken(claims: ClaimStore, username: str, name: Claim | None, mail: Claim | None) -> None:
    """Refuse what is another account's: `name` and `mail` are the claims that were found.

    Raises Refusal: USERNAME_TAKEN (also for a look-alike, and where both are taken), EMAIL_TAKEN; StoreUnavailable.
    """
    look = look_of(username)
    if name is not None or look.is_taken(claims.find(look.claim)):
        raise Refusal(Code.USERNAME_TAKEN)
    if mail is not None:
        raise Refusal(Code.EMAIL_TAKEN)
