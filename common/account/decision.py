"""A decision on an account's book: what it sees, and what it returns. It reads and writes nothing itself.

`transactions.py` takes decisions again until one of them is committed, so a decision must be pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from common.account.book import Book, Session
from common.account.draft import Draft
from common.account.history import OperatorAct, Reason
from common.account.liveness import SessionRules
from common.account.marks import Mark
from common.account.policy import Policy
from common.storage.port import Item, Key, Put

R = TypeVar("R")


class Snapshot(Struct, frozen=True):
    """What a decision sees: the book, the items it asked for (read after the book), the time and policy of this try.

    The book is as it stands in the store's generation; `voided` are its sessions of an earlier one.
    """

    book: Book
    items: Mapping[Key, Item | None]
    now: datetime
    policy: Policy = Policy()
    voided: tuple[Session, ...] = ()

    def at(self, key: Key) -> Item | None:
        """Return what lay at one of the keys that were read; KeyError for any other."""
        return self.items[key]

    @property
    def rules(self) -> SessionRules:
        """The rules by which the book's sessions live."""
        return self.policy.rules_for(self.book)

    @property
    def draft(self) -> Draft:
        """The book, ready to be changed."""
        return Draft(self.book)


class TransactionResult(Struct, Generic[R], frozen=True):
    """A decision: the changed book with its events, what belongs to it, and what to answer.

    `writes`: marks that go into the book, and rows of other tables that follow from it (`rows.py`), without conditions.
    `prepared`: new items under ids that nobody knows yet; they are put before the book, and mean nothing unless its put
    is made. `draft` None: there is nothing to write, only an answer to give.
    """

    result: R
    draft: Draft | None = None
    writes: tuple[Put | Mark, ...] = ()
    prepared: tuple[Put, ...] = ()


DecisionFunction = Callable[[Snapshot], TransactionResult[R]]


def completed(snapshot: Snapshot, draft: Draft, writes: Sequence[Put | Mark]) -> tuple[Draft, tuple[Put, ...]]:
    """Return the draft with the marks among the writes in its book, and the rows.

    What the store's generation has ended is recorded before the change's own events.
    """
    voided = Draft(snapshot.book)
    for session in snapshot.voided:
        voided = voided.ended(session, Reason.REVOKED, snapshot.now, act=OperatorAct.EVERYBODY_OUT)
    draft = Draft(draft.book, voided.events + draft.events)
    marks = {mark.name: mark.until for mark in writes if isinstance(mark, Mark)}
    book = replace(draft.book, marks={**draft.book.marks, **marks})
    return draft.with_book(book), tuple(write for write in writes if not isinstance(write, Mark))
