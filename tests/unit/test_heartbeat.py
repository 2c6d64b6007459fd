"""Heartbeats: which of them say that a process may have left an ending untold, and how they are written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from common.account import heartbeat
from common.account.heartbeat import Heartbeat, HeartbeatReader, HeartbeatWriter, Looked
from common.background import BackgroundThread
from common.storage.engine_rules import size_of
from common.storage.port import Item, Store, StoreUnavailable
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, FEED
from session_manager import event_watch
from tests.unit.builders import T0
from tests.usecases.watched_store import WatchedStore

SECOND = timedelta(seconds=1)
STOPPED = 26


def looked(at: float, *beats: tuple[str, float, int]) -> Looked:
    """Return a look `at` some seconds: of each process when it beat, and what it has left untold."""
    found = [Heartbeat(process, T0 + beat * SECOND, untold) for process, beat, untold in beats]
    return Looked(T0 + at * SECOND, {each.process: each for each in found})


@pytest.mark.parametrize(
    ("before", "now", "shows_more"),
    [
        pytest.param(None, looked(0), False, id="nobody"),
        pytest.param(None, looked(25, ("a", 0, 0)), False, id="it lives"),
        pytest.param(None, looked(STOPPED, ("a", 0, 0)), True, id="it had stopped before the first look"),
        pytest.param(None, looked(0, ("a", 0, 3)), True, id="it had left something before the first look"),
        pytest.param(looked(20, ("a", 0, 0)), looked(STOPPED, ("a", 0, 0)), True, id="it has stopped"),
        pytest.param(looked(STOPPED, ("a", 0, 0)), looked(40, ("a", 0, 0)), False, id="that was seen"),
        pytest.param(looked(STOPPED, ("a", 0, 0)), looked(40, ("a", 39, 0)), False, id="it goes on"),
        pytest.param(looked(40, ("a", 39, 0)), looked(66, ("a", 39, 0)), True, id="it has stopped again"),
        pytest.param(looked(STOPPED, ("a", 0, 0)), looked(80, ("a", 50, 0)), True, id="again between two looks"),
        pytest.param(looked(STOPPED, ("a", 0, 0)), looked(80, ("a", 0, 0), ("b", 50, 0)), True, id="another one"),
        pytest.param(looked(10, ("a", 9, 1)), looked(20, ("a", 19, 2)), True, id="it has left one more"),
        pytest.param(looked(10, ("a", 9, 2)), looked(20, ("a", 19, 2)), False, id="what it left was seen"),
        pytest.param(looked(10, ("a", 9, 0)), looked(20, ("a", 19, 0), ("b", 19, 1)), True, id="a new one left one"),
        pytest.param(looked(10, ("a", 9, 0)), looked(20), False, id="it ended well"),
        pytest.param(looked(0), looked(300), False, id="five minutes without a look"),
        pytest.param(looked(0), looked(301), True, id="more: a heartbeat may have come and gone"),
        pytest.param(looked(20, ("a", 19, 0)), looked(10, ("a", 19, 0)), False, id="a clock that was set back"),
    ],
)
def test_what_a_look_shows(before: Looked | None, now: Looked, *, shows_more: bool) -> None:
    """Each stop and each thing that was left counts once."""
    assert now.shows_more_than(before) is shows_more


def test_an_ending_is_told_within_a_minute() -> None:
    """The numbers behind it: of a process that died, and of one that lives and is behind."""
    beat, stopped, late = heartbeat.BEAT_SECONDS, heartbeat.STOPPED_AFTER.total_seconds(), heartbeat.LATE_SECONDS
    look, sweep, tick = event_watch.LOOK_SECONDS, event_watch.SWEEP_SECONDS, event_watch._TICK_SECONDS
    assert (beat, stopped, late, look, sweep) == (10, 25, 15, 10, 20)
    clocks = 2
    assert stopped + clocks + look + sweep + tick < 60
    assert late + beat + look + sweep + tick < 60
    assert stopped > 2 * beat + clocks, "a beat that is late is no death"
    assert event_watch.POLL_SECONDS == 3600
    assert heartbeat._LONGEST_GAP + heartbeat.STOPPED_AFTER < heartbeat._KEPT, "it is seen before it is gone"


class Process:
    """A process with a heartbeat that beats when the test says so, at the test's time."""

    def __init__(self, store: Store, background: BackgroundThread | None = None) -> None:
        self.now = T0
        self.background = background or BackgroundThread()
        self.heartbeat = HeartbeatWriter(store, lambda: self.now, self.background)
        self.heartbeat.start()
        self.heartbeat._thread.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    """Return an empty store."""
    store = WatchedStore(SqliteStore(tmp_path / "store.db", ALL, lambda: T0))
    yield store
    store.close()


def items(store: WatchedStore) -> list[Item]:
    """Return the heartbeats in the store."""
    return [*store.inner.query(FEED, "processes").items]


def test_a_heartbeat_is_one_small_item_that_is_written_over(store: WatchedStore) -> None:
    """One write unit each time; it outlasts the longest time without a look."""
    process = Process(store)
    store.watch()
    process.now += 10 * SECOND
    process.heartbeat.beat()
    (found,) = items(store)
    assert len(store.calls) == 1
    assert size_of(found) < 200
    assert isinstance(found["expires_at"], int)
    assert isinstance(found["at"], int)
    assert found["expires_at"] - found["at"] == 600_000


def test_it_is_written_by_itself(store: WatchedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start, once however often it is started, until the end."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.02)
    writer = HeartbeatWriter(store, lambda: T0, BackgroundThread())
    writer.beat()
    writer.close()
    assert not store.calls, "before it is started nothing is written"
    writer = HeartbeatWriter(store, lambda: T0, BackgroundThread())
    writer.start()
    writer.start()
    end = time.monotonic() + 60
    while len(store.commits) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(items(store)) == 1
    writer.close()
    assert items(store) == []


def test_where_the_first_cannot_be_written_the_process_does_not_start(store: WatchedStore) -> None:
    """It would serve unseen. It may try again."""

    def away(_call: object) -> None:
        raise StoreUnavailable("away")

    writer = HeartbeatWriter(store, lambda: T0, BackgroundThread())
    store.watch(before=away)
    with pytest.raises(StoreUnavailable):
        writer.start()
    store.watch()
    writer.start()
    assert len(items(store)) == 1
    writer.close()


def test_it_tells_what_was_given_up_and_how_often_the_process_was_late(
    store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each beat that finds a change waiting for too long counts; such a process does not go without leaving a trace."""
    process, told = Process(store), []
    for waits, given_up in ((15.0, 0), (15.1, 0), (15.1, 2), (0.0, 2)):
        monkeypatch.setattr(process.background, "waiting", partial(tuple, (int(waits > 0), waits)))
        process.background.given_up = given_up
        process.heartbeat.beat()
        told.append(items(store)[0]["untold"])
    assert told == [0, 1, 4, 4]
    process.heartbeat.close()
    assert len(items(store)) == 1


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_command_that_is_interrupted_leaves_its_heartbeat(store: WatchedStore, *, interrupted: bool) -> None:
    """It may have come between a put and its laying down; a refusal has not."""
    process = Process(store)
    fault = KeyboardInterrupt if interrupted else ValueError
    with pytest.raises(fault), process.heartbeat.closing():
        raise fault
    assert len(items(store)) == interrupted


def test_a_reader_passes_over_what_died_long_ago(store: WatchedStore) -> None:
    """An engine may delete it late."""
    process, reader = Process(store), HeartbeatReader(store)
    assert reader.look(T0) is False
    assert reader.look(T0 + 30 * SECOND) is True
    assert reader.look(T0 + 40 * SECOND) is False
    assert HeartbeatReader(store).look(T0 + 601 * SECOND) is False
    assert process
