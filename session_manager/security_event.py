"""Security event tokens (RFC 8417): what a machine is told of a session that has ended. Pure.

The event is `session-revoked` of OpenID CAEP 1.0; the subject is the user and the session, as the tokens name them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from common.account.event_queue import QueuedEnding
from common.account.history import Reason
from common.clock import to_millis
from common.crypto.jws import SigningKey

TYPE = "secevent+jwt"
MEDIA = "application/secevent+jwt"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

_BY_POLICY = frozenset({Reason.EXPIRED, Reason.OVER_LIMIT})
_BY_SYSTEM = frozenset({Reason.REFRESH_REUSED})


def signed_event(key: SigningKey, queued: QueuedEnding, issuer: str, now: datetime) -> str:
    """Return an ending's token."""
    return key.sign(orjson.dumps(claims_of(queued, issuer, now)), {"typ": TYPE, "kid": key.kid})


def claims_of(queued: QueuedEnding, issuer: str, now: datetime) -> dict[str, Any]:
    """Return the claims of an ending's token; its audience is the receiver's name."""
    ending = queued.ending
    told = {
        "event_timestamp": to_millis(ending.at) // 1000,
        "initiating_entity": _initiator(queued),
        "reason_admin": {"en": str(ending.reason)},
        "reason": str(ending.reason),
        **({} if ending.act is None else {"act": str(ending.act)}),
    }
    user = {"format": "iss_sub", "iss": issuer, "sub": ending.user_uuid}
    session = {"format": "opaque", "id": ending.session_id}
    return {
        "iss": issuer,
        "aud": queued.receiver,
        "jti": queued.jti,
        "iat": to_millis(now) // 1000,
        "sub_id": {"format": "complex", "user": user, "session": session},
        "events": {SESSION_REVOKED: told},
    }


def _initiator(queued: QueuedEnding) -> str:
    if queued.ending.act is not None:
        return "admin"
    if queued.ending.reason in _BY_POLICY:
        return "policy"
    return "system" if queued.ending.reason in _BY_SYSTEM else "user"
