"""The routes of registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.errors import Code
from common.web.endpoints import Answer, Endpoint, Handler, OneOfBody, RequestData
from common.web.guards import Guard
from common.web.request_body import Body
from common.wire.tokens import TokensAnswer, tokens_fields
from registration import second_factor
from registration.dependencies import RegistrationDependencies
from registration.password_change import PasswordChangeDependencies, change_password
from registration.registration import (
    register_second_device_via_qr,
    register_user,
    request_pairing_token,
)
from registration.schemas import (
    OtpAnswer,
    OtpBeginBody,
    OtpBegunAnswer,
    OtpConfirmBody,
    OtpConfirmedAnswer,
    OtpRemoveBody,
    PairingAnswer,
    PairingBody,
    PasswordChangeBody,
    RecoveryCodesBody,
    RegisteredAnswer,
    RegistrationBody,
    SecondDeviceBody,
    WorkAnswer,
    otp_answer,
    otp_begun_answer,
    pairing_answer,
    pairing_form,
    password_change_form,
    registered_answer,
    registration_form,
    second_device_form,
)

_BEGIN_CODES = (Code.OTP_ACTIVE, Code.TOO_MANY_ATTEMPTS, Code.BAD_CREDENTIALS, Code.PASSKEY_INVALID)
_CONFIRM_CODES = (Code.OTP_INVALID, Code.ENROLMENT_SPENT, Code.OTP_ACTIVE)
_REMOVE_CODES = (
    Code.OTP_INACTIVE,
    Code.TOO_MANY_ATTEMPTS,
    Code.BAD_CREDENTIALS,
    Code.ACCOUNT_DISABLED,
    Code.ACCOUNT_CLOSED,
    Code.PASSWORD_RESET_REQUIRED,
    Code.OTP_REQUIRED,
    Code.OTP_INVALID,
    Code.PASSKEY_INVALID,
)


def endpoints(
    dependencies: RegistrationDependencies,
    factors: second_factor.SecondFactorDependencies,
    passwords: PasswordChangeDependencies,
    join_url: str,
    welcome: Callable[[str, str], None],
) -> Sequence[Endpoint]:
    """Return the routes of registration. `join_url`: the address that QR codes hold, up to the code itself.

    `welcome` is told of each new account, by its uuid, and of its language; it never raises.
    """
    return (*_joining(dependencies, join_url, welcome), *_second_factor(factors), _password(passwords))


def _password(dependencies: PasswordChangeDependencies) -> Endpoint:
    def change(request: RequestData) -> TokensAnswer:
        """Change the caller's password: every other session ends, and this one is given new tokens."""
        return TokensAnswer(
            **tokens_fields(change_password(dependencies, request.signed_in, password_change_form(request)))
        )

    return Endpoint(
        "POST",
        "/registration/password",
        change,
        Guard.SIGNED_IN,
        answer=TokensAnswer,
        body=PasswordChangeBody,
        activity=True,
        codes=(
            Code.MISSING_FIELDS,
            Code.WEAK_PASSWORD,
            Code.TOO_MANY_ATTEMPTS,
            Code.BAD_CREDENTIALS,
            Code.ACCOUNT_DISABLED,
            Code.ACCOUNT_CLOSED,
            Code.PASSWORD_RESET_REQUIRED,
            Code.OTP_REQUIRED,
            Code.OTP_INVALID,
            Code.PASSKEY_INVALID,
            Code.BUSY,
        ),
    )


def _joining(
    dependencies: RegistrationDependencies, join_url: str, welcome: Callable[[str, str], None]
) -> Sequence[Endpoint]:

    def register(request: RequestData) -> RegisteredAnswer:
        """Register a user with the first device, or with `qr_code` another device of a registered person."""
        if isinstance(request.body, SecondDeviceBody):
            registered = register_second_device_via_qr(dependencies, second_device_form(request))
        else:
            registered = register_user(dependencies, registration_form(request))
            welcome(registered.user_uuid, request.language or "en")
        return registered_answer(registered, request.language, join_url)

    def pairing_token(request: RequestData) -> PairingAnswer:
        """Issue a pairing token from a registered device, to be shown as a QR code."""
        return pairing_answer(*request_pairing_token(dependencies, pairing_form(request)), join_url)

    def work(request: RequestData) -> WorkAnswer:
        """Tell whether a registration from here needs a proof of work, and give the challenge for it."""
        required, asked = dependencies.limit.challenge(request.client.ip)
        return WorkAnswer(required=required, **asked)

    return (
        Endpoint("GET", "/registration/work", work, Guard.OPEN, answer=WorkAnswer),
        Endpoint(
            "POST",
            "/registration/",
            register,
            Guard.OPEN,
            answer=RegisteredAnswer,
            body=OneOfBody("qr_code", SecondDeviceBody, RegistrationBody),
            forms=True,
            idempotency=True,
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
                Code.REGISTRATION_CLOSED,
                Code.INVITATION_SPENT,
                Code.TOO_MANY_REGISTRATIONS,
                Code.WORK_REQUIRED,
                Code.TOO_MANY_ATTEMPTS,
                Code.BAD_CREDENTIALS,
                Code.ACCOUNT_DISABLED,
                Code.ACCOUNT_CLOSED,
                Code.PASSWORD_RESET_REQUIRED,
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
            forms=True,
            codes=(
                Code.MISSING_FIELDS,
                Code.TOO_MANY_ATTEMPTS,
                Code.BAD_CREDENTIALS,
                Code.ACCOUNT_DISABLED,
                Code.ACCOUNT_CLOSED,
                Code.PASSWORD_RESET_REQUIRED,
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


def _second_factor(dependencies: second_factor.SecondFactorDependencies) -> Sequence[Endpoint]:
    def status(request: RequestData) -> OtpAnswer:
        """Tell whether the caller's account asks for a code beside the password."""
        return otp_answer(second_factor.status(dependencies, request.signed_in))

    def begin(request: RequestData) -> OtpBegunAnswer:
        """Make a secret for the caller's authenticator app; nothing is changed before it is confirmed."""
        body: OtpBeginBody = request.body
        return otp_begun_answer(second_factor.begin(dependencies, request.signed_in, body.secret, request.client))

    def confirm(request: RequestData) -> OtpConfirmedAnswer:
        """Switch the second factor on by the app's first code, and return the recovery codes."""
        body: OtpConfirmBody = request.body
        codes = second_factor.confirm(dependencies, request.signed_in, body.enrolment, body.otp, request.client)
        return OtpConfirmedAnswer(recovery_codes=codes)

    def remove(request: RequestData) -> Answer:
        """Switch the second factor off, by the password and a code."""
        body: OtpRemoveBody = request.body
        second_factor.remove(dependencies, request.signed_in, body.secret, body.factor, request.client)
        return Answer()

    def renew(request: RequestData) -> OtpConfirmedAnswer:
        """Make new recovery codes, by the password and a code; those that were left are void."""
        body: RecoveryCodesBody = request.body
        codes = second_factor.renew_recovery_codes(
            dependencies, request.signed_in, body.secret, body.factor, request.client
        )
        return OtpConfirmedAnswer(recovery_codes=codes)

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
        post("/registration/otp/recovery_codes", renew, RecoveryCodesBody, _REMOVE_CODES, OtpConfirmedAnswer),
    )
