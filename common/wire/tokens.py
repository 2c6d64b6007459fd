"""How a grant and a welcome are written on the wire, wherever a device is let in or refreshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct

from common.account.admission import IssuedTokens, LoginResult
from common.account.book import Session
from common.clock import to_rfc3339
from common.web.endpoints import Answer
from common.web.formats import Seconds, Timestamp, Uuid


class TokensAnswer(Answer, frozen=True, kw_only=True):
    """A live session and its tokens."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: Seconds
    refresh_token: str
    user_uuid: Uuid
    session_id: Uuid
    device_id: Uuid
    login_at: Timestamp


class EvictedSession(Struct, frozen=True):
    """A session of another device that a login ended."""

    session_id: Uuid
    device_name: str | None
    login_at: Timestamp


class NewSessionAnswer(TokensAnswer, frozen=True, kw_only=True):
    """A device that was let in, and whom it ended."""

    evicted: Sequence[EvictedSession]


def tokens_fields(tokens: IssuedTokens) -> dict[str, Any]:
    """Return the fields of a GrantAnswer."""
    return {
        "access_token": tokens.access_token,
        "token_type": "Bearer" if tokens.session.thumbprint is None else "DPoP",
        "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh_token,
        "user_uuid": tokens.user_uuid,
        "session_id": tokens.session.session_id,
        "device_id": tokens.session.device_id,
        "login_at": to_rfc3339(tokens.session.login_at),
    }


def new_session_fields(login_result: LoginResult) -> dict[str, Any]:
    """Return the fields of a WelcomeAnswer."""
    return {**tokens_fields(login_result.tokens), "evicted": evicted_sessions(login_result.evicted)}


def evicted_sessions(ended: Sequence[tuple[Session, str | None]]) -> Sequence[EvictedSession]:
    """Return sessions that were ended, each with its device's name, as they are written on the wire."""
    return [
        EvictedSession(session_id=session.session_id, device_name=name, login_at=to_rfc3339(session.login_at))
        for session, name in ended
    ]
