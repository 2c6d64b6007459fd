"""Write-behind of "last seen": requests note activity in memory, and one thread of each process writes it.

About once a second, so that no request waits for a write of its own, and what all users did is flushed together. A
process that is killed loses the activity of its last two seconds; nothing else rests on it, for logins, evictions and
ends are written by their own commits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TypeAlias

from common.account.admission import Caller
from common.account.decision import DecisionFunction, Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.liveness import SessionRules, end_reason
from common.storage.port import StoreUnavailable
from session_manager.session_model import is_touch_due
from session_manager.session_service import SessionDependencies

FLUSH_SECONDS = 1.0
"""How long activity lies in memory alone; with the second that a flush may take, two."""

_MOST_USERS = 100_000
"""Users whose activity may wait for a store that is unavailable; that of others is then not noted."""

_ENOUGH_TRIES = 3
"""Of the last flush of a process: rivals may change the same accounts."""

Noted: TypeAlias = Mapping[str, Mapping[str, datetime]]
"""When each user's sessions were last active, by user and session."""

_log = logging.getLogger(__name__)


class LastSeenWriter:
    """Collects activity and hands it to `write`, which returns the users whose activity it could not write.

    Any thread may call it. Until `start` nothing is written but by `flush`.
    """

    def __init__(
        self,
        rules: Callable[[], SessionRules],
        clock: Callable[[], datetime],
        write: Callable[[Noted], Collection[str]],
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._write = write
        self._noted: dict[str, dict[str, datetime]] = {}
        self._noting = threading.Lock()
        self._flushing = threading.Lock()
        self._ending = threading.Event()
        self._is_started = False
        self._thread: threading.Thread | None = None
        self._failed = False

    def touch(self, caller: Caller) -> None:
        """Note that a session is active now, unless what is written is fresh enough. It never waits for the store."""
        now = self._clock()
        if is_touch_due(caller.session, self._rules(), now):
            with self._noting:
                self._run_in_background()
                if len(self._noted) < _MOST_USERS:
                    self._noted.setdefault(caller.user_uuid, {})[caller.session.session_id] = now

    def flush(self) -> bool:
        """Write what is noted; what cannot be written stays noted. Says whether all is written."""
        with self._flushing:
            with self._noting:
                noted, self._noted = self._noted, {}
            left: Collection[str] = noted.keys()
            try:
                left = self._write(noted) if noted else ()
                self._failed = False
            except StoreUnavailable as error:
                self._tell(error)
            finally:
                self._keep({user: noted[user] for user in left})
        return not left

    def start(self) -> None:
        """Flush about once a second from the first note on, until `close`."""
        self._is_started = True

    def close(self) -> None:
        """End the thread and write what is noted still."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        for _ in range(_ENOUGH_TRIES):
            if self.flush() or self._failed:
                return

    def _run_in_background(self) -> None:
        """Have a thread in this very process: a server may have forked since `start`, and threads stay behind."""
        if self._is_started and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="last-seen", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except Exception:  # noqa: BLE001 - the thread must outlive what nobody thought of
                _log.exception("activity could not be written")

    def _keep(self, left: Noted) -> None:
        """Put back what was not written, beneath what was noted since."""
        with self._noting:
            for user_uuid, sessions in left.items():
                self._noted[user_uuid] = {**sessions, **self._noted.get(user_uuid, {})}

    def _tell(self, error: StoreUnavailable) -> None:
        if not self._failed:
            _log.warning("activity is not written while the store is unavailable: %s", error)
        self._failed = True


def write_last_seen(dependencies: SessionDependencies, noted: Noted) -> Collection[str]:
    """Write when sessions were last active, by one conditional commit for each user, and nothing into the history.

    A session that has ended since, or is dead by now, is passed over. Returns the users whose activity is not written.
    Raises StoreUnavailable.
    """
    return dependencies.transactions.change_each({user: _seen(at) for user, at in noted.items()})


def _seen(active: Mapping[str, datetime]) -> DecisionFunction[None]:
    def seen(snapshot: Snapshot) -> TransactionResult[None]:
        draft = snapshot.draft
        for session_id, at in active.items():
            draft = _touched(draft, session_id, at, snapshot.rules, snapshot.now)
        return TransactionResult(None, None if draft.book is snapshot.book else draft)

    return seen


def _touched(draft: Draft, session_id: str, at: datetime, rules: SessionRules, now: datetime) -> Draft:
    session = draft.book.sessions.get(session_id)
    if session is None or end_reason(draft.book, session, rules, now) or not is_touch_due(session, rules, at):
        return draft
    return draft.touched(session, at)
