"""The routes of sessions. `/session/create` is login's own endpoint, handed in: there is one way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from flask import Response

from common.errors import Code, Refusal
from common.web.endpoints import Answer, Call, Endpoint, Reply
from common.web.grants import GrantAnswer, grant_fields
from common.web.guards import Guard
from session_manager.schemas import (
    HistoryAnswer,
    HistoryQuery,
    RefreshBody,
    RevokeBody,
    SessionsAnswer,
    VerifyAnswer,
    history_answer,
    sessions_answer,
    verify_fields,
    verify_headers,
)
from session_manager.session_service import Desk, list_sessions, logout, read_history, refresh, revoke


def endpoints(desk: Desk, create: Endpoint, discovery: Mapping[str, object], events_base: str) -> Sequence[Endpoint]:
    """Return the routes of this room.

    `create` is the login under this room's path, `discovery` tells of the suite, `events_base` is where the event
    streams are served ("": nowhere).
    """

    def verify_session(call: Call) -> Reply:
        """Verify an access token: its signature, and the session as it is at this moment."""
        return Reply(VerifyAnswer(**verify_fields(call.signed_in)), verify_headers(call.signed_in))

    def refresh_session(call: Call) -> GrantAnswer:
        """Exchange a refresh token for a new pair of tokens."""
        body: RefreshBody = call.body
        return GrantAnswer(**grant_fields(refresh(desk, body.refresh_token, call.origin, call.certificate)))

    def logout_session(call: Call) -> Answer:
        """End the token's own session; repeating it is harmless."""
        logout(desk, call.bearing, call.origin)
        return Answer()

    def list_own(call: Call) -> SessionsAnswer:
        """List the caller's live sessions."""
        return sessions_answer(list_sessions(desk, call.signed_in), call.signed_in)

    def revoke_session(call: Call) -> Answer:
        """End one of the caller's sessions."""
        body: RevokeBody = call.body
        revoke(desk, call.signed_in, body.session_id, call.origin)
        return Answer()

    def history(call: Call) -> HistoryAnswer:
        """Tell what happened to the account, newest first."""
        query: HistoryQuery = call.query
        page = read_history(desk, call.signed_in, before=query.before, limit=query.limit)
        return history_answer(page, query.limit)

    def events(_call: Call) -> Answer:
        """Stream events: `session-revoked` when the session ends, then the end of the stream."""
        where = {"events_endpoint": events_base + "/session/events"} if events_base else {}
        raise Refusal(Code.SERVED_ELSEWHERE, **where)

    def jwks(_call: Call) -> Response:
        """Return the public keys of the access tokens (RFC 7517)."""
        return _public(desk.access_tokens.jwks())

    def about(_call: Call) -> Response:
        """Tell where everything is and how the limit is set."""
        return _public(discovery)

    signed_in = Guard.SIGNED_IN
    return (
        create,
        Endpoint(
            "GET", "/session/verify", verify_session, signed_in, answer=VerifyAnswer, activity=True, forwarded=True
        ),
        Endpoint(
            "POST",
            "/session/refresh",
            refresh_session,
            Guard.OPEN,
            answer=GrantAnswer,
            body=RefreshBody,
            codes=(
                Code.MISSING_FIELDS,
                Code.INVALID_TOKEN,
                Code.INVALID_DPOP_PROOF,
                Code.CERTIFICATE_EXPIRED,
                Code.SESSION_ENDED,
                Code.BUSY,
            ),
        ),
        Endpoint("POST", "/session/logout", logout_session, Guard.BEARER),
        Endpoint("GET", "/session/list", list_own, signed_in, answer=SessionsAnswer),
        Endpoint(
            "POST",
            "/session/revoke",
            revoke_session,
            signed_in,
            body=RevokeBody,
            activity=True,
            codes=(Code.MISSING_FIELDS, Code.NOT_FOUND, Code.BUSY),
        ),
        Endpoint("GET", "/session/history", history, signed_in, answer=HistoryAnswer, query=HistoryQuery),
        Endpoint(
            "GET",
            "/session/events",
            events,
            signed_in,
            answer=None,
            media="text/event-stream",
            server=events_base,
            codes=(Code.SERVED_ELSEWHERE, Code.TOO_MANY_STREAMS, Code.BUSY),
        ),
        Endpoint("GET", "/.well-known/jwks.json", jwks, Guard.OPEN, answer=None),
        Endpoint("GET", "/.well-known/ichidai.json", about, Guard.OPEN, answer=None),
    )


def _public(document: Mapping[str, object]) -> Response:
    headers = {"Cache-Control": "public, max-age=300"}
    return Response(orjson.dumps(document), mimetype="application/json", headers=headers)
