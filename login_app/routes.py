"""The routes of login. One login answers at `/login`, `/login/force` and `/session/create`: there is one admission."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.account.admission import DeviceProof
from common.errors import Code
from common.proof.statements import Proof, Purpose
from common.web.endpoints import Answer, Endpoint, Handler, RequestData
from common.web.guards import Guard
from common.web.request_body import Body
from common.wire.proof import ProofBody
from login_app.challenge import answer_challenge, ask_challenge
from login_app.device_login import LoginDependencies
from login_app.login import log_in
from login_app.login_metrics import counted
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
    Code.ACCOUNT_DISABLED,
    Code.ACCOUNT_CLOSED,
    Code.PASSWORD_RESET_REQUIRED,
    Code.OTP_REQUIRED,
    Code.OTP_INVALID,
    Code.PASSKEY_INVALID,
    Code.CERTIFICATE_MISMATCH,
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_REVOKED,
    Code.BUSY,
)
_PROOF_CODES = (Code.PROOF_REQUIRED, Code.PROOF_INVALID, Code.CHALLENGE_SPENT)
LOGIN_CODES = (
    *_CHALLENGE_CODES,
    *_PROOF_CODES,
    Code.FORCE_DISABLED,
    Code.DEVICE_ACTIVE,
)
_VERIFY_CODES = (
    Code.MISSING_FIELDS,
    Code.BAD_CREDENTIALS,
    Code.ACCOUNT_DISABLED,
    Code.ACCOUNT_CLOSED,
    Code.PASSWORD_RESET_REQUIRED,
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_REVOKED,
    *_PROOF_CODES,
    Code.TOO_MANY_ATTEMPTS,
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
    Code.TOO_MANY_ATTEMPTS,
    Code.DEVICE_ACTIVE,
    Code.BUSY,
)


def login_endpoint(
    rule: str,
    dependencies: LoginDependencies,
    proof: Callable[[], DeviceProof],
    *,
    force: bool = False,
    forms: bool = False,
) -> Endpoint:
    """Return a route that logs in; `proof`: what a device must show now; `force`: a forced login in any case."""

    def login(request: RequestData) -> LoginAnswer:
        """Log in on a device; 409 asks whether to end the active sessions."""
        return login_answer(log_in(dependencies, login_form(request, proof(), force=force)), request.language)

    handler = counted("force" if force else "password", login)
    return Endpoint(
        "POST", rule, handler, Guard.OPEN, answer=LoginAnswer, body=LoginBody, forms=forms, codes=LOGIN_CODES
    )


def endpoints(dependencies: LoginDependencies, proof: Callable[[], DeviceProof]) -> Sequence[Endpoint]:
    """Return the routes of this package."""

    def takeover(request: RequestData) -> LoginAnswer:
        """Log in on a consent: end exactly the sessions that were shown."""
        return login_answer(take_over(dependencies, takeover_form(request, proof())), request.language)

    def challenge(request: RequestData) -> ChallengeAnswer:
        """Ask what the device must sign to prove that it is itself."""
        body: ChallengeBody = request.body
        return challenge_answer(ask_challenge(dependencies, challenge_form(request), Purpose(body.purpose)))

    def verify(request: RequestData) -> LoginAnswer:
        """Log in by the signature over a challenge; 409 asks whether to end the active sessions."""
        body: ProofBody = request.body
        proof = Proof(body.challenge_id, body.signature)
        return login_answer(
            answer_challenge(dependencies, proof, request.client, request.tls_certificate), request.language
        )

    def post(rule: str, handler: Handler, answer: type[Answer], body: type[Body], codes: Sequence[Code]) -> Endpoint:
        return Endpoint("POST", rule, handler, Guard.OPEN, answer=answer, body=body, codes=codes)

    return (
        login_endpoint("/login", dependencies, proof, forms=True),
        login_endpoint("/login/force", dependencies, proof, force=True),
        post("/login/takeover", counted("takeover", takeover), LoginAnswer, TakeoverBody, _TAKEOVER_CODES),
        post("/login/challenge", challenge, ChallengeAnswer, ChallengeBody, _CHALLENGE_CODES),
        post("/login/verify", counted("signature", verify), LoginAnswer, ProofBody, _VERIFY_CODES),
    )
