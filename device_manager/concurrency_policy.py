"""The policy of the limit: may a newcomer enter, and who has to leave for it? Pure; it counts what it is given."""

from __future__ import annotations

from collections.abc import Sequence

from common.admission import Admit, ConcurrencyMode, Consent, Decision, Force, Refuse, Shown
from common.book import Session


def decide(live: Sequence[Session], device_id: str, *, limit: int, mode: ConcurrencyMode, consent: Consent) -> Decision:
    """Decide about a newcomer on `device_id` beside the `live` sessions (earliest login first).

    The device's own session never stands in its way: it will be replaced. `limit` 0 is no limit. A consent ends all
    the sessions it was shown and holds only while no other is live; `Force` ends all others, and only where the limit
    is reached; in mode `reject` neither changes anything.
    """
    others = tuple(session for session in live if session.device_id != device_id)
    if isinstance(consent, Shown) and mode is not ConcurrencyMode.REJECT:
        unshown = {session.session_id for session in others} - consent.session_ids
        return Refuse(others) if unshown else Admit(evicted=others)
    if not limit or len(others) < limit:
        return Admit()
    if mode is ConcurrencyMode.REJECT:
        return Refuse(others)
    if isinstance(consent, Force):
        return Admit(evicted=others)
    if mode is ConcurrencyMode.EVICT:
        return Admit(evicted=others[: len(others) - limit + 1])
    return Refuse(others)
