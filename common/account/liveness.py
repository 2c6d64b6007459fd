"""Which sessions of a book are live. Pure: the rules' numbers and the time are arguments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from common.account.book import Book, Session
from common.account.history import HistoryRecord, Reason


class SessionRules(Struct, frozen=True):
    """At most `limit` live sessions (0: as many as a book has), each no longer than `idle` without activity.

    `seen_every`: how much later than `Session.last_seen_at` the last activity may have been, for not all of it is
    written. A session is given that time beside `idle`. `void`: no session is live, see `VOID_RULES`.
    """

    limit: int
    idle: timedelta
    seen_every: timedelta = timedelta(0)
    void: bool = False


VOID_RULES = SessionRules(0, timedelta(0), void=True)
"""The rules of a book that was changed last before the store's generation began: none of its sessions is live."""


class SessionGone(Exception):
    """A session may not be used. `reason` is None when the book no longer has it: then the history knows why.

    What was not laid down yet of that history stands in the book's `outbox`.
    """

    def __init__(
        self, user_uuid: str, session_id: str, reason: Reason | str | None, outbox: tuple[HistoryRecord, ...] = ()
    ) -> None:
        super().__init__(reason or "not in the book")
        self.user_uuid = user_uuid
        self.session_id = session_id
        self.reason = reason
        self.outbox = outbox


def session_expiry(session: Session, rules: SessionRules) -> datetime:
    """Return the moment at which a session expires if nothing more happens; at that moment it is dead already."""
    return min(session.ends_at, session.last_seen_at + rules.idle + rules.seen_every)


def end_reason(
    book: Book, session: Session, rules: SessionRules, now: datetime, rank: int | None = None
) -> Reason | None:
    """Return why a session in the book may not be used, or None while it is live. `rank`: its place, if it is known.

    A session beyond the limit stays dead while the earlier ones are in the book, expired ones included: otherwise it
    would come back to life when one of them runs out. Only a change of the book takes them out, and it takes all.
    """
    if not book.is_active or rules.void:
        return Reason.REVOKED
    if book.active_device(session.device_id) is None and session.device_name is None:
        return Reason.REVOKED if session.device_id in book.devices else Reason.DEVICE_UNBOUND
    if session_expiry(session, rules) <= now:
        return Reason.EXPIRED
    if 0 < rules.limit < len(book.sessions) and (_rank(book, session) if rank is None else rank) >= rules.limit:
        return Reason.OVER_LIMIT
    return None


def require_live(book: Book, session_id: str, rules: SessionRules, now: datetime) -> Session:
    """Return a session that is live; raise SessionGone for any other."""
    session = book.sessions.get(session_id)
    reason = None if session is None else end_reason(book, session, rules, now)
    if session is None or reason is not None:
        raise SessionGone(book.user_uuid, session_id, reason, book.outbox)
    return session


def live_sessions(book: Book, rules: SessionRules, now: datetime) -> tuple[Session, ...]:
    """Return the live sessions, earliest login first."""
    return tuple(session for session, reason in judged_sessions(book, rules, now) if reason is None)


def judged_sessions(book: Book, rules: SessionRules, now: datetime) -> Iterator[tuple[Session, Reason | None]]:
    """Yield each session, earliest login first, with its `end_reason`."""
    return ((each, end_reason(book, each, rules, now, rank)) for rank, each in enumerate(book.in_order()))


def over_limit(book: Book, rules: SessionRules) -> tuple[Session, ...]:
    """Return the sessions that logged in after the limit's last one, earliest login first."""
    return book.in_order()[rules.limit :] if 0 < rules.limit < len(book.sessions) else ()


def _rank(book: Book, session: Session) -> int:
    return sum(other.seq < session.seq for other in book.sessions.values())
