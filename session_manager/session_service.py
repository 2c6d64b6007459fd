"""The use cases of a session's life: made, verified, refreshed, ended, listed.

Making one is a pure step that login and device registration compose into their own commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from weakref import ReferenceType, ref

from msgspec import Struct, field
from msgspec.structs import replace

from common.account.admission import Caller, IssuedTokens, LoginCandidate
from common.account.book import Book, Session
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.feed import Ending
from common.account.history import ClientInfo, FailedLogin, HistoryRecord, Reason
from common.account.liveness import SessionGone, SessionRules, live_sessions, require_live
from common.account.policy import Policies
from common.account.transactions import AccountTransactions, NoSuchUser
from common.bounded_cache import BoundedCache
from common.clock import Clock, to_rfc3339
from common.crypto.tokens import AccessTokens, Claims, ForgedToken, SignedTokens
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.dpop_service import DpopClient, DpopVerifier, RequestCredentials, spend_dpop_proof
from common.storage.port import StoreUnavailable
from session_manager.config import SessionSettings
from session_manager.session_db import SessionDb
from session_manager.session_model import Repeated, Reused, Rotated, Rotation, Voided, opened, rotate
from session_manager.verification import good_until, require_certificate, require_holder, shows_present, verify

MOST_CALLERS = 16_384
"""Sessions whose last verdict is remembered, for each process: as many as are verified at a time."""


class CachedVerification(Struct, frozen=True):
    """That a caller is good, by these very claims, this book, rules and certificate, while it is before `until`.

    It does not keep the book: one that was replaced would stay in memory as long as its sessions' verdicts.
    """

    claims: Claims
    book: ReferenceType[Book]
    rules: SessionRules
    certificate: str | None
    caller: Caller
    until: datetime

    def is_of(self, claims: Claims, book: Book | None, rules: SessionRules, certificate: str | None) -> bool:
        """Say whether it was about these."""
        same = self.is_from(book) and self.rules is rules and self.claims is claims
        return same and self.certificate == certificate

    def is_from(self, book: Book | None) -> bool:
        """Say whether it follows from this very book: never from none, though its own may be gone, too."""
        return book is not None and self.book() is book


class SessionDependencies(Struct, frozen=True):
    """Dependencies of the use cases. `names` returns the user's devices' names by device id; `policies` has the policy.

    `verdicts` remembers, by session, what follows from a token and a book alone; neither is believed because of it.
    """

    transactions: AccountTransactions
    sessions: SessionDb
    access_tokens: AccessTokens
    refresh_tokens: SignedTokens
    names: Callable[[str], Mapping[str, str]]
    settings: SessionSettings
    policies: Policies
    clock: Clock
    dpop: DpopVerifier
    verdicts: BoundedCache[str, CachedVerification] = field(default_factory=lambda: BoundedCache(MOST_CALLERS))


class History(Struct, frozen=True):
    """A page of what happened to an account, newest change first, and its newest failed logins."""

    records: Sequence[HistoryRecord]
    failures: Sequence[FailedLogin]
    names: Mapping[str, str]


def create_session(
    draft: Draft, candidate: LoginCandidate, session_id: str, now: datetime, lifetime: timedelta
) -> Draft:
    """Return the draft with the candidate's session in it. Pure: who may enter was decided before."""
    return opened(draft, candidate, session_id, now, lifetime)


def issue_tokens(dependencies: SessionDependencies, book: Book, username: str, session: Session) -> IssuedTokens:
    """Return the tokens of a session that the book has: a new access token, and its generation's refresh token."""
    now, user_uuid = dependencies.clock(), book.user_uuid
    lifetime = dependencies.policies.current().access_token_lifetime
    ids = (user_uuid, session.session_id, session.device_id, username, new_id())
    claims = Claims(*ids, now, now + lifetime, session.thumbprint, book.certificate_of(session))
    refresh_token = dependencies.refresh_tokens.sign([user_uuid, session.session_id, session.generation, username])
    return IssuedTokens(
        user_uuid, session, dependencies.access_tokens.sign(claims), refresh_token, int(lifetime.total_seconds())
    )


def authenticate(dependencies: SessionDependencies, credentials: RequestCredentials) -> Caller:
    """Return who calls: the signatures, and one strong read of the book, every time; nothing is written.

    What `verify` said is said again only for the same claims and certificate and for the book that was read just now.
    Raises Refusal: INVALID_TOKEN, INVALID_DPOP_PROOF, USE_DPOP_NONCE, TOKEN_EXPIRED, CERTIFICATE_EXPIRED; SessionGone;
    StoreUnavailable.
    """
    claims = read_access_token(dependencies, credentials)
    book = dependencies.transactions.get_book(claims.user_uuid)
    return verdict_on(dependencies, claims, book, credentials.certificate).caller


def read_access_token(dependencies: SessionDependencies, credentials: RequestCredentials) -> Claims:
    """Return what a token says, if it is ours and its bearer holds the key that it is bound to.

    Its certificate is the book's to judge. Raises Refusal: INVALID_TOKEN, INVALID_DPOP_PROOF, USE_DPOP_NONCE;
    StoreUnavailable.
    """
    try:
        claims = dependencies.access_tokens.verify(credentials.token)
    except ForgedToken as error:
        raise Refusal(Code.INVALID_TOKEN, reason=str(error)) from None
    dependencies.dpop.check_binding(credentials, claims.thumbprint)
    return claims


def verdict_on(
    dependencies: SessionDependencies, claims: Claims, book: Book | None, certificate: str | None
) -> CachedVerification:
    """Return what `verify` says of a good token, given the book as it was read just now. Raises as it does."""
    rules = rules_for(dependencies, book)
    now, known = dependencies.clock(), dependencies.verdicts.get(claims.session_id)
    if known is not None and known.is_of(claims, book, rules, certificate) and now < known.until:
        return known
    if book is None:
        raise SessionGone(claims.user_uuid, claims.session_id, Reason.REVOKED)
    caller = verify(claims=claims, book=book, certificate=certificate, rules=rules, now=now)
    verdict = CachedVerification(claims, ref(book), rules, certificate, caller, good_until(caller, book, rules))
    return dependencies.verdicts.put(claims.session_id, verdict)


def rules_for(dependencies: SessionDependencies, book: Book | None) -> SessionRules:
    """Return the rules by which a book's sessions live; a later policy than is known here is read first.

    Raises StoreUnavailable.
    """
    if book is None:
        return dependencies.policies.current().rules
    return dependencies.policies.of(book).rules_for(book)


def explain(dependencies: SessionDependencies, gone: SessionGone) -> Refusal:
    """Return the refusal that tells the client why its session has ended; where the history knows, when and by whom.

    Raises StoreUnavailable.
    """
    if gone.reason is not None:
        return Refusal(Code.SESSION_ENDED, session_reason=str(gone.reason))
    ending = dependencies.sessions.ending_of(gone)
    if ending is None:
        return Refusal(Code.SESSION_ENDED, session_reason=str(unrecorded(dependencies)))
    at, by = to_rfc3339(ending.at), author_of(dependencies, ending)
    return Refusal(Code.SESSION_ENDED, session_reason=str(ending.reason), event_timestamp=at, by_device=by)


def unrecorded(dependencies: SessionDependencies) -> Reason:
    """Return why a session of which nothing is known has ended: the store may have lost it, if it was ever restored."""
    return Reason.REVOKED if dependencies.policies.generation() else Reason.ENDED


def author_of(dependencies: SessionDependencies, ending: Ending) -> str | None:
    """Return the name of the device that brought an ending about, where one did and its name can be read now."""
    if ending.by is None or ending.by_name:
        return ending.by_name
    try:
        return dependencies.names(ending.user_uuid).get(ending.by)
    except StoreUnavailable:
        return None


def refresh(
    dependencies: SessionDependencies, refresh_token: str, client: DpopClient, certificate: str | None = None
) -> IssuedTokens:
    """Return a new pair of tokens for the session's current refresh token, and the same pair again within the grace.

    An older token ends the session. That of a session that is bound to a key needs a proof of it, which is used up;
    to its device's certificate: that one (`certificate`, proven by TLS). Where tokens are bound, a session that is not
    is from the first refresh on that comes with its device's certificate.
    Raises Refusal: INVALID_TOKEN, INVALID_DPOP_PROOF, CERTIFICATE_EXPIRED; SessionGone; StoreUnavailable.
    """
    user_uuid, session_id, generation, username = _read_refresh_token(dependencies, refresh_token)

    def turn(snapshot: Snapshot) -> TransactionResult[tuple[Book, Session] | None]:
        book, now = snapshot.book, snapshot.now
        session = require_live(book, session_id, snapshot.rules, now)
        dependencies.dpop.require_key(client.dpop_proof, session.thumbprint)
        require_certificate(book, session, certificate, now)
        used = spend_dpop_proof(client.dpop_proof, book, session.device_id, now)
        match _judged(session, generation, now):
            case Rotated(rotated):
                binds = dependencies.settings.certificate_bound and shows_present(
                    book, session.device_id, certificate, now
                )
                rotated = replace(rotated, certified=session.certified or binds)
                return TransactionResult((book, rotated), snapshot.draft.with_book(book.updated(rotated)), used)
            case Repeated(current):
                return TransactionResult((book, current), snapshot.draft if used else None, used)
            case Reused():
                swept = snapshot.draft.without_expired(snapshot.rules, now)
                return TransactionResult(None, swept.ended(session, Reason.REFRESH_REUSED, now), used)

    try:
        found = dependencies.transactions.run(user_uuid, turn, client=client)
    except NoSuchUser:
        raise SessionGone(user_uuid, session_id, Reason.REVOKED) from None
    if found is None:
        raise SessionGone(user_uuid, session_id, Reason.REFRESH_REUSED)
    book, session = found
    return issue_tokens(dependencies, book, username, session)


def logout(dependencies: SessionDependencies, credentials: RequestCredentials, client: ClientInfo) -> None:
    """End the session of a token of ours, expired or not; ending it again is no fault.

    Raises Refusal: INVALID_TOKEN, INVALID_DPOP_PROOF, USE_DPOP_NONCE; StoreUnavailable.
    """
    claims = read_access_token(dependencies, credentials)

    def leave(snapshot: Snapshot) -> TransactionResult[None]:
        require_holder(claims, snapshot.book, credentials.certificate)
        draft = snapshot.draft.without_expired(snapshot.rules, snapshot.now)
        session = draft.book.sessions.get(claims.session_id)
        if session is not None:
            draft = draft.ended(session, Reason.LOGGED_OUT, snapshot.now)
        return TransactionResult(None, draft if draft.events else None)

    with suppress(NoSuchUser):
        dependencies.transactions.run(claims.user_uuid, leave, client=client)


def revoke(dependencies: SessionDependencies, caller: Caller, session_id: str, client: ClientInfo) -> None:
    """End one of the caller's sessions. Raises Refusal(NOT_FOUND) for any other id; SessionGone; StoreUnavailable."""

    def end(snapshot: Snapshot) -> TransactionResult[None]:
        own = require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        draft = snapshot.draft.without_expired(snapshot.rules, snapshot.now)
        session = draft.book.sessions.get(session_id)
        if session is None:
            raise Refusal(Code.NOT_FOUND, reason="no such session")
        reason = Reason.LOGGED_OUT if session_id == own.session_id else Reason.REVOKED
        return TransactionResult(None, draft.ended(session, reason, snapshot.now, by=own.device_id))

    dependencies.transactions.run(caller.user_uuid, end, client=client)


def list_sessions(dependencies: SessionDependencies, caller: Caller) -> tuple[tuple[Session, str | None], ...]:
    """Return the caller's live sessions, earliest login first, each with its device's name."""
    book = dependencies.transactions.get_book(caller.user_uuid)
    if book is None:
        raise SessionGone(caller.user_uuid, caller.session.session_id, Reason.REVOKED)
    names = dependencies.names(caller.user_uuid)
    live = live_sessions(book, rules_for(dependencies, book), dependencies.clock())
    return tuple((session, session.device_name or names.get(session.device_id)) for session in live)


def read_history(dependencies: SessionDependencies, caller: Caller, *, before: int | None, limit: int) -> History:
    """Return a page of the account's history; the failed logins come with the first page only."""
    failures = dependencies.sessions.failures(caller.user_uuid, limit, dependencies.clock()) if before is None else ()
    records = dependencies.sessions.records(caller.user_uuid, before=before, limit=limit)
    return History(records, failures, dependencies.names(caller.user_uuid))


def _judged(session: Session, generation: int, now: datetime) -> Rotation:
    """Return what a refresh token of this generation does. Raises Refusal(INVALID_TOKEN) for a void one."""
    rotation = rotate(session, generation, now)
    if isinstance(rotation, Voided):
        raise Refusal(Code.INVALID_TOKEN, reason="the password was changed after this refresh token was given")
    return rotation


def _read_refresh_token(dependencies: SessionDependencies, refresh_token: str) -> tuple[str, str, int, str]:
    try:
        user_uuid, session_id, generation, username = dependencies.refresh_tokens.verify(refresh_token)
    except ForgedToken as error:
        raise Refusal(Code.INVALID_TOKEN, reason=str(error)) from None
    return user_uuid, session_id, generation, username
