"""Sessions in the store: the book that has them, and the history that tells why one is gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from common.account.feed import Ending, FeedReader, ending_among
from common.account.heartbeat import HeartbeatReader
from common.account.history import FailedLogin, HistoryRecord, read_failures, read_laid_down
from common.account.liveness import SessionGone
from common.account.outbox import read_records
from common.storage.port import Store

_SEARCHED = 200
"""How many changes back an ending is looked for; beyond them it is too long ago to say."""


class SessionDb:
    """Reads what the book alone does not hold; every method raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._feed = FeedReader(store)
        self._heartbeats = HeartbeatReader(store)

    def ending_of(self, gone: SessionGone) -> Ending | None:
        """Return the recorded end of a session that is no longer in the book, if it is not too long ago."""
        user, session = gone.user_uuid, gone.session_id
        pending = ending_among(user, gone.outbox, session)
        if pending is not None:
            return pending
        return ending_among(user, read_laid_down(self._store, user, before=None, limit=_SEARCHED), session)

    def hints(self, now: datetime) -> Collection[str]:
        """Return the feed's hints of what ended lately, of all users; for one thread at a time."""
        return self._feed.look(now)

    @property
    def has_missed_hints(self) -> bool:
        """Whether the last `hints` came so long after those before that some were left out."""
        return self._feed.has_gap

    def has_untold_endings(self, now: datetime) -> bool:
        """Say whether a process may have left an ending untold since this was asked last; for one thread at a time."""
        return self._heartbeats.look(now)

    def records(self, user_uuid: str, *, before: int | None, limit: int) -> Sequence[HistoryRecord]:
        """Return entries of the history, newest first."""
        return read_records(self._store, user_uuid, before=before, limit=limit)

    def failures(self, user_uuid: str, limit: int, now: datetime) -> Sequence[FailedLogin]:
        """Return the newest failed logins."""
        return read_failures(self._store, user_uuid, limit, now)
