"""How a grant and a welcome are written on the wire, wherever a device is let in or refreshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from common.clock import to_rfc3339
from common.granting import Grant, Welcome
from common.web.endpoints import Answer


class GrantAnswer(Answer, frozen=True, kw_only=True):
    """A live session and its tokens."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: int
    refresh_token: str
    user_uuid: str
    session_id: str
    device_id: str
    login_at: str


class EvictedSession(Struct, frozen=True):
    """A session of another device that a login ended."""

    session_id: str
    device_name: str | None
    login_at: str


class WelcomeAnswer(GrantAnswer, frozen=True, kw_only=True):
    """A device that was let in, and whom it ended."""

    evicted: Sequence[EvictedSession]


def grant_fields(grant: Grant) -> dict[str, Any]:
    """Return the fields of a GrantAnswer."""
    return {
        "access_token": grant.access_token,
        "token_type": "Bearer" if grant.session.thumbprint is None else "DPoP",
        "expires_in": grant.expires_in,
        "refresh_token": grant.refresh_token,
        "user_uuid": grant.user_uuid,
        "session_id": grant.session.session_id,
        "device_id": grant.session.device_id,
        "login_at": to_rfc3339(grant.session.login_at),
    }


def welcome_fields(welcome: Welcome) -> dict[str, Any]:
    """Return the fields of a WelcomeAnswer."""
    evicted = [
        EvictedSession(session_id=session.session_id, device_name=name, login_at=to_rfc3339(session.login_at))
        for session, name in welcome.evicted
    ]
    return {**grant_fields(welcome.grant), "evicted": evicted}
