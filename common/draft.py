"""A book being changed, together with the events that the change will record. Every method returns a new draft."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from common.book import Book, Session
from common.history import Event, Kind, Reason
from common.liveness import SessionRules, deadline, live_sessions, why_dead


class Draft(Struct, frozen=True):
    """`book` as it would become, and `events` in the order in which they happen."""

    book: Book
    events: tuple[Event, ...] = ()

    def with_book(self, book: Book, *events: Event) -> Draft:
        """Return the draft with another book and more events."""
        return Draft(book, self.events + events)

    def ended(self, session: Session, reason: Reason, at: datetime, by: str | None = None) -> Draft:
        """Return the draft without a session, its ending recorded; `by` is the device that brought it about."""
        event = Event(Kind.SESSION_ENDED, at, session.device_id, session.session_id, reason, session.device_name, by)
        return self.with_book(self.book.closed(session.session_id), event)

    def swept(self, rules: SessionRules, now: datetime) -> Draft:
        """Return the draft without its dead sessions; an expired one is recorded at its deadline, not at `now`."""
        draft = self
        for session in self.book.in_order():
            reason = why_dead(self.book, session, rules, now)
            if reason is not None:
                at = deadline(session, rules) if reason is Reason.EXPIRED else now
                draft = draft.ended(session, reason, at)
        return draft

    def live(self, rules: SessionRules, now: datetime) -> tuple[Session, ...]:
        """Return the live sessions, earliest login first."""
        return live_sessions(self.book, rules, now)

    def touched(self, session: Session, now: datetime) -> Draft:
        """Return the draft with a session seen at `now`; nothing is recorded, and time never runs backwards."""
        seen = max(session.last_seen_at, now)
        return self.with_book(self.book.updated(replace(session, last_seen_at=seen)))
