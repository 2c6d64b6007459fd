"""The background writer of "last seen": what is noted is handed on once, together, and kept while it cannot be."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from common.account.admission import Caller
from common.account.liveness import SessionRules
from common.storage.port import StoreUnavailable
from session_manager import activity
from session_manager.activity import FLUSH_SECONDS, LastSeenWriter, Noted
from tests.unit.builders import DAY, MINUTE, SECOND, T0, a_session

RULES = SessionRules(1, DAY, MINUTE)


class Book:
    """What stands in for the store: it notes what is to be written, or refuses."""

    def __init__(self) -> None:
        self.written: list[dict[str, dict[str, datetime]]] = []
        self.left: Collection[str] = ()
        self.is_away = False
        self.now = T0

    def clock(self) -> datetime:
        """Return the time."""
        return self.now

    def write(self, noted: Noted) -> Collection[str]:
        """Take it."""
        if self.is_away:
            raise StoreUnavailable("away")
        self.written.append({user: dict(sessions) for user, sessions in noted.items()})
        return self.left


@pytest.fixture
def book() -> Book:
    """Return a store's stand-in."""
    return Book()


@pytest.fixture
def writer(book: Book) -> LastSeenWriter:
    """Return a writer that nobody has started."""
    return LastSeenWriter(lambda: RULES, book.clock, book.write)


def caller(user: str = "anna", session: str = "s", seen: datetime = T0 - MINUTE) -> Caller:
    """Return a caller whose session was last seen then."""
    return Caller(user, user, replace(a_session(session, 1), last_seen_at=seen), T0 + DAY)


def test_many_uses_are_one_line(book: Book, writer: LastSeenWriter) -> None:
    """The latest time counts; each user once, with all sessions."""
    for _ in range(3):
        writer.touch(caller("anna", "phone"))
        writer.touch(caller("anna", "laptop"))
        writer.touch(caller("ben", "tablet"))
        book.now += SECOND
    assert writer.flush()
    late = T0 + 2 * SECOND
    assert book.written == [{"anna": {"phone": late, "laptop": late}, "ben": {"tablet": late}}]


def test_what_was_written_is_not_written_again(book: Book, writer: LastSeenWriter) -> None:
    """Nor is the store asked when nothing is noted."""
    writer.touch(caller())
    assert writer.flush()
    assert writer.flush()
    assert len(book.written) == 1


def test_what_is_fresh_enough_is_not_noted(book: Book, writer: LastSeenWriter) -> None:
    """Less than `seen_every` after what the book says."""
    writer.touch(caller(seen=T0 - MINUTE + timedelta(milliseconds=1)))
    assert writer.flush()
    assert book.written == []


def test_what_could_not_be_written_waits_beneath_what_comes_later(book: Book, writer: LastSeenWriter) -> None:
    """Of one user; the others' are done."""
    writer.touch(caller("anna"))
    writer.touch(caller("ben"))
    book.left = ["anna"]
    assert not writer.flush()
    book.left, book.now = (), T0 + SECOND
    writer.touch(caller("anna", "another"))
    assert writer.flush()
    assert book.written[1] == {"anna": {"s": T0, "another": T0 + SECOND}}


def test_a_later_use_counts_over_one_that_could_not_be_written(book: Book, writer: LastSeenWriter) -> None:
    """The same session, noted while the store was away and after."""
    book.is_away = True
    writer.touch(caller())
    assert not writer.flush()
    book.is_away, book.now = False, T0 + SECOND
    writer.touch(caller())
    assert writer.flush()
    assert book.written == [{"anna": {"s": T0 + SECOND}}]


def test_what_waits_is_bounded(book: Book, writer: LastSeenWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the store is unavailable, and however many come."""
    monkeypatch.setattr(activity, "_MOST_USERS", 3)
    for number in range(9):
        writer.touch(caller(str(number)))
    assert writer.flush()
    assert len(book.written[0]) == 3


def test_the_store_is_complained_of_once(book: Book, writer: LastSeenWriter, caplog: pytest.LogCaptureFixture) -> None:
    """Not every second; again when it was back in between."""
    for book.is_away in (True, True, True, False, True):
        writer.touch(caller())
        writer.flush()
    assert len(caplog.records) == 2


def test_started_it_writes_every_second(book: Book, writer: LastSeenWriter) -> None:
    """The number that the documents give."""
    assert FLUSH_SECONDS == 1.0
    writer.start()
    writer.touch(caller())
    end = time.monotonic() + 10
    while not book.written and time.monotonic() < end:
        time.sleep(0.01)
    writer.close()
    assert book.written == [{"anna": {"s": T0}}]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only on systems that fork")
def test_a_process_that_is_forked_off_has_a_thread_of_its_own(book: Book, writer: LastSeenWriter) -> None:
    """As servers fork that load an app before their workers."""
    writer.start()
    writer.touch(caller())
    child = os.fork()
    if child == 0:
        writer.touch(caller("ben"))
        end = time.monotonic() + 10
        while not any("ben" in noted for noted in book.written) and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0 if any("ben" in noted for noted in book.written) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    writer.close()


def test_a_fault_of_ours_does_not_end_the_thread(book: Book, writer: LastSeenWriter) -> None:
    """What was noted is kept, and comes with the next time."""
    faults = iter([ZeroDivisionError()])
    inner = book.write

    def write(noted: Noted) -> Collection[str]:
        for fault in faults:
            raise fault
        return inner(noted)

    writer = LastSeenWriter(lambda: RULES, book.clock, write)
    writer.start()
    writer.touch(caller())
    end = time.monotonic() + 10
    while not book.written and time.monotonic() < end:
        time.sleep(0.01)
    writer.close()
    assert book.written == [{"anna": {"s": T0}}]


@pytest.mark.parametrize("is_started", [False, True])
def test_the_end_writes_what_is_noted(book: Book, writer: LastSeenWriter, *, is_started: bool) -> None:
    """At once, and the thread is gone."""
    if is_started:
        writer.start()
    writer.touch(caller())
    writer.close()
    assert book.written == [{"anna": {"s": T0}}]
    assert "last-seen" not in {thread.name for thread in threading.enumerate()}


def test_the_end_does_not_wait_for_a_store_that_is_away(book: Book, writer: LastSeenWriter) -> None:
    """One try."""
    book.is_away = True
    writer.touch(caller())
    writer.close()
    assert book.written == []
