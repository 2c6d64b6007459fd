"""The routes of login. One login answers at `/login`, `/login/force` and `/session/create`: there is one way in."""

from __future__ import annotations

from collections.abc import Sequence

from common.admission import DeviceProof
from common.errors import Code
from common.proofs import Proof
from common.web.bodies import Body
from common.web.endpoints import Answer, Call, Endpoint, Handler
from common.web.guards import Guard
from common.web.proving import ProofBody
from login_app.challenge import answer_challenge, ask_challenge
from login_app.login import Desk, log_in
from login_app.schemas import (
    ChallengeAnswer,
    ChallengeBody,
    LoginAnswer,
    LoginBody,
    TakeoverBody,
    challenge_answer,
    challenge_form,
    login_answer,
    login_form,
    takeover_form,
)
from login_app.takeover import take_over

_CHALLENGE_CODES = (
    Code.MISSING_FIELDS,
    Code.TOO_MANY_ATTEMPTS,
    Code.BAD_CREDENTIALS,
    Code.OTP_REQUIRED,
    Code.OTP_INVALID,
    Code.CERTIFICATE_MISMATCH,
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_REVOKED,
    Code.BUSY,
)
_PROOF_CODES = (Code.PROOF_REQUIRED, Code.PROOF_INVALID, Code.CHALLENGE_SPENT)
_LOGIN_CODES = (
    *_CHALLENGE_CODES,
    *_PROOF_CODES,
    Code.FORCE_DISABLED,
    Code.DEVICE_ACTIVE,
)
_VERIFY_CODES = (
    Code.MISSING_FIELDS,
    Code.BAD_CREDENTIALS,
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_REVOKED,
    *_PROOF_CODES,
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
    *_PROOF_CODES,
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

    def challenge(call: Call) -> ChallengeAnswer:
        """Ask what the device must sign to prove that it is itself."""
        return challenge_answer(ask_challenge(desk, challenge_form(call)))

    def verify(call: Call) -> LoginAnswer:
        """Log in by the signature over a challenge; 409 asks whether to end the sessions that are in the way."""
        body: ProofBody = call.body
        proof = Proof(body.challenge_id, body.signature)
        return login_answer(answer_challenge(desk, proof, call.origin, call.held), call.language)

    def post(rule: str, handler: Handler, answer: type[Answer], body: type[Body], codes: Sequence[Code]) -> Endpoint:
        return Endpoint("POST", rule, handler, Guard.OPEN, answer=answer, body=body, codes=codes)

    return (
        login_endpoint("/login", desk, proof, forms=True),
        login_endpoint("/login/force", desk, proof, force=True),
        post("/login/takeover", takeover, LoginAnswer, TakeoverBody, _TAKEOVER_CODES),
        post("/login/challenge", challenge, ChallengeAnswer, ChallengeBody, _CHALLENGE_CODES),
        post("/login/verify", verify, LoginAnswer, ProofBody, _VERIFY_CODES),
    )
