"""What registration reads and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from common.admission import DeviceProof
from common.clock import to_rfc3339
from common.web.bodies import Body
from common.web.certificates import DeviceBody
from common.web.endpoints import Answer, Call
from common.web.enrolments import EnrolmentBody, NewDeviceAnswer, new_device_fields, registered_message
from common.web.fields import Email, Opaque, Username
from common.web.messages import Language
from common.web.proving import ProofBody, proof_of
from registration.email_sender import qr_png
from registration.factor_model import Factor
from registration.pairing_token import LIFETIME, IssuedPairing
from registration.registration import PairingForm, Registered, Registration, SecondDevice
from registration.second_factor import LIFETIME as ENROLMENT_LIFETIME
from registration.second_factor import Begun


class RegistrationBody(EnrolmentBody, frozen=True, kw_only=True):
    """A person who registers."""

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "email": "alice@example.com",
        "password": "a long enough phrase",
        "device_name": "Phone",
    }

    missing_variant: ClassVar[str | None] = "registration"

    email: Email
    password: Opaque


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


class OtpBeginBody(Body, frozen=True, kw_only=True):
    """Somebody who wants a second factor: the password once more."""

    password: Opaque


class OtpConfirmBody(Body, frozen=True, kw_only=True):
    """What was begun, and the app's first code."""

    enrolment: Opaque
    otp: Opaque


class OtpRemoveBody(Body, frozen=True, kw_only=True):
    """Somebody who wants no second factor any more: the password, and a code."""

    password: Opaque
    otp: Opaque | None = None


class OtpAnswer(Answer, frozen=True, kw_only=True):
    """Whether a second factor is on; since when, and how many recovery codes are left."""

    active: bool
    since: str | UnsetType = UNSET
    recovery_codes_left: int | UnsetType = UNSET


class OtpBegunAnswer(Answer, frozen=True, kw_only=True):
    """What an authenticator app needs: the secret in base32, as an `otpauth://` address, and that as a picture.

    `enrolment` is to be sent back with the app's first code within `expires_in` seconds.
    """

    secret: str
    uri: str
    qr_png: str
    enrolment: str
    expires_at: str
    expires_in: int


class OtpConfirmedAnswer(Answer, frozen=True, kw_only=True):
    """The recovery codes. Shown once; each stands for one code of the app."""

    recovery_codes: Sequence[str]


class RegisteredAnswer(NewDeviceAnswer, frozen=True, kw_only=True):
    """A device that joined an account, and the QR code for the next one."""

    uuid: str
    qr_code: str
    qr_png: str
    expires_at: str
    message: str


class PairingAnswer(Answer, frozen=True, kw_only=True):
    """A pairing token, and its QR code: the text, its picture as a PNG data URI, and when it expires."""

    uuid: str
    qr_code: str
    qr_png: str
    expires_at: str
    pairing_token: str
    expires_in: int


def registration_form(call: Call) -> Registration:
    """Return a registration as the use case takes it. Raises Refusal: INVALID_REQUEST, CSR_INVALID, KEY_INVALID."""
    body: RegistrationBody = call.body
    device_name = body.device_name or call.device_name
    return Registration(
        body.username,
        body.email,
        body.password,
        device_name,
        call.origin,
        idempotency_key=call.idempotency_key,
        keys=body.own_keys(),
    )


def second_device_form(call: Call) -> SecondDevice:
    """Return a second device as the use case takes it. Raises Refusal: INVALID_REQUEST, CSR_INVALID, KEY_INVALID."""
    body: SecondDeviceBody = call.body
    device_name = body.device_name or call.device_name
    return SecondDevice(body.qr_code, body.username, body.password, device_name, call.origin, body.own_keys(), body.otp)


def pairing_form(call: Call) -> PairingForm:
    """Return a request for a pairing token as the use case takes it. Raises MISSING_FIELDS, INVALID_REQUEST."""
    body: PairingBody = call.body
    fingerprint = body.fingerprint(DeviceProof.SIGNATURE, call.held) or ""
    return PairingForm(
        body.username, body.password, fingerprint, call.origin, proof_of(body.proof), call.held, body.otp
    )


def registered_answer(registered: Registered, language: Language) -> RegisteredAnswer:
    """Return the answer to a registration."""
    return RegisteredAnswer(
        **new_device_fields(registered.device),
        **_pairing_fields(registered.user_uuid, registered.pairing),
        message=registered_message(registered.device, language),
    )


def pairing_answer(user_uuid: str, pairing: IssuedPairing) -> PairingAnswer:
    """Return the answer to a request for a pairing token."""
    return PairingAnswer(
        **_pairing_fields(user_uuid, pairing),
        pairing_token=pairing.token,
        expires_in=int(LIFETIME.total_seconds()),
    )


def otp_answer(factor: Factor | None) -> OtpAnswer:
    """Return whether the second factor is on."""
    if factor is None:
        return OtpAnswer(active=False)
    return OtpAnswer(active=True, since=to_rfc3339(factor.since), recovery_codes_left=len(factor.marks))


def otp_begun_answer(begun: Begun) -> OtpBegunAnswer:
    """Return what an app needs."""
    return OtpBegunAnswer(
        secret=begun.secret,
        uri=begun.uri,
        qr_png=qr_png(begun.uri),
        enrolment=begun.enrolment,
        expires_at=to_rfc3339(begun.expires_at),
        expires_in=int(ENROLMENT_LIFETIME.total_seconds()),
    )


def _pairing_fields(user_uuid: str, pairing: IssuedPairing) -> dict[str, Any]:
    return {
        "uuid": user_uuid,
        "qr_code": pairing.qr_code,
        "qr_png": qr_png(pairing.qr_code),
        "expires_at": to_rfc3339(pairing.expires_at),
    }
