"""The routes of login. One login answers at `/login`, `/login/force` and `/session/create`: there is one way in."""

from __future__ import annotations

from collections.abc import Sequence

from common.admission import DeviceProof
from common.errors import Code
from common.web.endpoints import Call, Endpoint
from common.web.guards import Guard
from login_app.login import Desk, log_in, take_over
from login_app.schemas import LoginAnswer, LoginBody, TakeoverBody, login_answer, login_form, takeover_form

_LOGIN_CODES = (
    Code.MISSING_FIELDS,
    Code.TOO_MANY_ATTEMPTS,
    Code.BAD_CREDENTIALS,
    Code.CERTIFICATE_MISMATCH,
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_REVOKED,
    Code.FORCE_DISABLED,
    Code.DEVICE_ACTIVE,
    Code.BUSY,
)
_TAKEOVER_CODES = (
    Code.MISSING_FIELDS,
    Code.TAKEOVER_INVALID,
    Code.TAKEOVER_SPENT,
    Code.DEVICE_MISMATCH,
    Code.CERTIFICATE_EXPIRED,
    Code.DEVICE_ACTIVE,
    Code.BUSY,
)


def login_endpoint(rule: str, desk: Desk, proof: DeviceProof, *, force: bool = False, forms: bool = False) -> Endpoint:
    """Return a route that logs in; `force` makes it a forced login whatever the body says."""

    def login(call: Call) -> LoginAnswer:
        """Log in on a device; 409 asks whether to end the sessions that are in the way."""
        return login_answer(log_in(desk, login_form(call, proof, force=force)), call.language)

    return Endpoint(
        "POST", rule, login, Guard.OPEN, answer=LoginAnswer, body=LoginBody, forms=forms, codes=_LOGIN_CODES
    )


def endpoints(desk: Desk, proof: DeviceProof) -> Sequence[Endpoint]:
    """Return the routes of this room."""

    def takeover(call: Call) -> LoginAnswer:
        """Log in on a consent: end exactly the sessions that were shown."""
        return login_answer(take_over(desk, takeover_form(call, proof)), call.language)

    return (
        login_endpoint("/login", desk, proof, forms=True),
        login_endpoint("/login/force", desk, proof, force=True),
        Endpoint(
            "POST",
            "/login/takeover",
            takeover,
            Guard.OPEN,
            answer=LoginAnswer,
            body=TakeoverBody,
            codes=_TAKEOVER_CODES,
        ),
    )
