"""The one loop: decide on what is there, commit if nothing changed meanwhile, and never guess an outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.account.book import MOST_REMEMBERED, Book
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind
from common.account.laying_down import LayingDown
from common.account.outbox import read_records
from common.account.row_store import lay_row
from common.account.transactions import AccountTransactions, NoSuchUser
from common.errors import Code, Refusal
from common.storage.port import Absent, Conflict, Equals, Item, OutcomeUnknown, Put, StoreUnavailable
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, DEVICE_KEYS, DEVICES, FACTORS, SESSIONS, USERS
from tests.unit.builders import MINUTE, T0, a_device, a_session
from tests.usecases.watched_store import StoreCall, Watch, WatchedStore, away_at, once, unknown_at

HERE = ClientInfo("192.0.2.1", "a browser")


class Ticking:
    """A clock that is a minute later at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> datetime:
        """Look at it."""
        self.looks += 1
        return T0 + self.looks * MINUTE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    """Return a watched store over a real file, with anna's empty book in it."""
    watched = WatchedStore(SqliteStore(tmp_path / "store.db", ALL, lambda: T0))
    keeper(watched).create(Draft(Book("anna"), (Event(EventKind.REGISTERED, T0),)), (), HERE)
    watched.watch()
    yield watched
    watched.close()


def keeper(store: WatchedStore, deadline: float = 4.0) -> AccountTransactions:
    """Return account transactions whose clock ticks and whose pauses take no time."""
    clock = Ticking()
    laying = LayingDown(store, clock, never)
    return AccountTransactions(store, clock, deadline=deadline, pause=lambda _seconds: None, laying=laying)


def book_of(store: WatchedStore) -> Book:
    """Return anna's book as it lies in the store."""
    item = store.inner.get(SESSIONS.key("anna"))
    assert item is not None
    return Book.from_item(item)


def never(_task: object) -> None:
    """Lay nothing down: what a process does that dies right after its commits."""


def log_in(session_id: str) -> Callable[[Snapshot], TransactionResult[int]]:
    """Return a transition that opens a session under a name; its result is the version that it saw."""

    def transition(snapshot: Snapshot) -> TransactionResult[int]:
        book = snapshot.book
        session = a_session(session_id, book.version + 1, name=session_id)
        event = Event(EventKind.LOGIN, snapshot.now, session_id=session_id)
        return TransactionResult(book.version, snapshot.draft.with_book(book.opened(session), event))

    return transition


def count_epoch(snapshot: Snapshot) -> TransactionResult[None]:
    """Raise the epoch by one and record nothing."""
    return TransactionResult(
        None, snapshot.draft.with_book(replace(snapshot.book, credential_version=snapshot.book.credential_version + 1))
    )


def at_commits(store: WatchedStore, act: Callable[[], object], numbers: Container[int] = range(1, 10**9)) -> Watch:
    """Act at commits, counted from 1."""

    def watch(call: StoreCall) -> None:
        if call.is_write and len(store.commits) in numbers:
            act()

    return watch


def lose() -> None:
    """Let the caller not know."""
    raise OutcomeUnknown("the answer was lost")


def refuse() -> None:
    """Let the store be away."""
    raise StoreUnavailable("away for a moment")


def interfere(store: WatchedStore) -> None:
    """Change anna's book beside these transactions."""
    keeper(WatchedStore(store.inner)).run("anna", count_epoch)


def test_a_change_is_one_put_of_the_book_and_its_entry_is_in_it(store: WatchedStore) -> None:
    """The entry has the change's number, its events and where the request came from."""
    assert keeper(store).run("anna", log_in("s"), client=HERE) == 1
    (commit,) = store.commits
    assert (commit.verb, commit.tables) == ("put", ("SessionsTable",))
    assert book_of(store).sessions.keys() == {"s"}
    newest, _first = read_records(store, "anna", before=None, limit=9)
    assert (newest.change_no, newest.client) == (2, HERE)
    assert [event.session_id for event in newest.events] == ["s"]


ROW = Put(DEVICES, {"user_uuid": "anna", "device_id": "phone", "book_version": 0})
KEYS = Put(DEVICE_KEYS, {"user_uuid": "anna", "device_id": "phone"}, Absent())


def bind(snapshot: Snapshot) -> TransactionResult[None]:
    """Bind a device: its keys are prepared, its row follows."""
    added = Event(EventKind.DEVICE_ADDED, T0, "phone")
    draft = snapshot.draft.with_book(snapshot.book.bound(a_device("phone")), added)
    return TransactionResult(None, draft, (ROW,), (KEYS,))


def row_of(store: WatchedStore) -> Item | None:
    """Return what lies in the row's place."""
    return store.inner.get(ROW.key)


def test_what_is_prepared_comes_before_the_book_and_rows_after_it(store: WatchedStore) -> None:
    """The book carries the row, so that nobody else's change stands in it; the answer waits until it lies there."""
    keeper(store).run("anna", bind)
    assert [call.tables[0] for call in store.commits] == [
        "DeviceKeysTable",
        "SessionsTable",
        "DevicesTable",
        "LoginHistory",  # the account's first change, which nobody had laid down
        "LoginHistory",
    ]
    (pending,) = book_of(store).rows
    assert row_of(store) == pending.item == {**ROW.item, "book_version": 2}


def test_what_is_prepared_is_put_once_however_often_it_is_tried(store: WatchedStore) -> None:
    """It means nothing yet, and nobody else can have changed it."""
    store.watch(before=once(lambda call: "SessionsTable" in call.tables and call.is_write, lambda: interfere(store)))
    keeper(store).run("anna", bind)
    assert [call.tables[0] for call in store.commits[:3]] == ["DeviceKeysTable", "SessionsTable", "SessionsTable"]


def test_what_was_prepared_for_a_change_that_is_refused_in_the_end_is_taken_away(store: WatchedStore) -> None:
    """Another change came between, and by the book as it is then nothing is bound."""

    def bind_once(snapshot: Snapshot) -> TransactionResult[None]:
        if snapshot.book.version > 1:
            raise Refusal(Code.DEVICE_ACTIVE)
        return bind(snapshot)

    store.watch(before=once(lambda call: "SessionsTable" in call.tables and call.is_write, lambda: interfere(store)))
    with pytest.raises(Refusal):
        keeper(store).run("anna", bind_once)
    (key,) = (
        call.writes[0].key for call in store.commits if call.verb == "put" and call.tables == ("DeviceKeysTable",)
    )
    assert store.inner.get(key) is None


def test_a_change_whose_rows_do_not_lie_there_is_not_answered(store: WatchedStore) -> None:
    """It is made all the same, decisions see it, and who reads the book next lays it down."""
    store.watch(before=lambda call: away_at(call.number)(call) if "DevicesTable" in call.tables else None)
    with pytest.raises(OutcomeUnknown):
        keeper(store).run("anna", bind)
    assert (book_of(store).devices.keys(), row_of(store)) == ({"phone"}, None)
    seen = keeper(store).dry_run("anna", lambda snapshot: TransactionResult(snapshot.at(ROW.key)), (ROW.key,))
    assert seen == {**ROW.item, "book_version": 2}
    store.watch()
    AccountTransactions(store, lambda: T0).get_book("anna")
    assert row_of(store) == seen


def test_rows_need_no_event(store: WatchedStore) -> None:
    """Their order is that of the book's versions."""
    keeper(store).run("anna", lambda snapshot: TransactionResult(None, snapshot.draft, (ROW,)))
    assert row_of(store) == {**ROW.item, "book_version": 2}
    assert book_of(store).change_no == 1


def test_a_book_that_is_full_of_rows_is_laid_down_first(store: WatchedStore) -> None:
    """Or nothing more is changed that way."""
    large = Put(FACTORS, {"user_uuid": "anna", "book_version": 0, "sealed": "x" * 3900})

    def rename(snapshot: Snapshot) -> TransactionResult[None]:
        return TransactionResult(None, snapshot.draft, (large,))

    store.watch(before=lambda call: away_at(call.number)(call) if "FactorsTable" in call.tables else None)
    refused = 0
    for _ in range(14):
        with pytest.raises((OutcomeUnknown, Refusal)) as caught:
            keeper(store).run("anna", rename)
        refused += isinstance(caught.value, Refusal)
    assert 0 < refused < 14
    store.watch()
    keeper(store).run("anna", rename)
    assert store.inner.get(large.key) == {**large.item, "book_version": book_of(store).version}


def test_a_row_is_written_over_a_lower_number_only(store: WatchedStore) -> None:
    """Whoever comes late, or twice, changes nothing."""
    keeper(store).run("anna", bind)
    book = book_of(store)
    later = {**ROW.item, "book_version": 5, "device_name": "later"}
    store.inner.put(DEVICES, later)
    store.inner.put(SESSIONS, replace(book, version=5).to_item())
    lay_row(store, "anna", book.rows[0])
    assert row_of(store) == later


@pytest.mark.parametrize("older", [None, {**ROW.item, "book_version": 1}], ids=["none before", "an older one before"])
def test_a_row_that_another_writes_at_this_moment_stays(store: WatchedStore, older: Item | None) -> None:
    """A slow process has looked what lies there; by its write a later row is there."""
    keeper(store).run("anna", bind)
    book = book_of(store)
    store.inner.put(SESSIONS, replace(book, version=5).to_item())
    store.inner.delete(DEVICES.key("anna", "phone"))
    if older is not None:
        store.inner.put(DEVICES, older)
    later = {**ROW.item, "book_version": 5, "device_name": "later"}
    store.watch(before=once(lambda call: call.is_write, lambda: store.inner.put(DEVICES, later)))
    lay_row(store, "anna", book.rows[0])
    assert row_of(store) == later


@pytest.mark.parametrize("number", [2, 9])
def test_a_row_of_another_time_than_its_book_is_written_over(store: WatchedStore, number: int) -> None:
    """As when tables were restored to different times: the book alone says what is so."""
    keeper(store).run("anna", bind)
    store.inner.put(DEVICES, {**ROW.item, "book_version": number, "device_name": "of another time"})
    lay_row(store, "anna", book_of(store).rows[0])
    assert row_of(store) == {**ROW.item, "book_version": 2}


@pytest.mark.regression("X05", "Y07")
def test_after_a_conflict_the_decision_is_taken_anew_on_the_book_as_it_is_then(store: WatchedStore) -> None:
    """The second try sees the change that came between, and a later time."""
    seen: list[Snapshot] = []

    def watch(snapshot: Snapshot) -> TransactionResult[int]:
        seen.append(snapshot)
        return log_in("s")(snapshot)

    store.watch(before=once(lambda call: call.is_write, lambda: interfere(store)))
    keeper(store).run("anna", watch)
    first, second = seen
    assert (first.book.version, second.book.version) == (1, 2)
    assert second.book.credential_version == first.book.credential_version + 1
    assert second.now > first.now
    assert book_of(store).version == 3
    one, other = store.commits
    assert one.writes != other.writes, "a new decision"


def test_a_decision_reads_its_items_after_the_book_and_anew_at_each_try(store: WatchedStore) -> None:
    """So that an item which changed after the book is caught by the book's version."""
    key = USERS.key("anna")
    store.inner.put(USERS, {"uuid": "anna", "n": 1})
    seen: list[object] = []

    def watch(snapshot: Snapshot) -> TransactionResult[int]:
        item = snapshot.at(key)
        assert item is not None
        with pytest.raises(KeyError):
            snapshot.at(USERS.key("another row, which was not read"))
        seen.append(item["n"])
        return log_in("s")(snapshot)

    def change_both() -> None:
        store.inner.put(USERS, {"uuid": "anna", "n": 2})
        interfere(store)

    store.watch(before=once(lambda call: call.is_write, change_both))
    keeper(store).run("anna", watch, reading=(key,))
    assert seen == [1, 2]
    assert [call.tables[0] for call in store.calls[:2]] == ["SessionsTable", "UsersTable"]


class TestUnknownOutcome:
    """A change whose answer was lost is sent again until it is known; the book remembers whose it was."""

    @pytest.mark.parametrize("losses", [1, 2, 5])
    def test_it_is_sent_again_as_it_was_and_counts_once(self, store: WatchedStore, losses: int) -> None:
        """The same content: the change is there once and is no conflict, however often it was lost."""
        decided: list[Snapshot] = []

        def watch(snapshot: Snapshot) -> TransactionResult[int]:
            decided.append(snapshot)
            return log_in("s")(snapshot)

        lost = at_commits(store, lose, range(1, losses + 1))
        store.watch(before=at_commits(store, lose, range(2, losses + 1)), after=lost)
        assert keeper(store).run("anna", watch) == 1
        assert len(decided) == 1
        first, *again = store.commits
        assert len(again) == losses
        assert all(call.writes == first.writes for call in again)
        assert (book_of(store).version, book_of(store).change_no) == (2, 2)
        assert [entry.change_no for entry in read_records(store, "anna", before=None, limit=9)] == [2, 1]

    def test_a_request_that_never_arrived_is_done_by_its_repetition(self, store: WatchedStore) -> None:
        """Lost on the way there instead of the way back."""
        store.watch(before=unknown_at(2))
        assert keeper(store).run("anna", log_in("s")) == 1
        first, again = store.commits
        assert first.writes == again.writes
        assert book_of(store).version == 2

    def test_a_change_that_was_made_is_known_though_others_have_come_since(self, store: WatchedStore) -> None:
        """The book has its id; whatever the others did to the rest."""

        def be_overtaken() -> None:
            interfere(store)
            interfere(store)
            lose()

        store.watch(after=at_commits(store, be_overtaken, [1]))
        assert keeper(store).run("anna", log_in("s")) == 1
        assert (book_of(store).version, book_of(store).sessions.keys()) == (4, {"s"})

    def test_where_the_book_may_have_forgotten_it_nobody_guesses(self, store: WatchedStore) -> None:
        """32 changes have come since: the caller is told that nobody knows, and nothing is done twice."""

        def be_forgotten() -> None:
            for _ in range(MOST_REMEMBERED):
                interfere(store)
            lose()

        store.watch(after=at_commits(store, be_forgotten, [1]))
        with pytest.raises(OutcomeUnknown, match="too often"):
            keeper(store).run("anna", log_in("s"))
        assert (book_of(store).version, book_of(store).sessions.keys()) == (2 + MOST_REMEMBERED, {"s"})

    def test_a_lost_request_that_was_overtaken_is_decided_anew(self, store: WatchedStore) -> None:
        """It did not happen and another change did: that is a conflict like any other."""

        def overtake() -> None:
            interfere(store)
            lose()

        store.watch(before=at_commits(store, overtake, [1]))
        assert keeper(store).run("anna", log_in("s")) == 2
        lost, repeated, anew = store.commits
        assert lost.writes == repeated.writes != anew.writes
        assert book_of(store).version == 3

    def test_it_stays_unknown_when_the_store_goes_away_after_it(self, store: WatchedStore) -> None:
        """A refusal of the repetition says nothing about the first sending; the next repetition finds out."""
        store.watch(before=at_commits(store, refuse, [2]), after=at_commits(store, lose, [1]))
        assert keeper(store).run("anna", log_in("s")) == 1
        assert all(call.writes == store.commits[0].writes for call in store.commits)
        assert book_of(store).version == 2

    def test_at_the_deadline_the_caller_is_told_that_nobody_knows(self, store: WatchedStore) -> None:
        """Never that there was a conflict, and never that it was done."""
        store.watch(before=at_commits(store, lose))
        with pytest.raises(OutcomeUnknown):
            keeper(store, deadline=0.02).run("anna", log_in("s"))
        assert all(call.writes == store.commits[0].writes for call in store.commits)


def test_conflicts_up_to_the_deadline_end_as_busy_and_write_nothing(store: WatchedStore) -> None:
    """The caller is told when to come back."""
    store.watch(before=at_commits(store, lambda: interfere(store)))
    with pytest.raises(Refusal) as refused:
        keeper(store, deadline=1).run("anna", log_in("s"))
    assert (refused.value.code, refused.value.extensions["retry_after"]) == (Code.BUSY, 1)
    assert not book_of(store).sessions
    assert len(store.commits) > 1


def test_a_queue_that_does_not_move_ends_as_busy(store: WatchedStore) -> None:
    """A change of the same user is under way in another thread and takes longer than the deadline."""
    shared = keeper(store, deadline=0.05)
    entered, leave = threading.Event(), threading.Event()

    def slowly(snapshot: Snapshot) -> TransactionResult[int]:
        entered.set()
        leave.wait(10)
        return log_in("slow")(snapshot)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shared.run, "anna", slowly)
        assert entered.wait(10)
        with pytest.raises(Refusal) as refused:
            shared.run("anna", log_in("quick"))
        leave.set()
        assert slow.result(10) == 1
    assert refused.value.code is Code.BUSY
    assert book_of(store).sessions.keys() == {"slow"}


def test_the_queue_is_free_again_after_a_transition_that_raised(store: WatchedStore) -> None:
    """A refusal holds nobody up."""

    def say_no(_snapshot: Snapshot) -> TransactionResult[int]:
        raise Refusal(Code.NOT_FOUND)

    shared = keeper(store, deadline=0.05)
    with pytest.raises(Refusal):
        shared.run("anna", say_no)
    assert shared.run("anna", log_in("s")) == 1


@pytest.mark.parametrize("raised", [Refusal(Code.DEVICE_ACTIVE), KeyError("x"), StoreUnavailable("x")])
def test_what_a_transition_raises_passes_through_and_nothing_is_written(store: WatchedStore, raised: Exception) -> None:
    """A refusal is not a change."""

    def say_no(_snapshot: Snapshot) -> TransactionResult[None]:
        raise raised

    with pytest.raises(type(raised)) as passed:
        keeper(store).run("anna", say_no)
    assert passed.value is raised
    assert not store.commits


def test_a_change_without_a_draft_is_an_answer_and_writes_nothing(store: WatchedStore) -> None:
    """Nothing to do is done at once."""
    assert keeper(store).run("anna", lambda snapshot: TransactionResult(snapshot.book.version)) == 1
    assert not store.commits


def test_a_preview_decides_and_writes_nothing(store: WatchedStore) -> None:
    """Whatever the decision would write."""
    assert keeper(store).dry_run("anna", log_in("s")) == 1
    assert not store.commits


def test_an_unrecorded_change_raises_the_version_alone(store: WatchedStore) -> None:
    """The history has no gap where nothing was to be told."""
    keeper(store).run("anna", count_epoch)
    keeper(store).run("anna", log_in("s"))
    assert (book_of(store).version, book_of(store).change_no) == (3, 2)
    assert [entry.change_no for entry in read_records(store, "anna", before=None, limit=9)] == [2, 1]


@pytest.mark.parametrize("number", [1, 2])
def test_a_store_that_is_away_is_said_to_be_so(store: WatchedStore, number: int) -> None:
    """At the reading or at the commit; nothing was changed."""
    store.watch(before=away_at(number))
    with pytest.raises(StoreUnavailable):
        keeper(store).run("anna", log_in("s"))
    assert not book_of(store).sessions


def test_nobody_changes_or_reads_a_book_that_is_not_there(store: WatchedStore) -> None:
    """A book is made at registration alone."""
    with pytest.raises(NoSuchUser):
        keeper(store).run("bert", log_in("s"))
    with pytest.raises(NoSuchUser):
        keeper(store).dry_run("bert", log_in("s"))
    assert keeper(store).get_book("bert") is None
    assert store.inner.get(SESSIONS.key("bert")) is None


class TestCreate:
    """A new book comes after its rows."""

    def test_the_book_begins_at_version_one_with_its_first_entry(self, store: WatchedStore) -> None:
        """And its rows were there before it."""
        companion = Put(USERS, {"uuid": "bert"}, Absent())
        keeper(store).create(Draft(Book("bert"), (Event(EventKind.REGISTERED, T0),)), (companion,), HERE)
        assert [call.tables[0] for call in store.commits[:2]] == ["UsersTable", "SessionsTable"]
        assert [entry.change_no for entry in read_records(store, "bert", before=None, limit=9)] == [1]

    def test_without_its_rows_there_is_no_book(self, store: WatchedStore) -> None:
        """An id that is taken is a conflict."""
        store.inner.put(USERS, {"uuid": "bert"})
        with pytest.raises(Conflict):
            keeper(store).create(Draft(Book("bert")), (Put(USERS, {"uuid": "bert"}, Absent()),), HERE)
        assert store.inner.get(SESSIONS.key("bert")) is None

    def test_a_book_that_is_there_is_not_made_anew(self, store: WatchedStore) -> None:
        """Whatever lies there."""
        with pytest.raises(Conflict):
            keeper(store).create(Draft(Book("anna")), (), HERE)

    def test_a_lost_answer_is_asked_for_again(self, store: WatchedStore) -> None:
        """Not taken for a name that is taken."""
        store.watch(after=unknown_at(1))
        keeper(store).create(Draft(Book("bert"), (Event(EventKind.REGISTERED, T0),)), (), HERE)
        first, again = store.commits
        assert first.writes == again.writes


def test_a_book_is_written_only_if_its_version_is_the_one_that_was_read(store: WatchedStore) -> None:
    """That is the whole of the concurrency control."""
    keeper(store).run("anna", log_in("s"))
    book_write = next(w for w in store.commits[0].writes if isinstance(w, Put) and w.table is SESSIONS)
    assert book_write.when == Equals("version", 1)


@pytest.mark.regression("X05", "Y07")
def test_many_threads_on_one_user_lose_nothing(store: WatchedStore) -> None:
    """Transactions of two processes, with four threads each: all 32 are there, in order, without gaps."""
    keepers = [keeper(store, deadline=60), keeper(store, deadline=60)]
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda n: keepers[n % 2].run("anna", log_in(f"s{n}")), range(32)))
    book = book_of(store)
    assert book.sessions.keys() == {f"s{n}" for n in range(32)}
    assert sorted(versions) == list(range(1, 33)), "no two decided on the same book"
    assert (book.version, book.change_no) == (33, 33)
    entries = read_records(store, "anna", before=None, limit=100)
    assert [entry.change_no for entry in entries] == list(range(33, 0, -1))
    told = [event.session_id for entry in reversed(entries) for event in entry.events][1:]
    assert told == [session.session_id for session in book.in_order()], "the history is the order of what happened"


def test_a_background_change_is_not_dropped_because_of_an_old_book(store: WatchedStore) -> None:
    """Where the book last read needs no change, the one in the store is asked: it may have moved on elsewhere."""
    here = keeper(store)
    here.get_book("anna")  # without a session yet: from here on it is the book last read
    keeper(store).run("anna", log_in("s"))
    moment = T0 + 999 * MINUTE

    def seen(snapshot: Snapshot) -> TransactionResult[None]:
        session = snapshot.book.sessions.get("s")
        if session is None or session.last_seen_at >= moment:
            return TransactionResult(None)
        return TransactionResult(None, snapshot.draft.touched(session, moment))

    assert not here.change_each({"anna": seen})
    assert book_of(store).sessions["s"].last_seen_at == moment
    assert not here.change_each({"anna": seen}), "a second time there is nothing to write"
