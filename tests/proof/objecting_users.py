"""People who take back what was done to their account, and switch a second factor on and off."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from tests.proof.callers import Reply
from tests.proof.mail_users import LINKS, MailUser
from tests.proof.recording import Operation
from tests.proof.users import Actor, Person, password_of
from tests.support.authenticator import Authenticator, scanned
from tests.support.signing import Keys, lines

_WEIGHTS = {"log in": 5, "password": 1, "factor": 5, "link": 3, "signature": 3, "use": 4}
_USES = {"verify": 3, "refresh": 2}
_STEP_SECONDS = 30
_OUT = frozenset({"certificate-revoked", "certificate-mismatch", "device-unknown"})


@dataclass(slots=True)
class ObjectingUser(MailUser):
    """An account with a confirmed address, an app for codes, and a first device that signs.

    Where an answer was lost, the same is asked again, or a login tells what became of it. `issuer`: stands in what is
    signed; `succeeded`: what took place at least once; `is_over`: nothing more can be done with the account now.
    """

    issuer: str = ""
    succeeded: set[Operation] = field(default_factory=set)
    is_over: bool = False
    _inside: Actor | None = None
    _has_signer: bool = True
    _lost: tuple[Operation, Mapping[str, Any]] | None = None
    _must_set_password: bool = False
    _token: str = ""
    _app: Authenticator | None = None
    _is_on: bool | None = False
    _step: int = 0

    def act(self) -> Reply:
        """Do one thing."""
        if self._lost is not None:
            return self._object(*self._lost)
        if len(self.passwords) > 1 and not self._token:
            return self._learned(self._find_out())
        if not self.is_confirmed:
            return self._confirm()
        if self._token or self._must_set_password:
            return self._set_password() if self._token else self._ask_for_password()
        if self._is_on is None:
            return self._log_in(self.rng.choice(self.actors))
        return self._do(*self.rng.choices(list(_WEIGHTS), list(_WEIGHTS.values())))

    def code_for_reset(self) -> Mapping[str, str]:
        """Return a code of the app, where the factor is known to be on."""
        return {"otp": self._code()} if self._is_on else {}

    def _do(self, deed: str) -> Reply:
        inside = self._inside
        if inside is None or (deed == "log in" and (self._has_code or not self._is_on)):
            return self._log_in(self.rng.choice(self.actors))
        match deed:
            case "password" if not self._is_on:
                return self._change_password(inside)
            case "factor" if self._has_code or not self._is_on:
                return self._switch_off(inside) if self._is_on else self._switch_on(inside)
            case "link" if self._has_notice():
                return self._object(Operation.OBJECT_BY_LINK, {"token": self._links["object"].pop()})
            case "signature" if self._has_signer:
                return self._sign(inside)
        self.rng.choice(self.actors).act(_USES)
        return Reply(200)

    def _has_notice(self) -> bool:
        """Look at the mails; say whether one tells of a change and was not answered."""
        self._read_mails()
        return bool(self._links["object"])

    # ----------------------------------------------------------------------------------------- in, and what is changed

    def _log_in(self, actor: Actor) -> Reply:
        """Log in, in whoever's place; without a code where it is not known whether one is asked for."""
        if self._is_on and not self._has_code:
            self.is_over = True
        reply = actor.login(force=True, otp=self._code() if self._is_on else None)
        if reply.ok:
            self._inside = actor
            self._is_on = bool(self._is_on)
        elif reply.body.get("code") in _OUT and len(self.actors) > 1:
            self.actors = [each for each in self.actors if each is not actor]
        return self._learned(reply)

    def _change_password(self, actor: Actor) -> Reply:
        self.newest += 1
        form = {"password": password_of(self.passwords[-1]), "new_password": password_of(self.newest)}
        reply = self._signed_in(Operation.PASSWORD_CHANGE, form, actor, new_password_no=self.newest)
        if reply.ok:
            actor.access, actor.refreshes = reply.body["access_token"], [reply.body["refresh_token"]]
            self.passwords = [self.newest]
            self._use(self.newest)
        elif _is_lost(reply):
            self.passwords.append(self.newest)
        return reply

    def _switch_on(self, actor: Actor) -> Reply:
        """Confirm a new app by its code of the step before this one: two more codes are good at once."""
        path, password = "/registration/otp/begin", {"password": password_of(self.passwords[-1])}
        begun = self.caller.prepare("POST", path, actor.access or "", password)
        if not begun.ok:
            return self._log_in(actor)
        self._app, self._step = scanned(begun.body["uri"]), _step_of_now() - 2
        reply = self._signed_in(Operation.OTP_ON, {"enrolment": begun.body["enrolment"], "otp": self._code()}, actor)
        return self._switched(reply, Operation.OTP_ON, is_on=True)

    def _switch_off(self, actor: Actor) -> Reply:
        body = {"password": password_of(self.passwords[-1]), "otp": self._code()}
        return self._switched(self._signed_in(Operation.OTP_OFF, body, actor), Operation.OTP_OFF, is_on=False)

    def _switched(self, reply: Reply, operation: Operation, *, is_on: bool) -> Reply:
        if reply.ok:
            self._is_on = is_on
            self.succeeded.add(operation)
        elif _is_lost(reply):
            self._is_on = None
        return reply

    @property
    def _has_code(self) -> bool:
        """Whether one of the app's three codes that are good now was not used."""
        return self._step <= _step_of_now()

    def _code(self) -> str:
        """Return the next code of the app, which is too early a one where none is left."""
        assert self._app is not None
        self._step = max(self._step + 1, _step_of_now() - 1)
        return self._app.code(datetime.fromtimestamp(self._step * _STEP_SECONDS, UTC))

    # ------------------------------------------------------------------------------------------------ That was not me

    def _sign(self, inside: Actor) -> Reply:
        """Object to the newest change, as the history tells it, by the first device's signature."""
        newest = self.caller.prepare("GET", "/session/history?limit=1", inside.access or "").body.get("events")
        if not newest:
            return self._log_in(inside)
        number, (device, _) = newest[0]["change_no"], self.person.devices[0]
        said = lines("object", self.issuer, self.person.uuid, device, str(number))
        proof = {"device_id": device, "signature": _key_of(self.person).sign(said)}
        body = {"user_uuid": self.person.uuid, "change_no": number, "proof": proof}
        return self._object(Operation.OBJECT_BY_DEVICE, body)

    def _object(self, operation: Operation, body: Mapping[str, Any]) -> Reply:
        """Object, or object once more to what was left without an answer: it was taken back then, or is now."""
        device = self.person.devices[0][0] if operation is Operation.OBJECT_BY_DEVICE else None
        known: dict[str, Any] = {"user": self.person.uuid, "device_id": device, "new_password_no": self.newest + 1}
        reply = self.caller.call(operation, body, **known)
        was_made = self._lost is not None and reply.body.get("code") == "link-spent"
        if reply.ok or was_made:
            self.succeeded.add(operation)
            self._token, self._must_set_password = reply.body.get("reset_token", ""), True
            self._is_on = None if self._is_on else self._is_on
        elif reply.body.get("code") == "proof-invalid":
            self._has_signer = False
        self._lost = (operation, body) if _is_lost(reply) else None
        return reply

    def _ask_for_password(self) -> Reply:
        """Take the link that was mailed, or ask for one; an account gets only so many."""
        self._token = self._awaited("reset") or ""
        if self._token:
            return self._set_password()
        self.is_over = self.asked >= LINKS
        return self._forget()

    def _set_password(self) -> Reply:
        self.newest += 1
        keep, with_code = self.rng.random() < 0.7, bool(self._is_on)
        reply = self._set_by(self._token, keep=keep)
        code = reply.body.get("code")
        if reply.ok:
            self._must_set_password, self._is_on = False, with_code
            self._has_signer &= keep
            self.succeeded.add(Operation.RESET)
        if reply.ok or code == "link-spent":  # by a try whose answer was lost; a login tells
            self._token, self._must_set_password = "", False
        elif not _is_lost(reply) and code != "otp-required":
            self.is_over = True
        return self._learned(reply)

    def _learned(self, reply: Reply) -> Reply:
        """Note what a refusal tells of the account."""
        match reply.body.get("code"):
            case "otp-required":
                self._is_on = True
            case "password-reset-required":
                self._must_set_password = True
        return reply

    def _signed_in(self, operation: Operation, body: Mapping[str, Any], actor: Actor, **more: Any) -> Reply:
        known: dict[str, Any] = {"user": self.person.uuid, "device_id": actor.device_id}
        numbers = {"password_no": self.person.password_no, **more}
        reply = self.caller.call(operation, body, token=actor.access, **known, **numbers)
        if reply.body.get("code") == "session-ended":
            self._inside = None
        return reply


def _key_of(person: Person) -> Keys:
    key = load_der_private_key(base64.b64decode(person.signing_key), None)
    assert isinstance(key, MLDSA87PrivateKey)
    return Keys(key)


def _is_lost(reply: Reply) -> bool:
    return reply.status is None or reply.status >= 500


def _step_of_now() -> int:
    return int(time.time()) // _STEP_SECONDS
