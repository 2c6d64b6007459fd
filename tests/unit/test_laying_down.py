"""Laying down: what changes recorded comes into the history and the feed, in order, once, whoever does it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from common import background
from common.account import laying_down
from common.account.book import Book
from common.account.decision import DecisionFunction, Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.feed import FeedReader
from common.account.history import ClientInfo, Event, EventKind, HistoryRecord, Reason, history_put, read_laid_down
from common.account.laying_down import LayingDown
from common.account.outbox import MOST_EVENTS, MOST_RECORDS, RESERVED_BYTES, has_capacity, read_records
from common.account.transactions import AccountTransactions
from common.background import BackgroundThread, Task, at_once
from common.errors import Code, Refusal
from common.proof.dpop_service import DpopClient
from common.storage.engine_rules import size_of
from common.storage.port import OutcomeUnknown, Put, StoreUnavailable, Write
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, DEVICES, LOGIN_HISTORY, SESSIONS
from tests.support.servers import until
from tests.unit.builders import DAY, T0
from tests.usecases.watched_store import StoreCall, WatchedStore

LOGIN = Event(EventKind.LOGIN, T0, "phone", "s")
ENDED = Event(EventKind.SESSION_ENDED, T0, "phone", "s", Reason.LOGGED_OUT)


def never(_task: Task) -> None:
    """Lay nothing down: what a process does that dies right after its put."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    """Return a watched store with anna's book in it; its first record is not laid down."""
    store = WatchedStore(SqliteStore(tmp_path / "store.db", ALL, lambda: T0))
    process(store, never).create(Draft(Book("anna"), (Event(EventKind.REGISTERED, T0),)), (), ClientInfo())
    store.watch()
    yield store
    store.close()


def process(store: WatchedStore, in_background: Callable[[Task], None] = at_once) -> AccountTransactions:
    """Return what a process has that knows nothing yet."""
    return AccountTransactions(store, lambda: T0, laying=LayingDown(store, lambda: T0, in_background))


def recording(*events: Event) -> Callable[[Snapshot], TransactionResult[None]]:
    """Return a decision that changes nothing and records this."""
    return lambda snapshot: TransactionResult(None, snapshot.draft.with_book(snapshot.book, *events))


def with_a_row(*events: Event) -> Callable[[Snapshot], TransactionResult[None]]:
    """Return a decision that records this, and from which a row follows."""
    row = Put(DEVICES, {"user_uuid": "anna", "device_id": "phone"})
    return lambda snapshot: TransactionResult(None, snapshot.draft.with_book(snapshot.book, *events), (row,))


def laid_down(store: WatchedStore) -> list[int]:
    """Return the numbers that lie in the history."""
    return [record.change_no for record in read_laid_down(store.inner, "anna", before=None, limit=100)][::-1]


def outbox(store: WatchedStore) -> list[int]:
    """Return the numbers that the book carries."""
    item = store.inner.get(SESSIONS.key("anna"))
    assert item is not None
    return [record.change_no for record in Book.from_item(item).outbox]


def down(call: StoreCall) -> None:
    """Refuse what goes into the history."""
    if call.tables == ("LoginHistory",):
        raise StoreUnavailable("down")


def test_a_record_is_in_the_book_then_told_then_in_the_history(store: WatchedStore) -> None:
    """In this order; what an earlier process left comes first."""
    process(store).run("anna", recording(ENDED))
    assert [call.tables[0] for call in store.commits] == ["LoginHistory", "SessionsTable", "FeedTable", "LoginHistory"]
    assert laid_down(store) == [1, 2]
    assert FeedReader(store).look(T0) == {"s"}


def test_what_is_laid_down_leaves_the_book_with_its_next_change(store: WatchedStore) -> None:
    """So laying down costs no write of the book."""
    anna = process(store)
    anna.run("anna", recording(LOGIN))
    assert outbox(store) == [2]
    anna.run("anna", recording(ENDED))
    assert outbox(store) == [3]


def test_whoever_reads_the_book_lays_down_what_a_dead_process_left(store: WatchedStore) -> None:
    """In the background; it is looked for in the history first."""
    tasks: list[Task] = []
    reader = process(store, tasks.append)
    for _ in range(3):
        reader.get_book("anna")
    assert (len(tasks), store.commits) == (1, []), "handed over once a second, and nothing written"
    tasks[0]()
    assert laid_down(store) == [1]
    reader.get_book("anna")
    assert len(tasks) == 1


def test_what_the_store_refused_is_laid_down_when_it_is_back(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the thread of the process that made the change, though nobody reads the account again."""
    monkeypatch.setattr(background, "_AGAIN_SECONDS", 0.02)
    thread, tried = BackgroundThread(), threading.Event()

    def refuse(call: StoreCall) -> None:
        if call.tables == ("LoginHistory",):
            tried.set()
            down(call)

    thread.start()
    store.watch(before=refuse)
    process(store, thread).run("anna", recording(ENDED))
    assert tried.wait(60)
    assert laid_down(store) == []
    store.watch()
    until(lambda: laid_down(store) == [1, 2], "laid down")
    thread.close()


def test_what_an_answer_waited_for_in_vain_is_laid_down_all_the_same(store: WatchedStore) -> None:
    """Rows of a change are laid down before its answer; where that fails the process goes on with it."""
    tasks: list[Task] = []
    store.watch(before=lambda call: down(call) if call.verb == "put" else None)
    with pytest.raises(OutcomeUnknown):
        process(store, tasks.append).run("anna", with_a_row(ENDED))
    assert laid_down(store) == []
    store.watch()
    tasks[-1]()
    assert laid_down(store) == [1, 2]
    assert FeedReader(store).look(T0) == {"s"}


def test_a_change_whose_answer_was_lost_is_looked_for(store: WatchedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """For five seconds: also a write that is still under way then is laid down, though nobody reads the account."""
    tasks, now, puts = list[Task](), 100.0, list[Write]()
    monkeypatch.setattr(laying_down, "time", SimpleNamespace(monotonic=lambda: now))
    laying = LayingDown(store, lambda: T0, tasks.append)
    anna = AccountTransactions(store, lambda: T0, deadline=0.1, laying=laying)
    anna.get_book("anna")
    tasks.pop()()

    def lost(call: StoreCall) -> None:
        if call.writes:
            puts.append(call.writes[0])
            raise OutcomeUnknown("lost")

    store.watch(before=lost)
    with pytest.raises(OutcomeUnknown):
        anna.run("anna", recording(ENDED))
    (look,) = tasks
    assert look() is False, "not answered"
    store.watch()
    now += 4
    assert look() is False, "nothing is there, and something may come"
    store.inner.put(SESSIONS, puts[0].item)  # type: ignore[union-attr]
    now += 1
    assert look() is True
    assert laid_down(store) == [1, 2]
    assert FeedReader(store).look(T0) == {"s"}


def test_before_each_put_of_a_book_the_process_has_its_heartbeat(store: WatchedStore) -> None:
    """One that cannot be written stops the change."""

    def refuse() -> None:
        raise StoreUnavailable("no heartbeat")

    laying = LayingDown(store, lambda: T0, at_once, before_change=refuse)
    with pytest.raises(StoreUnavailable):
        AccountTransactions(store, lambda: T0, laying=laying).run("anna", recording(ENDED))
    assert outbox(store) == [1]


def test_readers_of_the_history_see_what_is_not_laid_down(store: WatchedStore) -> None:
    """Newest first, each once, in pages."""
    dying = process(store, never)
    for _ in range(3):
        dying.run("anna", recording(LOGIN))

    def read() -> list[list[int]]:
        pages = ((None, 3), (2, 3))
        return [[r.change_no for r in read_records(store, "anna", before=n, limit=most)] for n, most in pages]

    assert (laid_down(store), read()) == ([], [[4, 3, 2], [1]])
    process(store).get_book("anna")
    assert (laid_down(store), read()) == ([1, 2, 3, 4], [[4, 3, 2], [1]])


def test_what_cannot_be_told_is_not_in_the_history_yet(store: WatchedStore) -> None:
    """A process that dies between the two leaves it to the next one, which tells it: at least once."""
    told, is_down = list[int](), [True]

    def tell(_user: str, record: HistoryRecord) -> None:
        if is_down[0]:
            raise StoreUnavailable("down")
        told.append(record.change_no)

    laying = LayingDown(store, lambda: T0, at_once, tell)
    AccountTransactions(store, lambda: T0, laying=laying).run("anna", recording(LOGIN))
    assert (told, laid_down(store)) == ([], [])
    is_down[0] = False
    process_of_another = LayingDown(store, lambda: T0, at_once, tell)
    AccountTransactions(store, lambda: T0, laying=process_of_another).get_book("anna")
    assert (told, laid_down(store)) == ([1, 2], [1, 2])


def test_what_another_has_laid_down_for_this_process_is_the_same(
    store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A record is of a client's address and agent alone, whatever the request's client carries besides."""
    own, others = list[Task](), list[Task]()
    process(store, own.append).run("anna", recording(LOGIN), client=DpopClient("192.0.2.1", "curl"))
    process(store, others.append).get_book("anna")
    for task in (*others, *own):
        task()
    assert laid_down(store) == [1, 2]
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR], "nothing lies there otherwise"


def test_two_that_lay_the_same_down_write_it_once(store: WatchedStore) -> None:
    """Neither knows of the other."""
    first, second = list[Task](), list[Task]()
    process(store, first.append).get_book("anna")
    process(store, second.append).get_book("anna")
    store.watch(before=lambda call: first.pop()() if call.verb == "put" and first else None)
    second[0]()
    assert laid_down(store) == [1]


class TestFull:
    """An outbox that is full is laid down before anything else is recorded."""

    def fill(self, store: WatchedStore, event: Event = LOGIN) -> AccountTransactions:
        """Fill it; return the process that did so."""
        anna = process(store, never)
        for _ in range(MOST_RECORDS - 1):
            anna.run("anna", recording(event))
        assert len(outbox(store)) == MOST_RECORDS
        return anna

    def test_it_is_laid_down_by_the_next_change(self, store: WatchedStore) -> None:
        """Before its put, which has nothing else to carry."""
        self.fill(store).run("anna", recording(LOGIN))
        assert laid_down(store) == [*range(1, MOST_RECORDS + 1)]
        assert outbox(store) == [MOST_RECORDS + 1]

    def test_where_it_cannot_be_laid_down_the_answer_is_busy(self, store: WatchedStore) -> None:
        """Nothing is written, and what is there stays."""
        anna = self.fill(store)
        store.watch(before=down)
        with pytest.raises(Refusal) as refusal:
            anna.run("anna", recording(LOGIN))
        assert refusal.value.code is Code.BUSY
        assert outbox(store) == [*range(1, MOST_RECORDS + 1)]

    def test_what_only_ends_sessions_goes_on(self, store: WatchedStore) -> None:
        """A history that is down keeps nobody in; to an end."""
        anna = self.fill(store)
        store.watch(before=down)
        for _ in range(MOST_RECORDS):
            anna.run("anna", recording(ENDED))
        with pytest.raises(Refusal):
            anna.run("anna", recording(ENDED))

    def test_a_change_that_records_nothing_goes_on(self, store: WatchedStore) -> None:
        """A refresh needs no history."""
        anna = self.fill(store)
        store.watch(before=down)
        anna.run("anna", recording())
        assert outbox(store) == [*range(1, MOST_RECORDS + 1)]

    def test_events_count_as_records_do(self) -> None:
        """One change may end many sessions."""
        assert (MOST_RECORDS, MOST_EVENTS) == (8, 32)
        many = HistoryRecord(1, (ENDED,) * MOST_EVENTS, ClientInfo())
        assert not has_capacity((many,), (LOGIN,), 0)
        assert has_capacity((many,), (ENDED,), 0)
        assert not has_capacity((many, many), (ENDED,), 0)

    def test_a_book_that_is_too_large_lays_down_before_it_is_changed(self, store: WatchedStore) -> None:
        """What only ends and removes has 4 KB more than other changes; where nothing helps the answer is 503."""
        anna = self.fill(store)
        most = SESSIONS.largest - RESERVED_BYTES
        size = size_of(store.get(SESSIONS.key("anna")) or {})

        def grown(by: int, event: Event) -> DecisionFunction[None]:
            marks = {"x" * (by - 40): T0 + DAY}
            return lambda snapshot: TransactionResult(
                None, snapshot.draft.with_book(replace(snapshot.draft.book, marks=marks), event)
            )

        anna.run("anna", grown(most - size + 300, LOGIN))
        assert outbox(store) == [MOST_RECORDS + 1], "all others were laid down before"
        with pytest.raises(Refusal) as refused:
            anna.run("anna", grown(most, LOGIN))
        assert refused.value.code is Code.BUSY
        anna.run("anna", grown(most, ENDED))


def test_a_history_that_is_newer_than_its_book_is_said_and_stops_nobody(
    store: WatchedStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The tables were restored to different times: the number is taken by another change."""
    put = history_put("anna", HistoryRecord(2, (LOGIN,), ClientInfo("192.0.2.7")))
    store.put(put.table, put.item)
    anna = process(store)
    with caplog.at_level(logging.ERROR):
        anna.run("anna", recording(ENDED))
    assert "restored to different times" in caplog.text
    anna.run("anna", recording(LOGIN))
    assert (laid_down(store), outbox(store)) == ([1, 2, 3], [3])


def test_numbers_that_are_given_anew_are_laid_down(store: WatchedStore) -> None:
    """A store that is restored while a process lives has other changes under the numbers that this one laid down."""
    earlier = store.inner.get(SESSIONS.key("anna"))
    assert earlier is not None
    living = process(store)
    living.run("anna", recording(LOGIN))
    living.run("anna", recording(ENDED))
    assert laid_down(store) == [1, 2, 3]
    store.inner.put(SESSIONS, earlier)
    for number in (1, 2, 3):
        store.inner.delete(LOGIN_HISTORY.key("anna", number))
    living.run("anna", recording(replace(LOGIN, device_id="laptop")))
    living.run("anna", recording(replace(LOGIN, device_id="desk")))
    assert laid_down(store) == [1, 2, 3]
    told = read_laid_down(store.inner, "anna", before=None, limit=2)
    assert [record.events[0].device_id for record in told] == ["desk", "laptop"]


def test_a_book_of_which_nothing_is_pending_is_not_looked_through_again(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verification reads the same book thousands of times."""
    laying, looked = LayingDown(store, lambda: T0, at_once), []
    pending = laying.pending
    monkeypatch.setattr(laying, "pending", lambda book: (looked.append(book.version), pending(book))[1])
    anna = AccountTransactions(store, lambda: T0, laying=laying)
    anna.get_book("anna")
    assert laid_down(store) == [1]
    anna.get_book("anna")
    seen = len(looked)
    anna.get_book("anna")
    assert len(looked) == seen
    process(store, never).run("anna", recording(LOGIN))
    anna.get_book("anna")
    assert laid_down(store) == [1, 2]


def test_a_restored_book_is_laid_down_though_nothing_of_it_was_pending_before(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very same book may be there again, and its history not."""
    monkeypatch.setattr("common.account.laying_down._AGAIN_SECONDS", 0)
    earlier = store.inner.get(SESSIONS.key("anna"))
    assert earlier is not None
    living = process(store)
    for _ in range(3):
        living.get_book("anna")
    living.run("anna", recording(LOGIN))
    store.inner.put(SESSIONS, earlier)
    for number in (1, 2):
        store.inner.delete(LOGIN_HISTORY.key("anna", number))
    living.get_book("anna")
    assert laid_down(store) == [1]
