"""Who may call a route: all clients, who has a token, signed-in users, operators, or machines. Every route says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol

from common.account.admission import Caller
from common.account.history import Reason
from common.account.liveness import SessionGone
from common.account.transactions import NoSuchUser
from common.errors import Code, Refusal
from common.proof.dpop_service import DpopProofUse, RequestCredentials
from common.web.credentials import Target


class Guard(Enum):
    """`OPEN`: anyone. `BEARER`: a token is there, the use case judges it. `SIGNED_IN`: its session is live now.

    `OPERATOR`: an admin key is there, the use case judges it. `OPTIONAL`: anyone; with a token its session is live now.
    `RECEIVER`: the key of a receiver of events.
    """

    OPEN = auto()
    BEARER = auto()
    SIGNED_IN = auto()
    OPERATOR = auto()
    OPTIONAL = auto()
    RECEIVER = auto()

    def judged(self, *, has_token: bool) -> Guard:
        """Return the guard as it is for a request that brings a token, or none."""
        if self is not Guard.OPTIONAL:
            return self
        return Guard.SIGNED_IN if has_token else Guard.OPEN


@contextmanager
def as_refusals(authenticator: Authenticator) -> Iterator[None]:
    """Let what a use case raises of sessions and accounts that are gone be the refusal that clients are told."""
    try:
        yield
    except NoSuchUser:
        raise Refusal(Code.SESSION_ENDED, session_reason=str(Reason.REVOKED)) from None
    except SessionGone as gone:
        raise authenticator.explain(gone) from None


class Authenticator(Protocol):
    """Authenticates requests; implemented by the session manager."""

    def authenticate(self, credentials: RequestCredentials) -> Caller:
        """Return who calls. Raises Refusal, SessionGone."""

    def verify_dpop_proof(self, proof: str, target: Target) -> DpopProofUse:
        """Return the key that signed a request. Raises Refusal."""

    def nonce(self) -> str:
        """Return what a proof shall name next."""

    def explain(self, gone: SessionGone) -> Refusal:
        """Return the refusal that tells why a session has ended."""

    def touch(self, caller: Caller) -> None:
        """Note that the session is active; it does not wait for the store."""
