"""What is read now and then to be shown beside what was counted: the state of this process, its host and its store."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from common.account.account_metrics import OUTBOX_SECONDS, OUTBOX_TASKS
from common.account.event_queue import waiting
from common.background import BackgroundThread
from common.clock import Clock
from common.keys.key_provider import KeyProvider
from common.keys.keyring import KeyPurpose
from common.metrics import Kind, gauge
from common.storage.port import StoreUnavailable
from common.storage.store_clock import StoreClock, monotonic
from ichidai.wiring.services import Services
from registration.hashing_pool import IN_WORK
from registration.mail_queue import MAILS_SECONDS, MAILS_WAITING, MailQueue
from session_manager.event_metrics import OLDEST, WAITING
from session_manager.event_poll import PollDependencies

_QUEUES_EVERY_SECONDS = 30.0
_SEALING_KEY_EVERY_SECONDS = 300.0
_MOST_EVENTS_COUNTED = 100

READY = gauge("ichidai_ready", Kind.LEAST, "1 while every worker can serve, as /ready has it; else 0.")
CLOCK_OFFSET = gauge(
    "ichidai_clock_offset_seconds",
    Kind.MOST,
    "By how much this host's clock is wrong, compared with the store's, which counts; never negative.",
)
KEY_AGE = gauge(
    "ichidai_key_age_seconds",
    Kind.MOST,
    "For how long the key that signs now has been the one to sign.",
    purpose=tuple(KeyPurpose),
)
POLICY = gauge("ichidai_policy_version", Kind.LEAST, "The number of the session policy that is in force.")
SEALING_KEY = gauge(
    "ichidai_sealing_key_opens",
    Kind.LEAST,
    "1 while the key-encrypting key opens the sealed keys; 0: servers that run go on, and none could start.",
)


class Gauges:
    """Reads the gauges of a worker. While the store is unavailable, what it says stays as it was read before."""

    def __init__(self, suite: Services) -> None:
        self._suite = suite
        self._queues, self._sealing_key = _Turn(_QUEUES_EVERY_SECONDS), _Turn(_SEALING_KEY_EVERY_SECONDS)

    def __call__(self) -> None:
        """Read them.

        The queues of mails and events are asked of the store every half minute, and the key-encrypting key every five
        minutes, in a thread of its own: KMS may take its time.
        """
        suite = self._suite
        READY.set(suite.readiness.is_ready)
        IN_WORK.set(suite.registration.hashing_pool.in_work)
        POLICY.set(suite.policies.last_read.number)
        _read_outbox(suite.background)
        _read_clock(suite.registration.clock)
        with suppress(StoreUnavailable):
            _read_keys(suite.key_provider)
            if self._queues.comes():
                _read_mails(suite.mail_queue)
                _read_events(suite.event_polls, suite.settings.event_receivers.names)
        if suite.settings.sealing_key and self._sealing_key.comes():
            threading.Thread(target=read_sealing_key, args=(suite.key_provider,), daemon=True).start()


class _Turn:
    """Comes at once, and then no sooner than `seconds` after it came."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._at = seconds, 0.0

    def comes(self) -> bool:
        if monotonic() < self._at:
            return False
        self._at = monotonic() + self._seconds
        return True


def read_sealing_key(keys: KeyProvider) -> None:
    """See whether a server that started now would have its keys."""
    with suppress(StoreUnavailable):
        opens = keys.opens_sealed()
        if opens is not None:
            SEALING_KEY.set(opens)


def _read_outbox(background: BackgroundThread) -> None:
    tasks, seconds = background.waiting()
    OUTBOX_TASKS.set(tasks)
    OUTBOX_SECONDS.set(seconds)


def _read_clock(clock: Clock) -> None:
    if isinstance(clock, StoreClock):
        CLOCK_OFFSET.set(abs(clock.host_ahead))


def _read_keys(keys: KeyProvider) -> None:
    for purpose, age in keys.ages().items():
        KEY_AGE.set(age.total_seconds(), purpose)


def _read_events(polls: PollDependencies, receivers: Sequence[str]) -> None:
    for receiver in receivers:
        now = polls.clock()
        queued = waiting(polls.store, receiver, now, _MOST_EVENTS_COUNTED)
        WAITING.set(len(queued), receiver)
        OLDEST.set((now - queued[0].ending.at).total_seconds() if queued else 0, receiver)


def _read_mails(queue: MailQueue) -> None:
    if not queue.is_sending:
        return
    mails, seconds = queue.waiting()
    MAILS_WAITING.set(mails)
    MAILS_SECONDS.set(seconds)
