"""People with devices who do what people do, and what thieves do, at random and all at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from random import Random
from typing import Any
from uuid import UUID

from tests.proof.callers import Caller, Reply
from tests.proof.recording import Operation
from tests.support.client import PASSWORD
from tests.support.passkeys import Passkey, made_for

_REMEMBERED = 3
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Person:
    """An account and the devices (id, fingerprint) it was set up with. Plain values: it goes between processes.

    `password_no`: which of its passwords the person uses, counted from 0. `signing_key`: the first device's (DER in
    base64), which the server made.
    """

    username: str
    uuid: str
    devices: tuple[tuple[str, str], ...]
    password_no: int = 0
    signing_key: str = ""

    @property
    def credentials(self) -> dict[str, str]:
        """What proves the person."""
        return {"username": self.username, "password": password_of(self.password_no)}


def password_of(number: int) -> str:
    """Return a person's password of a number."""
    return f"{PASSWORD} of {number}" if number else PASSWORD


class ToldToComeBack(AssertionError):
    """503: the servers, or their store, are too busy."""


def register(caller: Caller, rng: Random, devices: int) -> Person:
    """Register a person with so many devices, all at one server. AssertionError when it is refused.

    Where that is too busy, another one after a second: what became of the first nobody knows.
    """
    for _ in range(_TRIES - 1):
        with suppress(ToldToComeBack):
            return _registered(caller, rng, devices)
        time.sleep(1)
    return _registered(caller, rng, devices)


def _registered(caller: Caller, rng: Random, devices: int) -> Person:
    port = rng.choice(caller.ports)
    name = f"user-{UUID(int=rng.getrandbits(128)).hex[:16]}"
    form = {"username": name, "email": f"{name}@b.test", "password": PASSWORD, "device_name": "Device 0"}
    answer = _granted(caller.call(Operation.REGISTER, form, port=port))
    first = (answer["device_id"], answer["client_cert_fp"])
    person = Person(name, answer["uuid"], (first,), signing_key=answer["private_keys"]["signing"])
    for number in range(1, devices):
        form = {**person.credentials, "qr_code": answer["qr_code"], "device_name": f"Device {number}"}
        answer = _granted(caller.call(Operation.PAIR, form, user=person.uuid, port=port))
        person = replace(person, devices=(*person.devices, (answer["device_id"], answer["client_cert_fp"])))
    return person


def _granted(reply: Reply) -> Mapping[str, Any]:
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise ToldToComeBack(reply)
    assert reply.ok, reply
    return reply.body


@dataclass(slots=True)
class Actor:
    """One device of a person in the hands of one client: what it holds, and what it may do next."""

    caller: Caller
    rng: Random
    person: Person
    device_id: str
    fingerprint: str
    access: str | None = None
    refreshes: list[str] = field(default_factory=list)
    consents: list[str] = field(default_factory=list)
    paired: list[tuple[str, str]] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    passkey: tuple[str, Passkey] | None = None

    def act(self, weights: Mapping[str, int]) -> None:
        """Do one thing; `weights` says how often each is done."""
        (name,) = self.rng.choices(list(weights), list(weights.values()))
        _DEEDS[name](self)

    def login(self, *, force: bool = False, otp: str | None = None) -> Reply:
        """Log in, with force or without, and with a code where one is given."""
        body: dict[str, Any] = {**self.person.credentials, "client_cert_fp": self.fingerprint}
        body |= {} if otp is None else {"otp": otp}
        return self._enter(Operation.LOGIN, body | ({"force": True} if force else {}))

    def take_over(self) -> Reply:
        """Consent to what was shown last, or, as an impatient or a bad client, to something shown before."""
        if not self.consents:
            return self.login()
        consent = self.consents[-1] if self.rng.random() < 0.8 else self.rng.choice(self.consents)
        return self._enter(Operation.TAKEOVER, {"takeover_token": consent, "client_cert_fp": self.fingerprint})

    def take_over_what_was_shown(self) -> Reply:
        """Consent to what was shown last."""
        return self._enter(
            Operation.TAKEOVER, {"takeover_token": self.consents[-1], "client_cert_fp": self.fingerprint}
        )

    def signed_in(self, operation: Operation, sent: Mapping[str, Any] | None = None) -> Reply:
        """Do something as whoever this device was logged in last."""
        if self.access is None:
            return self.login()
        return self._call(operation, sent, token=self.access)

    def refresh(self, *, old: bool = False) -> Reply:
        """Use the refresh token, or one that was used up before."""
        if not self.refreshes:
            return self.login()
        token = self.rng.choice(self.refreshes) if old else self.refreshes[-1]
        reply = self._call(Operation.REFRESH, {"refresh_token": token})
        self._keep(reply)
        return reply

    def unbind(self) -> Reply:
        """Unbind some device of the person's, one that joined late if there is any."""
        devices = self.paired or self.person.devices
        target, _ = self.rng.choice(devices)
        return self.signed_in(Operation.UNBIND, {"device_id": target, "password": PASSWORD})

    def revoke_certificate(self) -> Reply:
        """Revoke some device's certificate, one that joined late if there is any."""
        target, _ = self.rng.choice(self.paired or self.person.devices)
        return self.signed_in(Operation.REVOKE_CERTIFICATE, {"device_id": target, "password": PASSWORD})

    def close(self) -> Reply:
        """Close the account, and have it opened again."""
        self.signed_in(Operation.CLOSE, {"password": PASSWORD})
        return self._call(Operation.REOPEN, self.person.credentials)

    def end_all(self) -> Reply:
        """Sign out everywhere else, or here too."""
        this_too = self.rng.random() < 0.5
        return self.signed_in(Operation.END_ALL, {"password": PASSWORD, "this_session": this_too})

    def change_password(self) -> Reply:
        """Set the password anew, to the same text: whatever becomes of the answer, everybody knows it."""
        return self._renewing(Operation.PASSWORD_CHANGE, {"password": PASSWORD, "new_password": PASSWORD})

    def rename_account(self) -> Reply:
        """Take another username, or the first one again; the one before is still good to log in with."""
        name = self.rng.choice((self.person.username, f"{self.person.username}-2"))
        return self._renewing(Operation.USERNAME, {"password": PASSWORD, "username": name})

    def recover(self) -> Reply:
        """Come back with one of the codes that this client has, as another device; without codes, have some made."""
        if not self.codes:
            reply = self.signed_in(Operation.RECOVERY_CODES, {"password": PASSWORD})
            self.codes = list(reply.body.get("recovery_codes", ()))
            return reply
        form = {**self.person.credentials, "new_password": PASSWORD, "device_name": "Found"}
        reply = self._call(Operation.RECOVER, {**form, "recovery_code": self.codes.pop()}, device=False)
        if reply.ok:
            self.device_id, self.fingerprint = reply.body["device_id"], reply.body["client_cert_fp"]
            self.access = None
        return reply

    def object_to_newest(self) -> Reply:
        """Take back the newest change of the history, and set the password anew in the session that stays."""
        if self.access is None:
            return self.login()
        newest = self.caller.prepare("GET", "/session/history?limit=1", self.access).body.get("events")
        if not newest:
            return self.login()
        sent = {"change_no": newest[0]["change_no"], "password": PASSWORD}
        reply = self._call(Operation.OBJECT, sent, token=self.access)
        return self.change_password() if reply.ok else reply

    def change_passkeys(self) -> Reply:
        """Make a passkey, log in by the one that was made, or remove it."""
        if self.access is None:
            return self.login()
        if self.passkey is not None and self.rng.random() < 0.5:
            return self._login_by_passkey(self.passkey[1])
        if self.passkey is not None:
            about, self.passkey = self.passkey[0], None
            return self._call(Operation.PASSKEY_REMOVE, {"password": PASSWORD}, token=self.access, about=about)
        begun = self.caller.prepare("POST", "/registration/passkeys/begin", self.access, {"password": PASSWORD})
        if not begun.ok:
            return self.login()
        passkey = made_for(begun.body["options"])
        made = passkey.attestation(begun.body["options"])
        reply = self._call(Operation.PASSKEY_ADD, {"passkey": made}, token=self.access)
        self.passkey = (reply.body["passkey"]["id"], passkey) if reply.ok else None
        return reply

    def _login_by_passkey(self, passkey: Passkey) -> Reply:
        """Log in by a passkey in the place of whoever is active."""
        asked = self.caller.prepare("POST", "/login/passkey/begin", "")
        if not asked.ok:
            return asked
        shown = {"passkey": passkey.assertion(asked.body["options"]), "client_cert_fp": self.fingerprint, "force": True}
        reply = self._call(Operation.LOGIN, shown, about="/passkey/finish")
        self._keep(reply)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            self.passkey = None
        return reply

    def _renewing(self, operation: Operation, sent: Mapping[str, Any]) -> Reply:
        """Do something that answers new tokens of the session."""
        if self.access is None:
            return self.login()
        reply = self._call(operation, sent, token=self.access)
        self._keep(reply)
        return reply

    def revoke(self) -> Reply:
        """End one of the sessions that are listed."""
        listed = self.signed_in(Operation.LIST).body.get("sessions")
        if not listed:
            return self.login()
        return self.signed_in(Operation.REVOKE, {"session_id": self.rng.choice(listed)["session_id"]})

    def pair(self, *, enter: bool = False) -> Reply:
        """Let a new device join, and with `enter` log it in at once, consenting to whom it shows."""
        asking = {**self.person.credentials, "client_cert_fp": self.fingerprint}
        shown = self._call(Operation.REQUEST_PAIRING_TOKEN, asking)
        if not shown.ok:
            return shown
        body = {**self.person.credentials, "qr_code": shown.body["qr_code"], "device_name": "Late"}
        reply = self._call(Operation.DEVICE_REGISTER if enter else Operation.PAIR, body, device=False)
        if enter and reply.status == 409 and "takeover" in reply.body:
            body["takeover_token"] = reply.body["takeover"]["token"]
            reply = self._call(Operation.DEVICE_REGISTER, body, device=False)
        if reply.ok:
            self.paired.append((reply.body["device_id"], reply.body["client_cert_fp"]))
        return reply

    def _enter(self, operation: Operation, body: Mapping[str, Any]) -> Reply:
        reply = self._call(operation, body)
        self._keep(reply)
        if "takeover" in reply.body:
            self.consents = [*self.consents, reply.body["takeover"]["token"]][-_REMEMBERED:]
        return reply

    def _keep(self, reply: Reply) -> None:
        if reply.ok:
            self.access = reply.body["access_token"]
            self.refreshes = [*self.refreshes, reply.body["refresh_token"]][-_REMEMBERED:]

    def _call(
        self,
        operation: Operation,
        sent: Mapping[str, Any] | None,
        *,
        token: str | None = None,
        device: bool = True,
        about: str = "",
    ) -> Reply:
        device_id = self.device_id if device else None
        person = self.person
        known: dict[str, Any] = {"user": person.uuid, "device_id": device_id, "password_no": person.password_no}
        return self.caller.call(operation, sent, token=token, about=about, **known)


_DEEDS: Mapping[str, Callable[[Actor], Reply]] = {
    "login": Actor.login,
    "force": lambda actor: actor.login(force=True),
    "takeover": Actor.take_over,
    "verify": lambda actor: actor.signed_in(Operation.VERIFY),
    "refresh": Actor.refresh,
    "replay": lambda actor: actor.refresh(old=True),
    "logout": lambda actor: actor.signed_in(Operation.LOGOUT),
    "keep-earliest": lambda actor: actor.signed_in(Operation.FORCE_LOGOUT),
    "revoke": Actor.revoke,
    "unbind": Actor.unbind,
    "revoke certificate": Actor.revoke_certificate,
    "pair": Actor.pair,
    "close": Actor.close,
    "end-all": Actor.end_all,
    "password": Actor.change_password,
    "username": Actor.rename_account,
    "recover": Actor.recover,
    "object": Actor.object_to_newest,
    "passkey": Actor.change_passkeys,
    "register-device": lambda actor: actor.pair(enter=True),
}


def actors_of(caller: Caller, rng: Random, people: Sequence[Person]) -> list[Actor]:
    """Return an actor for each device of some people."""
    return [Actor(caller, rng, person, *device) for person in people for device in person.devices]
