"""Pushing security events to machines (RFC 8935): each receiver's queue in order, by one process at a time.

What fails is tried again after a pause that doubles, up to five minutes, for as long as it is kept. A receiver that is
down is in nobody's way. An event that its receiver refuses for good (400) is dropped, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import urllib3

from common.account.event_queue import QueuedEnding, waiting
from common.background import RepeatingThread
from common.clock import Clock, from_millis, to_millis
from common.crypto.jws import SigningKey
from common.ids import new_id
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Absent, Conflict, Equals, Item, Put, Store
from common.storage.tables import THROTTLE
from session_manager.event_metrics import EVENTS
from session_manager.security_event import MEDIA, signed_event

LOOK_SECONDS = 2.0
"""How often each process looks whether something waits."""

LONGEST_PAUSE = timedelta(minutes=5)

_AT_ONCE = 50
_LEASE = timedelta(seconds=30)
_WORK = timedelta(seconds=15)
_FIRST_PAUSE = timedelta(seconds=2)
_KEPT = timedelta(days=1)
_ANSWER_SECONDS = 5.0
_GOOD, _REFUSED = (200, 202), 400

_log = logging.getLogger(__name__)

Post = Callable[[str, str], int]
"""Sends a token to a URL; returns the answer's status. Raises OSError, urllib3's HTTPError."""


class EventPusher:
    """Pushes what waits for the receivers: their URLs by name. `signer` gives the key that signs now."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        receivers: Mapping[str, str],
        issuer: str,
        signer: Callable[[], SigningKey],
        post: Post | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._receivers = receivers
        self._issuer = issuer
        self._signer = signer
        self._post = post or post_token
        self._name = new_id()
        self._thread = RepeatingThread("security events", LOOK_SECONDS, self.push_due)

    def start(self) -> None:
        """Push from now on, in a thread of its own, where there are receivers."""
        if self._receivers:
            self._thread.start()

    def close(self) -> None:
        """Let the thread end; what waits is pushed by others, or after the next start."""
        self._thread.close()

    def push_due(self) -> int:
        """Push to each receiver what is due; return how many events arrived. Raises StoreUnavailable."""
        return sum(self._push_to(receiver, url) for receiver, url in self._receivers.items())

    def _push_to(self, receiver: str, url: str) -> int:
        queued = waiting(self._store, receiver, self._clock(), _AT_ONCE)
        lease = self._leased(receiver) if queued else None
        if lease is None:
            return 0
        begun, arrived = self._clock(), 0
        for each in queued:
            if self._clock() - begun > _WORK:
                break
            if not self._arrives(each, url):
                self._write(lease, failures=lease["failures"] + 1)
                return arrived
            write_known(self._store, each.removal, RetryBudget())
            arrived += 1
        self._write(lease, failures=0)
        return arrived

    def _arrives(self, queued: QueuedEnding, url: str) -> bool:
        """Send an event; say whether it is done with: received, or refused for good."""
        token = signed_event(self._signer(), queued, self._issuer, self._clock())
        try:
            status = self._post(url, token)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            _log.warning("security event %s did not reach %s: %s", queued.jti, queued.receiver, type(error).__name__)
            EVENTS.add("push", "failed")
            return False
        outcome = "delivered" if status in _GOOD else "refused" if status == _REFUSED else "failed"
        EVENTS.add("push", outcome)
        if status == _REFUSED:
            _log.error("security event %s was refused by %s and is dropped", queued.jti, queued.receiver)
        elif status not in _GOOD:
            _log.warning("security event %s was answered %d by %s", queued.jti, status, queued.receiver)
        return outcome != "failed"

    def _leased(self, receiver: str) -> dict[str, Any] | None:
        """Take the receiver's lease, unless another has it, or a pause is on."""
        place, now = THROTTLE.key(f"push#{receiver}"), self._clock()
        found: Any = self._store.get(place)
        if found is not None and now < from_millis(found["due"]):
            return None
        failures = 0 if found is None else found["failures"]
        taken = self._item(place.partition, now, now + _LEASE, failures)
        when = Absent() if found is None else Equals("version", found["version"])
        try:
            write_known(self._store, Put(THROTTLE, taken, when), RetryBudget())
        except Conflict:
            return None
        return dict(taken)

    def _write(self, lease: Mapping[str, Any], failures: int) -> None:
        """Give the lease back; after failures the next try is due after a pause."""
        now = self._clock()
        pause = min(_FIRST_PAUSE * 2 ** min(failures - 1, 20), LONGEST_PAUSE) if failures else timedelta()
        item = self._item(lease["bucket"], now, now + pause, failures)
        try:
            write_known(self._store, Put(THROTTLE, item, Equals("version", lease["version"])), RetryBudget())
        except Conflict:
            _log.warning("%s was pushed to by two processes", lease["bucket"])

    def _item(self, bucket: str, now: datetime, due: datetime, failures: int) -> Item:
        times = {"due": to_millis(due), "expires_at": to_millis(now + _KEPT)}
        return {"bucket": bucket, "version": new_id(), "failures": failures, **times}


def post_token(url: str, token: str) -> int:
    """Post a token; no redirect is followed, and nothing is tried again here."""
    answer = _pool.request(
        "POST",
        url,
        body=token.encode(),
        headers={"Content-Type": MEDIA, "Accept": "application/json"},
        redirect=False,
        retries=False,
        timeout=_ANSWER_SECONDS,
    )
    return answer.status


_pool = urllib3.PoolManager(num_pools=20)
