"""What the routes of passkeys read and answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from common.clock import to_rfc3339
from common.web.endpoints import Answer, RequestData
from common.web.fields import DeviceName
from common.web.formats import Timestamp, Uuid
from common.web.request_body import Body
from common.wire.passkey import AttestationBody, ReauthenticationBody
from registration.passkey_enrolment import ConfirmedCall
from registration.passkey_model import Passkey


class NewPasskeyBody(ReauthenticationBody, frozen=True, kw_only=True):
    """Begin a passkey: the password, and a code where a second factor is on; or another passkey."""


class RemovePasskeyBody(ReauthenticationBody, frozen=True, kw_only=True):
    """Remove a passkey: the password, and a code where a second factor is on; or a passkey, this one too."""


class MadePasskeyBody(Body, frozen=True, kw_only=True):
    """A new passkey, and the name by which its user will know it."""

    passkey: AttestationBody
    name: DeviceName | None = None


class PasskeyCreationAnswer(Answer, frozen=True, kw_only=True):
    """What `navigator.credentials.create()` takes: PublicKeyCredentialCreationOptionsJSON."""

    options: Mapping[str, Any]


class PasskeyFacts(Struct, frozen=True, kw_only=True):
    """A passkey of the caller's. `backed_up`: it is also elsewhere than on the device that made it."""

    id: Uuid
    name: str
    created_at: Timestamp
    last_used_at: Timestamp | None
    backed_up: bool


class PasskeyAnswer(Answer, frozen=True, kw_only=True):
    """The passkey that was kept."""

    passkey: PasskeyFacts


class PasskeysAnswer(Answer, frozen=True, kw_only=True):
    """The caller's passkeys, the oldest first."""

    passkeys: Sequence[PasskeyFacts]


def confirmed_call(request: RequestData) -> ConfirmedCall:
    """Return what confirms a change. Raises Refusal(MISSING_FIELDS)."""
    body: ReauthenticationBody = request.body
    return ConfirmedCall(body.secret, body.factor, request.client)


def passkey_facts(passkey: Passkey) -> PasskeyFacts:
    """Return what a user is told of a passkey."""
    used = passkey.last_used_at
    return PasskeyFacts(
        id=passkey.passkey_id,
        name=passkey.name,
        created_at=to_rfc3339(passkey.since),
        last_used_at=None if used is None else to_rfc3339(used),
        backed_up=passkey.backed_up,
    )
