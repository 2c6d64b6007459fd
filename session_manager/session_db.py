"""Sessions in the store: the book that has them, and the history that tells why one is gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from common.feed import Ending, ending_among, read_endings
from common.history import Entry, FailedLogin, read_entries, read_failures
from common.liveness import SessionGone
from common.storage.port import Store

_SEARCHED = 200
"""How many changes back an ending is looked for; beyond them it is too long ago to say."""


class SessionDb:
    """Reads what the book alone does not hold; every method raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ending_of(self, gone: SessionGone) -> Ending | None:
        """Return the recorded end of a session that is no longer in the book, if it is not too long ago."""
        entries = self.entries(gone.user_uuid, before=None, limit=_SEARCHED)
        return ending_among(gone.user_uuid, entries, gone.session_id)

    def endings(self, now: datetime) -> Iterable[Ending]:
        """Return what the feed tells of at `now`: whatever ended lately, of all users."""
        return read_endings(self._store, now)

    def entries(self, user_uuid: str, *, before: int | None, limit: int) -> Sequence[Entry]:
        """Return entries of the history, newest first."""
        return read_entries(self._store, user_uuid, before=before, limit=limit)

    def failures(self, user_uuid: str, limit: int, now: datetime) -> Sequence[FailedLogin]:
        """Return the newest failed logins."""
        return read_failures(self._store, user_uuid, limit, now)
