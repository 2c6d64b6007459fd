"""Joining: a device makes its keys, keeps them, and only then shows the public halves to the suite."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cryptography import x509

from common.crypto.certificates import KeyKind, fingerprint_of, kind_of, read_certificate
from common.crypto.encoding import decode_base64
from ichidai.client.failures import Answer, ClientError, HasDevice, Problem, Untrustworthy
from ichidai.client.keys import DeviceKeys
from ichidai.client.state import Begun, Identity, State, Vault
from ichidai.client.wire import Wire

_REGISTRATION = "/registration/"
_SERVER_FAULT = 500


class UnreadableCode(ClientError):
    """What should be a QR code's text is none."""


@dataclass(frozen=True, slots=True)
class PairingCode:
    """What lets another device join: the QR code's text, its picture as a PNG data URI, and when it expires."""

    qr_code: str
    qr_png: str
    expires_at: str

    @classmethod
    def of(cls, answer: Answer) -> PairingCode:
        """Read it out of an answer."""
        return cls(*(str(answer[name]) for name in ("qr_code", "qr_png", "expires_at")))


@dataclass(frozen=True, slots=True)
class Person:
    """Who joins, and what the device is to be called. `email` only where an account is made."""

    username: str
    password: str
    device_name: str | None = None
    email: str | None = None

    def form(self) -> dict[str, Any]:
        """Return the fields that are sent."""
        said = {"device_name": self.device_name, "email": self.email}
        given = {name: value for name, value in said.items() if value is not None}
        return {"username": self.username, "password": self.password, **given}


def register(wire: Wire, vault: Vault, person: Person, kind: KeyKind) -> PairingCode:
    """Make an account with this device as its first.

    Keys and a name for the attempt are kept before anything is sent. If the answer is lost, the same call once more
    gives the same device. Raises HasDevice, DeviceFileFault, Problem, Unreachable, Untrustworthy.
    """
    begun = _again(vault, person, kind) or Begun(person.username, str(uuid4()))
    keys = _keys_before(vault, begun) or DeviceKeys.make(kind)
    state = State(wire.base, keys, begun)
    vault.write(state)
    headers = {"Idempotency-Key": begun.idempotency_key}
    return _enrol(wire, vault, state, person.form(), person, headers=headers)


def join(wire: Wire, vault: Vault, code: str, person: Person, kind: KeyKind) -> PairingCode:
    """Make this a further device of an account, by the code that one of its devices shows.

    `code`: the text, or an address that ends with it. If the answer is lost, another code is needed. Raises
    UnreadableCode, HasDevice, DeviceFileFault, Problem, Unreachable, Untrustworthy.
    """
    text = code.strip().rpartition("#")[2]
    token = _token_in(text)
    _check_empty(vault)
    state = State(wire.base, DeviceKeys.make(kind))
    vault.write(state)
    return _enrol(wire, vault, state, {**person.form(), "qr_code": text}, person, token=token)


def certified(state: State, answer: Answer) -> tuple[str, str]:
    """Return PEM and fingerprint of the certificate in an answer. Raises Untrustworthy if it is over another key."""
    certificate = x509.load_der_x509_certificate(read_certificate(answer["client_cert"]))
    if certificate.public_key() != state.keys.public_key:
        raise Untrustworthy("The server gave this device a certificate over another key.")
    return str(answer["certificate"]["pem"]), fingerprint_of(base64.b64decode(answer["client_cert"]))


def _enrol(
    wire: Wire,
    vault: Vault,
    state: State,
    form: Mapping[str, Any],
    person: Person,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> PairingCode:
    try:
        issuer = str(wire.call("GET", "/.well-known/ichidai.json", repeatable=True)["issuer"])
        body = {**form, **state.keys.enrolment(issuer, person.username, token)}
        answer = wire.call("POST", _REGISTRATION, body, headers=headers, repeatable=headers is not None)
    except Problem as problem:
        if problem.status < _SERVER_FAULT:
            vault.write(None)  # a refusal leaves nothing behind, there or here
        raise
    pem, fingerprint = certified(state, answer)
    identity = Identity(
        issuer=issuer,
        username=person.username.strip(),
        user_uuid=answer["uuid"],
        device_id=answer["device_id"],
        device_name=person.device_name or "",
        certificate=pem,
        fingerprint=fingerprint,
    )
    vault.write(State(state.url, state.keys, identity=identity))
    return PairingCode.of(answer)


def _check_empty(vault: Vault) -> State | None:
    """Return what an unfinished attempt left. Raises HasDevice."""
    state = vault.read()
    if state is not None and state.identity is not None:
        raise HasDevice(f"There is a device of {state.identity.username} here already.")
    return state


def _again(vault: Vault, person: Person, kind: KeyKind) -> Begun | None:
    """Return the same registration as it was begun before, if its answer never came."""
    state = _check_empty(vault)
    if state is None or state.begun is None or state.begun.username != person.username:
        return None
    return state.begun if kind_of(state.keys.public_key) is kind else None


def _keys_before(vault: Vault, begun: Begun) -> DeviceKeys | None:
    state = vault.read()
    return state.keys if state is not None and state.begun == begun else None


def _token_in(qr_code: str) -> str:
    try:
        token = json.loads(decode_base64(qr_code))["token"]
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str):
        raise UnreadableCode("This is no code of a device: copy all of it.")
    return token
