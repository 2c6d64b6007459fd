"""What event streams ask of the suite: may this token listen, what ended lately, is this session live, is it asked?

Everything here reads and nothing writes: a stream is no activity, and no stream keeps a session alive or ends one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from msgspec import Struct

from common.account.admission import Caller
from common.account.approval import Asked
from common.account.history import Reason
from common.account.liveness import SessionGone, require_live, session_expiry
from common.proof.dpop_service import RequestCredentials
from common.retry import REQUEST_SECONDS, deadline
from common.storage.port import StoreUnavailable
from session_manager.event_model import Notice
from session_manager.session_service import (
    SessionDependencies,
    authenticate,
    author_of,
    explain,
    rules_for,
    unrecorded,
)


class EventService(Struct, frozen=True):
    """The use cases of streams over the session manager's dependencies. Every method may be called by any thread.

    `asking(user_uuid, session_id)`: what that session's user is asked, before a takeover or, where
    browsers `may_join` by approval, by one of those.
    """

    dependencies: SessionDependencies
    asking: Callable[[str, str], Sequence[Asked]]
    may_join: bool = False

    def subscriber(self, credentials: RequestCredentials) -> Caller:
        """Return who may listen, for the end of the token's own session.

        Raises Refusal as every signed-in route does, SESSION_ENDED with its reason included; StoreUnavailable.
        """
        with deadline(REQUEST_SECONDS):
            try:
                return authenticate(self.dependencies, credentials)
            except SessionGone as gone:
                raise explain(self.dependencies, gone) from None

    def hints(self) -> Collection[str]:
        """Return hints of the sessions that ended lately (`feed.hint_of`): one read for all streams.

        For one thread at a time. Raises StoreUnavailable.
        """
        with deadline(REQUEST_SECONDS):
            return self.dependencies.sessions.hints(self.dependencies.clock())

    @property
    def has_missed_hints(self) -> bool:
        """Whether the last `hints` left some out: what came too long after those before, as after an outage."""
        return self.dependencies.sessions.has_missed_hints

    def has_untold_endings(self) -> bool:
        """Say whether a process died, or is behind, and may have left an ending untold: one read for all streams.

        For one thread at a time. Raises StoreUnavailable.
        """
        with deadline(REQUEST_SECONDS):
            return self.dependencies.sessions.has_untold_endings(self.dependencies.clock())

    def rules_in_force(self) -> tuple[int, int]:
        """Return the numbers of the policy and of the generation by which sessions end without a change of their own.

        Raises StoreUnavailable.
        """
        policy = self.dependencies.policies.current()
        return policy.number, policy.generation

    def poll(self, user_uuid: str, session_id: str) -> Notice | datetime | None:
        """Return the notice if the session has ended; else its deadline as of now; None while nobody can say."""
        try:
            with deadline(REQUEST_SECONDS):
                return self._poll(user_uuid, session_id)
        except StoreUnavailable:
            return None

    def asked(self, user_uuid: str, session_id: str) -> Sequence[Asked]:
        """Return what a session's user is asked by devices that want its place, or to join; nothing while unknown."""
        try:
            with deadline(REQUEST_SECONDS):
                if not (self.may_join or self.dependencies.policies.current().asks_active):
                    return ()
                return self.asking(user_uuid, session_id)
        except StoreUnavailable:
            return ()

    def expiry_of(self, caller: Caller) -> datetime:
        """Return when the caller's session expires if nothing more happens."""
        return session_expiry(caller.session, self.dependencies.policies.current().rules)

    def seconds_until(self, moment: datetime) -> float:
        """Return how long it is until then, by the suite's clock."""
        return (moment - self.dependencies.clock()).total_seconds()

    def _poll(self, user_uuid: str, session_id: str) -> Notice | datetime:
        book, now = self.dependencies.transactions.get_book(user_uuid), self.dependencies.clock()
        rules = rules_for(self.dependencies, book)
        if book is None:
            return Notice(str(Reason.REVOKED), now)
        try:
            return session_expiry(require_live(book, session_id, rules, now), rules)
        except SessionGone as gone:
            session = book.sessions.get(session_id)
            if session is None:
                return self._recorded(gone, now)
            at = session_expiry(session, rules) if gone.reason is Reason.EXPIRED else now
            return Notice(str(gone.reason), at)

    def _recorded(self, gone: SessionGone, now: datetime) -> Notice:
        ending = self.dependencies.sessions.ending_of(gone)
        if ending is None:
            return Notice(str(unrecorded(self.dependencies)), now)
        act = None if ending.act is None else str(ending.act)
        return Notice(str(ending.reason), ending.at, author_of(self.dependencies, ending), act)
