"""F9: kill -9 between a change's commit and its laying down: the history is complete and in order, every ending told.

Each change is made by a process of its own that is killed at a store call of its own, before it or after it; the next
one, or whoever reads the book, lays down what it left.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import cast

import pytest

from common.account.book import Book, Session
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.feed import ending_among, hint_of
from common.account.history import ClientInfo, Event, EventKind, Reason
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.ids import new_id
from common.storage.enumeration import EnumerableStore
from common.storage.port import Condition, Item, Key, Table
from common.storage.tables import FEED
from tests.interleavings.bugs import Around
from tests.proof.figures import figure, rounds
from tests.proof.recording import whole_history
from tests.support.engines import ENGINES, Engine
from tests.unit.builders import DAY

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where a process is forked in a millisecond")

KILLS = {"sqlite": 40, "dynamodb": 8}
"""A process that is forked makes a client of DynamoDB anew, which takes a hundred times as long as to open a file."""
STARTED = ClientInfo("192.0.2.1")


@dataclass(slots=True)
class Dying(Around):
    """A store whose process is killed at one of its calls: an even number is before a call, an odd one after it."""

    left: int = 0

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        self._spend()
        item = self.inner.get(key)
        self._spend()
        return item

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._spend()
        self.inner.put(table, item, when)
        self._spend()

    def _spend(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def log_in_anew(snapshot: Snapshot) -> TransactionResult[None]:
    """End the session that is there, and begin another on the same device."""
    draft, now = snapshot.draft, snapshot.now
    for old in draft.book.in_order():
        draft = draft.ended(old, Reason.REPLACED, now, old.device_id)
    new = Session(new_id(), "phone", snapshot.book.version, now, now, now, now + 30 * DAY, device_name="Phone")
    began = Event(EventKind.LOGIN, now, new.device_id, new.session_id, device_name="Phone")
    return TransactionResult(None, draft.with_book(draft.book.opened(new), began))


def change_and_be_killed(engine: Engine, left: int) -> bool:
    """Make one change in a process that is killed after so many steps; say whether it was killed before its end."""
    child = os.fork()
    if child == 0:
        try:
            store = Dying(engine.open(), left)
            AccountTransactions(store, system_clock).run("anna", log_in_anew, client=STARTED)
        finally:
            os._exit(0)  # nothing of the test's own is run to its end a second time
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def faults_of(store: EnumerableStore) -> list[str]:
    """Return what is missing, doubled or in disorder, once the book was read."""
    book = AccountTransactions(store, system_clock).get_book("anna")
    assert book is not None
    records = whole_history(store, "anna")
    wrong = [] if [r.change_no for r in records] == [*range(1, book.change_no + 1)] else ["the history has gaps"]
    ends = Counter(
        event.session_id for record in records for event in record.events if event.kind is EventKind.SESSION_ENDED
    )
    begun = {event.session_id for record in records for event in record.events if event.kind is EventKind.LOGIN}
    wrong += [f"{session_id} ended {times} times" for session_id, times in ends.items() if times > 1]
    if begun != {*ends, *book.sessions}:
        wrong.append("a session that began neither ended nor lives")
    told = {
        hint
        for page in store.pages(FEED)
        for item in page
        for hint in item["s"]  # type: ignore[union-attr]
    }
    wrong += [f"nobody was told that {session_id} ended" for session_id in ends if hint_of(session_id) not in told]
    wrong += [
        f"the history cannot say why {gone} ended" for gone in ends if ending_among("anna", records, gone) is None
    ]
    return wrong


@pytest.mark.parametrize("name", ENGINES)
def test_what_a_killed_process_has_not_laid_down_the_next_one_does(name: str, tmp_path: Path, chance: Random) -> None:
    """At whichever store call it was killed: a change that was made is told whole, one that was not is not told."""
    kills, killed, engine = KILLS[name] * rounds(25), 0, ENGINES[name](tmp_path)
    with closing(engine.open()) as opened:
        store = cast("EnumerableStore", opened)
        draft = Draft(Book("anna"), (Event(EventKind.REGISTERED, system_clock()),))
        AccountTransactions(store, system_clock).create(draft, (), STARTED)
        while killed < kills:
            killed += change_and_be_killed(engine, chance.randrange(12))
        wrong = faults_of(store)
        changes = len(whole_history(store, "anna"))
    what, size = (
        f"kill -9 between a change's commit and its laying down, {name}",
        f"{kills:,} kills, {changes:,} changes",
    )
    figure("F9", what, size, len(wrong))
    assert wrong == []
    assert changes > kills // 4
