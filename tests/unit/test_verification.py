"""Verification: a token's claims and the book as it is now decide, and nothing else."""

from __future__ import annotations

import gc
from datetime import datetime, timedelta
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.account.admission import Caller
from common.account.book import AccountState, Book
from common.account.history import Reason
from common.account.liveness import SessionGone, SessionRules
from common.crypto.tokens import Claims
from common.errors import Code, Refusal
from session_manager.session_service import CachedVerification
from session_manager.verification import good_until, verify
from tests.unit.builders import DAY, HOUR, MILLISECOND, MINUTE, T0, a_book, a_device, a_session

RULES = SessionRules(limit=1, idle=HOUR)
CLAIMS = Claims("anna", "s", "phone", "Anna", "token", T0, T0 + 10 * MINUTE)
BOOK = a_book(a_session("s", 1, device="phone"))


def outcome(
    book: Book | None, now: datetime = T0, claims: Claims = CLAIMS, certificate: str | None = None
) -> Caller | Code | Reason | None:
    """Return the caller, or how the token is refused."""
    try:
        return verify(claims=claims, book=book, certificate=certificate, rules=RULES, now=now)
    except Refusal as refusal:
        return refusal.code
    except SessionGone as gone:
        return gone.reason


def test_a_live_session_names_its_caller() -> None:
    """The session is the book's, the end the token's."""
    assert outcome(BOOK) == Caller("anna", "Anna", BOOK.sessions["s"], T0 + 10 * MINUTE)


@pytest.mark.requirement("B09", "B11", "B14", "B28")
@pytest.mark.regression("X06")
def test_a_session_that_is_out_of_the_book_is_dead_though_the_token_is_good() -> None:
    """At once; only the history knows why."""
    assert outcome(BOOK.closed("s")) is None
    with pytest.raises(SessionGone):
        verify(claims=CLAIMS, book=BOOK.closed("s"), certificate=None, rules=RULES, now=T0)


@pytest.mark.regression("Y03")
def test_a_token_is_never_good_for_another_session_of_the_user() -> None:
    """The candidate's session does not carry the old token."""
    assert outcome(a_book(a_session("t", 2, device="phone"))) is None


def test_without_a_book_nothing_is_good() -> None:
    """The account is gone."""
    assert outcome(None) is Reason.REVOKED


def test_a_disabled_account_is_revoked() -> None:
    """All of it."""
    assert outcome(replace(BOOK, state=AccountState.DISABLED)) is Reason.REVOKED


def test_a_token_is_expired_at_the_very_instant_of_its_end() -> None:
    """The session lives, so it may be refreshed."""
    assert isinstance(outcome(BOOK, T0 + 10 * MINUTE - MILLISECOND), Caller)
    assert outcome(BOOK, T0 + 10 * MINUTE) is Code.TOKEN_EXPIRED


def test_the_end_of_a_session_is_told_before_the_end_of_its_token() -> None:
    """Refreshing would be in vain."""
    assert outcome(BOOK, T0 + HOUR) is Reason.EXPIRED


def test_a_session_beyond_a_lowered_limit_is_refused() -> None:
    """The earlier login stays."""
    assert outcome(a_book(a_session("r", 0), a_session("s", 1, device="phone"))) is Reason.OVER_LIMIT


def test_a_token_that_names_another_device_than_its_session_is_no_token_of_ours() -> None:
    """We never signed that."""
    assert outcome(BOOK, claims=replace(CLAIMS, device_id="laptop")) is Code.INVALID_TOKEN


def test_an_unbound_device_is_out() -> None:
    """Whatever its session says."""
    assert outcome(replace(BOOK, devices={})) is Reason.DEVICE_UNBOUND


def test_a_session_past_its_absolute_end_is_refused() -> None:
    """Though it was active a moment ago."""
    session = replace(BOOK.sessions["s"], last_seen_at=T0 + 5 * MINUTE, ends_at=T0 + 6 * MINUTE)
    assert outcome(BOOK.updated(session), T0 + 6 * MINUTE) is Reason.EXPIRED


def test_a_token_far_beyond_its_session_is_no_reason_to_let_it_live() -> None:
    """The book decides."""
    assert outcome(BOOK, T0 + DAY, replace(CLAIMS, expires_at=T0 + 9 * DAY)) is Reason.EXPIRED


TIMES = st.integers(0, 7_200_000).map(lambda millis: T0 + timedelta(milliseconds=millis))


@given(
    ends_at=TIMES, last_seen_at=TIMES, expires_at=TIMES, not_after=TIMES, bound=st.booleans(), asked=TIMES, again=TIMES
)
def test_a_verdict_is_the_same_until_the_moment_that_it_names(
    ends_at: datetime,
    last_seen_at: datetime,
    expires_at: datetime,
    not_after: datetime,
    bound: bool,  # noqa: FBT001 - drawn
    asked: datetime,
    again: datetime,
) -> None:
    """Whenever it is asked for again, earlier too: before that moment the same caller, from it on a refusal."""
    session = replace(BOOK.sessions["s"], last_seen_at=last_seen_at, ends_at=ends_at, certified=bound)
    book = replace(BOOK.updated(session), devices={"phone": a_device("phone", not_after=not_after)})
    shown = a_device("phone").fingerprint if bound else None
    claims = replace(CLAIMS, expires_at=expires_at, certificate=shown)
    caller = outcome(book, asked, claims, shown)
    if isinstance(caller, Caller):
        until = good_until(caller, book, RULES)
        assert asked < until
        assert (outcome(book, again, claims, shown) == caller) == (again < until)
        assert outcome(book, until - MILLISECOND, claims, shown) == caller
        assert outcome(book, until, claims, shown) != caller


def test_a_verdict_is_of_its_very_book_alone() -> None:
    """Not of one that says the same; and where its own was let go, not of none: the account is gone."""
    book = a_book(a_session("s", 1, device="phone"))
    caller = Caller("anna", "Anna", book.sessions["s"], T0 + HOUR)
    verdict = CachedVerification(CLAIMS, ref(book), RULES, None, caller, T0 + HOUR)
    assert verdict.is_from(book)
    assert not verdict.is_from(replace(book))
    del book
    gc.collect()
    assert not verdict.is_from(None)


class TestCertificate:
    """A session that is bound to its device's certificate, and a token that names it."""

    PRESENT, OLD, OTHER = a_device("phone").fingerprint, "0" * 64, "1" * 64
    BOUND = BOOK.updated(replace(BOOK.sessions["s"], certified=True))

    @pytest.mark.parametrize(
        ("named", "shown", "expected"),
        [
            (PRESENT, PRESENT, None),
            (PRESENT, None, Code.INVALID_TOKEN),
            (PRESENT, OTHER, Code.INVALID_TOKEN),
            (OLD, PRESENT, Code.TOKEN_EXPIRED),
            (OLD, OLD, Code.INVALID_TOKEN),
            (OLD, None, Code.INVALID_TOKEN),
            (OLD, OTHER, Code.INVALID_TOKEN),
            (None, PRESENT, Code.TOKEN_EXPIRED),
            (None, None, Code.INVALID_TOKEN),
            (None, OTHER, Code.INVALID_TOKEN),
        ],
    )
    def test_what_is_named_and_what_is_shown(self, named: str | None, shown: str | None, expected: Code | None) -> None:
        """Only the present one, and shown; whoever shows it with an older token is told to refresh."""
        found = outcome(self.BOUND, claims=replace(CLAIMS, certificate=named), certificate=shown)
        assert isinstance(found, Caller) if expected is None else found is expected

    @pytest.mark.parametrize("shown", [None, PRESENT, OTHER])
    def test_a_session_that_is_bound_to_none_asks_for_none(self, shown: str | None) -> None:
        """Whatever is shown."""
        assert isinstance(outcome(BOOK, certificate=shown), Caller)

    @pytest.mark.parametrize("shown", [None, OTHER])
    def test_whoever_does_not_hold_it_is_not_told_what_became_of_the_session(self, shown: str | None) -> None:
        """It is told only to the device."""
        claims = replace(CLAIMS, certificate=self.PRESENT)
        for book in (self.BOUND.closed("s"), replace(self.BOUND, state=AccountState.DISABLED)):
            assert outcome(book, claims=claims, certificate=shown) is Code.INVALID_TOKEN
            assert outcome(book, claims=claims, certificate=self.PRESENT) in (None, Reason.REVOKED)

    def test_it_is_over_at_the_very_instant_of_its_end(self) -> None:
        """As at login."""
        device = replace(a_device("phone"), not_after=T0)
        book = replace(self.BOUND, devices={"phone": device})
        claims = replace(CLAIMS, certificate=self.PRESENT)
        assert outcome(book, T0, claims, self.PRESENT) is Code.CERTIFICATE_EXPIRED
        assert isinstance(outcome(book, T0 - MILLISECOND, claims, self.PRESENT), Caller)
