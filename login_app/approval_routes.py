"""The routes of approvals: the asking device's, and those of the devices that are asked."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import Code
from common.web.endpoints import Answer, Endpoint, Reply, RequestData
from common.web.guards import Guard
from login_app.approval import ApprovalDependencies, Waiting, answer, ask, asked_of
from login_app.approval_schemas import (
    AgreedAnswer,
    ApprovalAnswerBody,
    ApprovalBody,
    AskedAnswer,
    WaitingAnswer,
    agreed_answer,
    asked_answer,
    waiting_answer,
)

_ASK_CODES = (
    Code.MISSING_FIELDS,
    Code.TAKEOVER_INVALID,
    Code.TAKEOVER_SPENT,
    Code.DEVICE_MISMATCH,
    Code.APPROVAL_REFUSED,
    Code.TOO_MANY_ATTEMPTS,
    Code.DEVICE_ACTIVE,
    Code.BUSY,
)


def endpoints(dependencies: ApprovalDependencies) -> Sequence[Endpoint]:
    """Return the routes of approvals."""

    def start(request: RequestData) -> AgreedAnswer | Reply:
        """Have the active devices' users asked, and ask again how that stands: 202 while they have not answered."""
        body: ApprovalBody = request.body
        found = ask(dependencies, body.approval_token, request.client)
        if isinstance(found, Waiting):
            return Reply(waiting_answer(found), status=202)
        return agreed_answer(found)

    def waiting(request: RequestData) -> AskedAnswer:
        """Tell what the user of this session is asked, for clients without a stream."""
        return asked_answer(asked_of(dependencies, request.signed_in))

    def decide(request: RequestData) -> Answer:
        """Let another device take over, by the digits that it shows, or refuse it."""
        body: ApprovalAnswerBody = request.body
        answer(dependencies, request.signed_in, body.approval_id, body.said())
        return Answer()

    return (
        Endpoint(
            "POST",
            "/login/approval",
            start,
            Guard.OPEN,
            answer=AgreedAnswer,
            accepted=WaitingAnswer,
            body=ApprovalBody,
            codes=_ASK_CODES,
        ),
        Endpoint("GET", "/login/approvals", waiting, Guard.SIGNED_IN, answer=AskedAnswer),
        Endpoint(
            "POST",
            "/login/approval/answer",
            decide,
            Guard.SIGNED_IN,
            body=ApprovalAnswerBody,
            activity=True,
            codes=(Code.MISSING_FIELDS, Code.DIGITS_WRONG, Code.APPROVAL_SPENT, Code.BUSY),
        ),
    )
