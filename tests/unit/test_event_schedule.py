"""When streams are polled: each once, at its moment, and all soon where that is asked for."""

from __future__ import annotations

import asyncio

from session_manager import event_schedule
from session_manager.event_hub import Stream
from session_manager.event_schedule import PollSchedule
from tests.unit.test_event_hub import in_loop

HOUR = 3600.0


def streams(number: int) -> list[Stream]:
    """Return so many open streams."""
    loop = asyncio.get_running_loop()
    return [Stream("u", str(n), "a", loop.create_future()) for n in range(number)]


@in_loop
async def test_a_stream_is_due_once_at_the_moment_that_was_set_last() -> None:
    """Earlier or later than the one before."""
    schedule = PollSchedule()
    earlier, later, gone = streams(3)
    for stream in (earlier, later, gone):
        schedule.set(stream, 10)
    schedule.set(earlier, 5)
    schedule.set(later, 20)
    schedule.forget(gone)
    schedule.forget(gone)
    assert schedule.take_due(4.9, 9) == []
    assert schedule.take_due(5, 9) == [earlier]
    assert schedule.take_due(10, 9) == []
    assert schedule.take_due(30, 9) == [later]
    assert schedule.take_due(30, 9) == []
    assert len(schedule) == 0


@in_loop
async def test_no_more_are_taken_at_a_time_than_were_asked_for() -> None:
    """The others are due still."""
    schedule, many = PollSchedule(), streams(5)
    for stream in many:
        schedule.set(stream, 1)
    assert [len(schedule.take_due(1, 2)) for _ in range(4)] == [2, 2, 1, 0]


@in_loop
async def test_a_sweep_comes_to_all_within_its_time_evenly() -> None:
    """Those that would have come sooner do; none comes twice."""
    schedule, many = PollSchedule(), streams(100)
    for stream in many[1:]:
        schedule.set(stream, 1000 + schedule.spread(HOUR))
    schedule.set(many[0], 1000.001)
    schedule.all_within(1000, 20)
    assert many[0] in schedule.take_due(1000.001, 100)
    taken = [len(schedule.take_due(1000 + second, 100)) for second in range(1, 21)]
    assert 97 <= sum(taken) <= 99
    assert max(taken) <= 7
    assert schedule.take_due(1000 + 2 * HOUR, 100) == []


@in_loop
async def test_what_was_forgotten_takes_no_memory_for_an_hour() -> None:
    """Streams come and go, and each has its moment within the hour."""
    schedule = PollSchedule()
    for stream in streams(10 * event_schedule._MOST_STALE):
        schedule.set(stream, HOUR)
        schedule.forget(stream)
    assert len(schedule._heap) <= event_schedule._MOST_STALE
