"""What may become of a session: opened, refreshed, seen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.account.admission import AuthenticatedUser, LoginCandidate
from common.account.book import Session
from common.account.draft import Draft
from common.account.history import EventKind, Reason
from common.account.liveness import SessionRules
from session_manager.session_model import Repeated, Reused, Rotated, Voided, is_touch_due, opened, rotate
from tests.unit.builders import DAY, HOUR, MILLISECOND, MINUTE, SECOND, T0, a_book, a_device, a_session

FRESH = a_session("s", 1)
REFRESHED = replace(FRESH, generation=3, rotated_at=T0)


def _candidate(device_id: str, auth_time: datetime = T0, device_name: str | None = None) -> LoginCandidate:
    """Return a candidate whose password was checked at a time."""
    return LoginCandidate(AuthenticatedUser("anna", "Anna", 0, auth_time), device_id, device_name)


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
            pytest.param(replace(REFRESHED, void_below=3), 3, T0, Rotated, id="the one given with a new password"),
            pytest.param(replace(REFRESHED, void_below=3), 2, T0, Voided, id="the one before a new password at once"),
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
    """A candidate gets a session."""

    @pytest.mark.requirement("B12", "D52")
    def test_it_is_ordered_by_the_books_version_and_dated_by_the_clock(self) -> None:
        """The password check may be older; the end is a lifetime away."""
        draft = Draft(a_book(version=41).bound(a_device("phone")))
        candidate = _candidate("phone", T0 - MINUTE)
        session = opened(draft, candidate, "s", T0, 30 * DAY).book.sessions["s"]
        assert session == Session("s", "phone", 42, T0, T0 - MINUTE, T0, T0 + 30 * DAY)

    def test_its_login_is_recorded(self) -> None:
        """With its device and its session."""
        draft = opened(Draft(a_book().bound(a_device("phone"))), _candidate("phone"), "s", T0, DAY)
        (event,) = draft.events
        assert (event.kind, event.at, event.device_id, event.session_id) == (EventKind.LOGIN, T0, "phone", "s")

    def test_the_devices_own_earlier_session_is_replaced(self) -> None:
        """First its end is recorded, then the login."""
        draft = opened(Draft(a_book(a_session("old", 1, device="phone"))), _candidate("phone"), "new", T0, DAY)
        assert draft.book.sessions.keys() == {"new"}
        assert [(e.session_id, e.reason) for e in draft.events] == [("old", Reason.REPLACED), ("new", None)]

    def test_a_device_without_a_certificate_lives_in_its_session(self) -> None:
        """Its name is kept there and in the history."""
        draft = opened(Draft(a_book()), _candidate("d", T0, "Firefox"), "s", T0, DAY)
        assert draft.book.sessions["s"].device_name == "Firefox"
        assert draft.events[-1].device_name == "Firefox"
        assert not draft.book.devices

    def test_a_device_that_is_not_bound_and_has_no_name_gets_none(self) -> None:
        """That is a fault of ours."""
        with pytest.raises(ValueError, match="bound device"):
            opened(Draft(a_book()), _candidate("stranger"), "s", T0, DAY)


@pytest.mark.parametrize(
    ("every", "since", "worth"),
    [
        (MINUTE, MINUTE - MILLISECOND, False),
        (MINUTE, MINUTE, True),
        (30 * SECOND, 30 * SECOND - MILLISECOND, False),
        (30 * SECOND, 30 * SECOND, True),
        (MINUTE, -HOUR, False),
        (0 * SECOND, 0 * SECOND, False),
        (0 * SECOND, MILLISECOND, True),
    ],
)
def test_activity_is_written_when_it_is_later_by_as_much_as_the_rules_say(
    every: timedelta, since: timedelta, *, worth: bool
) -> None:
    """A clock behind writes nothing."""
    assert is_touch_due(FRESH, SessionRules(1, DAY, every), T0 + since) is worth
