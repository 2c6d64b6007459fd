"""What the routes that send mails, and those that their links lead to, read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from common.errors import Code, Refusal
from common.web.endpoints import Answer, RequestData
from common.web.fields import Email, NewEmail, Opaque, Username
from common.web.request_body import Body
from common.wire.enrolment import NewDeviceBody
from common.wire.passkey import ReauthenticationBody
from registration.email_change import EmailForm
from registration.objection import ByDevice, BySession
from registration.password_reset import ResetForm


class ForgottenByNameBody(Body, frozen=True, kw_only=True):
    """A person who forgot the password, by the username."""

    example: ClassVar[Mapping[str, object] | None] = {"username": "alice"}

    username: Username


class ForgottenByEmailBody(Body, frozen=True, kw_only=True):
    """A person who forgot the password, by the mail address."""

    example: ClassVar[Mapping[str, object] | None] = {"email": "alice@example.com"}

    email: Email


class ResetBody(NewDeviceBody, frozen=True, kw_only=True):
    """What the page of a link sends: its token, a new password, and a code where a second factor is on.

    `keep_devices`: the other devices stay. Keys of this browser are signed for with the token in the place of the name.
    """

    example: ClassVar[Mapping[str, object] | None] = {"token": "…", "new_password": "another long phrase"}

    token: Opaque
    new_password: Opaque
    otp: Opaque | None = None
    recovery_code: Opaque | None = None
    keep_devices: bool = False


class EmailBody(ReauthenticationBody, frozen=True, kw_only=True):
    """The mail address that shall be the account's, or the present one, to be confirmed.

    The password, and a code where a second factor is on; or a passkey.
    """

    example: ClassVar[Mapping[str, object] | None] = {"email": "alice@example.org", "password": "a long enough phrase"}

    email: NewEmail


ChangeNo = Annotated[int, Meta(ge=1, le=2**53)]


class ObjectionProof(Body, frozen=True, kw_only=True):
    """A device and its signature over the statement with purpose `object`; the change's number is its challenge."""

    device_id: Opaque
    signature: Opaque


class ObjectionBody(ReauthenticationBody, frozen=True, kw_only=True):
    """What is objected to, and by whom: the token of a link; in a session the change with the password; or a proof."""

    conditions: ClassVar[Mapping[str, object]] = {}

    example: ClassVar[Mapping[str, object] | None] = {"token": "…"}

    token: Opaque | None = None
    change_no: ChangeNo | None = None
    user_uuid: Opaque | None = None
    proof: ObjectionProof | None = None


class ObjectionAnswer(Answer, frozen=True, kw_only=True):
    """It was taken back. `reset_token` only for the link of a notice: it sets a new password within 15 minutes."""

    reset_token: str | UnsetType = UNSET


class LinkBody(Body, frozen=True, kw_only=True):
    """The token of a link."""

    token: Opaque


def reset_form(request: RequestData) -> ResetForm:
    """Return a reset as the use case takes it. Raises Refusal: INVALID_REQUEST, CSR_INVALID, KEY_INVALID."""
    body: ResetBody = request.body
    return ResetForm(
        token=body.token,
        new_password=body.new_password,
        otp=body.otp or body.recovery_code,
        keep_devices=body.keep_devices,
        device_name=body.device_name or request.device_name,
        client=request.client,
        keys=body.keys_named(body.token),
    )


def email_form(request: RequestData) -> EmailForm:
    """Return an address as the use case takes it."""
    body: EmailBody = request.body
    return EmailForm(body.email, body.secret, body.factor, request.client, request.language or "en")


def objection_form(request: RequestData) -> str | BySession | ByDevice:
    """Return an objection as the use case takes it: the token of a link, or by whom. Raises Refusal(MISSING_FIELDS)."""
    body: ObjectionBody = request.body
    if body.token is not None:
        return body.token
    wanted = ("change_no",) if request.caller is not None else ("change_no", "user_uuid", "proof")
    missing = [name for name in wanted if getattr(body, name) is None]
    if body.change_no is None or missing:
        names = missing if request.caller is not None or body.change_no is not None else ["token"]
        raise Refusal(Code.MISSING_FIELDS, names=", ".join(names), fields=names)
    if request.caller is not None:
        return BySession(request.caller, body.change_no, body.secret, body.factor)
    if body.proof is None or body.user_uuid is None:
        raise AssertionError("missing fields were refused")
    return ByDevice(body.user_uuid, body.change_no, body.proof.device_id, body.proof.signature)
