"""Who may call a route: anyone, whoever bears a token of ours, or whoever is signed in. Every route declares it."""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import Protocol

from common.errors import Code, Refusal
from common.granting import Caller
from common.liveness import SessionGone
from common.possession import Possession, Presented
from common.storage.port import StoreUnavailable
from common.web.presenting import Target

_log = logging.getLogger(__name__)


class Guard(Enum):
    """`OPEN`: anyone. `BEARER`: a token is there, the use case judges it. `SIGNED_IN`: its session is live now."""

    OPEN = auto()
    BEARER = auto()
    SIGNED_IN = auto()


class Authenticator(Protocol):
    """Tells who calls, from the session room."""

    def authenticate(self, presented: Presented) -> Caller:
        """Return who calls. Raises Refusal, SessionGone."""

    def prove(self, proof: str, target: Target) -> Possession:
        """Return the key that signed a request. Raises Refusal."""

    def nonce(self) -> str:
        """Return what a proof shall name next."""

    def explain(self, gone: SessionGone) -> Refusal:
        """Return the refusal that tells why a session has ended."""

    def touch(self, caller: Caller) -> None:
        """Write down that the session was active."""


def touch_quietly(authenticator: Authenticator, caller: Caller) -> None:
    """Write down activity; a store that is busy or away must not turn a good token away."""
    try:
        authenticator.touch(caller)
    except StoreUnavailable as error:
        _log.warning("activity was not written down: %s", error)
    except Refusal as refusal:
        if refusal.code is not Code.BUSY:
            raise
