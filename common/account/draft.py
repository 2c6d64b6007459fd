"""A book being changed, together with the events that the change will record. Every method returns a new draft."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from common.account.book import Book, Session
from common.account.history import Event, EventKind, OperatorAct, Reason
from common.account.liveness import SessionRules, judged_sessions, live_sessions, over_limit, session_expiry


class Draft(Struct, frozen=True):
    """`book` as it would become, and `events` in the order in which they happen."""

    book: Book
    events: tuple[Event, ...] = ()

    def with_book(self, book: Book, *events: Event) -> Draft:
        """Return the draft with another book and more events."""
        return Draft(book, self.events + events)

    def ended(
        self, session: Session, reason: Reason, at: datetime, by: str | None = None, act: OperatorAct | None = None
    ) -> Draft:
        """Return the draft without a session, its ending recorded; `by` is the device that brought it about.

        `act`: what an operator did that ended it.
        """
        return self.with_endings([(session, reason, at)], by, act)

    def without_expired(self, rules: SessionRules, now: datetime) -> Draft:
        """Return the draft without its dead sessions; an expired one is recorded at its deadline, not at `now`."""
        return self.with_endings(
            [
                (session, reason, session_expiry(session, rules) if reason is Reason.EXPIRED else now)
                for session, reason in judged_sessions(self.book, rules, now)
                if reason is not None
            ]
        )

    def all_ended(
        self,
        reason: Reason,
        rules: SessionRules,
        now: datetime,
        *,
        by: str | None = None,
        act: OperatorAct | None = None,
        but: Container[str] = (),
    ) -> Draft:
        """Return the draft in which all sessions `but` those of some ids have ended; what had expired, before them.

        `by` and `act`: see `ended`.
        """
        draft = self.without_expired(rules, now)
        ending = [(each, reason, now) for each in draft.book.in_order() if each.session_id not in but]
        return draft.with_endings(ending, by, act)

    def without_over_limit(self, before: Book, rules: SessionRules, now: datetime) -> Draft:
        """Return the draft without what was over the limit in the book `before` the change, and is in it still."""
        over = [self.book.sessions.get(session.session_id) for session in over_limit(before, rules)]
        return self.with_endings([(left, Reason.OVER_LIMIT, now) for left in over if left is not None])

    def live_sessions(self, rules: SessionRules, now: datetime) -> tuple[Session, ...]:
        """Return the live sessions, earliest login first."""
        return live_sessions(self.book, rules, now)

    def touched(self, session: Session, now: datetime) -> Draft:
        """Return the draft with a session seen at `now`; nothing is recorded, and time never runs backwards."""
        seen = max(session.last_seen_at, now)
        return self.with_book(self.book.updated(replace(session, last_seen_at=seen)))

    def with_endings(
        self,
        endings: Sequence[tuple[Session, Reason, datetime]],
        by: str | None = None,
        act: OperatorAct | None = None,
    ) -> Draft:
        """Return the draft without some sessions, each ending recorded, in one go: a book is not copied for each.

        Where none ends it is the very same draft.
        """
        if not endings:
            return self
        events = [
            Event(EventKind.SESSION_ENDED, at, each.device_id, each.session_id, reason, each.device_name, by, act)
            for each, reason, at in endings
        ]
        return self.with_book(self.book.closed(*(each.session_id for each, _, _ in endings)), *events)
