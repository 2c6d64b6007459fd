"""What registration reads and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from common.account.admission import DeviceProof
from common.clock import to_rfc3339
from common.web.endpoints import Answer, RequestData
from common.web.fields import NewEmail, NewUsername, Opaque, Username
from common.web.formats import Seconds, Timestamp, Url, Uuid
from common.web.messages import Language
from common.web.problem_types import WorkChallenge
from common.web.request_body import Body
from common.wire.device_certificate import DeviceBody
from common.wire.enrolment import EnrolmentBody, NewDeviceAnswer, new_device_fields, registered_message
from common.wire.passkey import ReauthenticationBody
from common.wire.proof import ProofBody, proof_of
from registration.email_sender import qr_png
from registration.factor_model import Factor
from registration.forms import PairingForm, Registered, Registration, SecondDevice
from registration.pairing_token import LIFETIME, IssuedPairing
from registration.password_change import PasswordChangeForm
from registration.second_factor import LIFETIME as ENROLMENT_LIFETIME
from registration.second_factor import StartedEnrolment


class RegistrationBody(EnrolmentBody, frozen=True, kw_only=True):
    """A person who registers."""

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "email": "alice@example.com",
        "password": "a long enough phrase",
        "device_name": "Phone",
    }

    conditions: ClassVar[Mapping[str, object]] = {
        **EnrolmentBody.conditions,
        "properties": {
            "password": {
                "minLength": 8,
                "maxLength": 1024,
                "description": "8 to 1,024 characters after NFC; not a common password, the username or the mail.",
            }
        },
    }

    missing_variant: ClassVar[str | None] = "registration"

    username: NewUsername
    email: NewEmail
    password: Opaque
    work: Opaque | None = None
    invitation: Opaque | None = None


class WorkAnswer(Answer, frozen=True, kw_only=True):
    """Whether the client's next registration needs a proof of work, and the challenge, where work is asked for."""

    required: bool
    challenge: WorkChallenge | UnsetType = UNSET
    expires_in: Seconds | UnsetType = UNSET


class SecondDeviceBody(EnrolmentBody, frozen=True, kw_only=True):
    """A person who joins with another device."""

    example: ClassVar[Mapping[str, object] | None] = {
        "qr_code": "eyJ1dWlkIjoi…",
        "username": "alice",
        "password": "a long enough phrase",
        "device_name": "Laptop",
    }

    missing_variant: ClassVar[str | None] = "second-device"

    qr_code: Opaque
    password: Opaque
    otp: Opaque | None = None


class PairingBody(DeviceBody, frozen=True, kw_only=True):
    """A registered device that asks for a pairing token."""

    username: Username
    password: Opaque
    otp: Opaque | None = None
    proof: ProofBody | None = None


class OtpBeginBody(ReauthenticationBody, frozen=True, kw_only=True):
    """Switch a second factor on: the password once more, or a passkey."""


class OtpConfirmBody(Body, frozen=True, kw_only=True):
    """What was begun, and the app's first code."""

    enrolment: Opaque
    otp: Opaque


class OtpRemoveBody(ReauthenticationBody, frozen=True, kw_only=True):
    """Switch the second factor off: the password, and a code; or a passkey."""


class RecoveryCodesBody(ReauthenticationBody, frozen=True, kw_only=True):
    """New recovery codes: the password, and a code; or a passkey."""


class PasswordChangeBody(ReauthenticationBody, frozen=True, kw_only=True):
    """A signed-in user who wants another password: the one in force, the new one, and a code of a second factor."""

    new_password: Opaque


class OtpAnswer(Answer, frozen=True, kw_only=True):
    """Whether a second factor is on; since when, and how many recovery codes are left."""

    active: bool
    since: Timestamp | UnsetType = UNSET
    recovery_codes_left: int | UnsetType = UNSET


class OtpBegunAnswer(Answer, frozen=True, kw_only=True):
    """What an authenticator app needs: the secret in base32, as an `otpauth://` address, and that as a picture.

    `enrolment` is to be sent back with the app's first code within `expires_in` seconds.
    """

    secret: str
    uri: Url
    qr_png: Url
    enrolment: str
    expires_at: Timestamp
    expires_in: Seconds


class OtpConfirmedAnswer(Answer, frozen=True, kw_only=True):
    """The recovery codes. Shown once; each stands for one code of the app."""

    recovery_codes: Sequence[str]


class RegisteredAnswer(NewDeviceAnswer, frozen=True, kw_only=True):
    """A device that joined an account, and the QR code for the next one: as `PairingAnswer` has it."""

    uuid: Uuid
    qr_code: str
    qr_link: Url
    qr_png: Url
    expires_at: Timestamp
    message: str


class PairingAnswer(Answer, frozen=True, kw_only=True):
    """A pairing token, its code, the link by which a camera opens the console with it, and that as a PNG data URI."""

    uuid: Uuid
    qr_code: str
    qr_link: Url
    qr_png: Url
    expires_at: Timestamp
    pairing_token: str
    expires_in: Seconds


def registration_form(request: RequestData) -> Registration:
    """Return a registration as the use case takes it. Raises Refusal: INVALID_REQUEST, CSR_INVALID, KEY_INVALID."""
    body: RegistrationBody = request.body
    device_name = body.device_name or request.device_name
    return Registration(
        body.username,
        body.email,
        body.password,
        device_name,
        request.client,
        idempotency_key=request.idempotency_key,
        keys=body.own_keys(),
        work=body.work,
        invitation=body.invitation,
    )


def second_device_form(request: RequestData) -> SecondDevice:
    """Return a second device as the use case takes it. Raises Refusal: INVALID_REQUEST, CSR_INVALID, KEY_INVALID."""
    body: SecondDeviceBody = request.body
    device_name = body.device_name or request.device_name
    return SecondDevice(
        body.qr_code, body.username, body.password, device_name, request.client, body.own_keys(), body.otp
    )


def pairing_form(request: RequestData) -> PairingForm:
    """Return a request for a pairing token as the use case takes it. Raises MISSING_FIELDS, INVALID_REQUEST."""
    body: PairingBody = request.body
    fingerprint = body.fingerprint(DeviceProof.SIGNATURE, request.tls_certificate) or ""
    return PairingForm(
        body.username,
        body.password,
        fingerprint,
        request.client,
        proof_of(body.proof),
        request.tls_certificate,
        body.otp,
    )


def registered_answer(registered: Registered, language: Language, join_url: str) -> RegisteredAnswer:
    """Return the answer to a registration."""
    return RegisteredAnswer(
        **new_device_fields(registered.device),
        **_pairing_fields(registered.user_uuid, registered.pairing, join_url),
        message=registered_message(registered.device, language),
    )


def pairing_answer(user_uuid: str, pairing: IssuedPairing, join_url: str) -> PairingAnswer:
    """Return the answer to a request for a pairing token."""
    return PairingAnswer(
        **_pairing_fields(user_uuid, pairing, join_url),
        pairing_token=pairing.token,
        expires_in=int(LIFETIME.total_seconds()),
    )


def password_change_form(request: RequestData) -> PasswordChangeForm:
    """Return a change of password as the use case takes it."""
    body: PasswordChangeBody = request.body
    return PasswordChangeForm(body.secret, body.new_password, body.factor, request.client)


def otp_answer(factor: Factor | None) -> OtpAnswer:
    """Return whether the second factor is on."""
    if factor is None:
        return OtpAnswer(active=False)
    return OtpAnswer(active=True, since=to_rfc3339(factor.since), recovery_codes_left=len(factor.recovery_code_hashes))


def otp_begun_answer(begun: StartedEnrolment) -> OtpBegunAnswer:
    """Return what an app needs."""
    return OtpBegunAnswer(
        secret=begun.secret,
        uri=begun.uri,
        qr_png=qr_png(begun.uri),
        enrolment=begun.enrolment,
        expires_at=to_rfc3339(begun.expires_at),
        expires_in=int(ENROLMENT_LIFETIME.total_seconds()),
    )


def _pairing_fields(user_uuid: str, pairing: IssuedPairing, join_url: str) -> dict[str, Any]:
    link = join_url + pairing.qr_code
    return {
        "uuid": user_uuid,
        "qr_code": pairing.qr_code,
        "qr_link": link,
        "qr_png": qr_png(link),
        "expires_at": to_rfc3339(pairing.expires_at),
    }
