"""The routes of a user's own passkeys."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import Code
from common.web.endpoints import Answer, Endpoint, RequestData
from common.web.guards import Guard
from registration import passkey_enrolment
from registration.passkey_enrolment import PasskeyDependencies
from registration.passkey_schemas import (
    MadePasskeyBody,
    NewPasskeyBody,
    PasskeyAnswer,
    PasskeyCreationAnswer,
    PasskeysAnswer,
    RemovePasskeyBody,
    confirmed_call,
    passkey_facts,
)

_CONFIRMED = (
    Code.MISSING_FIELDS,
    Code.TOO_MANY_ATTEMPTS,
    Code.BAD_CREDENTIALS,
    Code.ACCOUNT_DISABLED,
    Code.ACCOUNT_CLOSED,
    Code.OTP_REQUIRED,
    Code.OTP_INVALID,
    Code.PASSKEY_INVALID,
    Code.BUSY,
)
_MADE = (Code.MISSING_FIELDS, Code.PASSKEY_INVALID, Code.TOO_MANY_ATTEMPTS, Code.BUSY)
_LIMITS = (Code.NOT_SUPPORTED, Code.TOO_MANY_PASSKEYS)


def endpoints(dependencies: PasskeyDependencies) -> Sequence[Endpoint]:
    """Return the routes of passkeys."""

    def list_own(request: RequestData) -> PasskeysAnswer:
        """List the caller's passkeys."""
        found = passkey_enrolment.passkeys_of(dependencies, request.signed_in)
        return PasskeysAnswer(passkeys=[passkey_facts(each) for each in found])

    def begin(request: RequestData) -> PasskeyCreationAnswer:
        """Give the caller's browser what it needs to make a passkey; nothing is changed before it is finished."""
        options = passkey_enrolment.begin(dependencies, request.signed_in, confirmed_call(request))
        return PasskeyCreationAnswer(options=options)

    def finish(request: RequestData) -> PasskeyAnswer:
        """Keep the passkey that the caller's browser made."""
        body: MadePasskeyBody = request.body
        name = str(body.name or request.device_name)
        made = passkey_enrolment.finish(
            dependencies, request.signed_in, body.passkey.attestation(), name, request.client
        )
        return PasskeyAnswer(passkey=passkey_facts(made))

    def remove(request: RequestData) -> Answer:
        """Remove a passkey of the caller's: nobody signs in by it any more."""
        confirmed = confirmed_call(request)
        passkey_enrolment.remove(dependencies, request.signed_in, request.path["passkey_id"], confirmed)
        return Answer()

    return (
        Endpoint("GET", "/registration/passkeys", list_own, Guard.SIGNED_IN, answer=PasskeysAnswer),
        Endpoint(
            "POST",
            "/registration/passkeys/begin",
            begin,
            Guard.SIGNED_IN,
            answer=PasskeyCreationAnswer,
            body=NewPasskeyBody,
            activity=True,
            codes=(*_LIMITS, *_CONFIRMED),
        ),
        Endpoint(
            "POST",
            "/registration/passkeys/finish",
            finish,
            Guard.SIGNED_IN,
            answer=PasskeyAnswer,
            body=MadePasskeyBody,
            activity=True,
            codes=(*_LIMITS, *_MADE),
        ),
        Endpoint(
            "DELETE",
            "/registration/passkeys/<passkey_id>",
            remove,
            Guard.SIGNED_IN,
            body=RemovePasskeyBody,
            activity=True,
            codes=(Code.NOT_FOUND, *_CONFIRMED),
        ),
    )
