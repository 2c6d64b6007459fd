"""What the session room reads and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from common.book import Session
from common.clock import to_rfc3339
from common.granting import Caller
from common.history import Entry, Event
from common.web.bodies import Body, Query
from common.web.endpoints import Answer
from common.web.fields import Opaque
from session_manager.session_service import History


class RefreshBody(Body, frozen=True, kw_only=True):
    """A refresh."""

    refresh_token: Opaque


class RevokeBody(Body, frozen=True, kw_only=True):
    """A session to end."""

    session_id: Opaque


class HistoryQuery(Query, frozen=True, kw_only=True):
    """Which page of the history: up to `limit` changes, with numbers below `before`."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class VerifyAnswer(Answer, frozen=True, kw_only=True):
    """The session of a good access token. `expires_at` is the session's end at the latest, not the token's."""

    active: bool = True
    user_uuid: str
    username: str
    session_id: str
    device_id: str
    login_at: str
    expires_at: str


class SessionAnswer(Struct, frozen=True):
    """A live session; `current` is the caller's own."""

    session_id: str
    device_id: str
    device_name: str | None
    login_at: str
    last_seen_at: str
    current: bool


class SessionsAnswer(Answer, frozen=True, kw_only=True):
    """The caller's live sessions, earliest login first."""

    sessions: Sequence[SessionAnswer]


class EventAnswer(Struct, frozen=True):
    """Something that happened to the account."""

    change_no: int
    at: str
    kind: str
    device_name: str | None
    ip: str
    user_agent: str
    reason: str | None = None


class FailedLoginAnswer(Struct, frozen=True):
    """A wrong password."""

    at: str
    ip: str
    user_agent: str


class HistoryAnswer(Answer, frozen=True, kw_only=True):
    """A page of the history, newest first; `next_before` asks for the next one. The first alone has failed logins."""

    events: Sequence[EventAnswer]
    failed_logins: Sequence[FailedLoginAnswer]
    next_before: int | UnsetType = UNSET


def verify_fields(caller: Caller) -> dict[str, Any]:
    """Return what the answer to a verification tells, in its order."""
    session = caller.session
    return {
        "user_uuid": caller.user_uuid,
        "username": caller.username,
        "session_id": session.session_id,
        "device_id": session.device_id,
        "login_at": to_rfc3339(session.login_at),
        "expires_at": to_rfc3339(session.ends_at),
    }


def verify_headers(caller: Caller) -> dict[str, str]:
    """Return the same for a proxy, which hands it on to what stands behind it."""
    session = caller.session
    return {"X-User-Uuid": caller.user_uuid, "X-Session-Id": session.session_id, "X-Device-Id": session.device_id}


def sessions_answer(listed: Sequence[tuple[Session, str | None]], caller: Caller) -> SessionsAnswer:
    """Return the answer to a listing."""
    return SessionsAnswer(
        sessions=[
            SessionAnswer(
                session_id=session.session_id,
                device_id=session.device_id,
                device_name=name,
                login_at=to_rfc3339(session.login_at),
                last_seen_at=to_rfc3339(session.last_seen_at),
                current=session.session_id == caller.session.session_id,
            )
            for session, name in listed
        ]
    )


def history_answer(history: History, limit: int) -> HistoryAnswer:
    """Return the answer to a question about the history."""

    def answered(entry: Entry, event: Event) -> EventAnswer:
        return EventAnswer(
            change_no=entry.change_no,
            at=to_rfc3339(event.at),
            kind=str(event.kind),
            device_name=event.device_name or history.names.get(event.device_id or ""),
            ip=entry.origin.ip,
            user_agent=entry.origin.user_agent,
            reason=None if event.reason is None else str(event.reason),
        )

    entries = history.entries
    return HistoryAnswer(
        events=[answered(entry, event) for entry in entries for event in reversed(entry.events)],
        failed_logins=[
            FailedLoginAnswer(at=to_rfc3339(failed.at), ip=failed.origin.ip, user_agent=failed.origin.user_agent)
            for failed in history.failures
        ],
        next_before=entries[-1].change_no if len(entries) == limit and entries[-1].change_no > 1 else UNSET,
    )
