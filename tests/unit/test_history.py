"""The history: what a change tells of itself, read back in pages, and the failed tries in a place of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.account.feed import ending_among
from common.account.history import (
    ClientInfo,
    Event,
    EventKind,
    FailedLogin,
    HistoryRecord,
    OperatorAct,
    Reason,
    failure_put,
    failures_of,
    history_put,
    read_failures,
    record_from_item,
)
from common.account.outbox import outbox_from_items, outbox_to_items, read_records
from common.storage.idempotent_commit import write_once
from common.storage.port import Absent, Conflict
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, LOGIN_HISTORY
from tests.unit.builders import DAY, MILLISECOND, SECOND, T0, moments, names, uuids

HERE = ClientInfo("192.0.2.1", "a browser")

events = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    at=moments(),
    device_id=st.none() | uuids,
    session_id=st.none() | uuids,
    reason=st.none() | st.sampled_from(Reason),
    device_name=st.none() | names,
    by=st.none() | uuids,
    act=st.none() | st.sampled_from(OperatorAct),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Return a fresh store."""
    store = SqliteStore(tmp_path / "store.db", ALL, lambda: T0)
    yield store
    store.close()


def ended(session_id: str, reason: Reason) -> Event:
    """Return the event of a session's end."""
    return Event(EventKind.SESSION_ENDED, T0, "phone", session_id, reason)


def fill(store: SqliteStore, count: int) -> None:
    """Write entries 1 to `count`, each with a login of the session of its number."""
    for number in range(1, count + 1):
        event = Event(EventKind.LOGIN, T0, session_id=f"s{number}")
        write_once(store, history_put("anna", HistoryRecord(number, (event,), HERE)))


@given(st.integers(0, 2**53), st.lists(events, max_size=5).map(tuple), st.builds(ClientInfo, names, names))
def test_an_entry_reads_back_as_it_was_written(change_no: int, told: tuple[Event, ...], origin: ClientInfo) -> None:
    """Whatever it tells."""
    entry = HistoryRecord(change_no, told, origin)
    assert outbox_from_items(outbox_to_items([entry])) == (entry,)
    assert record_from_item(history_put("anna", entry).item) == entry


@pytest.mark.regression("X17", "X20")
def test_an_entry_is_never_overwritten(store: SqliteStore) -> None:
    """Its number is free or the write fails."""
    put = history_put("anna", HistoryRecord(1, (), HERE))
    assert put.when == Absent()
    write_once(store, put)
    with pytest.raises(Conflict):
        write_once(store, history_put("anna", HistoryRecord(1, (), ClientInfo("elsewhere"))))


@pytest.mark.requirement("B42")
def test_entries_come_newest_first_in_pages(store: SqliteStore) -> None:
    """Each page begins below the last number of the one before."""
    fill(store, 7)
    first = read_records(store, "anna", before=None, limit=3)
    second = read_records(store, "anna", before=first[-1].change_no, limit=3)
    third = read_records(store, "anna", before=second[-1].change_no, limit=3)
    assert [[entry.change_no for entry in page] for page in (first, second, third)] == [[7, 6, 5], [4, 3, 2], [1]]


def test_entries_are_one_users_own(store: SqliteStore) -> None:
    """Nobody reads another's."""
    fill(store, 2)
    assert not read_records(store, "bert", before=None, limit=9)


class TestWhyEnded:
    """What tells why a session ended is found among the entries."""

    ENTRIES = (
        HistoryRecord(3, (Event(EventKind.LOGIN, T0, "laptop", "t"),), HERE),
        HistoryRecord(2, (ended("r", Reason.EXPIRED), ended("s", Reason.TAKEN_OVER)), HERE),
    )

    def test_it_is_that_sessions_own(self) -> None:
        """Not that of another which ended in the same change."""
        ending = ending_among("anna", self.ENTRIES, "s")
        assert ending is not None
        assert (ending.session_id, ending.reason) == ("s", Reason.TAKEN_OVER)

    @pytest.mark.parametrize("session_id", ["t", "nobody's"])
    def test_a_session_that_did_not_end_there_has_none(self, session_id: str) -> None:
        """A login is no end."""
        assert ending_among("anna", self.ENTRIES, session_id) is None


class TestFailures:
    """Wrong passwords lie in a partition of their own and go away with time."""

    def test_they_are_read_newest_first(self, store: SqliteStore) -> None:
        """Each with its time and origin, and no more than asked for."""
        for seconds in (1, 3, 2):
            failed = FailedLogin(T0 + seconds * SECOND, ClientInfo(f"192.0.2.{seconds}"))
            write_once(store, failure_put("anna", failed, T0 + DAY))
        newest, second = read_failures(store, "anna", 2, T0)
        assert (newest, second) == (
            FailedLogin(T0 + 3 * SECOND, ClientInfo("192.0.2.3")),
            FailedLogin(T0 + 2 * SECOND, ClientInfo("192.0.2.2")),
        )

    def test_they_are_no_entries_of_the_history(self, store: SqliteStore) -> None:
        """A stranger's guesses leave no gap and no number in it."""
        write_once(store, failure_put("anna", FailedLogin(T0, HERE), T0 + DAY))
        assert not read_records(store, "anna", before=None, limit=9)
        assert store.query(LOGIN_HISTORY, failures_of("anna")).items

    def test_an_expired_one_is_not_shown_though_it_still_lies_there(self, store: SqliteStore) -> None:
        """The store may purge late; the reader compares."""
        write_once(store, failure_put("anna", FailedLogin(T0, HERE), T0 + DAY))
        assert len(read_failures(store, "anna", 9, T0 + DAY - MILLISECOND)) == 1
        assert not read_failures(store, "anna", 9, T0 + DAY)

    def test_several_in_one_millisecond_are_kept_apart(self) -> None:
        """Their keys differ by chance, and by so much of it that ten guesses at once do not overwrite each other."""
        keys = {failure_put("anna", FailedLogin(T0, HERE), T0).key.sort for _ in range(2000)}
        assert len(keys) > 1980

    def test_the_last_number_of_a_far_year_still_fits_the_engines(self, store: SqliteStore) -> None:
        """SQLite's integers have 64 bits with a sign."""
        far = datetime(2261, 12, 31, tzinfo=UTC)
        write_once(store, failure_put("anna", FailedLogin(far, HERE), far + DAY))
        assert [failed.at for failed in read_failures(store, "anna", 9, far)] == [far]
