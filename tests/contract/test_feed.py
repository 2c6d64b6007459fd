"""The feed on every engine: whatever was written within reach is read, all of it, and nothing older or later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common import feed
from common.feed import REACH, SHARDS, Ending, endings_in, feed_put, read_endings
from common.history import Event, Kind, Reason
from common.ids import new_id
from common.storage.port import Store

BY_NAME = "Laptop"


def moment(own: str) -> datetime:
    """Return a time of the test's own, half a minute into a minute, so that tests do not read each other's endings."""
    return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(minutes=int(own[:7], 16), seconds=30)


def ending(session_id: str, at: datetime, user_uuid: str | None = None) -> Ending:
    """Return the end of a session of somebody."""
    return Ending(user_uuid or new_id(), session_id, Reason.TAKEN_OVER, at, "device", BY_NAME)


def written(store: Store, own: str, at: datetime, change_no: int = 1) -> Ending:
    """Write an ending at some time and return it."""
    one = ending(own, at)
    store.commit([feed_put([one], change_no, at)], new_id())
    return one


@pytest.mark.parametrize("shift", [-REACH + timedelta(seconds=1), timedelta(0), REACH - timedelta(seconds=1)])
def test_what_was_written_within_reach_is_read(store: Store, own: str, shift: timedelta) -> None:
    """Also by a process whose clock is behind or ahead."""
    now = moment(own)
    one = written(store, own, now + shift)
    assert list(read_endings(store, now)) == [one]
    assert list(read_endings(store, now)) == [one], "again and again"


@pytest.mark.parametrize("edge", [timedelta(seconds=-30), timedelta(seconds=29)])
def test_the_turn_of_a_minute_hides_nothing(store: Store, own: str, edge: timedelta) -> None:
    """A reader looks into the bucket before, and into the next one."""
    now = moment(own) + edge
    ones = {written(store, own, now - timedelta(seconds=5)), written(store, own, now + timedelta(seconds=5))}
    assert set(read_endings(store, now)) == ones


@pytest.mark.parametrize("shift", [-REACH - timedelta(seconds=1), timedelta(minutes=2)])
def test_what_lies_beyond_is_not(store: Store, own: str, shift: timedelta) -> None:
    """Else a read would grow with the day."""
    now = moment(own)
    written(store, own, now + shift)
    assert not list(read_endings(store, now))


def test_many_endings_of_all_shards_are_read_page_by_page(
    store: Store, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is lost between two pages; several endings of one change are one item."""
    monkeypatch.setattr(feed, "_PAGE", 3)
    now = moment(own)
    ones = {written(store, f"{own}-{number}", now, number) for number in range(30)}
    user = new_id()
    pair = [ending(f"{own}-a", now, user), ending(f"{own}-b", now, user)]
    put = feed_put(pair, 1, now)
    store.commit([put], new_id())
    assert set(read_endings(store, now)) == {*ones, *pair}
    assert len({feed_put([one], 1, now).item["bucket"] for one in ones}) == SHARDS


def test_endings_are_taken_from_a_changes_events() -> None:
    """With the name of the device that did it, where it is told nowhere else."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    events = (
        Event(Kind.SESSION_ENDED, now, "d1", "s1", Reason.TAKEN_OVER, by="d2"),
        Event(Kind.SESSION_ENDED, now, "d3", "s3", Reason.EXPIRED),
        Event(Kind.LOGIN, now, "d2", "s2", device_name="Chrome"),
    )
    assert endings_in("u", events) == (
        Ending("u", "s1", Reason.TAKEN_OVER, now, "d2", "Chrome"),
        Ending("u", "s3", Reason.EXPIRED, now),
    )
    assert endings_in("u", events[2:]) == ()
