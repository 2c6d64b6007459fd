"""The routes of sessions. `/session/create` is login's own endpoint, handed in: there is one admission."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import orjson
from flask import Response

from common.errors import Code, Refusal
from common.web.endpoints import Answer, Endpoint, Reply, RequestData
from common.web.guards import Guard
from common.wire.tokens import TokensAnswer, tokens_fields
from session_manager.end_all import EndAllDependencies, EndAllForm, end_all
from session_manager.event_poll import PollDependencies, poll
from session_manager.schemas import (
    DiscoveryDocument,
    EndAllBody,
    EndedAnswer,
    HistoryAnswer,
    HistoryQuery,
    KeySetDocument,
    PollBody,
    PollDocument,
    RefreshBody,
    RevokeBody,
    SessionsAnswer,
    VerifyAnswer,
    ended_answer,
    history_answer,
    sessions_answer,
    verify_fields,
    verify_headers,
)
from session_manager.session_service import SessionDependencies, list_sessions, logout, read_history, refresh, revoke

_VERIFIED_HEADERS = {
    "X-User-Uuid": "The user, for a proxy to pass on.",
    "X-Session-Id": "The session, likewise.",
    "X-Device-Id": "The device, likewise.",
}


def endpoints(
    dependencies: SessionDependencies,
    everywhere: EndAllDependencies,
    create: Endpoint,
    discovery: Callable[[], Mapping[str, object]],
    events_base: str,
    polling: PollDependencies,
) -> Sequence[Endpoint]:
    """Return the routes of this package.

    `create` is the login under this package's path, `discovery` tells of the suite, `events_base` is where the event
    streams are served ("": nowhere).
    """

    def verify_session(request: RequestData) -> Reply:
        """Verify an access token: its signature, and the session as it is at this moment."""
        return Reply(VerifyAnswer(**verify_fields(request.signed_in)), verify_headers(request.signed_in))

    def refresh_session(request: RequestData) -> TokensAnswer:
        """Exchange a refresh token for a new pair of tokens."""
        body: RefreshBody = request.body
        return TokensAnswer(
            **tokens_fields(refresh(dependencies, body.refresh_token, request.client, request.certificate))
        )

    def logout_session(request: RequestData) -> Answer:
        """End the token's own session; repeating it is harmless."""
        logout(dependencies, request.required_credentials, request.client)
        return Answer()

    def list_own(request: RequestData) -> SessionsAnswer:
        """List the caller's live sessions."""
        return sessions_answer(list_sessions(dependencies, request.signed_in), request.signed_in)

    def revoke_session(request: RequestData) -> Answer:
        """End one of the caller's sessions."""
        body: RevokeBody = request.body
        revoke(dependencies, request.signed_in, body.session_id, request.client)
        return Answer()

    def end_all_sessions(request: RequestData) -> EndedAnswer:
        """Sign the caller out everywhere else, and here too if asked, by the password."""
        body: EndAllBody = request.body
        form = EndAllForm(body.secret, body.factor, body.this_session, request.client)
        return ended_answer(end_all(everywhere, request.signed_in, form))

    def history(request: RequestData) -> HistoryAnswer:
        """Tell what happened to the account, newest first."""
        query: HistoryQuery = request.query
        page = read_history(dependencies, request.signed_in, before=query.before, limit=query.limit)
        return history_answer(page, query.limit)

    def events(_request: RequestData) -> Answer:
        """Stream events: `session-revoked` when the session ends, then the end of the stream."""
        where = {"events_endpoint": events_base + "/session/events"} if events_base else {}
        raise Refusal(Code.SERVED_ELSEWHERE, **where)

    def poll_events(request: RequestData) -> Response:
        """Give a machine the security events that wait for it (RFC 8936), and let go of those that it has."""
        body: PollBody = request.body
        given = poll(polling, request.admitted_receiver, body.ask)
        document = PollDocument(given.tokens, given.more)
        return Response(
            msgspec.json.encode(document), mimetype="application/json", headers={"Cache-Control": "no-store"}
        )

    def jwks(_request: RequestData) -> Response:
        """Return the public keys of the access tokens (RFC 7517)."""
        return _public(dependencies.access_tokens.jwks())

    signed_in = Guard.SIGNED_IN
    return (
        create,
        Endpoint(
            "GET",
            "/session/verify",
            verify_session,
            signed_in,
            answer=VerifyAnswer,
            activity=True,
            forwarded=True,
            answer_headers=_VERIFIED_HEADERS,
        ),
        Endpoint(
            "POST",
            "/session/refresh",
            refresh_session,
            Guard.OPEN,
            answer=TokensAnswer,
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
        Endpoint(
            "POST",
            "/session/end-all",
            end_all_sessions,
            signed_in,
            answer=EndedAnswer,
            body=EndAllBody,
            activity=True,
            codes=(
                Code.MISSING_FIELDS,
                Code.TOO_MANY_ATTEMPTS,
                Code.BAD_CREDENTIALS,
                Code.ACCOUNT_DISABLED,
                Code.ACCOUNT_CLOSED,
                Code.PASSWORD_RESET_REQUIRED,
                Code.OTP_REQUIRED,
                Code.OTP_INVALID,
                Code.PASSKEY_INVALID,
                Code.BUSY,
            ),
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
        Endpoint("POST", "/session/security-events", poll_events, Guard.RECEIVER, answer=PollDocument, body=PollBody),
        Endpoint("GET", "/.well-known/jwks.json", jwks, Guard.OPEN, answer=KeySetDocument),
        discovery_endpoint(discovery),
    )


def discovery_endpoint(document: Callable[[], Mapping[str, object]]) -> Endpoint:
    """Return the route of the discovery document, which every app has: a client may know the address of any one."""

    def about(_request: RequestData) -> Response:
        """Tell where everything is and how the limit is set."""
        return _public(document())

    return Endpoint("GET", "/.well-known/ichidai.json", about, Guard.OPEN, answer=DiscoveryDocument)


def _public(document: Mapping[str, object]) -> Response:
    headers = {"Cache-Control": "public, max-age=300"}
    return Response(orjson.dumps(document), mimetype="application/json", headers=headers)
