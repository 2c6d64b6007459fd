"""What registration reads and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from common.admission import DeviceProof
from common.clock import to_rfc3339
from common.web.certificates import DeviceBody
from common.web.endpoints import Answer, Call
from common.web.enrolments import EnrolmentBody, NewDeviceAnswer, new_device_fields, registered_message
from common.web.fields import Email, Opaque, Username
from common.web.messages import Language
from common.web.proving import ProofBody, proof_of
from registration.email_sender import qr_png
from registration.pairing_token import LIFETIME, IssuedPairing
from registration.registration import PairingForm, Registered, Registration, SecondDevice


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


class PairingBody(DeviceBody, frozen=True, kw_only=True):
    """A registered device that asks for a pairing token."""

    username: Username
    password: Opaque
    proof: ProofBody | None = None


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
    return SecondDevice(body.qr_code, body.username, body.password, device_name, call.origin, body.own_keys())


def pairing_form(call: Call) -> PairingForm:
    """Return a request for a pairing token as the use case takes it. Raises MISSING_FIELDS, INVALID_REQUEST."""
    body: PairingBody = call.body
    fingerprint = body.fingerprint(DeviceProof.SIGNATURE, call.held) or ""
    return PairingForm(body.username, body.password, fingerprint, call.origin, proof_of(body.proof), call.held)


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


def _pairing_fields(user_uuid: str, pairing: IssuedPairing) -> dict[str, Any]:
    return {
        "uuid": user_uuid,
        "qr_code": pairing.qr_code,
        "qr_png": qr_png(pairing.qr_code),
        "expires_at": to_rfc3339(pairing.expires_at),
    }
