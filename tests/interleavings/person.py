"""A client of the use cases: what it knows, what it asks, and the record of what it was told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.account.admission import Caller, IssuedTokens, LoginResult
from common.account.book import Session
from common.account.history import Reason
from common.account.liveness import SessionGone
from common.account.transactions import NoSuchUser
from common.errors import Code, Refusal
from common.proof.dpop_service import RequestCredentials
from common.proof.statements import Proof
from common.storage.port import StoreUnavailable
from common.web.problems import STATUSES
from device_manager import device_service, renewal
from login_app.approval import Agreed, Waiting
from registration import pairing_token
from registration.forms import Registered
from registration.joining import WaitingToJoin
from session_manager import session_service
from tests.interleavings.process import UseCases
from tests.interleavings.scheduler import Crashed, Moments
from tests.proof.recording import Call, Operation, consent_of, pairing_of

WAITING = (Waiting, WaitingToJoin)
"""What is answered while users of active devices are asked."""


class Turn(Protocol):
    """Notes when a client's calls begin and end: a `Client` of the scheduler, or the one client of a world's making."""

    def begin(self) -> None:
        """Note that a call begins."""

    def started(self) -> int:
        """Return when it began."""

    def end(self) -> int:
        """Note that it is over, and return the moment."""


@dataclass(slots=True)
class Alone:
    """The turns of somebody who is the only client."""

    moments: Moments
    _started: int = 0

    def begin(self) -> None:
        """See `Turn.begin`."""
        self._started = self.moments.next()

    def started(self) -> int:
        """See `Turn.started`."""
        return self._started

    def end(self) -> int:
        """See `Turn.end`."""
        return self.moments.next()


@dataclass(slots=True)
class Facts:
    """What the account's people know, by letter: devices (id, fingerprint), grants, consents, codes, challenges.

    `certificates` are all that a device was ever given, by its id, in the order in which it was. `notes`: what
    else they keep, by a name of the acts' own.
    """

    devices: dict[str, tuple[str, str]] = field(default_factory=dict)
    grants: dict[str, IssuedTokens] = field(default_factory=dict)
    consents: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    every_grant: list[IssuedTokens] = field(default_factory=list)
    proofs: dict[str, Proof] = field(default_factory=dict)
    certificates: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Facts:
        """Return the same knowledge for somebody who will learn other things."""
        return Facts(
            dict(self.devices),
            dict(self.grants),
            dict(self.consents),
            dict(self.codes),
            list(self.every_grant),
            dict(self.proofs),
            {device: list(given) for device, given in self.certificates.items()},
            dict(self.notes),
        )


@dataclass(slots=True)
class Person:
    """A client of the use cases: asks, and has written down what it was told."""

    use_cases: UseCases
    facts: Facts
    turn: Turn
    user: str
    calls: list[Call]
    client: str = "alone"
    password: str = "0"

    def ask(self, operation: Operation, act: Callable[[], Any], **asked: Any) -> Any:
        """Make a call as the edge does, record it, and return what the use case returned, or the refusal."""
        self.turn.begin()
        try:
            result = self._answered(act)
        except Crashed:
            self._record(operation, None, None, asked, {})
            raise
        status = STATUSES[result.code] if isinstance(result, Refusal) else 202 if isinstance(result, WAITING) else 200
        self._record(operation, self.turn.end(), status, asked, told(result))
        return result

    def _answered(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Refusal as refusal:
            return refusal
        except NoSuchUser:
            return Refusal(Code.SESSION_ENDED, session_reason=str(Reason.REVOKED))
        except StoreUnavailable:
            return Refusal(Code.STORE_UNAVAILABLE)
        except SessionGone as gone:
            ended = gone
        return self._answered(lambda: session_service.explain(self.use_cases.sessions, ended))

    def _record(
        self, operation: Operation, end: float | None, status: int | None, asked: dict[str, Any], said: dict[str, Any]
    ) -> None:
        number = len(self.calls) + 1
        moment = self.turn.started() * TICK
        over = None if end is None else end * TICK
        self.calls.append(Call(number, self.client, operation, self.user, moment, over, status, asked, said))

    def signed_in(self, letter: str, act: Callable[[Caller], Any], *, touching: bool = True) -> Callable[[], Any]:
        """Return a call by a device that is logged in, as the edge makes it: who calls, activity, then the act."""
        token, shown = self.facts.grants[letter].access_token, self.shown(letter)
        return self.bearing(token, act, certificate=shown, touching=touching)

    def shown(self, letter: str) -> str | None:
        """Return the certificate that a device shows in TLS, where it does."""
        return self.facts.devices[letter][1] if self.use_cases.bound and letter in self.facts.devices else None

    def bearing(
        self, token: str, act: Callable[[Caller], Any], *, certificate: str | None = None, touching: bool = True
    ) -> Callable[[], Any]:
        """Return the same by whoever bears this token, and shows this certificate."""

        def call() -> Any:
            presented = RequestCredentials(token, certificate=certificate)
            caller = session_service.authenticate(self.use_cases.verifying, presented)
            if touching:
                self.use_cases.last_seen.touch(caller)
                self.use_cases.last_seen.flush()
            return act(caller)

        return call


TICK = 1e-4
"""How long a moment is in the record: far below any time that a rule knows."""


def told(result: Any) -> dict[str, Any]:
    """Return what an answer tells, as `recording` names it."""
    if isinstance(result, Refusal):
        return _refusal_told(result)
    match result:
        case (LoginResult() as login) | device_service.RegisteredDevice(login_result=login):
            evicted = [session.session_id for session, _ in login.evicted]
            return {**_session_told(login.tokens.session), "evicted": evicted}
        case IssuedTokens(session=session) | Caller(session=session):
            return _session_told(session)
        case device_service.ForcedLogout(kept=(kept, _), logged_out=ended):
            return {"kept": kept.session_id, "logged_out": [session.session_id for session, _ in ended]}
        case list():  # of signing out everywhere
            return {"ended": [session.session_id for session, _ in result]}
        case _:
            return _otherwise_told(result)


def _otherwise_told(result: Any) -> dict[str, Any]:
    match result:
        case Waiting(approval_id=approval_id) | WaitingToJoin(approval_id=approval_id):
            return {"state": "waiting", "approval": approval_id}
        case Agreed(takeover=takeover):
            return {"state": "agreed", "shown": (consent_of(str(takeover["token"])) or {})["session_ids"]}
        case renewal.Renewed(device_id=device_id, certificate=certificate):
            return {"device_id": device_id, "fingerprint": certificate.fingerprint}
        case Registered(device=device, pairing=pairing):
            return {"device_id": device.bound.device_id, "pairing": pairing_of(pairing.qr_code)}
        case (str(), pairing_token.IssuedPairing(qr_code=code)):
            return {"pairing": pairing_of(code)}
    return {}


def _session_told(session: Session) -> dict[str, Any]:
    return {"session_id": session.session_id, "device_id": session.device_id, "generation": session.generation}


def _refusal_told(refusal: Refusal) -> dict[str, Any]:
    said: dict[str, Any] = {"code": str(refusal.code)}
    if "session_reason" in refusal.extensions:
        said["reason"] = refusal.extensions["session_reason"]
    takeover = refusal.extensions.get("takeover", refusal.extensions.get("approval"))
    return {**said, "consent": consent_of(str(takeover["token"]))} if isinstance(takeover, dict) else said
