"""Takeover tokens: what a consent says, how long it holds, and that nobody but we can write one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.account.admission import AuthenticatedUser, ConsentToEnd, LoginCandidate
from common.crypto.tokens import SignedTokens
from common.errors import Code, Refusal
from login_app.takeover_token import expiry, sign, verify
from tests.unit.builders import MILLISECOND, MINUTE, SECOND, T0, moments, names, uuids

TOKENS = SignedTokens(b"k" * 32, "takeover")
ANNA = AuthenticatedUser("anna", "Anna", 0, T0)
CONSENT = ConsentToEnd(LoginCandidate(ANNA, "phone"), frozenset({"s"}), "consent", T0 + MINUTE, 1)

users = st.builds(
    AuthenticatedUser,
    uuids,
    names,
    st.integers(0, 2**31),
    moments(),
    st.just(value=False),
    st.none() | st.sampled_from(["", "at#0123456789abcdef"]),
)
consents = st.builds(
    ConsentToEnd,
    st.builds(LoginCandidate, users, uuids, st.none() | names, st.none() | uuids, st.booleans()),
    st.frozensets(uuids, max_size=6),
    uuids,
    moments(),
    st.integers(0, 2**31),
)


@given(consents)
def test_a_token_says_what_was_sealed(consent: ConsentToEnd) -> None:
    """Who was asked, on which device, who was shown, when the password was right, until when, and under which epoch."""
    assert verify(TOKENS, sign(TOKENS, consent)) == consent


@pytest.mark.parametrize(
    ("change", "counted_as"), [(lambda fields: fields[:-1], None), (lambda fields: [*fields, "later"], "at#0")]
)
def test_tokens_of_other_releases_open(change: Callable[[list[object]], list[object]], counted_as: str | None) -> None:
    """One of before does not say how the device was counted; what one of a later release says besides is not read."""
    known = replace(CONSENT, candidate=replace(CONSENT.candidate, user=replace(ANNA, counted_as="at#0")))
    fields = change(TOKENS.verify(sign(TOKENS, known)))
    user = replace(ANNA, counted_as=counted_as)
    assert verify(TOKENS, TOKENS.sign(fields)) == replace(known, candidate=replace(known.candidate, user=user))


def test_the_order_in_which_sessions_were_shown_does_not_matter() -> None:
    """One consent, one token."""
    one, other = (replace(CONSENT, session_ids=frozenset(ids)) for ids in (["a", "b", "c"], ["c", "b", "a"]))
    assert sign(TOKENS, one) == sign(TOKENS, other)


def test_what_the_device_showed_of_its_key_is_not_sealed() -> None:
    """It must show its key again with the consent."""
    shown = replace(CONSENT, candidate=replace(CONSENT.candidate, key_proven=True))
    assert verify(TOKENS, sign(TOKENS, shown)) == CONSENT


@pytest.mark.parametrize(
    ("password_age", "lifetime"),
    [
        (timedelta(0), 120 * SECOND),
        (8 * MINUTE, 120 * SECOND),
        (8 * MINUTE + SECOND, 119 * SECOND),
        (10 * MINUTE - MILLISECOND, MILLISECOND),
        (10 * MINUTE, timedelta(0)),
        (11 * MINUTE, -MINUTE),
    ],
)
def test_a_token_lives_two_minutes_and_never_beyond_ten_after_the_password(
    password_age: timedelta, lifetime: timedelta
) -> None:
    """A token that inherits an old password check is shorter, and at ten minutes it is dead as it is made."""
    assert expiry(T0 - password_age, T0) == T0 + lifetime


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("junk", id="junk"),
        pytest.param("\N{SNOWMAN}", id="no ASCII"),
        pytest.param("A" * 100_000, id="huge"),
        pytest.param(sign(SignedTokens(b"other" * 8, "takeover"), CONSENT), id="another key"),
        pytest.param(sign(SignedTokens(b"k" * 32, "device-takeover"), CONSENT), id="the other endpoint's"),
        pytest.param(sign(SignedTokens(b"k" * 32, "refresh"), CONSENT), id="another purpose"),
    ],
)
def test_what_is_no_token_of_this_endpoint_is_refused(token: str) -> None:
    """Without saying what it was."""
    with pytest.raises(Refusal) as refused:
        verify(TOKENS, token)
    assert refused.value.code is Code.TAKEOVER_INVALID
    assert not refused.value.extensions


def test_a_token_never_quotes_itself_in_its_refusal() -> None:
    """What is logged holds no secret."""
    token = sign(SignedTokens(b"other" * 8, "takeover"), CONSENT)
    with pytest.raises(Refusal) as refused:
        verify(TOKENS, token)
    assert token not in str(refused.value)


def test_the_longest_token_there_can_be_still_opens() -> None:
    """Twenty sessions shown, names of 64 characters beyond the basic plane: below the bound on a token's length."""
    wide = "\N{GRINNING FACE}" * 64
    ids = frozenset(str(UUID(int=n * (2**128 - 1) // 20)) for n in range(1, 21))
    candidate = LoginCandidate(AuthenticatedUser("u" * 36, wide, 2**31, T0), "d" * 64, wide[::-1])
    longest = ConsentToEnd(candidate, ids, "c" * 36, T0, 2**31)
    assert verify(TOKENS, sign(TOKENS, longest)) == longest
