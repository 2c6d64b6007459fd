"""The route by which a browser joins without the password."""

from __future__ import annotations

from common.errors import Code
from common.web.endpoints import Endpoint, Reply, RequestData
from common.web.guards import Guard
from common.wire.joined import DeviceRegisteredAnswer, joined_answer
from registration.joining import JoiningDependencies, WaitingToJoin, join_by_approval
from registration.joining_schemas import JoinBody, WaitingToJoinAnswer, join_form, waiting_to_join_answer


def endpoint(dependencies: JoiningDependencies, approve_link: str) -> Endpoint:
    """Return the route. `approve_link`: the page on which the active devices' users approve."""

    def join(request: RequestData) -> DeviceRegisteredAnswer | Reply:
        """Join an account without its password, once the active devices' users approve it; 202 while they are asked."""
        form = join_form(request)
        found = join_by_approval(dependencies, form)
        if isinstance(found, WaitingToJoin):
            link = None if form.join_token else approve_link
            return Reply(waiting_to_join_answer(found, link), status=202)
        return joined_answer(found, request.language)

    return Endpoint(
        "POST",
        "/registration/join",
        join,
        Guard.OPEN,
        answer=DeviceRegisteredAnswer,
        accepted=WaitingToJoinAnswer,
        body=JoinBody,
        codes=(
            Code.MISSING_FIELDS,
            Code.NOT_SUPPORTED,
            Code.CSR_INVALID,
            Code.KEY_INVALID,
            Code.PROOF_REQUIRED,
            Code.PROOF_INVALID,
            Code.APPROVAL_REFUSED,
            Code.APPROVAL_SPENT,
            Code.TOO_MANY_ATTEMPTS,
            Code.BAD_CREDENTIALS,
            Code.ACCOUNT_DISABLED,
            Code.ACCOUNT_CLOSED,
            Code.DEVICE_ACTIVE,
            Code.DEVICE_MISMATCH,
            Code.TAKEOVER_INVALID,
            Code.TAKEOVER_SPENT,
            Code.TOO_MANY_DEVICES,
            Code.KEY_IN_USE,
            Code.BUSY,
        ),
    )
