"""The policy of the limit: every mode, limit and consent over every small set of live sessions, and any larger one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.account.admission import (
    Admit,
    AuthenticatedUser,
    ConcurrencyMode,
    Consent,
    ConsentToEnd,
    Decision,
    ForceAll,
    LoginCandidate,
    Refuse,
)
from common.account.book import Session
from device_manager.concurrency_policy import decide
from tests.unit.builders import T0, a_session

ASK, REJECT, EVICT = ConcurrencyMode.ASK, ConcurrencyMode.REJECT, ConcurrencyMode.EVICT
MINE = "my device"
Case = tuple[Sequence[Session], int, ConcurrencyMode, Consent | None]


def shown(*session_ids: str) -> ConsentToEnd:
    """Return a consent to end these sessions."""
    candidate = LoginCandidate(AuthenticatedUser("anna", "Anna", 0, T0), MINE)
    return ConsentToEnd(candidate, frozenset(session_ids), "consent", T0, admissions=1)


def live_sessions(others: int, mine_at: int | None) -> list[Session]:
    """Return live sessions of other devices in order, with one of my own device at a place among them."""
    devices = [f"device {n}" for n in range(others)]
    if mine_at is not None:
        devices.insert(mine_at, MINE)
    return [a_session(f"s{seq}", seq, device=device) for seq, device in enumerate(devices)]


def consents(live: Sequence[Session]) -> Iterator[Consent | None]:
    """Yield every consent there can be: none, force, and one for each set of sessions, also one long gone."""
    yield None
    yield ForceAll()
    ids = [session.session_id for session in live]
    for size in range(len(ids) + 1):
        for chosen in combinations(ids, size):
            yield shown(*chosen)
            yield shown(*chosen, "long gone")


def every_case() -> Iterator[Case]:
    """Yield every mode, limit 0 to 5 and consent over up to four other devices, my own at every place or absent."""
    for others in range(5):
        for mine_at in (None, *range(others + 1)):
            live = live_sessions(others, mine_at)
            for limit, mode, consent in product(range(6), ConcurrencyMode, consents(live)):
                yield live, limit, mode, consent


def ask(case: Case) -> Decision:
    """Return the policy's decision about my device."""
    live, limit, mode, consent = case
    return decide(live, MINE, limit=limit, mode=mode, consent=consent)


def check(case: Case) -> None:
    """Assert all that the policy promises about one case, without saying how it decides."""
    live, limit, mode, consent = case
    others = tuple(session for session in live if session.device_id != MINE)
    full = bool(limit) and len(others) >= limit
    match ask(case):
        case Admit(evicted):
            stay = [session for session in others if session not in evicted]
            assert len(stay) + len(evicted) == len(others), "only other devices' sessions end, each once"
            assert not limit or len(stay) + 1 <= limit, "never more than the limit live"
            _check_evicted(others, evicted, mode, consent, limit)
        case Refuse(in_the_way):
            assert in_the_way == others, "the person is told of all others and of nobody else, in order"
            stale = isinstance(consent, ConsentToEnd) and mode is not REJECT
            assert full or stale, "a login below the limit is not refused"


def _check_evicted(
    others: Sequence[Session], evicted: Sequence[Session], mode: ConcurrencyMode, consent: Consent | None, limit: int
) -> None:
    if mode is REJECT:
        full = () if limit else tuple(others[: max(0, len(others) - 31)])
        assert tuple(evicted) == full, "reject never ends anybody, but where there is no limit"
    elif isinstance(consent, ConsentToEnd):
        assert {session.session_id for session in evicted} <= consent.session_ids, "nobody ends who was not shown"
        assert tuple(evicted) == tuple(others), "all who were shown and still live end"
    elif not limit or len(others) < limit:
        assert tuple(evicted) == tuple(others[: max(0, len(others) - 31)]), "only a full book loses its earliest"
    elif isinstance(consent, ForceAll):
        assert tuple(evicted) == tuple(others), "force ends everybody else"
    else:
        assert mode is EVICT, "without consent only mode evict ends anybody"
        assert tuple(evicted) == tuple(others[: len(others) - limit + 1]), "as few of the earliest as needed"


@pytest.mark.requirement("D07", "D40", "D47")
@pytest.mark.regression("X08", "X09")
def test_every_small_case_keeps_every_promise() -> None:
    """All modes, limits 0 to 5 and consents over up to four other devices, some 14,000 cases."""
    count = 0
    for count, case in enumerate(every_case(), 1):  # noqa: B007 - counted for the line below
        check(case)
    assert count > 10_000


@given(st.data())
def test_any_larger_case_keeps_every_promise(data: st.DataObject) -> None:
    """Up to forty live sessions, more than the limit included, and consents that fit, miss or exceed them."""
    others = data.draw(st.integers(0, 40))
    live = live_sessions(others, data.draw(st.none() | st.integers(0, others)))
    ids = [session.session_id for session in live] + ["long gone"]
    consent = data.draw(
        st.none() | st.just(ForceAll()) | st.sets(st.sampled_from(ids)).map(lambda chosen: shown(*chosen))
    )
    check((live, data.draw(st.integers(0, 20)), data.draw(st.sampled_from(ConcurrencyMode)), consent))


@given(
    st.integers(0, 6),
    st.integers(1, 6),
    st.sampled_from(ConcurrencyMode),
    st.sampled_from([None, ForceAll(), shown(), shown("s0")]),
)
@example(0, 1, REJECT, None)
def test_my_own_session_never_changes_the_decision(
    others: int, limit: int, mode: ConcurrencyMode, consent: Consent | None
) -> None:
    """With my device's earlier session among the live ones the answer is the one without it."""
    without = live_sessions(others, None)
    mine = a_session("mine", others, device=MINE)
    assert ask(([*without, mine], limit, mode, consent)) == ask((without, limit, mode, consent))


@pytest.mark.requirement("D41", "D42", "D44", "B02", "B10")
def test_at_the_limit_the_person_is_asked_and_nobody_ends() -> None:
    """Without consent the candidate is refused and shown who is there."""
    live = live_sessions(1, None)
    assert ask((live, 1, ASK, None)) == Refuse(tuple(live))


@pytest.mark.requirement("D21", "D43", "B03")
def test_a_consent_ends_those_it_was_shown() -> None:
    """The earlier session goes and the candidate enters."""
    live = live_sessions(1, None)
    assert ask((live, 1, ASK, shown("s0"))) == Admit(tuple(live))


def test_a_consent_to_fewer_than_are_there_ends_nobody() -> None:
    """Shown one, and two are live now: asked anew, with both."""
    live = live_sessions(2, None)
    assert ask((live, 1, ASK, shown("s0"))) == Refuse(tuple(live))


@pytest.mark.requirement("D40")
def test_mode_evict_with_a_limit_of_three_ends_the_earliest_of_three() -> None:
    """The two that logged in later stay."""
    live = live_sessions(3, None)
    assert ask((live, 3, EVICT, None)) == Admit((live[0],))


def test_mode_evict_after_the_limit_was_lowered_ends_as_many_as_it_takes() -> None:
    """Five live under a limit of two: the earliest four end for one."""
    live = live_sessions(5, None)
    assert ask((live, 2, EVICT, None)) == Admit(tuple(live[:4]))


@pytest.mark.parametrize("consent", [None, ForceAll(), shown("s0")])
def test_mode_reject_refuses_whatever_the_person_says(consent: Consent | None) -> None:
    """Neither force nor a consent admits a login there."""
    live = live_sessions(1, None)
    assert ask((live, 1, REJECT, consent)) == Refuse(tuple(live))


@pytest.mark.parametrize("mode", list(ConcurrencyMode))
def test_zero_is_no_limit(mode: ConcurrencyMode) -> None:
    """Thirty others are no reason to ask."""
    assert ask((live_sessions(30, None), 0, mode, None)) == Admit()
