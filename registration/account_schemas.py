"""What the routes about the own account read and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from common.clock import to_rfc3339
from common.web.endpoints import Answer, RequestData
from common.web.fields import NewUsername, Opaque, Username
from common.web.formats import Timestamp, Uuid
from common.web.request_body import Body
from common.wire.enrolment import EnrolmentBody
from common.wire.passkey import ReauthenticationBody
from registration.account_overview import Overview
from registration.closing import ClosingForm, ReopeningForm
from registration.recovery import RecoveryForm
from registration.recovery_codes import RecoveryCodesForm
from registration.renaming import RenamingForm


class AccountAnswer(Answer, frozen=True, kw_only=True):
    """The caller's account: names, how it is secured (`otp`: a code is asked for), and how many devices it has.

    `email` is null where its holder took it off: the account is another's.
    """

    uuid: Uuid
    username: str
    email: str | None
    email_confirmed: bool
    created_at: Timestamp
    otp: bool
    passkeys: int
    recovery_codes_left: int
    devices: int


class ExportedAnswer(Answer, frozen=True, kw_only=True):
    """All that is kept about the caller: the account, devices, sessions, history, failed logins; no secret."""

    export: Mapping[str, Any]


class NewRecoveryCodesBody(ReauthenticationBody, frozen=True, kw_only=True):
    """New recovery codes: the password, and a code where a second factor is on.

    `recovery_code`: one of the set before. With it, that set is void at once; else it is good for seven days more.
    """

    recovery_code: Opaque | None = None


class UsernameBody(ReauthenticationBody, frozen=True, kw_only=True):
    """Another username: the name, the password, and a code where a second factor is on; or a passkey."""

    example: ClassVar[Mapping[str, object] | None] = {"username": "alice2", "password": "a long enough phrase"}

    username: NewUsername


class CloseBody(ReauthenticationBody, frozen=True, kw_only=True):
    """Closing the account: the password, and a code where a second factor is on; or a passkey."""

    example: ClassVar[Mapping[str, object] | None] = {"password": "a long enough phrase"}


class ClosedAnswer(Answer, frozen=True, kw_only=True):
    """The account is closed. Until `reopen_until` it can be reopened; then all that is kept about it goes."""

    reopen_until: Timestamp


class ReopenBody(Body, frozen=True, kw_only=True):
    """Reopening a closed account: name and password, and a code where a second factor is on."""

    example: ClassVar[Mapping[str, object] | None] = {"username": "alice", "password": "a long enough phrase"}

    username: Username
    password: Opaque
    otp: Opaque | None = None


class RecoverBody(EnrolmentBody, frozen=True, kw_only=True):
    """A person whose devices are lost.

    `password`: the one in force, or one that was within the last seven days.
    """

    example: ClassVar[Mapping[str, object] | None] = {
        "username": "alice",
        "password": "a long enough phrase",
        "recovery_code": "ABCD-EFGH-JKMN",
        "new_password": "another long phrase",
    }

    password: Opaque
    recovery_code: Opaque
    new_password: Opaque


def account_answer(found: Overview) -> AccountAnswer:
    """Return what an account is."""
    account = found.account
    return AccountAnswer(
        uuid=account.uuid,
        username=account.username,
        email=account.email or None,
        email_confirmed=account.email_confirmed,
        created_at=to_rfc3339(account.created_at),
        otp=account.has_factor,
        passkeys=found.passkeys,
        recovery_codes_left=found.recovery_codes_left,
        devices=found.devices,
    )


def renaming_form(request: RequestData) -> RenamingForm:
    """Return another username as the use case takes it. Raises Refusal(MISSING_FIELDS)."""
    body: UsernameBody = request.body
    return RenamingForm(body.username, body.secret, body.factor, request.client)


def closing_form(request: RequestData) -> ClosingForm:
    """Return a closing as the use case takes it. Raises Refusal(MISSING_FIELDS)."""
    body: CloseBody = request.body
    return ClosingForm(body.secret, body.factor, request.client)


def reopening_form(request: RequestData) -> ReopeningForm:
    """Return a reopening as the use case takes it."""
    body: ReopenBody = request.body
    return ReopeningForm(body.username, body.password, body.otp, request.client)


def recovery_codes_form(request: RequestData) -> RecoveryCodesForm:
    """Return a wish for recovery codes as the use case takes it."""
    body: NewRecoveryCodesBody = request.body
    return RecoveryCodesForm(body.secret, body.factor or body.recovery_code, request.client)


def recovery_form(request: RequestData) -> RecoveryForm:
    """Return a recovery as the use case takes it. Raises Refusal: INVALID_REQUEST, CSR_INVALID, KEY_INVALID."""
    body: RecoverBody = request.body
    return RecoveryForm(
        username=body.username,
        password=body.password,
        recovery_code=body.recovery_code,
        new_password=body.new_password,
        device_name=body.device_name or request.device_name,
        client=request.client,
        keys=body.own_keys(),
    )
