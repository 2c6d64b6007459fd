"""What may become of a session: opened, refreshed, seen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.admission import Newcomer
from common.book import Session
from common.draft import Draft
from common.history import Kind, Reason
from session_manager.session_model import Repeated, Reused, Rotated, is_worth_a_touch, opened, rotate
from tests.unit.making import DAY, HOUR, MILLISECOND, MINUTE, SECOND, T0, a_book, a_device, a_session

FRESH = a_session("s", 1)
REFRESHED = replace(FRESH, generation=3, rotated_at=T0)
GRACE = 10 * SECOND


class TestRotate:
    """A refresh token is judged by its generation."""

    @pytest.mark.parametrize(
        ("session", "generation", "now", "outcome"),
        [
            pytest.param(FRESH, 0, T0, Rotated, id="the first one"),
            pytest.param(REFRESHED, 3, T0, Rotated, id="the current one at once"),
            pytest.param(REFRESHED, 3, T0 + 29 * DAY, Rotated, id="the current one much later"),
            pytest.param(REFRESHED, 2, T0, Repeated, id="the one before at once"),
            pytest.param(REFRESHED, 2, T0 + GRACE - MILLISECOND, Repeated, id="the one before within the grace"),
            pytest.param(REFRESHED, 2, T0 + GRACE, Repeated, id="the one before at the end of the grace"),
            pytest.param(REFRESHED, 2, T0 + GRACE + MILLISECOND, Reused, id="the one before after the grace"),
            pytest.param(REFRESHED, 1, T0, Reused, id="an older one at once"),
            pytest.param(REFRESHED, 0, T0, Reused, id="the first one at once"),
            pytest.param(REFRESHED, 4, T0, Reused, id="one that never was"),
            pytest.param(FRESH, -1, T0, Reused, id="one before the first"),
        ],
    )
    def test_each_generation_has_its_outcome(
        self, session: Session, generation: int, now: datetime, outcome: type
    ) -> None:
        """The current one turns, the one before is forgiven for ten seconds, all others end the session."""
        assert isinstance(rotate(session, generation, now), outcome)

    def test_a_turn_is_one_generation_and_its_time(self) -> None:
        """Nothing else of the session changes: a refresh is no activity."""
        outcome = rotate(REFRESHED, 3, T0 + HOUR)
        assert outcome == Rotated(replace(REFRESHED, generation=4, rotated_at=T0 + HOUR))

    def test_a_repetition_gives_the_successor_that_is_there(self) -> None:
        """It mints no second chain."""
        assert rotate(REFRESHED, 2, T0) == Repeated(REFRESHED)

    @given(st.lists(st.tuples(st.integers(0, 3), st.timedeltas(min_value=0 * SECOND, max_value=HOUR)), max_size=30))
    def test_generations_only_grow_and_never_fork(self, tries: list[tuple[int, timedelta]]) -> None:
        """Whatever old tokens come at whatever times, there is one current generation, and it never falls."""
        session, now = FRESH, T0
        for age, wait in tries:
            now += wait
            match rotate(session, session.generation - age, now):
                case Rotated(turned):
                    assert age == 0
                    assert turned.generation == session.generation + 1
                    session = turned
                case Repeated(same):
                    assert age == 1
                    assert same == session
                case Reused():
                    assert age > 0
                    break


class TestOpened:
    """A newcomer gets a session."""

    @pytest.mark.row("B12", "D52")
    def test_it_is_ordered_by_the_books_version_and_dated_by_the_clock(self) -> None:
        """The password check may be older; the end is a lifetime away."""
        draft = Draft(a_book(version=41).bound(a_device("phone")))
        newcomer = Newcomer("phone", T0 - MINUTE)
        session = opened(draft, newcomer, "s", T0, 30 * DAY).book.sessions["s"]
        assert session == Session("s", "phone", 42, T0, T0 - MINUTE, T0, T0 + 30 * DAY)

    def test_its_login_is_recorded(self) -> None:
        """With its device and its session."""
        draft = opened(Draft(a_book().bound(a_device("phone"))), Newcomer("phone", T0), "s", T0, DAY)
        (event,) = draft.events
        assert (event.kind, event.at, event.device_id, event.session_id) == (Kind.LOGIN, T0, "phone", "s")

    def test_the_devices_own_earlier_session_is_replaced(self) -> None:
        """First its end is recorded, then the login."""
        draft = opened(Draft(a_book(a_session("old", 1, device="phone"))), Newcomer("phone", T0), "new", T0, DAY)
        assert draft.book.sessions.keys() == {"new"}
        assert [(e.session_id, e.reason) for e in draft.events] == [("old", Reason.REPLACED), ("new", None)]

    def test_a_device_without_a_certificate_lives_in_its_session(self) -> None:
        """Its name is kept there and in the history."""
        draft = opened(Draft(a_book()), Newcomer("d", T0, "Firefox"), "s", T0, DAY)
        assert draft.book.sessions["s"].device_name == "Firefox"
        assert draft.events[-1].device_name == "Firefox"
        assert not draft.book.devices

    def test_a_device_that_is_not_bound_and_has_no_name_gets_none(self) -> None:
        """That is a fault of ours."""
        with pytest.raises(ValueError, match="bound device"):
            opened(Draft(a_book()), Newcomer("stranger", T0), "s", T0, DAY)


@pytest.mark.parametrize(
    ("idle", "since", "worth"),
    [
        (DAY, MINUTE - MILLISECOND, False),
        (DAY, MINUTE, True),
        (5 * MINUTE, 30 * SECOND - MILLISECOND, False),
        (5 * MINUTE, 30 * SECOND, True),
        (DAY, -HOUR, False),
    ],
)
def test_activity_is_written_down_once_a_minute_or_oftener_for_a_short_idle_time(
    idle: timedelta, since: timedelta, *, worth: bool
) -> None:
    """A tenth of the idle time at most, so that an active session never expires; a clock behind writes nothing."""
    assert is_worth_a_touch(FRESH, idle, T0 + since) is worth
