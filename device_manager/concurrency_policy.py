"""The policy of the limit: may a candidate enter, and who has to leave for it? Pure; it counts what it is given."""

from __future__ import annotations

from collections.abc import Sequence

from common.account.admission import Admit, ConcurrencyMode, Consent, ConsentToEnd, Decision, ForceAll, Refuse
from common.account.book import MOST_SESSIONS, Session


def decide(
    live: Sequence[Session], device_id: str, *, limit: int, mode: ConcurrencyMode, consent: Consent | None
) -> Decision:
    """Decide about a candidate on `device_id` beside the `live` sessions (earliest login first).

    The device's own session never stands in its way: it will be replaced. `limit` 0 is no limit: where
    the book is full the earliest leave. A consent ends all the sessions it was shown and holds only while no other is
    live; `ForceAll` ends all others, and only where the limit is reached; in mode `reject` neither changes anything.
    """
    others = tuple(session for session in live if session.device_id != device_id)
    if isinstance(consent, ConsentToEnd) and mode is not ConcurrencyMode.REJECT:
        unshown = {session.session_id for session in others} - consent.session_ids
        return Refuse(others) if unshown else Admit(evicted=others)
    if not limit or len(others) < limit:
        return Admit(evicted=_earliest(others, MOST_SESSIONS))
    if mode is ConcurrencyMode.REJECT:
        return Refuse(others)
    if isinstance(consent, ForceAll):
        return Admit(evicted=others)
    if mode is ConcurrencyMode.EVICT:
        return Admit(evicted=_earliest(others, limit))
    return Refuse(others)


def _earliest(others: tuple[Session, ...], limit: int) -> tuple[Session, ...]:
    """Return those that leave so that one more is within the limit."""
    return others[: max(0, len(others) - limit + 1)]
