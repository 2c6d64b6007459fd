"""Joining: a device makes its keys, keeps them, and only then shows the public halves to the suite."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cryptography import x509

from common.crypto.certificates import KeyKind, fingerprint_of, kind_of, read_certificate
from common.encoding import decode_base64
from ichidai.client.errors import Answer, ClientError, DeviceExistsError, Problem, ServerIdentityError
from ichidai.client.http_transport import HttpTransport
from ichidai.client.keys import DeviceKeys
from ichidai.client.proof_of_work import solve
from ichidai.client.state import Identity, PendingRegistration, State, StateStore

_REGISTRATION = "/registration/"
_SERVER_FAULT = 500
_WORK_WANTED = "work-required"


class UnreadableCode(ClientError):
    """What should be a QR code's text is none."""


@dataclass(frozen=True, slots=True)
class PairingCode:
    """What lets another device join: the QR code's text, its picture as a PNG data URI, and when it expires.

    `qr_link`: the link that the picture holds, which opens the suite's console with the code.
    """

    qr_code: str
    qr_png: str
    expires_at: str
    qr_link: str

    @classmethod
    def of(cls, answer: Answer) -> PairingCode:
        """Read it out of an answer; servers before November 2026 gave no link."""
        code, picture, expires_at = (str(answer[name]) for name in ("qr_code", "qr_png", "expires_at"))
        return cls(code, picture, expires_at, str(answer.get("qr_link", code)))


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


def register(
    transport: HttpTransport, state_store: StateStore, person: Person, kind: KeyKind, invitation: str | None = None
) -> PairingCode:
    """Make an account with this device as its first. `invitation`: its token, or the link that ends with it.

    Keys and a name for the attempt are kept before anything is sent. If the answer is lost, the same call once more
    gives the same device. Raises DeviceExistsError, DeviceFileError, Problem, Unreachable, ServerIdentityError.
    """
    begun = _again(state_store, person, kind) or PendingRegistration(person.username, str(uuid4()))
    keys = _keys_before(state_store, begun) or DeviceKeys.make(kind)
    state = State(transport.base, keys, begun)
    state_store.write(state)
    headers = {"Idempotency-Key": begun.idempotency_key}
    invited = {"invitation": invitation} if invitation else {}
    return _enrol(transport, state_store, state, {**person.form(), **invited}, person, headers=headers)


def join(transport: HttpTransport, state_store: StateStore, code: str, person: Person, kind: KeyKind) -> PairingCode:
    """Make this a further device of an account, by the code that one of its devices shows.

    `code`: the text, or the link that ends with it. If the answer is lost, another code is needed. Raises
    UnreadableCode, DeviceExistsError, DeviceFileError, Problem, Unreachable, ServerIdentityError.
    """
    text = code.strip().rpartition("#")[2].removeprefix("join=")
    token = _token_in(text)
    state = begin(transport, state_store, kind)
    return _enrol(transport, state_store, state, {**person.form(), "qr_code": text}, person, token=token)


def begin(transport: HttpTransport, state_store: StateStore, kind: KeyKind) -> State:
    """Return new keys, kept before anything is sent. Raises DeviceExistsError, DeviceFileError."""
    _check_empty(state_store)
    state = State(transport.base, DeviceKeys.make(kind))
    state_store.write(state)
    return state


@contextmanager
def forgetting_if_refused(state_store: StateStore) -> Iterator[None]:
    """Forget the keys where the suite refuses what is sent: a refusal leaves nothing behind, there or here."""
    try:
        yield
    except Problem as problem:
        if problem.status < _SERVER_FAULT:
            state_store.write(None)
        raise


def certified(state: State, answer: Answer) -> tuple[str, str]:
    """Return PEM and fingerprint of an answer's certificate. Raises ServerIdentityError if it is over another key."""
    certificate = x509.load_der_x509_certificate(read_certificate(answer["client_cert"]))
    if certificate.public_key() != state.keys.public_key:
        raise ServerIdentityError("The server gave this device a certificate over another key.")
    return str(answer["certificate"]["pem"]), fingerprint_of(base64.b64decode(answer["client_cert"]))


def _enrol(
    transport: HttpTransport,
    state_store: StateStore,
    state: State,
    form: Mapping[str, Any],
    person: Person,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> PairingCode:
    with forgetting_if_refused(state_store):
        issuer = str(transport.discovery()["issuer"])
        body = {**form, **state.keys.enrolment(issuer, person.username, token)}
        answer = _sent(transport, body, headers)
    keep_identity(state_store, state, issuer, person.form(), answer)
    return PairingCode.of(answer)


def keep_identity(
    state_store: StateStore, state: State, issuer: str, person: Mapping[str, Any], answer: Answer
) -> None:
    """Keep who this device is, by the answer that made it one; `person` as it was sent. Raises ServerIdentityError."""
    pem, fingerprint = certified(state, answer)
    identity = Identity(
        issuer=issuer,
        username=str(person["username"]).strip(),
        user_uuid=answer["uuid"],
        device_id=answer["device_id"],
        device_name=str(person.get("device_name") or ""),
        certificate=pem,
        fingerprint=fingerprint,
    )
    state_store.write(State(state.url, state.keys, identity=identity))


def _sent(transport: HttpTransport, body: Answer, headers: Mapping[str, str] | None) -> Answer:
    """Send a registration; where it costs a proof of work, do that and send it once more."""
    try:
        return transport.call("POST", _REGISTRATION, body, headers=headers, idempotent=headers is not None)
    except Problem as problem:
        if problem.code != _WORK_WANTED:
            raise
        worked = {**body, "work": solve(problem.document["challenge"])}
    return transport.call("POST", _REGISTRATION, worked, headers=headers, idempotent=headers is not None)


def _check_empty(state_store: StateStore) -> State | None:
    """Return what an unfinished attempt left. Raises DeviceExistsError."""
    state = state_store.read()
    if state is not None and state.identity is not None:
        raise DeviceExistsError(f"There is a device of {state.identity.username} here already.")
    return state


def _again(state_store: StateStore, person: Person, kind: KeyKind) -> PendingRegistration | None:
    """Return the same registration as it was begun before, if its answer never came."""
    state = _check_empty(state_store)
    if state is None or state.begun is None or state.begun.username != person.username:
        return None
    return state.begun if kind_of(state.keys.public_key) is kind else None


def _keys_before(state_store: StateStore, begun: PendingRegistration) -> DeviceKeys | None:
    state = state_store.read()
    return state.keys if state is not None and state.begun == begun else None


def _token_in(qr_code: str) -> str:
    try:
        token = json.loads(decode_base64(qr_code))["token"]
    except (ValueError, KeyError, TypeError):
        token = None
    if not isinstance(token, str):
        raise UnreadableCode("This is no code of a device: copy all of it.")
    return token
