"""The feed on every engine: whatever was written within reach is hinted at, all of it, and nothing older or later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common.account import feed
from common.account.feed import OVERLAP, REACH, SHARDS, Ending, FeedReader, endings_in, feed_put, hint_of, tell_endings
from common.account.history import Event, EventKind, Reason
from common.ids import new_id
from common.storage import paging
from common.storage.port import Store, StoreUnavailable

SECOND = timedelta(seconds=1)


def moment(own: str) -> datetime:
    """Return a time of the test's own, half a minute into a minute, so that tests do not read each other's endings."""
    return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=int(own[:7], 16), seconds=30)


def written(store: Store, at: datetime) -> str:
    """Write an ending at some time and return its hint."""
    ending = Ending(new_id(), new_id(), Reason.TAKEN_OVER, at, "device")
    put = feed_put([ending], 1, at)
    store.put(put.table, put.item)
    return hint_of(ending.session_id)


@pytest.mark.parametrize("shift", [-REACH + SECOND, timedelta(0), REACH - SECOND])
def test_a_first_look_finds_what_was_written_within_reach(store: Store, own: str, shift: timedelta) -> None:
    """Also by a process whose clock is behind or ahead."""
    now = moment(own)
    assert FeedReader(store).look(now) == frozenset()
    hint = written(store, now + shift)
    assert FeedReader(store).look(now) == {hint}


@pytest.mark.parametrize("edge", [timedelta(seconds=-30), timedelta(seconds=29)])
def test_the_turn_of_a_minute_hides_nothing(store: Store, own: str, edge: timedelta) -> None:
    """A reader looks into the bucket before, and into the next one."""
    now = moment(own) + edge
    hints = {written(store, now - 5 * SECOND), written(store, now + 5 * SECOND)}
    assert FeedReader(store).look(now) == hints
    assert written(store, now - 2 * SECOND) in (later := FeedReader(store)).look(now)
    assert {written(store, now - SECOND), written(store, now + 2 * SECOND)} <= later.look(now + SECOND)


@pytest.mark.parametrize("shift", [-REACH - SECOND, timedelta(minutes=2)])
def test_what_lies_beyond_is_not_read(store: Store, own: str, shift: timedelta) -> None:
    """Else a read would grow with the day."""
    now = moment(own)
    written(store, now + shift)
    assert not FeedReader(store).look(now)


def test_a_reader_goes_on_where_it_was(store: Store, own: str) -> None:
    """What it read is not read again for ever; what a slower clock wrote is found by the next looks."""
    now, reader = moment(own), FeedReader(store)
    first = written(store, now - REACH + SECOND)
    assert reader.look(now) == {first}
    assert not reader.look(now + SECOND)
    late = written(store, now + SECOND - OVERLAP / 2)
    later = written(store, now - 2 * OVERLAP)
    assert reader.look(now + 2 * SECOND) == {late}
    assert later in reader.look(now + 11 * SECOND), "every ten seconds it reads all within reach"


def test_a_look_that_failed_is_made_up_for(store: Store, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one begins where it would have begun, however long the store was away."""
    now, reader = moment(own), FeedReader(store)
    reader.look(now)
    hint = written(store, now + SECOND)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(store, "query", away)
        with pytest.raises(StoreUnavailable):
            reader.look(now + 20 * SECOND)
    assert reader.look(now + 25 * SECOND) == {hint}


def test_many_endings_of_all_shards_are_read_page_by_page(
    store: Store, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is lost between two pages; several endings of one change are one item."""
    monkeypatch.setattr(paging, "MOST_AT_ONCE", 3)
    now, user = moment(own), new_id()
    hints = {written(store, now) for _ in range(30)}
    pair = [Ending(user, new_id(), Reason.EXPIRED, now) for _ in range(2)]
    put = feed_put(pair, 1, now)
    store.put(put.table, put.item)
    assert FeedReader(store).look(now) == hints | {hint_of(each.session_id) for each in pair}
    users = [Ending(new_id(), "s", Reason.EXPIRED, now) for _ in range(60)]
    assert len({feed_put([one], 1, now).item["bucket"] for one in users}) == SHARDS


def test_endings_are_taken_from_a_changes_events() -> None:
    """With the name of the device that did it, where it is told nowhere else."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    events = (
        Event(EventKind.SESSION_ENDED, now, "d1", "s1", Reason.TAKEN_OVER, by="d2"),
        Event(EventKind.SESSION_ENDED, now, "d3", "s3", Reason.EXPIRED),
        Event(EventKind.LOGIN, now, "d2", "s2", device_name="Chrome"),
    )
    assert endings_in("u", events) == (
        Ending("u", "s1", Reason.TAKEN_OVER, now, "d2", "Chrome"),
        Ending("u", "s3", Reason.EXPIRED, now),
    )
    assert endings_in("u", events[2:]) == ()


def test_a_gap_is_told(store: Store, own: str) -> None:
    """What was written more than a minute before a look is not read: who looks learns that there may be some."""
    now, reader = moment(own), FeedReader(store)
    for after, has_gap in ((0, False), (1, False), (40, False), (200, True), (201, False)):
        reader.look(now + after * SECOND)
        assert reader.has_gap is has_gap, after


def test_an_ending_that_was_written_too_late_is_not_taken_for_told(store: Store, own: str) -> None:
    """A process that stood still between the time that it wrote down and the write: readers have passed by then."""
    now, ending = moment(own), Ending(new_id(), new_id(), Reason.TAKEN_OVER, moment(own), "device")
    times = [now, now + 4 * SECOND]
    with pytest.raises(StoreUnavailable):
        tell_endings(store, lambda: times.pop(0), [ending], 1)
    tell_endings(store, lambda: now + 4 * SECOND, [ending], 1)
    assert FeedReader(store).look(now + 4 * SECOND) == {hint_of(ending.session_id)}


def test_what_is_written_in_time_is_found_by_every_reader() -> None:
    """Three seconds: between two looks that read all within reach, with clocks apart."""
    assert feed._IN_TIME == 3 * SECOND
    assert feed._IN_TIME + feed._SWEPT_EVERY + OVERLAP <= REACH
