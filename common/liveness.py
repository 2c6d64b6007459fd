"""Which sessions of a book are live. Pure: the rules' numbers and the time are arguments."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from common.book import AccountState, Book, Session
from common.history import Reason


class SessionRules(Struct, frozen=True):
    """At most `limit` live sessions (0: any number), each no longer than `idle` without activity."""

    limit: int
    idle: timedelta


class SessionGone(Exception):
    """A session may not be used. `reason` is None when the book no longer has it: then the history knows why."""

    def __init__(self, user_uuid: str, session_id: str, reason: Reason | None) -> None:
        super().__init__(reason or "not in the book")
        self.user_uuid = user_uuid
        self.session_id = session_id
        self.reason = reason


def deadline(session: Session, rules: SessionRules) -> datetime:
    """Return the moment at which a session expires if nothing more happens; at that moment it is dead already."""
    return min(session.ends_at, session.last_seen_at + rules.idle)


def why_dead(book: Book, session: Session, rules: SessionRules, now: datetime) -> Reason | None:
    """Return why a session in the book may not be used, or None while it is live.

    A session beyond the limit stays dead while the earlier ones are in the book, expired ones included: otherwise it
    would come back to life when one of them runs out. Only a change of the book takes them out, and it takes all.
    """
    if book.state is not AccountState.ACTIVE:
        return Reason.REVOKED
    if book.standing(session.device_id) is None and session.device_name is None:
        return Reason.REVOKED if session.device_id in book.devices else Reason.DEVICE_UNBOUND
    if deadline(session, rules) <= now:
        return Reason.EXPIRED
    if 0 < rules.limit < len(book.sessions) and _rank(book, session) >= rules.limit:
        return Reason.OVER_LIMIT
    return None


def require_live(book: Book, session_id: str, rules: SessionRules, now: datetime) -> Session:
    """Return a session that is live; raise SessionGone for any other."""
    session = book.sessions.get(session_id)
    reason = None if session is None else why_dead(book, session, rules, now)
    if session is None or reason is not None:
        raise SessionGone(book.user_uuid, session_id, reason)
    return session


def live_sessions(book: Book, rules: SessionRules, now: datetime) -> tuple[Session, ...]:
    """Return the live sessions, earliest login first."""
    return tuple(session for session in book.in_order() if why_dead(book, session, rules, now) is None)


def _rank(book: Book, session: Session) -> int:
    return sum(other.seq < session.seq for other in book.sessions.values())
