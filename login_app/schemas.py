"""What login reads and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType

from common.admission import DeviceProof
from common.challenge import Asked
from common.errors import Code, Refusal
from common.proofs import Purpose
from common.web.certificates import DeviceBody
from common.web.endpoints import Answer, Call
from common.web.fields import Opaque, Text, Username
from common.web.grants import WelcomeAnswer, welcome_fields
from common.web.messages import LOGGED_IN, Language
from common.web.proving import ProofBody, proof_of
from login_app.challenge import ChallengeForm
from login_app.login import LoggedIn, LoginForm
from login_app.takeover import TakeoverForm


class LoginBody(DeviceBody, frozen=True, kw_only=True):
    """A login: `username` or `email`, the password, and what shows the device."""

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "password": "a long enough phrase",
        "client_cert_fp": "0" * 64,
    }

    username: Username | None = None
    email: Text | None = None
    password: Opaque
    otp: Opaque | None = None
    device_token: Opaque | None = None
    force: bool = False
    proof: ProofBody | None = None


class TakeoverBody(DeviceBody, frozen=True, kw_only=True):
    """A consent, sent by the device that asked."""

    takeover_token: Opaque
    proof: ProofBody | None = None


class ChallengeBody(DeviceBody, frozen=True, kw_only=True):
    """A device that asks what it must sign."""

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "password": "a long enough phrase",
        "client_cert_fp": "0" * 64,
        "purpose": "login",
    }

    username: Username | None = None
    email: Text | None = None
    password: Opaque
    otp: Opaque | None = None
    purpose: Literal["login", "force", "takeover", "pair-issue", "renew"] = "login"


class SealedAnswer(Struct, frozen=True):
    """A challenge that only its device can read: base64 of the encapsulation, and of nonce and ciphertext."""

    kem: str
    ciphertext: str
    box: str


class ChallengeAnswer(Answer, frozen=True, kw_only=True):
    """What the device must sign, in the clear or sealed to it."""

    challenge_id: str
    challenge: str | UnsetType = UNSET
    sealed: SealedAnswer | UnsetType = UNSET
    expires_in: int
    issuer: str
    device_id: str


class LoginAnswer(WelcomeAnswer, frozen=True, kw_only=True):
    """A login that succeeded. `device_token` makes a device without a certificate the same one next time."""

    message: str
    device_token: str | UnsetType = UNSET


def login_form(call: Call, proof: DeviceProof, *, force: bool) -> LoginForm:
    """Return a login as the use case takes it. Raises Refusal(MISSING_FIELDS), Refusal(INVALID_REQUEST)."""
    body: LoginBody = call.body
    return LoginForm(
        name=_name(body),
        by_email=body.username is None,
        password=body.password,
        fingerprint=body.fingerprint(proof, call.held),
        device_token=body.device_token,
        device_name=call.device_name,
        force=force or body.force,
        origin=call.origin,
        proof=proof_of(body.proof),
        held=call.held,
        otp=body.otp,
    )


def challenge_form(call: Call) -> ChallengeForm:
    """Return a request for a challenge as the use case takes it. Raises Refusal(MISSING_FIELDS), INVALID_REQUEST."""
    body: ChallengeBody = call.body
    return ChallengeForm(
        name=_name(body),
        by_email=body.username is None,
        password=body.password,
        fingerprint=body.fingerprint(DeviceProof.SIGNATURE, call.held) or "",
        purpose=Purpose(body.purpose),
        origin=call.origin,
        otp=body.otp,
    )


def takeover_form(call: Call, proof: DeviceProof) -> TakeoverForm:
    """Return a consent as the use case takes it. Raises Refusal(MISSING_FIELDS), Refusal(INVALID_REQUEST)."""
    body: TakeoverBody = call.body
    fingerprint = body.fingerprint(proof, call.held)
    return TakeoverForm(body.takeover_token, fingerprint, call.origin, proof_of(body.proof), call.held)


def login_answer(logged_in: LoggedIn, language: Language) -> LoginAnswer:
    """Return the answer to a login."""
    return LoginAnswer(
        **welcome_fields(logged_in.welcome),
        message=LOGGED_IN.in_language(language, {}),
        device_token=logged_in.device_token or UNSET,
    )


def challenge_answer(asked: Asked) -> ChallengeAnswer:
    """Return the answer to a request for a challenge."""
    told: dict[str, Any] = {**asked.told(), "device_id": asked.device_id}
    if "sealed" in told:
        told["sealed"] = SealedAnswer(**told["sealed"])
    return ChallengeAnswer(**told)


def _name(body: LoginBody | ChallengeBody) -> str:
    name = body.username or body.email
    if name is None:
        raise Refusal(Code.MISSING_FIELDS, names="username", fields=["username"])
    return name
