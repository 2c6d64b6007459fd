"""What the session manager reads and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from common.account.admission import Caller
from common.account.book import Session
from common.account.history import Event, HistoryRecord
from common.clock import to_rfc3339
from common.web.endpoints import Answer
from common.web.fields import Opaque
from common.web.formats import Timestamp, Url, Uuid
from common.web.request_body import Body, Query
from common.wire.passkey import ReauthenticationBody
from common.wire.tokens import EvictedSession, evicted_sessions
from session_manager.event_poll import Ask
from session_manager.session_service import History


class RefreshBody(Body, frozen=True, kw_only=True):
    """A refresh."""

    refresh_token: Opaque


class RevokeBody(Body, frozen=True, kw_only=True):
    """A session to end."""

    session_id: Opaque


class EndAllBody(ReauthenticationBody, frozen=True, kw_only=True):
    """A user who signs out everywhere; `this_session`: here too."""

    this_session: bool = False


class EventError(Struct, frozen=True):
    """Why a receiver cannot take an event: `err` is one of the codes of RFC 8935."""

    err: Opaque
    description: str = ""


class PollBody(Body, frozen=True, kw_only=True, rename="camel"):
    """A poll (RFC 8936): `ack` and `setErrs` name events that the receiver is done with, by their `jti`."""

    example: ClassVar[Mapping[str, object] | None] = {"maxEvents": 50, "returnImmediately": True}

    max_events: Annotated[int, Meta(ge=0)] | None = None
    return_immediately: bool = False
    ack: Sequence[str] = ()
    set_errs: Mapping[str, EventError] = {}

    @property
    def ask(self) -> Ask:
        """What is asked for."""
        errors = {jti: error.err for jti, error in self.set_errs.items()}
        return Ask(self.max_events, self.return_immediately, self.ack, errors)


class PollDocument(Struct, frozen=True, rename="camel"):
    """Security event tokens by their `jti`, oldest first; `moreAvailable`: others wait."""

    sets: Mapping[str, str]
    more_available: bool


class EndedAnswer(Answer, frozen=True, kw_only=True):
    """The sessions that ended, earliest login first."""

    ended: Sequence[EvictedSession]


class HistoryQuery(Query, frozen=True, kw_only=True):
    """Which page of the history: up to `limit` changes, with numbers below `before`."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class VerifyAnswer(Answer, frozen=True, kw_only=True):
    """The session of a good access token. `expires_at` is the session's end at the latest, not the token's."""

    active: bool = True
    user_uuid: Uuid
    username: str
    session_id: Uuid
    device_id: Uuid
    login_at: Timestamp
    expires_at: Timestamp


class SessionAnswer(Struct, frozen=True):
    """A live session; `current` is the caller's own."""

    session_id: Uuid
    device_id: Uuid
    device_name: str | None
    login_at: Timestamp
    last_seen_at: Timestamp
    current: bool


class SessionsAnswer(Answer, frozen=True, kw_only=True):
    """The caller's live sessions, earliest login first."""

    sessions: Sequence[SessionAnswer]


class EventAnswer(Struct, frozen=True):
    """Something that happened to the account. `act`: what an operator did, where one did it.

    `device_id` and `session_id` are those that it concerns, where it concerns one: they may be gone.
    """

    change_no: int
    at: Timestamp
    kind: str
    device_name: str | None
    ip: str
    user_agent: str
    reason: str | None = None
    act: str | UnsetType = UNSET
    device_id: Uuid | UnsetType = UNSET
    session_id: Uuid | UnsetType = UNSET


class FailedLoginAnswer(Struct, frozen=True):
    """A wrong password."""

    at: Timestamp
    ip: str
    user_agent: str


class HistoryAnswer(Answer, frozen=True, kw_only=True):
    """A page of the history, newest first; `next_before` asks for the next one. The first alone has failed logins."""

    events: Sequence[EventAnswer]
    failed_logins: Sequence[FailedLoginAnswer]
    next_before: int | UnsetType = UNSET


class KeySetDocument(Struct, frozen=True):
    """The public keys of the access tokens: a JWK Set (RFC 7517). Written by `AccessTokens.jwks`."""

    keys: Sequence[Mapping[str, str]]


class DiscoveryDocument(Struct, frozen=True, kw_only=True):
    """The policy, and the URLs of the endpoints (after RFC 8414). Written by `ichidai.discovery`."""

    issuer: Url
    concurrency_mode: Literal["ask", "reject", "evict"]
    takeover_approval: Literal["off", "ask"]
    join_by_approval: bool
    max_concurrent_devices: int
    registration: Literal["open", "work", "closed"]
    device_proof: Literal["fingerprint", "signature", "none"]
    tls_client_certificate_bound_access_tokens: bool
    dpop_signing_alg_values_supported: Sequence[str]
    registration_endpoint: Url
    pairing_endpoint: Url
    login_endpoint: Url
    takeover_endpoint: Url
    challenge_endpoint: Url
    challenge_verify_endpoint: Url
    verify_endpoint: Url
    refresh_endpoint: Url
    logout_endpoint: Url
    renewal_endpoint: Url
    device_endpoint: Url
    events_endpoint: Url | UnsetType = UNSET
    jwks_uri: Url


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


def ended_answer(ended: Sequence[tuple[Session, str | None]]) -> EndedAnswer:
    """Return which sessions ended."""
    return EndedAnswer(ended=evicted_sessions(ended))


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

    def answered(record: HistoryRecord, event: Event) -> EventAnswer:
        return EventAnswer(
            change_no=record.change_no,
            at=to_rfc3339(event.at),
            kind=str(event.kind),
            device_name=event.device_name or history.names.get(event.device_id or ""),
            ip=record.client.ip,
            user_agent=record.client.user_agent,
            reason=None if event.reason is None else str(event.reason),
            act=UNSET if event.act is None else str(event.act),
            device_id=event.device_id or UNSET,
            session_id=event.session_id or UNSET,
        )

    records = history.records
    return HistoryAnswer(
        events=[answered(record, event) for record in records for event in reversed(record.events)],
        failed_logins=[
            FailedLoginAnswer(at=to_rfc3339(failed.at), ip=failed.client.ip, user_agent=failed.client.user_agent)
            for failed in history.failures
        ],
        next_before=records[-1].change_no if len(records) == limit and records[-1].change_no > 1 else UNSET,
    )
