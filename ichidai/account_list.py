"""Going through all accounts page by page: for operators alone, by the tables' enumeration, in no order.

An item that is enumerated may be told in an earlier state. So it says whom there is to ask about, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain

from msgspec import Struct

from common.account.book import AccountState, Book
from common.account.tombstone import is_tombstone
from common.storage.enumeration import enumerable
from common.storage.port import Item, Store
from common.storage.tables import SESSIONS, USERS

ITEMS_OF_A_PAGE = 1000
"""How many items are looked at for one page, where not all accounts are wanted."""

MOST_DAYS = 36_500
"""For how many days nobody may have used an account that is asked for."""


class Wanted(Struct, frozen=True):
    """Which accounts: those in a state, those that nobody has used since a time. Both None: all."""

    state: AccountState | None = None
    unused_since: datetime | None = None

    def fits(self, book: Book, last_used: datetime | None) -> bool:
        """Say whether an account is among them. `last_used` None: it is not known."""
        is_unused = self.unused_since is None or last_used is None or last_used < self.unused_since
        return self.state in (None, book.standing) and is_unused


class CandidatePage(Struct, frozen=True):
    """Some uuids of accounts. `after`: the one beyond which the page that follows begins; None: there is none."""

    user_uuids: Sequence[str]
    after: str | None


def read_candidates(store: Store, wanted: Wanted, after: str | None, limit: int) -> CandidatePage:
    """Return up to `limit` accounts beyond a uuid (None: from the beginning) that may be wanted, to be read anew.

    Its work is bounded: a page may be short, or empty, though others follow. Raises StoreUnavailable.
    """
    takes_all = wanted == Wanted()
    table, at_once = (USERS, limit + 1) if takes_all else (SESSIONS, ITEMS_OF_A_PAGE)
    pages = enumerable(store).pages(table, at_once, None if after is None else table.key(after))
    found: list[str] = []
    for number, item in enumerate(chain.from_iterable(pages)):
        if len(found) == limit or number == ITEMS_OF_A_PAGE:
            return CandidatePage(found, after)
        after = table.key_of(item).partition
        found += [after] if takes_all or _may_fit(item, wanted) else []
    return CandidatePage(found, None)


def _may_fit(item: Item, wanted: Wanted) -> bool:
    """Say whether the account of a book may be wanted; one that was used then was used at least then."""
    if is_tombstone(item):
        return False
    book = Book.from_item(item)
    return wanted.fits(book, max((change.at for change in book.changes), default=None))
