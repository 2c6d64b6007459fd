"""The routes of registration."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import Code
from common.web.endpoints import Call, Choice, Endpoint
from common.web.guards import Guard
from registration.registration import Desk, register_second_device_via_qr, register_user, request_pairing_token
from registration.schemas import (
    PairingAnswer,
    PairingBody,
    RegisteredAnswer,
    RegistrationBody,
    SecondDeviceBody,
    pairing_answer,
    pairing_form,
    registered_answer,
    registration_form,
    second_device_form,
)


def endpoints(desk: Desk) -> Sequence[Endpoint]:
    """Return the routes of this room."""

    def register(call: Call) -> RegisteredAnswer:
        """Register a person with the first device, or with `qr_code` another device of a registered person."""
        if isinstance(call.body, SecondDeviceBody):
            registered = register_second_device_via_qr(desk, second_device_form(call))
        else:
            registered = register_user(desk, registration_form(call))
        return registered_answer(registered, call.language)

    def pairing_token(call: Call) -> PairingAnswer:
        """Issue a pairing token from a registered device, to be shown as a QR code."""
        return pairing_answer(*request_pairing_token(desk, pairing_form(call)))

    return (
        Endpoint(
            "POST",
            "/registration/",
            register,
            Guard.OPEN,
            answer=RegisteredAnswer,
            body=Choice("qr_code", SecondDeviceBody, RegistrationBody),
            forms=True,
            codes=(
                Code.MISSING_FIELDS,
                Code.CSR_INVALID,
                Code.KEY_INVALID,
                Code.PROOF_REQUIRED,
                Code.PROOF_INVALID,
                Code.KEY_IN_USE,
                Code.WEAK_PASSWORD,
                Code.USERNAME_TAKEN,
                Code.EMAIL_TAKEN,
                Code.TOO_MANY_ATTEMPTS,
                Code.BAD_CREDENTIALS,
                Code.QR_INVALID,
                Code.PAIRING_TOKEN_FOREIGN,
                Code.PAIRING_TOKEN_SPENT,
                Code.TOO_MANY_DEVICES,
                Code.BUSY,
            ),
        ),
        Endpoint(
            "POST",
            "/registration/request_pairing_token",
            pairing_token,
            Guard.OPEN,
            answer=PairingAnswer,
            body=PairingBody,
            codes=(
                Code.MISSING_FIELDS,
                Code.TOO_MANY_ATTEMPTS,
                Code.BAD_CREDENTIALS,
                Code.DEVICE_UNKNOWN,
                Code.PROOF_REQUIRED,
                Code.PROOF_INVALID,
                Code.CHALLENGE_SPENT,
                Code.BUSY,
            ),
        ),
    )
