"""What a signed-in user is told of the own account: names, how it is secured, and how many devices it has."""

from __future__ import annotations

from msgspec import Struct

from common.account.admission import Caller
from common.account.transactions import AccountTransactions, NoSuchUser
from registration.account_db import AccountDb
from registration.account_model import Account
from registration.factors import Factors


class OverviewDependencies(Struct, frozen=True):
    """What the use case works with."""

    transactions: AccountTransactions
    accounts: AccountDb
    factors: Factors


class Overview(Struct, frozen=True):
    """The account, how many recovery codes are left, how many passkeys it has, and how many devices are bound."""

    account: Account
    recovery_codes_left: int
    passkeys: int
    devices: int


def overview(dependencies: OverviewDependencies, caller: Caller) -> Overview:
    """Return what the caller's account is. Raises StoreUnavailable."""
    book, account = dependencies.transactions.get_book(caller.user_uuid), dependencies.accounts.find(caller.user_uuid)
    if book is None or account is None:
        raise NoSuchUser
    factor = dependencies.factors.find(caller.user_uuid)
    left = 0 if factor is None else len(factor.recovery_code_hashes)
    passkeys = 0 if factor is None else len(factor.passkeys)
    return Overview(account, left, passkeys, len(book.devices))
