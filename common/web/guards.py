"""Who may call a route: anyone, whoever bears a token of ours, or whoever is signed in. Every route declares it."""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import Protocol

from flask import Request

from common.errors import Code, Refusal
from common.granting import Caller
from common.liveness import SessionGone
from common.storage.port import StoreUnavailable

_log = logging.getLogger(__name__)


class Guard(Enum):
    """`OPEN`: anyone. `BEARER`: a token is there, the use case judges it. `SIGNED_IN`: its session is live now."""

    OPEN = auto()
    BEARER = auto()
    SIGNED_IN = auto()


class Authenticator(Protocol):
    """Tells who calls, from the session room."""

    def authenticate(self, access_token: str) -> Caller:
        """Return who calls. Raises Refusal, SessionGone."""

    def explain(self, gone: SessionGone) -> Refusal:
        """Return the refusal that tells why a session has ended."""

    def touch(self, caller: Caller) -> None:
        """Write down that the session was active."""


def bearer_token(request: Request) -> str:
    """Return the token of `Authorization: Bearer …` (RFC 6750). Raises Refusal(TOKEN_MISSING)."""
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(Code.TOKEN_MISSING)
    return token.strip()


def touch_quietly(authenticator: Authenticator, caller: Caller) -> None:
    """Write down activity; a store that is busy or away must not turn a good token away."""
    try:
        authenticator.touch(caller)
    except StoreUnavailable as error:
        _log.warning("activity was not written down: %s", error)
    except Refusal as refusal:
        if refusal.code is not Code.BUSY:
            raise
