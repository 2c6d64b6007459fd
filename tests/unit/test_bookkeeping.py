"""The one loop: decide on what is there, commit if nothing changed meanwhile, and never guess an outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.book import Book
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
from common.draft import Draft
from common.errors import Code, Refusal
from common.history import Event, Kind, Origin, read_entries
from common.ids import new_id
from common.storage.port import Absent, Conflict, Equals, OutcomeUnknown, Put, StoreUnavailable
from common.storage.sqlite import SqliteStore
from common.storage.tables import ALL, DEVICES, SESSIONS, USERS
from tests.unit.making import MINUTE, T0, a_device, a_session
from tests.usecases.watched_store import StoreCall, Watch, WatchedStore, away_at, once, unknown_at

HERE = Origin("192.0.2.1", "a browser")


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
    keeper(watched).create(Draft(Book("anna"), (Event(Kind.REGISTERED, T0),)), (), HERE)
    watched.watch()
    yield watched
    watched.close()


def keeper(store: WatchedStore, deadline: float = 4.0) -> Bookkeeper:
    """Return a bookkeeper whose clock ticks and whose pauses take no time."""
    return Bookkeeper(store, Ticking(), deadline=deadline, pause=lambda _seconds: None)


def book_of(store: WatchedStore) -> Book:
    """Return anna's book as it lies in the store."""
    item = store.inner.get(SESSIONS.key("anna"))
    assert item is not None
    return Book.from_item(item)


def log_in(session_id: str) -> Callable[[Snapshot], Change[int]]:
    """Return a transition that opens a session under a name; its result is the version that it saw."""

    def transition(snapshot: Snapshot) -> Change[int]:
        book = snapshot.book
        session = a_session(session_id, book.version + 1, name=session_id)
        event = Event(Kind.LOGIN, snapshot.now, session_id=session_id)
        return Change(book.version, snapshot.draft.with_book(book.opened(session), event))

    return transition


def count_epoch(snapshot: Snapshot) -> Change[None]:
    """Raise the epoch by one and record nothing."""
    return Change(None, snapshot.draft.with_book(replace(snapshot.book, epoch=snapshot.book.epoch + 1)))


def at_commits(store: WatchedStore, act: Callable[[], object], numbers: Container[int] = range(1, 10**9)) -> Watch:
    """Act at commits, counted from 1."""

    def watch(call: StoreCall) -> None:
        if call.verb == "commit" and len(store.commits) in numbers:
            act()

    return watch


def lose() -> None:
    """Let the caller not know."""
    raise OutcomeUnknown("the answer was lost")


def refuse() -> None:
    """Let the store be away."""
    raise StoreUnavailable("away for a moment")


def interfere(store: WatchedStore) -> None:
    """Change anna's book behind the bookkeeper's back."""
    keeper(WatchedStore(store.inner)).change("anna", count_epoch)


def test_a_change_is_in_the_book_and_in_the_history_by_one_commit(store: WatchedStore) -> None:
    """The entry has the change's number, its events and where the request came from."""
    assert keeper(store).change("anna", log_in("s"), origin=HERE) == 1
    (commit,) = store.commits
    assert commit.tables == ("SessionsTable", "LoginHistory")
    assert book_of(store).sessions.keys() == {"s"}
    newest, _first = read_entries(store, "anna", before=None, limit=9)
    assert (newest.change_no, newest.origin) == (2, HERE)
    assert [event.session_id for event in newest.events] == ["s"]


def test_companion_writes_go_with_the_change_or_not_at_all(store: WatchedStore) -> None:
    """A row of a neighbour is committed together with the book."""
    row = Put(DEVICES, {"user_uuid": "anna", "device_id": "phone"}, Absent())

    def bind(snapshot: Snapshot) -> Change[None]:
        return Change(None, snapshot.draft.with_book(snapshot.book.bound(a_device("phone"))), (row,))

    keeper(store).change("anna", bind)
    (commit,) = store.commits
    assert commit.tables == ("DevicesTable", "SessionsTable")


@pytest.mark.pitfall("X05", "Y07")
def test_after_a_conflict_the_decision_is_taken_anew_on_the_book_as_it_is_then(store: WatchedStore) -> None:
    """The second try sees the change that came between, and a later time."""
    seen: list[Snapshot] = []

    def watch(snapshot: Snapshot) -> Change[int]:
        seen.append(snapshot)
        return log_in("s")(snapshot)

    store.watch(before=once(lambda call: call.verb == "commit", lambda: interfere(store)))
    keeper(store).change("anna", watch)
    first, second = seen
    assert (first.book.version, second.book.version) == (1, 2)
    assert second.book.epoch == first.book.epoch + 1
    assert second.now > first.now
    assert book_of(store).version == 3
    one, other = store.commits
    assert one.request_id != other.request_id, "new content, new request"


def test_a_decision_reads_its_items_after_the_book_and_anew_at_each_try(store: WatchedStore) -> None:
    """So that an item which changed after the book is caught by the book's version."""
    key = USERS.key("anna")
    store.inner.commit([Put(USERS, {"uuid": "anna", "n": 1})], new_id())
    seen: list[object] = []

    def watch(snapshot: Snapshot) -> Change[int]:
        (item,) = snapshot.items
        assert item is not None
        seen.append(item["n"])
        return log_in("s")(snapshot)

    def change_both() -> None:
        store.inner.commit([Put(USERS, {"uuid": "anna", "n": 2})], new_id())
        interfere(store)

    store.watch(before=once(lambda call: call.verb == "commit", change_both))
    keeper(store).change("anna", watch, reading=(key,))
    assert seen == [1, 2]
    assert [call.tables[0] for call in store.calls[:2]] == ["SessionsTable", "UsersTable"]


class TestUnknownOutcome:
    """A commit whose answer was lost is repeated under its own id until it is known."""

    @pytest.mark.parametrize("losses", [1, 2, 5])
    def test_it_is_sent_again_as_it_was_and_counts_once(self, store: WatchedStore, losses: int) -> None:
        """The same content, the same id: the change is there once and is no conflict, however often it was lost."""
        decided: list[Snapshot] = []

        def watch(snapshot: Snapshot) -> Change[int]:
            decided.append(snapshot)
            return log_in("s")(snapshot)

        store.watch(after=at_commits(store, lose, range(1, losses + 1)))
        assert keeper(store).change("anna", watch) == 1
        assert len(decided) == 1
        first, *again = store.commits
        assert len(again) == losses
        assert all((call.request_id, call.writes) == (first.request_id, first.writes) for call in again)
        assert (book_of(store).version, book_of(store).change_no) == (2, 2)
        assert [entry.change_no for entry in read_entries(store, "anna", before=None, limit=9)] == [2, 1]

    def test_a_request_that_never_arrived_is_done_by_its_repetition(self, store: WatchedStore) -> None:
        """Lost on the way there instead of the way back."""
        store.watch(before=unknown_at(2))
        assert keeper(store).change("anna", log_in("s")) == 1
        first, again = store.commits
        assert first.request_id == again.request_id
        assert book_of(store).version == 2

    def test_a_lost_request_that_was_overtaken_is_decided_anew(self, store: WatchedStore) -> None:
        """It did not happen and another change did: that is a conflict like any other."""

        def overtake() -> None:
            interfere(store)
            lose()

        store.watch(before=at_commits(store, overtake, [1]))
        assert keeper(store).change("anna", log_in("s")) == 2
        lost, repeated, anew = store.commits
        assert lost.request_id == repeated.request_id != anew.request_id
        assert book_of(store).version == 3

    def test_it_stays_unknown_when_the_store_goes_away_after_it(self, store: WatchedStore) -> None:
        """A refusal of the repetition says nothing about the first sending; the next repetition finds out."""
        store.watch(before=at_commits(store, refuse, [2]), after=at_commits(store, lose, [1]))
        assert keeper(store).change("anna", log_in("s")) == 1
        assert len({call.request_id for call in store.commits}) == 1
        assert book_of(store).version == 2

    def test_at_the_deadline_the_caller_is_told_that_nobody_knows(self, store: WatchedStore) -> None:
        """Never that there was a conflict, and never that it was done."""
        store.watch(after=at_commits(store, lose))
        with pytest.raises(OutcomeUnknown):
            keeper(store, deadline=0.02).change("anna", log_in("s"))
        assert len({call.request_id for call in store.commits}) == 1


def test_conflicts_up_to_the_deadline_end_as_busy_and_write_nothing(store: WatchedStore) -> None:
    """The caller is told when to come back."""
    store.watch(before=at_commits(store, lambda: interfere(store)))
    with pytest.raises(Refusal) as refused:
        keeper(store, deadline=0.05).change("anna", log_in("s"))
    assert (refused.value.code, refused.value.facts["retry_after"]) == (Code.BUSY, 1)
    assert not book_of(store).sessions
    assert len(store.commits) > 1


def test_a_queue_that_does_not_move_ends_as_busy(store: WatchedStore) -> None:
    """A change of the same user is under way in another thread and takes longer than the deadline."""
    shared = keeper(store, deadline=0.05)
    entered, leave = threading.Event(), threading.Event()

    def slowly(snapshot: Snapshot) -> Change[int]:
        entered.set()
        leave.wait(10)
        return log_in("slow")(snapshot)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shared.change, "anna", slowly)
        assert entered.wait(10)
        with pytest.raises(Refusal) as refused:
            shared.change("anna", log_in("quick"))
        leave.set()
        assert slow.result(10) == 1
    assert refused.value.code is Code.BUSY
    assert book_of(store).sessions.keys() == {"slow"}


def test_the_queue_is_free_again_after_a_transition_that_raised(store: WatchedStore) -> None:
    """A refusal holds nobody up."""

    def say_no(_snapshot: Snapshot) -> Change[int]:
        raise Refusal(Code.NOT_FOUND)

    shared = keeper(store, deadline=0.05)
    with pytest.raises(Refusal):
        shared.change("anna", say_no)
    assert shared.change("anna", log_in("s")) == 1


@pytest.mark.parametrize("raised", [Refusal(Code.DEVICE_ACTIVE), KeyError("x"), StoreUnavailable("x")])
def test_what_a_transition_raises_passes_through_and_nothing_is_written(store: WatchedStore, raised: Exception) -> None:
    """A refusal is not a change."""

    def say_no(_snapshot: Snapshot) -> Change[None]:
        raise raised

    with pytest.raises(type(raised)) as passed:
        keeper(store).change("anna", say_no)
    assert passed.value is raised
    assert not store.commits


def test_a_change_without_a_draft_is_an_answer_and_writes_nothing(store: WatchedStore) -> None:
    """Nothing to do is done at once."""
    assert keeper(store).change("anna", lambda snapshot: Change(snapshot.book.version)) == 1
    assert not store.commits


def test_a_preview_decides_and_writes_nothing(store: WatchedStore) -> None:
    """Whatever the decision would write."""
    assert keeper(store).preview("anna", log_in("s")) == 1
    assert not store.commits


def test_an_unrecorded_change_raises_the_version_alone(store: WatchedStore) -> None:
    """The history has no gap where nothing was to be told."""
    keeper(store).change("anna", count_epoch)
    keeper(store).change("anna", log_in("s"))
    assert (book_of(store).version, book_of(store).change_no) == (3, 2)
    assert [entry.change_no for entry in read_entries(store, "anna", before=None, limit=9)] == [2, 1]


@pytest.mark.parametrize("number", [1, 2])
def test_a_store_that_is_away_is_said_to_be_so(store: WatchedStore, number: int) -> None:
    """At the reading or at the commit; nothing was changed."""
    store.watch(before=away_at(number))
    with pytest.raises(StoreUnavailable):
        keeper(store).change("anna", log_in("s"))
    assert not book_of(store).sessions


def test_nobody_changes_or_reads_a_book_that_is_not_there(store: WatchedStore) -> None:
    """A book is made at registration alone."""
    with pytest.raises(NoSuchUser):
        keeper(store).change("bert", log_in("s"))
    with pytest.raises(NoSuchUser):
        keeper(store).preview("bert", log_in("s"))
    assert keeper(store).read("bert") is None
    assert store.inner.get(SESSIONS.key("bert")) is None


class TestCreate:
    """A new book comes with its companions or not at all."""

    def test_the_book_begins_at_version_one_with_its_first_entry(self, store: WatchedStore) -> None:
        """And the companions in the same commit."""
        companion = Put(USERS, {"uuid": "bert"}, Absent())
        keeper(store).create(Draft(Book("bert"), (Event(Kind.REGISTERED, T0),)), (companion,), HERE)
        (commit,) = store.commits
        assert commit.tables == ("UsersTable", "SessionsTable", "LoginHistory")
        assert [entry.change_no for entry in read_entries(store, "bert", before=None, limit=9)] == [1]

    def test_a_conflict_names_the_companion_that_was_taken(self, store: WatchedStore) -> None:
        """By its position, and nothing was written."""
        store.inner.commit([Put(USERS, {"uuid": "bert"})], new_id())
        writes = (Put(DEVICES, {"user_uuid": "bert", "device_id": "x"}), Put(USERS, {"uuid": "bert"}, Absent()))
        with pytest.raises(Conflict) as conflict:
            keeper(store).create(Draft(Book("bert")), writes, HERE)
        assert conflict.value.failed == (1,)
        assert store.inner.get(SESSIONS.key("bert")) is None

    def test_a_book_that_is_there_is_not_made_anew(self, store: WatchedStore) -> None:
        """Its place is beyond the companions'."""
        with pytest.raises(Conflict) as conflict:
            keeper(store).create(Draft(Book("anna")), (Put(USERS, {"uuid": "anna"}),), HERE)
        assert conflict.value.failed == (1,)

    def test_a_lost_answer_is_asked_for_again(self, store: WatchedStore) -> None:
        """Not taken for a name that is taken."""
        store.watch(after=unknown_at(1))
        keeper(store).create(Draft(Book("bert"), (Event(Kind.REGISTERED, T0),)), (), HERE)
        first, again = store.commits
        assert first.request_id == again.request_id


def test_a_book_is_written_only_if_its_version_is_the_one_that_was_read(store: WatchedStore) -> None:
    """That is the whole of the concurrency control."""
    keeper(store).change("anna", log_in("s"))
    book_write = next(w for w in store.commits[0].writes if isinstance(w, Put) and w.table is SESSIONS)
    assert book_write.when == Equals("version", 1)


@pytest.mark.pitfall("X05", "Y07")
def test_many_threads_on_one_user_lose_nothing(store: WatchedStore) -> None:
    """Two bookkeepers, as of two processes, with four threads each: all 80 are there, in order, without gaps."""
    keepers = [keeper(store, deadline=60), keeper(store, deadline=60)]
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda n: keepers[n % 2].change("anna", log_in(f"s{n}")), range(80)))
    book = book_of(store)
    assert book.sessions.keys() == {f"s{n}" for n in range(80)}
    assert sorted(versions) == list(range(1, 81)), "no two decided on the same book"
    assert (book.version, book.change_no) == (81, 81)
    entries = read_entries(store, "anna", before=None, limit=100)
    assert [entry.change_no for entry in entries] == list(range(81, 0, -1))
    told = [event.session_id for entry in reversed(entries) for event in entry.events][1:]
    assert told == [session.session_id for session in book.in_order()], "the history is the order of what happened"
