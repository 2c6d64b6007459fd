"""The routes of mails: a forgotten password, the mail address, and objections. Links are posted by the page."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, Struct

from common.errors import Code
from common.web.endpoints import Answer, Endpoint, OneOfBody, RequestData
from common.web.guards import Guard
from registration.email_change import EmailDependencies, ask_for_address, confirm_email
from registration.mail_schemas import (
    EmailBody,
    ForgottenByEmailBody,
    ForgottenByNameBody,
    LinkBody,
    ObjectionAnswer,
    ObjectionBody,
    ResetBody,
    email_form,
    objection_form,
    reset_form,
)
from registration.mailing import MailingDependencies, forgot_password
from registration.objection import (
    ByDevice,
    BySession,
    ObjectionDependencies,
    object_by_device,
    object_by_link,
    object_by_session,
)
from registration.password_reset import ResetDependencies, reset_password
from registration.schemas import RegisteredAnswer, registered_answer

_LINK_CODES = (Code.MISSING_FIELDS, Code.LINK_SPENT)


class MailRouteDependencies(Struct, frozen=True):
    """What the routes work with. `join_url`: the address that QR codes hold, up to the code itself."""

    mailing: MailingDependencies
    resetting: ResetDependencies
    email: EmailDependencies
    objecting: ObjectionDependencies
    join_url: str


def endpoints(dependencies: MailRouteDependencies) -> Sequence[Endpoint]:
    """Return the routes of mails."""
    return (
        _forgot(dependencies.mailing),
        _reset(dependencies.resetting, dependencies.join_url),
        *_email(dependencies.email),
        _objection(dependencies.objecting),
    )


def _forgot(dependencies: MailingDependencies) -> Endpoint:
    def forgot(request: RequestData) -> Answer:
        """Send a link for a new password, if there is such an account: the answer is the same for every name."""
        body, language = request.body, request.language or "en"
        by_email = isinstance(body, ForgottenByEmailBody)
        name = body.email if by_email else body.username
        forgot_password(dependencies, name, request.client, language, by_email=by_email)
        return Answer()

    return Endpoint(
        "POST",
        "/registration/password/forgot",
        forgot,
        Guard.OPEN,
        answer=Answer,
        body=OneOfBody("email", ForgottenByEmailBody, ForgottenByNameBody),
        codes=(Code.MISSING_FIELDS, Code.NOT_SUPPORTED, Code.TOO_MANY_ATTEMPTS, Code.BUSY),
    )


def _reset(dependencies: ResetDependencies, join_url: str) -> Endpoint:
    def reset(request: RequestData) -> RegisteredAnswer:
        """Choose a new password by the link of a mail; this browser becomes a device of the account."""
        return registered_answer(reset_password(dependencies, reset_form(request)), request.language, join_url)

    return Endpoint(
        "POST",
        "/registration/password/reset",
        reset,
        Guard.OPEN,
        answer=RegisteredAnswer,
        body=ResetBody,
        codes=(
            *_LINK_CODES,
            Code.CSR_INVALID,
            Code.KEY_INVALID,
            Code.WEAK_PASSWORD,
            Code.TOO_MANY_ATTEMPTS,
            Code.OTP_REQUIRED,
            Code.OTP_INVALID,
            Code.PROOF_REQUIRED,
            Code.PROOF_INVALID,
            Code.TOO_MANY_DEVICES,
            Code.KEY_IN_USE,
            Code.BUSY,
        ),
    )


def _email(dependencies: EmailDependencies) -> Sequence[Endpoint]:
    def ask(request: RequestData) -> Answer:
        """Send the link that makes a mail address the account's, or confirms the present one."""
        ask_for_address(dependencies, request.signed_in, email_form(request))
        return Answer()

    def confirm(request: RequestData) -> Answer:
        """Confirm a mail address by the link that was sent to it; a new one is the account's from then on."""
        confirm_email(dependencies, request.body.token, request.client, request.language or "en")
        return Answer()

    asking = (Code.MISSING_FIELDS, Code.NOT_SUPPORTED, Code.TOO_MANY_ATTEMPTS, Code.BAD_CREDENTIALS)
    return (
        Endpoint(
            "POST",
            "/registration/email",
            ask,
            Guard.SIGNED_IN,
            answer=Answer,
            body=EmailBody,
            activity=True,
            codes=(
                *asking,
                Code.OTP_REQUIRED,
                Code.OTP_INVALID,
                Code.PASSKEY_INVALID,
                Code.PASSWORD_RESET_REQUIRED,
                Code.BUSY,
            ),
        ),
        Endpoint(
            "POST",
            "/registration/email/confirm",
            confirm,
            Guard.OPEN,
            answer=Answer,
            body=LinkBody,
            codes=(*_LINK_CODES, Code.BUSY),
        ),
    )


def _objection(dependencies: ObjectionDependencies) -> Endpoint:
    def take_back(request: RequestData) -> ObjectionAnswer:
        """Take back what was done to the account since a change: "That was not me"."""
        form = objection_form(request)
        if isinstance(form, BySession):
            object_by_session(dependencies, form, request.client)
        elif isinstance(form, ByDevice):
            object_by_device(dependencies, form, request.client)
        else:
            return ObjectionAnswer(reset_token=object_by_link(dependencies, form, request.client) or UNSET)
        return ObjectionAnswer()

    return Endpoint(
        "POST",
        "/registration/objection",
        take_back,
        Guard.OPTIONAL,
        answer=ObjectionAnswer,
        body=ObjectionBody,
        codes=(
            *_LINK_CODES,
            Code.NOT_FOUND,
            Code.TOO_MANY_ATTEMPTS,
            Code.BAD_CREDENTIALS,
            Code.OTP_REQUIRED,
            Code.OTP_INVALID,
            Code.PASSKEY_INVALID,
            Code.PASSWORD_RESET_REQUIRED,
            Code.ACCOUNT_DISABLED,
            Code.ACCOUNT_CLOSED,
            Code.PROOF_INVALID,
            Code.BUSY,
        ),
    )
