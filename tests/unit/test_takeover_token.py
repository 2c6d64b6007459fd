"""Takeover tokens: what a consent says, how long it holds, and that nobody but we can write one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.admission import Shown
from common.crypto.tokens import MacTokens
from common.errors import Code, Refusal
from login_app.takeover_token import Asker, Takeover, expiry, seal, unseal
from tests.unit.making import MILLISECOND, MINUTE, SECOND, T0, moments, names, uuids

TOKENS = MacTokens(b"k" * 32, "takeover")
TAKEOVER = Takeover(Asker("anna", "Anna", "phone", T0), Shown(frozenset({"s"}), "consent", T0 + MINUTE, epoch=0))

takeovers = st.builds(
    Takeover,
    st.builds(Asker, uuids, names, uuids, moments(), st.none() | names, st.none(), st.booleans()),
    st.builds(Shown, st.frozensets(uuids, max_size=6), uuids, moments(), st.integers(0, 2**31)),
)


@given(takeovers)
def test_a_token_says_what_was_sealed(takeover: Takeover) -> None:
    """Who was asked, on which device, who was shown, when the password was right, until when, and under which epoch."""
    assert unseal(TOKENS, seal(TOKENS, takeover)) == takeover


def test_the_order_in_which_sessions_were_shown_does_not_matter() -> None:
    """One consent, one token."""
    one, other = (Shown(frozenset(ids), "consent", T0, 0) for ids in (["a", "b", "c"], ["c", "b", "a"]))
    assert seal(TOKENS, Takeover(TAKEOVER.asker, one)) == seal(TOKENS, Takeover(TAKEOVER.asker, other))


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
        pytest.param(seal(MacTokens(b"other" * 8, "takeover"), TAKEOVER), id="another key"),
        pytest.param(seal(MacTokens(b"k" * 32, "device-takeover"), TAKEOVER), id="the other door's"),
        pytest.param(seal(MacTokens(b"k" * 32, "refresh"), TAKEOVER), id="another purpose"),
    ],
)
def test_what_is_no_token_of_this_door_is_refused(token: str) -> None:
    """Without saying what it was."""
    with pytest.raises(Refusal) as refused:
        unseal(TOKENS, token)
    assert refused.value.code is Code.TAKEOVER_INVALID
    assert not refused.value.facts


def test_a_token_never_quotes_itself_in_its_refusal() -> None:
    """What is logged holds no secret."""
    token = seal(MacTokens(b"other" * 8, "takeover"), TAKEOVER)
    with pytest.raises(Refusal) as refused:
        unseal(TOKENS, token)
    assert token not in str(refused.value)


def test_the_longest_token_there_can_be_still_opens() -> None:
    """Twenty sessions shown, names of 64 characters beyond the basic plane: below the bound on a token's length."""
    wide = "\N{GRINNING FACE}" * 64
    ids = frozenset(str(UUID(int=n * (2**128 - 1) // 20)) for n in range(1, 21))
    longest = Takeover(Asker("u" * 36, wide, "d" * 64, T0, wide[::-1]), Shown(ids, "c" * 36, T0, 2**31))
    assert unseal(TOKENS, seal(TOKENS, longest)) == longest
