"""What login reads and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol

from msgspec import UNSET, UnsetType

from common.account.admission import DeviceProof, LoginResult
from common.errors import Code, Refusal
from common.proof.challenge import IssuedChallenge
from common.web.endpoints import Answer, RequestData
from common.web.fields import Opaque, Text, Username
from common.web.formats import Seconds, Url, Uuid
from common.web.messages import CODES_VOID, LOGGED_IN, Language
from common.web.problem_types import SealedChallenge
from common.wire.device_certificate import DeviceBody
from common.wire.passkey import AssertionBody
from common.wire.proof import ProofBody, proof_of
from common.wire.tokens import NewSessionAnswer, new_session_fields
from login_app.login import LoginForm
from login_app.takeover import TakeoverForm

_NAMED = {"if": {"not": {"required": ["username"]}}, "then": {"required": ["email"]}}


class PasswordOrPasskey(Protocol):
    """The fields of a body by which a user signs in."""

    @property
    def username(self) -> str | None:
        """The name."""

    @property
    def email(self) -> str | None:
        """The mail address, where there is no name."""

    @property
    def password(self) -> str | None:
        """The password."""

    @property
    def passkey(self) -> AssertionBody | None:
        """What stands for the password or beside it."""


class LoginBody(DeviceBody, frozen=True, kw_only=True):
    """A login: `username` or `email`, the password, and what shows the device."""

    conditions: ClassVar[Mapping[str, object]] = {**DeviceBody.conditions, **_NAMED}

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
    """A device that asks what it must sign, by the password or by a passkey."""

    conditions: ClassVar[Mapping[str, object]] = {
        **DeviceBody.conditions,
        "if": {"not": {"required": ["passkey"]}},
        "then": {"required": ["password"], **_NAMED},
    }

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "password": "a long enough phrase",
        "client_cert_fp": "0" * 64,
        "purpose": "login",
    }

    username: Username | None = None
    email: Text | None = None
    password: Opaque | None = None
    otp: Opaque | None = None
    passkey: AssertionBody | None = None
    purpose: Literal["login", "force", "takeover", "pair-issue", "renew"] = "login"


class ChallengeAnswer(Answer, frozen=True, kw_only=True):
    """What the device must sign, in the clear or sealed to it."""

    challenge_id: str
    challenge: str | UnsetType = UNSET
    sealed: SealedChallenge | UnsetType = UNSET
    expires_in: Seconds
    issuer: Url
    device_id: Uuid


class LoginAnswer(NewSessionAnswer, frozen=True, kw_only=True):
    """A login that succeeded. `device_token` makes a device without a certificate the same one next time.

    `recovery_codes_void`: the operator has voided the user's recovery codes, and new ones should be made.
    """

    message: str
    device_token: str | UnsetType = UNSET
    recovery_codes_void: bool | UnsetType = UNSET


def login_form(request: RequestData, proof: DeviceProof, *, force: bool) -> LoginForm:
    """Return a login as the use case takes it. Raises Refusal(MISSING_FIELDS), Refusal(INVALID_REQUEST)."""
    body: LoginBody = request.body
    return LoginForm(
        name=_name(body.username, body.email),
        by_email=body.username is None,
        password=body.password,
        fingerprint=body.fingerprint(proof, request.tls_certificate),
        device_token=body.device_token,
        device_name=request.device_name,
        force=force or body.force,
        client=request.client,
        proof=proof_of(body.proof),
        tls_certificate=request.tls_certificate,
        otp=body.otp,
    )


def challenge_form(request: RequestData) -> LoginForm:
    """Return a request for a challenge as the use case takes it. Raises Refusal(MISSING_FIELDS), INVALID_REQUEST."""
    body: ChallengeBody = request.body
    return LoginForm(
        **named_user(body),
        fingerprint=body.fingerprint(DeviceProof.SIGNATURE, request.tls_certificate) or "",
        device_token=None,
        device_name="",
        force=False,
        client=request.client,
        otp=body.otp,
        passkey=None if body.passkey is None else body.passkey.assertion(),
    )


def takeover_form(request: RequestData, proof: DeviceProof) -> TakeoverForm:
    """Return a consent as the use case takes it. Raises Refusal(MISSING_FIELDS), Refusal(INVALID_REQUEST)."""
    body: TakeoverBody = request.body
    fingerprint = body.fingerprint(proof, request.tls_certificate)
    return TakeoverForm(body.takeover_token, fingerprint, request.client, proof_of(body.proof), request.tls_certificate)


def login_answer(result: LoginResult, language: Language) -> LoginAnswer:
    """Return the answer to a login."""
    return LoginAnswer(
        **new_session_fields(result),
        message=(CODES_VOID if result.has_lost_codes else LOGGED_IN).in_language(language, {}),
        device_token=result.device_token or UNSET,
        recovery_codes_void=result.has_lost_codes or UNSET,
    )


def challenge_answer(asked: IssuedChallenge) -> ChallengeAnswer:
    """Return the answer to a request for a challenge."""
    told: dict[str, Any] = {**asked.to_json(), "device_id": asked.device_id}
    if "sealed" in told:
        told["sealed"] = SealedChallenge(**told["sealed"])
    return ChallengeAnswer(**told)


def named_user(body: PasswordOrPasskey) -> dict[str, Any]:
    """Return the fields of a LoginForm that name a user and the password; empty where a passkey stands for both.

    Raises Refusal(MISSING_FIELDS).
    """
    if body.password is not None:
        name = _name(body.username, body.email)
        return {"name": name, "by_email": body.username is None, "password": body.password}
    if body.passkey is None:
        raise Refusal(Code.MISSING_FIELDS, names="password", fields=["password"])
    return {"name": "", "by_email": False, "password": ""}


def _name(username: str | None, email: str | None) -> str:
    name = username or email
    if name is None:
        raise Refusal(Code.MISSING_FIELDS, names="username", fields=["username"])
    return name
