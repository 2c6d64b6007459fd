"""What event streams ask of the suite: may this token listen, what ended lately, is this session still live?

Everything here reads and nothing writes: a stream is no activity, and no stream keeps a session alive or ends one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from common.feed import Ending
from common.granting import Caller
from common.history import Reason
from common.liveness import SessionGone, deadline, require_live
from common.patience import REQUEST_SECONDS, at_most
from common.possession import Presented
from common.storage.port import StoreUnavailable
from session_manager.event_model import Notice
from session_manager.session_service import Desk, authenticate, author_of, explain


class EventService(Struct, frozen=True):
    """The use cases of streams over the session room's desk. Every method may be called by any thread."""

    desk: Desk

    def listener(self, presented: Presented) -> Caller:
        """Return who may listen, for the end of the token's own session.

        Raises Refusal as every signed-in route does, SESSION_ENDED with its reason included; StoreUnavailable.
        """
        with at_most(REQUEST_SECONDS):
            try:
                return authenticate(self.desk, presented)
            except SessionGone as gone:
                raise explain(self.desk, gone) from None

    def ended_lately(self) -> Iterable[Ending]:
        """Return what ended within the feed's reach: one read for all streams. Raises StoreUnavailable."""
        with at_most(REQUEST_SECONDS):
            return tuple(self.desk.sessions.endings(self.desk.clock()))

    def notice_of(self, ending: Ending) -> Notice:
        """Return what a listener is told of an ending; without the device's name if that cannot be read now."""
        return Notice(str(ending.reason), ending.at, author_of(self.desk, ending))

    def look(self, user_uuid: str, session_id: str) -> Notice | datetime | None:
        """Return the notice if the session has ended; else its deadline as of now; None while nobody can say."""
        try:
            with at_most(REQUEST_SECONDS):
                return self._look(user_uuid, session_id)
        except StoreUnavailable:
            return None

    def deadline_of(self, caller: Caller) -> datetime:
        """Return when the caller's session expires if nothing more happens."""
        return deadline(caller.session, self.desk.settings.rules)

    def seconds_until(self, moment: datetime) -> float:
        """Return how long it is until then, by the suite's clock."""
        return (moment - self.desk.clock()).total_seconds()

    def _look(self, user_uuid: str, session_id: str) -> Notice | datetime:
        book, rules, now = self.desk.bookkeeper.read(user_uuid), self.desk.settings.rules, self.desk.clock()
        if book is None:
            return Notice(str(Reason.REVOKED), now)
        try:
            return deadline(require_live(book, session_id, rules, now), rules)
        except SessionGone as gone:
            session = book.sessions.get(session_id)
            if session is None:
                return self._recorded(gone, now)
            at = deadline(session, rules) if gone.reason is Reason.EXPIRED else now
            return Notice(str(gone.reason), at)

    def _recorded(self, gone: SessionGone, now: datetime) -> Notice:
        ending = self.desk.sessions.ending_of(gone)
        return Notice(str(Reason.ENDED), now) if ending is None else self.notice_of(ending)
