"""Time: aware UTC in whole milliseconds, and how it is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import from_millis, seconds_between, system_clock, to_millis, to_rfc3339
from tests.unit.builders import MILLISECOND, SECOND, T0, moments


@pytest.mark.requirement("R21")
@pytest.mark.regression("X67", "X19")
def test_the_system_clock_is_aware_utc_in_whole_milliseconds() -> None:
    """A time that was stored reads back equal."""
    before, now, after = datetime.now(UTC), system_clock(), datetime.now(UTC)
    assert before - MILLISECOND < now <= after
    assert now.tzinfo is UTC
    assert from_millis(to_millis(now)) == now


@given(moments())
def test_milliseconds_there_and_back_are_the_same_time(moment: datetime) -> None:
    """Whatever zone it was in."""
    assert from_millis(to_millis(moment)) == moment
    assert to_millis(moment.astimezone(timezone(timedelta(hours=9)))) == to_millis(moment)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (T0, "2036-11-21T09:00:00.000Z"),
        (T0 + 250 * MILLISECOND, "2036-11-21T09:00:00.250Z"),
        (T0.astimezone(timezone(timedelta(hours=9))), "2036-11-21T09:00:00.000Z"),
    ],
)
def test_a_time_is_written_in_utc(moment: datetime, text: str) -> None:
    """RFC 3339, to the millisecond."""
    assert to_rfc3339(moment) == text
    assert datetime.fromisoformat(text) == moment


@given(moments(), st.timedeltas(min_value=-SECOND, max_value=timedelta(days=9)))
def test_seconds_to_wait_are_rounded_up(moment: datetime, wait: timedelta) -> None:
    """Whoever waits so long is never too early; the past is no wait."""
    seconds = seconds_between(moment, moment + wait)
    assert seconds >= 0
    assert moment + seconds * SECOND >= moment + wait
    assert seconds * SECOND < max(wait, timedelta(0)) + SECOND
