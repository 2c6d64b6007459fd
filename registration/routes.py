"""The routes of registration."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import Code
from common.web.bodies import Body
from common.web.endpoints import Answer, Call, Choice, Endpoint, Handler
from common.web.guards import Guard
from registration import second_factor
from registration.registration import Desk, register_second_device_via_qr, register_user, request_pairing_token
from registration.schemas import (
    OtpAnswer,
    OtpBeginBody,
    OtpBegunAnswer,
    OtpConfirmBody,
    OtpConfirmedAnswer,
    OtpRemoveBody,
    PairingAnswer,
    PairingBody,
    RegisteredAnswer,
    RegistrationBody,
    SecondDeviceBody,
    otp_answer,
    otp_begun_answer,
    pairing_answer,
    pairing_form,
    registered_answer,
    registration_form,
    second_device_form,
)

_BEGIN_CODES = (Code.OTP_ACTIVE, Code.TOO_MANY_ATTEMPTS, Code.BAD_CREDENTIALS)
_CONFIRM_CODES = (Code.OTP_INVALID, Code.ENROLMENT_SPENT, Code.OTP_ACTIVE)
_REMOVE_CODES = (
    Code.OTP_INACTIVE,
    Code.TOO_MANY_ATTEMPTS,
    Code.BAD_CREDENTIALS,
    Code.OTP_REQUIRED,
    Code.OTP_INVALID,
)


def endpoints(desk: Desk, factors: second_factor.Desk) -> Sequence[Endpoint]:
    """Return the routes of this room."""
    return (*_joining(desk), *_second_factor(factors))


def _joining(desk: Desk) -> Sequence[Endpoint]:

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
                Code.OTP_REQUIRED,
                Code.OTP_INVALID,
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
                Code.OTP_REQUIRED,
                Code.OTP_INVALID,
                Code.DEVICE_UNKNOWN,
                Code.PROOF_REQUIRED,
                Code.PROOF_INVALID,
                Code.CHALLENGE_SPENT,
                Code.BUSY,
            ),
        ),
    )


def _second_factor(desk: second_factor.Desk) -> Sequence[Endpoint]:
    def status(call: Call) -> OtpAnswer:
        """Tell whether the caller's account asks for a code beside the password."""
        return otp_answer(second_factor.status(desk, call.signed_in))

    def begin(call: Call) -> OtpBegunAnswer:
        """Make a secret for the caller's authenticator app; nothing is changed before it is confirmed."""
        body: OtpBeginBody = call.body
        return otp_begun_answer(second_factor.begin(desk, call.signed_in, body.password, call.origin))

    def confirm(call: Call) -> OtpConfirmedAnswer:
        """Switch the second factor on by the app's first code, and return the recovery codes."""
        body: OtpConfirmBody = call.body
        codes = second_factor.confirm(desk, call.signed_in, body.enrolment, body.otp, call.origin)
        return OtpConfirmedAnswer(recovery_codes=codes)

    def remove(call: Call) -> Answer:
        """Switch the second factor off, by the password and a code."""
        body: OtpRemoveBody = call.body
        second_factor.remove(desk, call.signed_in, body.password, body.otp, call.origin)
        return Answer()

    def post(
        rule: str, handler: Handler, body: type[Body], codes: Sequence[Code], answer: type[Answer] = Answer
    ) -> Endpoint:
        codes = (Code.MISSING_FIELDS, *codes, Code.BUSY)
        return Endpoint("POST", rule, handler, Guard.SIGNED_IN, answer=answer, body=body, activity=True, codes=codes)

    return (
        Endpoint("GET", "/registration/otp", status, Guard.SIGNED_IN, answer=OtpAnswer),
        post("/registration/otp/begin", begin, OtpBeginBody, _BEGIN_CODES, OtpBegunAnswer),
        post("/registration/otp/confirm", confirm, OtpConfirmBody, _CONFIRM_CODES, OtpConfirmedAnswer),
        post("/registration/otp/remove", remove, OtpRemoveBody, _REMOVE_CODES),
    )
