"""A draft: a book being changed together with the events that tell of it."""

from __future__ import annotations

from datetime import datetime
from time import perf_counter

import pytest
from hypothesis import given

from common.account.book import AccountState, Book
from common.account.draft import Draft
from common.account.history import Event, EventKind, Reason
from common.account.liveness import SessionRules, live_sessions, session_expiry
from tests.unit.builders import DAY, HOUR, MINUTE, RULES, T0, a_book, a_session, books, moments
from tests.unit.test_liveness import some_rules


def test_an_ended_session_leaves_and_is_recorded_with_who_did_it() -> None:
    """One event, with the reason and the device that brought it about."""
    session = a_session("s", 1, device="phone")
    draft = Draft(a_book(session)).ended(session, Reason.TAKEN_OVER, T0, by="laptop")
    assert not draft.book.sessions
    assert draft.events == (Event(EventKind.SESSION_ENDED, T0, "phone", "s", Reason.TAKEN_OVER, None, "laptop"),)


def test_the_ending_of_a_nameless_device_keeps_its_name() -> None:
    """No row of DevicesTable could tell it later."""
    session = a_session("s", 1, name="Firefox on Linux")
    (event,) = Draft(a_book(session)).ended(session, Reason.LOGGED_OUT, T0).events
    assert event.device_name == "Firefox on Linux"


def test_events_keep_the_order_in_which_they_happened() -> None:
    """Later ones are added behind."""
    first, second = a_session("a", 1), a_session("b", 2)
    draft = Draft(a_book(first, second)).ended(second, Reason.REVOKED, T0).ended(first, Reason.REVOKED, T0)
    assert [event.session_id for event in draft.events] == ["b", "a"]


@pytest.mark.regression("X18")
def test_a_sweep_dates_an_expiry_at_its_deadline() -> None:
    """Not at the moment somebody noticed."""
    idle, ended = a_session("a", 1), a_session("b", 2, ends_at=T0 + HOUR)
    draft = Draft(a_book(idle, ended)).without_expired(SessionRules(5, DAY), T0 + 2 * DAY)
    assert [(e.session_id, e.reason, e.at) for e in draft.events] == [
        ("a", Reason.EXPIRED, T0 + DAY),
        ("b", Reason.EXPIRED, T0 + HOUR),
    ]


def test_a_sweep_dates_what_has_no_deadline_at_the_present() -> None:
    """A session over a lowered limit ends when it is removed."""
    draft = Draft(a_book(a_session("a", 1), a_session("b", 2))).without_expired(RULES, T0 + MINUTE)
    assert [(e.session_id, e.reason, e.at) for e in draft.events] == [("b", Reason.OVER_LIMIT, T0 + MINUTE)]


def test_a_sweep_takes_those_over_the_limit_together_with_the_expired_before_them() -> None:
    """Otherwise one of them would come back to life."""
    expired, over = a_session("a", 1, ends_at=T0 + HOUR), a_session("b", 2)
    assert not Draft(a_book(expired, over)).without_expired(RULES, T0 + 2 * HOUR).book.sessions


def test_a_sweep_of_a_disabled_account_revokes_all() -> None:
    """Nothing of it is live."""
    draft = Draft(a_book(a_session("a", 1), state=AccountState.DISABLED)).without_expired(RULES, T0)
    assert [event.reason for event in draft.events] == [Reason.REVOKED]


@given(books(), some_rules, moments())
def test_a_sweep_leaves_exactly_the_live_and_tells_of_each_other_once(
    book: Book, rules: SessionRules, now: datetime
) -> None:
    """In any book; sweeping again finds nothing."""
    live = live_sessions(book, rules, now)
    swept = Draft(book).without_expired(rules, now)
    assert swept.book.in_order() == live == swept.live_sessions(rules, now)
    assert {event.session_id for event in swept.events} == book.sessions.keys() - {s.session_id for s in live}
    assert len(swept.events) + len(live) == len(book.sessions)
    assert swept.without_expired(rules, now) == swept
    for event in swept.events:
        gone = book.sessions[event.session_id or ""]
        assert event.at == (session_expiry(gone, rules) if event.reason is Reason.EXPIRED else now)


def test_a_touch_records_nothing() -> None:
    """It is no event of the history."""
    draft = Draft(a_book(a_session("s", 1)))
    touched = draft.touched(draft.book.sessions["s"], T0 + MINUTE)
    assert touched.book.sessions["s"].last_seen_at == T0 + MINUTE
    assert touched.events == ()


def test_a_touch_by_a_clock_that_is_behind_changes_nothing() -> None:
    """Time never runs backwards."""
    draft = Draft(a_book(a_session("s", 1)))
    assert draft.touched(draft.book.sessions["s"], T0 - HOUR).book == draft.book


def test_a_sweep_takes_a_time_that_grows_with_the_number_of_sessions() -> None:
    """Not with its square, as when each was taken out of a copy of the book."""
    book = a_book(*(a_session(f"s{n}", n, name="Browser") for n in range(16_000)))
    begun = perf_counter()
    assert len(Draft(book).without_expired(RULES, T0 + 2 * DAY).events) == 16_000
    assert perf_counter() - begun < 4
