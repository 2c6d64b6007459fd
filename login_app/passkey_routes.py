"""The routes of logins by passkeys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.account.admission import DeviceProof
from common.errors import Code
from common.web.endpoints import Endpoint, RequestData
from common.web.guards import Guard
from login_app.login_metrics import counted
from login_app.passkey_login import PasskeyLoginDependencies, log_in_by_passkey
from login_app.passkey_schemas import (
    PasskeyLoginAnswer,
    PasskeyLoginBody,
    PasskeyRequestAnswer,
    passkey_login_answer,
    passkey_login_form,
)
from login_app.routes import LOGIN_CODES


def endpoints(dependencies: PasskeyLoginDependencies, proof: Callable[[], DeviceProof]) -> Sequence[Endpoint]:
    """Return the routes of logins by passkeys. `proof`: what a device must show now."""

    def begin(_request: RequestData) -> PasskeyRequestAnswer:
        """Give a browser what it needs to sign in by a passkey; it names no account, and nothing is stored."""
        return PasskeyRequestAnswer(options=dependencies.options())

    def finish(request: RequestData) -> PasskeyLoginAnswer:
        """Log in by a passkey; an empty browser becomes a device. 409 asks whether to end the active sessions."""
        form = passkey_login_form(request, proof())
        return passkey_login_answer(log_in_by_passkey(dependencies, form), request.language)

    return (
        Endpoint(
            "POST",
            "/login/passkey/begin",
            begin,
            Guard.OPEN,
            answer=PasskeyRequestAnswer,
            codes=(Code.NOT_SUPPORTED,),
        ),
        Endpoint(
            "POST",
            "/login/passkey/finish",
            counted("passkey", finish),
            Guard.OPEN,
            answer=PasskeyLoginAnswer,
            body=PasskeyLoginBody,
            codes=(
                *LOGIN_CODES,
                Code.NOT_SUPPORTED,
                Code.CSR_INVALID,
                Code.KEY_INVALID,
                Code.TAKEOVER_INVALID,
                Code.TAKEOVER_SPENT,
                Code.DEVICE_MISMATCH,
                Code.TOO_MANY_DEVICES,
                Code.KEY_IN_USE,
            ),
        ),
    )
