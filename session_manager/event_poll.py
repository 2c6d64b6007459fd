"""Machines that ask for security events (RFC 8936): each takes what waits in its queue and says what it has.

An event waits until it is acknowledged, or reported as one that its receiver cannot take; it is signed anew each time
it is given out. A poll that finds nothing may wait for a moment, if few others do.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct, field

from common.account.event_queue import QueuedEnding, waiting
from common.clock import Clock
from common.crypto.jws import SigningKey
from common.errors import Code, Refusal
from common.proof.dpop_service import RequestCredentials
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Store
from session_manager.event_metrics import EVENTS, POLLS
from session_manager.event_receivers import Receivers
from session_manager.security_event import signed_event

MOST_EVENTS = 100
"""How many events one answer has."""

LONGEST_WAIT_SECONDS = 2.5
"""How long a poll waits for an event: like every request it is answered within five seconds."""

MOST_WAITING = 2
"""How many polls of a process wait at once; others are answered at once, for each takes a thread from all requests."""

LOOK_SECONDS = 0.25
"""How often one that waits looks."""

_log = logging.getLogger(__name__)


class Ask(Struct, frozen=True):
    """What a receiver asks for. `most` None: as many as we give. `errors`: by `jti`, why it could not take an event."""

    most: int | None = None
    at_once: bool = False
    taken: Collection[str] = ()
    errors: Mapping[str, str] = {}


class Given(Struct, frozen=True):
    """What it is given: signed tokens by `jti`, oldest first, and whether more wait."""

    tokens: Mapping[str, str]
    more: bool


class PollDependencies(Struct, frozen=True):
    """What the use case works with. `signer` gives the key that signs now; `pause` waits for seconds."""

    store: Store
    clock: Clock
    issuer: str
    signer: Callable[[], SigningKey]
    pause: Callable[[float], None] = time.sleep
    turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(MOST_WAITING))


def admitted_receiver(receivers: Receivers, credentials: RequestCredentials) -> str:
    """Return the name of the receiver that shows its key. Raises Refusal(INVALID_TOKEN)."""
    receiver = None if credentials.is_dpop else receivers.holder_of(credentials.token)
    if receiver is None:
        raise Refusal(Code.INVALID_TOKEN, reason="no receiver of events has this key")
    return receiver


def poll(dependencies: PollDependencies, receiver: str, ask: Ask) -> Given:
    """Let go of what a receiver has, and give it what waits. Raises StoreUnavailable."""
    _let_go(dependencies, receiver, ask)
    most = MOST_EVENTS if ask.most is None else min(ask.most, MOST_EVENTS)
    found = _look(dependencies, receiver, most + 1)
    if not found and most and not ask.at_once:
        found = _awaited(dependencies, receiver, most + 1)
    key, now = dependencies.signer(), dependencies.clock()
    tokens = {each.jti: signed_event(key, each, dependencies.issuer, now) for each in found[:most]}
    POLLS.add("events" if tokens else "nothing")
    return Given(tokens, more=len(found) > most)


def _let_go(dependencies: PollDependencies, receiver: str, ask: Ask) -> None:
    """Take out of the queue what is done with. It was given out, so it is among the first."""
    done = {*ask.taken, *ask.errors}
    for each in _look(dependencies, receiver, min(len(done), MOST_EVENTS) + MOST_EVENTS) if done else ():
        if each.jti not in done:
            continue
        if each.jti in ask.errors:
            error = ask.errors[each.jti] if re.fullmatch(r"[A-Za-z_]{1,64}", ask.errors[each.jti]) else "an error"
            _log.error("security event %s was refused by %s (%s) and is dropped", each.jti, receiver, error)
        write_known(dependencies.store, each.removal, RetryBudget())
        EVENTS.add("poll", "refused" if each.jti in ask.errors else "delivered")


def _awaited(dependencies: PollDependencies, receiver: str, most: int) -> Sequence[QueuedEnding]:
    """Look again and again for a moment, unless too many do."""
    found: Sequence[QueuedEnding] = ()
    if not dependencies.turns.acquire(blocking=False):
        return found
    try:
        for _ in range(round(LONGEST_WAIT_SECONDS / LOOK_SECONDS)):
            dependencies.pause(LOOK_SECONDS)
            if found := _look(dependencies, receiver, most):
                break
    finally:
        dependencies.turns.release()
    return found


def _look(dependencies: PollDependencies, receiver: str, most: int) -> Sequence[QueuedEnding]:
    return waiting(dependencies.store, receiver, dependencies.clock(), most)
