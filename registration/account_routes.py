"""The routes about the own account: what it is, recovery codes, and the way back in without a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from common.clock import to_rfc3339
from common.errors import Code
from common.web.endpoints import Answer, Endpoint, RequestData
from common.web.guards import Guard
from common.wire.tokens import TokensAnswer, tokens_fields
from registration.account_overview import OverviewDependencies, overview
from registration.account_schemas import (
    AccountAnswer,
    CloseBody,
    ClosedAnswer,
    ExportedAnswer,
    NewRecoveryCodesBody,
    RecoverBody,
    ReopenBody,
    UsernameBody,
    account_answer,
    closing_form,
    recovery_codes_form,
    recovery_form,
    renaming_form,
    reopening_form,
)
from registration.closing import ClosingDependencies, close, reopen
from registration.recovery import RecoveryDependencies, recover
from registration.recovery_codes import make_recovery_codes
from registration.renaming import RenamingDependencies, rename
from registration.schemas import OtpConfirmedAnswer, RegisteredAnswer, registered_answer
from registration.second_factor import SecondFactorDependencies


class AccountDependencies(Struct, frozen=True):
    """What the routes work with.

    `export` gives all that is kept about a user; `join_url`: the address that QR codes hold, up to the code itself.
    """

    overview: OverviewDependencies
    factors: SecondFactorDependencies
    recovery: RecoveryDependencies
    renaming: RenamingDependencies
    closing: ClosingDependencies
    export: Callable[[str], Mapping[str, Any]]
    join_url: str


def endpoints(dependencies: AccountDependencies) -> Sequence[Endpoint]:
    """Return the routes about the own account."""
    return (
        _account(dependencies),
        _export(dependencies),
        _username(dependencies),
        _recovery_codes(dependencies),
        _recover(dependencies),
        *_closing(dependencies.closing),
    )


def _account(dependencies: AccountDependencies) -> Endpoint:
    def account(request: RequestData) -> AccountAnswer:
        """Tell the caller what the own account is: names, how it is secured, how many devices it has."""
        return account_answer(overview(dependencies.overview, request.signed_in))

    return Endpoint("GET", "/registration/account", account, Guard.SIGNED_IN, answer=AccountAnswer)


def _export(dependencies: AccountDependencies) -> Endpoint:
    def export(request: RequestData) -> ExportedAnswer:
        """Give the caller all that is kept about the account and its person, without what opens it."""
        return ExportedAnswer(export=dependencies.export(request.signed_in.user_uuid))

    return Endpoint("GET", "/registration/export", export, Guard.SIGNED_IN, answer=ExportedAnswer)


def _username(dependencies: AccountDependencies) -> Endpoint:
    def change(request: RequestData) -> TokensAnswer:
        """Give the account another name; the one before stays its own for thirty days."""
        tokens = rename(dependencies.renaming, request.signed_in, renaming_form(request))
        return TokensAnswer(**tokens_fields(tokens))

    return Endpoint(
        "POST",
        "/registration/username",
        change,
        Guard.SIGNED_IN,
        answer=TokensAnswer,
        body=UsernameBody,
        activity=True,
        codes=(
            Code.MISSING_FIELDS,
            Code.TOO_MANY_ATTEMPTS,
            Code.BAD_CREDENTIALS,
            Code.OTP_REQUIRED,
            Code.OTP_INVALID,
            Code.PASSKEY_INVALID,
            Code.PASSWORD_RESET_REQUIRED,
            Code.USERNAME_TAKEN,
            Code.BUSY,
        ),
    )


def _recovery_codes(dependencies: AccountDependencies) -> Endpoint:
    def make(request: RequestData) -> OtpConfirmedAnswer:
        """Make ten recovery codes by the password; where a second factor is on, by a code too."""
        codes = make_recovery_codes(dependencies.factors, request.signed_in, recovery_codes_form(request))
        return OtpConfirmedAnswer(recovery_codes=codes)

    return Endpoint(
        "POST",
        "/registration/recovery-codes",
        make,
        Guard.SIGNED_IN,
        answer=OtpConfirmedAnswer,
        body=NewRecoveryCodesBody,
        activity=True,
        codes=(
            Code.MISSING_FIELDS,
            Code.TOO_MANY_ATTEMPTS,
            Code.BAD_CREDENTIALS,
            Code.OTP_REQUIRED,
            Code.OTP_INVALID,
            Code.PASSKEY_INVALID,
            Code.RECOVERY_CODE_INVALID,
            Code.BUSY,
        ),
    )


def _recover(dependencies: AccountDependencies) -> Endpoint:
    def come_back(request: RequestData) -> RegisteredAnswer:
        """Let a user without a device back in by a recovery code: a new password, and this browser as a device."""
        recovered = recover(dependencies.recovery, recovery_form(request))
        return registered_answer(recovered, request.language, dependencies.join_url)

    return Endpoint(
        "POST",
        "/registration/recover",
        come_back,
        Guard.OPEN,
        answer=RegisteredAnswer,
        body=RecoverBody,
        codes=(
            Code.MISSING_FIELDS,
            Code.CSR_INVALID,
            Code.KEY_INVALID,
            Code.TOO_MANY_ATTEMPTS,
            Code.BAD_CREDENTIALS,
            Code.RECOVERY_CODE_INVALID,
            Code.WEAK_PASSWORD,
            Code.PROOF_REQUIRED,
            Code.PROOF_INVALID,
            Code.TOO_MANY_DEVICES,
            Code.KEY_IN_USE,
            Code.BUSY,
        ),
    )


def _closing(dependencies: ClosingDependencies) -> Sequence[Endpoint]:
    def close_account(request: RequestData) -> ClosedAnswer:
        """Close the account: every session ends, and after some days all that is kept about it goes."""
        until = close(dependencies, request.signed_in, closing_form(request))
        return ClosedAnswer(reopen_until=to_rfc3339(until))

    def reopen_account(request: RequestData) -> Answer:
        """Let a closed account be used again, until its days are over. Log in afterwards."""
        reopen(dependencies, reopening_form(request))
        return Answer()

    refused = (
        Code.MISSING_FIELDS,
        Code.TOO_MANY_ATTEMPTS,
        Code.BAD_CREDENTIALS,
        Code.OTP_REQUIRED,
        Code.OTP_INVALID,
        Code.PASSWORD_RESET_REQUIRED,
        Code.ACCOUNT_DISABLED,
        Code.ACCOUNT_CLOSED,
        Code.BUSY,
    )
    return (
        Endpoint(
            "POST",
            "/registration/close",
            close_account,
            Guard.SIGNED_IN,
            answer=ClosedAnswer,
            body=CloseBody,
            activity=True,
            codes=(*refused, Code.PASSKEY_INVALID),
        ),
        Endpoint("POST", "/registration/reopen", reopen_account, Guard.OPEN, body=ReopenBody, codes=refused),
    )
