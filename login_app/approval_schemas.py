"""What the routes of approvals read and answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from common.account.approval import Asked
from common.errors import Code, Refusal
from common.web.endpoints import Answer
from common.web.fields import Opaque
from common.web.formats import Seconds, Timestamp, Uuid
from common.web.problem_types import SealedChallenge, Takeover, TakeoverChallenge
from common.web.request_body import Body
from login_app.approval import Agreed, Waiting


class ApprovalBody(Body, frozen=True, kw_only=True):
    """A device that has the active devices' users asked, or asks again how that stands."""

    approval_token: Opaque


class ApprovalAnswerBody(Body, frozen=True, kw_only=True):
    """The answer of a user of an active device: the digits that the asking device shows, or `refuse`."""

    conditions: ClassVar[Mapping[str, object]] = {
        "if": {"not": {"required": ["refuse"]}},
        "then": {"required": ["digits"]},
    }

    example: ClassVar[Mapping[str, object] | None] = {
        "approval_id": "5f2b0c9e-0000-4000-8000-000000000000",
        "digits": "0417",
    }

    approval_id: Opaque
    digits: Opaque | None = None
    refuse: bool = False

    def said(self) -> str | None:
        """Return the digits; None for a refusal. Raises Refusal(MISSING_FIELDS) for neither."""
        if self.refuse:
            return None
        if self.digits is None:
            raise Refusal(Code.MISSING_FIELDS, names="digits", fields=["digits"])
        return self.digits


class WaitingAnswer(Answer, frozen=True, kw_only=True):
    """The active devices are asked: show `digits` to the user, and ask again until `expires_in` seconds are over."""

    approval_id: Uuid
    digits: str
    expires_in: Seconds


class AgreedAnswer(Answer, frozen=True, kw_only=True):
    """Nobody is against it: send `takeover` as after a question, without another one."""

    takeover: Takeover


class AskedApproval(Answer, frozen=True, kw_only=True):
    """A device that wants the place of this one, or, where `joins` is true, to become a device of the account.

    `device_name` null: it has none yet.
    """

    approval_id: Uuid
    device_name: str | None
    asked_at: Timestamp
    expires_in: Seconds
    joins: bool


class AskedAnswer(Answer, frozen=True, kw_only=True):
    """What the user of this session is asked."""

    approvals: Sequence[AskedApproval]


def waiting_answer(waiting: Waiting) -> WaitingAnswer:
    """Return the answer while the active devices are asked."""
    return WaitingAnswer(approval_id=waiting.approval_id, digits=waiting.digits, expires_in=waiting.expires_in)


def agreed_answer(agreed: Agreed) -> AgreedAnswer:
    """Return the answer once nobody is against it."""
    told: dict[str, Any] = dict(agreed.takeover)
    if "challenge" in told:
        challenge = dict(told["challenge"])
        if "sealed" in challenge:
            challenge["sealed"] = SealedChallenge(**challenge["sealed"])
        told["challenge"] = TakeoverChallenge(**challenge)
    return AgreedAnswer(takeover=Takeover(**told))


def asked_answer(asked: Sequence[Asked]) -> AskedAnswer:
    """Return what a user is asked."""
    return AskedAnswer(approvals=[AskedApproval(**each.to_json()) for each in asked])  # type: ignore[arg-type]
