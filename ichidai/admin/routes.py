"""The routes by which operators act: each is a line over `ichidai.administration`, as the commands are."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta

from msgspec import UNSET

from common.account.operator import Operator
from common.account.transactions import NoSuchUser
from common.clock import to_rfc3339
from common.errors import Code, Refusal
from common.web.endpoints import Answer, Endpoint, RequestData
from common.web.guards import Guard
from ichidai.admin.keys import Role
from ichidai.admin.reading_routes import reading_endpoints, view_of
from ichidai.admin.schemas import (
    ActAnswer,
    ActBody,
    CreateBody,
    CreatedAnswer,
    ExportAnswer,
    InviteBody,
    InvitedAnswer,
    PasswordAnswer,
    PasswordBody,
    ReasonBody,
    UnbindBody,
)
from ichidai.administration import AccountView, Administration
from registration.operator_acts import Done

Act = Callable[[AccountView, Operator], Done]


def endpoints(administration: Administration) -> Sequence[Endpoint]:
    """Return the routes of the admin app."""
    return (
        *reading_endpoints(administration),
        *_acting(administration),
        _set_password(administration),
        _export(administration),
        *_making(administration),
    )


def _acting(administration: Administration) -> Sequence[Endpoint]:
    def disable(request: RequestData) -> ActAnswer:
        """Disable an account: every session ends, and nobody gets in until it is enabled."""
        return _done(administration, request, administration.disable)

    def close(request: RequestData) -> ActAnswer:
        """Close an account for its user, who can reopen it for some days; then all that is kept about it goes."""
        return _done(administration, request, administration.close)

    def enable(request: RequestData) -> ActAnswer:
        """Let a disabled account be used again; what ended stays ended."""
        return _done(administration, request, administration.enable)

    def end_sessions(request: RequestData) -> ActAnswer:
        """Sign an account out everywhere."""
        return _done(administration, request, administration.end_sessions)

    def reset_otp(request: RequestData) -> ActAnswer:
        """Switch a second factor off."""
        return _done(administration, request, administration.reset_otp)

    def unbind(request: RequestData) -> ActAnswer:
        """Unbind a device: its session ends and its certificate is revoked."""
        body: UnbindBody = request.body

        def act(view: AccountView, operator: Operator) -> Done:
            return administration.unbind(view, body.device_id, operator)

        return _done(administration, request, act)

    return (
        _act("/admin/disable", disable, Role.OWNER),
        _act("/admin/enable", enable, Role.OWNER),
        _act("/admin/close", close, Role.OWNER),
        _act("/admin/end-sessions", end_sessions, Role.SUPPORT),
        _act("/admin/reset-otp", reset_otp, Role.OWNER, codes=(Code.OTP_INACTIVE,)),
        _act("/admin/unbind", unbind, Role.SUPPORT, body=UnbindBody, codes=(Code.LAST_DEVICE,)),
    )


def _set_password(administration: Administration) -> Endpoint:
    def set_password(request: RequestData) -> PasswordAnswer:
        """Set an account's password, or make one; every session ends."""
        body: PasswordBody = request.body
        password = body.password or secrets.token_urlsafe(15)
        done = _did(administration, request, lambda view, by: administration.set_password(view, password, by))
        return PasswordAnswer(changed=done.changed, ended=done.ended, password=UNSET if body.password else password)

    codes = (Code.WEAK_PASSWORD,)
    return _act("/admin/set-password", set_password, Role.OWNER, body=PasswordBody, answer=PasswordAnswer, codes=codes)


def _export(administration: Administration) -> Endpoint:
    def export(request: RequestData) -> ExportAnswer:
        """Tell all that is kept about an account, secrets excepted; that it was read goes into the audit log."""
        body: ActBody = request.body
        operator = administration.operator(request.admitted.name, body.clean_reason)
        return ExportAnswer(export=administration.export(view_of(administration, body.uuid), operator))

    return _act("/admin/export", export, Role.OWNER, answer=ExportAnswer)


def _making(administration: Administration) -> Sequence[Endpoint]:
    def create(request: RequestData) -> CreatedAnswer:
        """Make an account without a device; its user joins with one by the link and the password."""
        body: CreateBody = request.body
        password = body.password or secrets.token_urlsafe(15)
        operator = administration.operator(request.admitted.name, body.clean_reason)
        lifetime = timedelta(seconds=body.expires_in)
        made = administration.create(body.username, body.email, password, lifetime, operator)
        return CreatedAnswer(
            uuid=made.user_uuid,
            username=made.username,
            link=made.link,
            expires_at=to_rfc3339(made.expires_at),
            password=UNSET if body.password else password,
        )

    def invite(request: RequestData) -> InvitedAnswer:
        """Make a link that lets one registration pass, also where registration is closed."""
        body: InviteBody = request.body
        operator = administration.operator(request.admitted.name, body.clean_reason)
        invited = administration.invite(timedelta(seconds=body.expires_in), operator)
        return InvitedAnswer(link=invited.link, expires_at=to_rfc3339(invited.expires_at))

    taken = (Code.WEAK_PASSWORD, Code.USERNAME_TAKEN, Code.EMAIL_TAKEN)
    return (
        _act("/admin/create", create, Role.OWNER, body=CreateBody, answer=CreatedAnswer, codes=taken),
        _act("/admin/invite", invite, Role.OWNER, body=InviteBody, answer=InvitedAnswer),
    )


def _act(
    rule: str,
    handler: Callable[[RequestData], Answer],
    role: Role,
    body: type[ReasonBody] = ActBody,
    answer: type[Answer] = ActAnswer,
    codes: Sequence[Code] = (),
) -> Endpoint:
    found = (Code.NOT_FOUND,) if issubclass(body, ActBody) else ()
    every = (Code.MISSING_FIELDS, *found, *codes)
    return Endpoint("POST", rule, handler, Guard.OPERATOR, answer=answer, body=body, codes=every, role=str(role))


def _done(administration: Administration, request: RequestData, act: Act) -> ActAnswer:
    done = _did(administration, request, act)
    return ActAnswer(changed=done.changed, ended=done.ended)


def _did(administration: Administration, request: RequestData, act: Act) -> Done:
    """Act on the account that a body names, as the key that was shown. Raises Refusal: NOT_FOUND, and what acts do."""
    body: ActBody = request.body
    operator = administration.operator(request.admitted.name, body.clean_reason)
    view = view_of(administration, body.uuid)
    try:
        return act(view, operator)
    except NoSuchUser:
        raise Refusal(Code.NOT_FOUND) from None
