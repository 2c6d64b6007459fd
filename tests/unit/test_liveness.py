"""Which sessions are live: the order by login, the very instant of expiry, and that the dead stay dead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.account.book import AccountState, Book
from common.account.history import Reason
from common.account.liveness import SessionGone, SessionRules, end_reason, live_sessions, require_live, session_expiry
from tests.unit.builders import DAY, HOUR, MILLISECOND, T0, a_book, a_session, books, moments

TWO = SessionRules(limit=2, idle=DAY)
NO_LIMIT = SessionRules(limit=0, idle=DAY)

some_rules = st.builds(SessionRules, st.integers(0, 5), st.timedeltas(min_value=MILLISECOND, max_value=40 * DAY))


def why(book: Book, session_id: str, rules: SessionRules, now: datetime = T0) -> Reason | None:
    """Return why a session of a book is dead."""
    return end_reason(book, book.sessions[session_id], rules, now)


def ids(book: Book, rules: SessionRules, now: datetime) -> Sequence[str]:
    """Return the ids of the live sessions."""
    return [session.session_id for session in live_sessions(book, rules, now)]


@pytest.mark.requirement("B41")
@pytest.mark.regression("X18", "X37")
def test_at_the_very_instant_of_its_idle_end_a_session_is_dead() -> None:
    """A millisecond earlier it lives."""
    book = a_book(a_session("s", 1))
    assert why(book, "s", TWO, T0 + DAY - MILLISECOND) is None
    assert why(book, "s", TWO, T0 + DAY) is Reason.EXPIRED


def test_at_the_very_instant_of_its_absolute_end_a_session_is_dead() -> None:
    """Activity does not carry it beyond."""
    book = a_book(a_session("s", 1, ends_at=T0 + HOUR))
    assert why(book, "s", TWO, T0 + HOUR - MILLISECOND) is None
    assert why(book, "s", TWO, T0 + HOUR) is Reason.EXPIRED


def test_the_deadline_is_the_earlier_of_the_two_ends() -> None:
    """Idle time or the session's own end, whichever comes first."""
    assert session_expiry(a_session("s", 1, ends_at=T0 + HOUR), TWO) == T0 + HOUR
    assert session_expiry(a_session("s", 1, ends_at=T0 + 9 * DAY), TWO) == T0 + DAY


def test_the_earliest_logins_are_live_whatever_their_clocks_said() -> None:
    """Rank is by `seq`: of three under a limit of two the last is dead, though its clock was an hour behind."""
    early, late, last = a_session("a", 5), a_session("b", 7, at=T0 + HOUR), a_session("c", 9, at=T0 - HOUR)
    book = a_book(last, late, early)
    assert ids(book, TWO, T0) == ["a", "b"]
    assert why(book, "c", TWO) is Reason.OVER_LIMIT


def test_zero_is_no_limit() -> None:
    """Any number may live."""
    assert len(ids(a_book(*(a_session(f"s{n}", n) for n in range(30))), NO_LIMIT, T0)) == 30


def test_a_session_beyond_the_limit_does_not_come_back_when_an_earlier_one_expires() -> None:
    """Its client was refused; only a change of the book lowers the number of sessions, and that removes it."""
    book = a_book(a_session("a", 1, ends_at=T0 + HOUR), a_session("b", 2))
    one = SessionRules(limit=1, idle=DAY)
    assert why(book, "b", one, T0) is Reason.OVER_LIMIT
    assert why(book, "b", one, T0 + 2 * HOUR) is Reason.OVER_LIMIT
    assert ids(book, one, T0 + 2 * HOUR) == []


def test_a_session_on_an_unbound_device_is_dead() -> None:
    """Whatever left it there."""
    book = a_book(a_session("s", 1, device="phone"))
    stranded = Book(book.user_uuid, sessions=book.sessions)
    assert why(stranded, "s", TWO) is Reason.DEVICE_UNBOUND


def test_a_device_without_a_certificate_lives_with_its_session() -> None:
    """Its name is what binds it."""
    assert why(a_book(a_session("s", 1, name="Firefox")), "s", TWO) is None


def test_nothing_of_a_disabled_account_is_live() -> None:
    """Its sessions are revoked as long as it stays disabled."""
    book = a_book(a_session("s", 1), state=AccountState.DISABLED)
    assert why(book, "s", TWO) is Reason.REVOKED
    assert ids(book, TWO, T0) == []


def test_require_live_returns_a_live_session() -> None:
    """As the book has it."""
    book = a_book(a_session("s", 1))
    assert require_live(book, "s", TWO, T0) == book.sessions["s"]


@pytest.mark.parametrize(("session_id", "reason"), [("s", Reason.EXPIRED), ("gone", None)])
def test_require_live_tells_what_the_book_knows_of_a_dead_one(session_id: str, reason: Reason | None) -> None:
    """For a session it no longer has, only the history knows."""
    with pytest.raises(SessionGone) as gone:
        require_live(a_book(a_session("s", 1)), session_id, TWO, T0 + DAY)
    assert (gone.value.user_uuid, gone.value.session_id, gone.value.reason) == ("anna", session_id, reason)


@given(books(), some_rules, moments())
def test_never_more_than_the_limit_live_in_any_book(book: Book, rules: SessionRules, now: datetime) -> None:
    """Whatever is in it, and in order of login."""
    live = live_sessions(book, rules, now)
    assert not rules.limit or len(live) <= rules.limit
    assert [s.seq for s in live] == sorted(s.seq for s in live)


@given(books(), some_rules, moments(), st.timedeltas(min_value=0 * DAY, max_value=400 * DAY))
def test_in_an_unchanged_book_the_dead_stay_dead(
    book: Book, rules: SessionRules, now: datetime, later: timedelta
) -> None:
    """As time goes on sessions only die: no waiting brings a token back to life."""
    after = now + later
    assert set(ids(book, rules, after)) <= set(ids(book, rules, now))
