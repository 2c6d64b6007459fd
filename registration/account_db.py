"""Accounts in the store: UsersTable, and NamesTable for what must be unique."""

from __future__ import annotations

from common.storage.port import Absent, Put, Store, Write
from common.storage.tables import NAMES, USERS
from registration.account_model import Account, mail_claim, name_claim

NAME_CLAIM, MAIL_CLAIM = 0, 1
"""Positions of the claims among the writes of `user_writes`: what a conflict there means."""


class AccountDb:
    """Finds accounts by claim and by uuid; every method raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def owner_of(self, claim: str) -> str | None:
        """Return the uuid of the account that holds a name or a mail."""
        item = self._store.get(NAMES.key(claim))
        return None if item is None else str(item["uuid"])

    def find(self, user_uuid: str) -> Account | None:
        """Return an account."""
        item = self._store.get(USERS.key(user_uuid))
        return None if item is None else Account.from_item(item)


def user_put(account: Account) -> Put:
    """Return the write of an account's new state. It needs no condition: it goes with a book whose version is one."""
    return Put(USERS, account.to_item())


def user_writes(account: Account) -> tuple[Write, ...]:
    """Return the writes that save a new user: both claims, then the account; each fails if it is taken."""
    return (
        Put(
            NAMES,
            {"claim": name_claim(account.username), "uuid": account.uuid},
            Absent(),
        ),
        Put(NAMES, {"claim": mail_claim(account.email), "uuid": account.uuid}, Absent()),
        Put(USERS, account.to_item(), Absent()),
    )
