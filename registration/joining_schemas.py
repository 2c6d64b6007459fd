"""What the route of joining by approval reads and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, UnsetType

from common.web.endpoints import Answer, RequestData
from common.web.fields import Opaque
from common.web.formats import Seconds, Url, Uuid
from common.wire.enrolment import EnrolmentBody
from registration.email_sender import qr_png
from registration.joining import JoinForm, WaitingToJoin


class JoinBody(EnrolmentBody, frozen=True, kw_only=True):
    """A browser that asks to join an account without its password; sent again with what it was answered."""

    example: ClassVar[Mapping[str, object] | None] = {"username": "alice", "device_name": "Laptop"}

    join_token: Opaque | None = None
    takeover_token: Opaque | None = None


class WaitingToJoinAnswer(Answer, frozen=True, kw_only=True):
    """Show `digits`, and send the same again with `join_token` until `expires_in` seconds are over.

    `approve_link`, in the first answer alone, and its QR code open the console on a device that is signed in.
    """

    approval_id: Uuid
    digits: str
    expires_in: Seconds
    join_token: str
    approve_link: Url | UnsetType = UNSET
    approve_qr_png: Url | UnsetType = UNSET


def join_form(request: RequestData) -> JoinForm:
    """Return a request to join as the use case takes it. Raises Refusal: INVALID_REQUEST, CSR_INVALID, KEY_INVALID."""
    body: JoinBody = request.body
    return JoinForm(
        body.username,
        body.device_name or request.device_name,
        request.client,
        body.own_keys(),
        body.join_token,
        body.takeover_token,
    )


def waiting_to_join_answer(waiting: WaitingToJoin, approve_link: str | None) -> WaitingToJoinAnswer:
    """Return the answer while the active devices are asked; with a link in the first."""
    return WaitingToJoinAnswer(
        approval_id=waiting.approval_id,
        digits=waiting.digits,
        expires_in=waiting.expires_in,
        join_token=waiting.join_token,
        approve_link=UNSET if approve_link is None else approve_link,
        approve_qr_png=UNSET if approve_link is None else qr_png(approve_link),
    )
