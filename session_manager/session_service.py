"""The use cases of a session's life: made, verified, refreshed, ended, listed.

Making one is a pure step that login and device registration compose into their own commit; there is no other way in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from common.admission import Newcomer
from common.book import Book, Session
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
from common.clock import Clock, to_rfc3339
from common.crypto.tokens import AccessTokens, Claims, ForgedToken, MacTokens
from common.draft import Draft
from common.errors import Code, Refusal
from common.feed import Ending
from common.granting import Caller, Grant
from common.history import Entry, FailedLogin, Origin, Reason
from common.ids import new_id
from common.liveness import SessionGone, live_sessions, require_live
from common.memo import Memo
from common.possession import Possessions, Presented, reading, used_up
from common.storage.port import StoreUnavailable
from session_manager.config import SessionSettings
from session_manager.session_db import SessionDb
from session_manager.session_model import Repeated, Reused, Rotated, is_worth_a_touch, opened, rotate
from session_manager.verification import good_until, require_certificate, require_holder, shows_present, verify

_MOST_CALLERS = 8192
"""Sessions whose last verdict is remembered, for each process: as many as are verified at a time."""


class Verdict(Struct, frozen=True):
    """That a caller is good, by these very claims, this very book and this certificate, while it is before `until`."""

    claims: Claims
    book: Book
    certificate: str | None
    caller: Caller
    until: datetime

    def is_of(self, claims: Claims, book: Book | None, certificate: str | None) -> bool:
        """Say whether it was about these."""
        return self.book is book and self.claims is claims and self.certificate == certificate


class Desk(Struct, frozen=True):
    """What the use cases work with. `names` returns the user's devices' names by device id.

    `verdicts` remembers, by session, what follows from a token and a book alone; neither is believed because of it.
    """

    bookkeeper: Bookkeeper
    sessions: SessionDb
    access_tokens: AccessTokens
    refresh_tokens: MacTokens
    names: Callable[[str], Mapping[str, str]]
    settings: SessionSettings
    clock: Clock
    possessions: Possessions
    verdicts: Memo[str, Verdict] = field(default_factory=lambda: Memo(_MOST_CALLERS))


class History(Struct, frozen=True):
    """A page of what happened to an account, newest change first, and its newest failed logins."""

    entries: Sequence[Entry]
    failures: Sequence[FailedLogin]
    names: Mapping[str, str]


def create_session(desk: Desk, draft: Draft, newcomer: Newcomer, session_id: str, now: datetime) -> Draft:
    """Return the draft with the newcomer's session in it. Pure: who may enter was decided before."""
    return opened(draft, newcomer, session_id, now, desk.settings.session_lifetime)


def grant(desk: Desk, book: Book, username: str, session: Session) -> Grant:
    """Return the tokens of a session that the book has: a new access token, and its generation's refresh token."""
    now, lifetime, user_uuid = desk.clock(), desk.settings.access_token_lifetime, book.user_uuid
    ids = (user_uuid, session.session_id, session.device_id, username, new_id())
    claims = Claims(*ids, now, now + lifetime, session.thumbprint, book.certificate_of(session))
    refresh_token = desk.refresh_tokens.seal([user_uuid, session.session_id, session.generation, username])
    return Grant(user_uuid, session, desk.access_tokens.sign(claims), refresh_token, int(lifetime.total_seconds()))


def authenticate(desk: Desk, presented: Presented) -> Caller:
    """Return who calls: the signatures, and one strong read of the book, every time; nothing is written.

    What `verify` said is said again only for the same claims and certificate and for the book that was read just now.
    Raises Refusal: INVALID_TOKEN, INVALID_DPOP_PROOF, USE_DPOP_NONCE, TOKEN_EXPIRED, CERTIFICATE_EXPIRED; SessionGone;
    StoreUnavailable.
    """
    claims, certificate = _read_access_token(desk, presented), presented.certificate
    book = desk.bookkeeper.read(claims.user_uuid)
    now, rules, known = desk.clock(), desk.settings.rules, desk.verdicts.get(claims.session_id)
    if known is not None and known.is_of(claims, book, certificate) and now < known.until:
        return known.caller
    caller = verify(claims=claims, book=book, certificate=certificate, rules=rules, now=now)
    if book is not None:
        until = good_until(caller, book, rules)
        desk.verdicts.put(claims.session_id, Verdict(claims, book, certificate, caller, until))
    return caller


def explain(desk: Desk, gone: SessionGone) -> Refusal:
    """Return the refusal that tells the client why its session has ended; where the history knows, when and by whom.

    Raises StoreUnavailable.
    """
    if gone.reason is not None:
        return Refusal(Code.SESSION_ENDED, session_reason=str(gone.reason))
    ending = desk.sessions.ending_of(gone)
    if ending is None:
        return Refusal(Code.SESSION_ENDED, session_reason=str(Reason.ENDED))
    at, by = to_rfc3339(ending.at), author_of(desk, ending)
    return Refusal(Code.SESSION_ENDED, session_reason=str(ending.reason), event_timestamp=at, by_device=by)


def author_of(desk: Desk, ending: Ending) -> str | None:
    """Return the name of the device that brought an ending about, where one did and its name can be read now."""
    if ending.by is None or ending.by_name:
        return ending.by_name
    try:
        return desk.names(ending.user_uuid).get(ending.by)
    except StoreUnavailable:
        return None


def touch(desk: Desk, caller: Caller) -> None:
    """Write down that a session was active, at most once a minute; nothing is recorded in the history."""
    idle, session_id = desk.settings.rules.idle, caller.session.session_id
    if not is_worth_a_touch(caller.session, idle, desk.clock()):
        return

    def seen(snapshot: Snapshot) -> Change[None]:
        session = require_live(snapshot.book, session_id, desk.settings.rules, snapshot.now)
        if not is_worth_a_touch(session, idle, snapshot.now):
            return Change(None)
        return Change(None, snapshot.draft.touched(session, snapshot.now))

    desk.bookkeeper.change(caller.user_uuid, seen)


class WouldEnd(Exception):
    """A refresh would end the session."""


def refresh(
    desk: Desk, refresh_token: str, origin: Origin, certificate: str | None = None, *, plainly: bool = False
) -> Grant:
    """Return a new pair of tokens for the session's current refresh token, and the same pair again within the grace.

    An older token ends the session. That of a session that is bound to a key needs a proof of it, which is used up;
    to its device's certificate: that one (`certificate`, proven by TLS). Where tokens are bound, a session that is not
    is from the first refresh on that comes with its device's certificate.
    `plainly`: whatever is raised instead of a grant, nothing was ended and nothing recorded (`origin` is not needed).
    Raises Refusal: INVALID_TOKEN, INVALID_DPOP_PROOF, CERTIFICATE_EXPIRED; SessionGone; WouldEnd; StoreUnavailable.
    """
    user_uuid, session_id, generation, username = _read_refresh_token(desk, refresh_token)

    def turn(snapshot: Snapshot) -> Change[tuple[Book, Session] | None]:
        book, now = snapshot.book, snapshot.now
        session = require_live(book, session_id, desk.settings.rules, now)
        desk.possessions.demand(origin.possession, session.thumbprint)
        require_certificate(book, session, certificate, now)
        used = used_up(origin.possession, snapshot.items)
        match rotate(session, generation, now):
            case Rotated(rotated):
                binds = desk.settings.certificate_bound and shows_present(book, session.device_id, certificate, now)
                rotated = replace(rotated, certified=session.certified or binds)
                return Change((book, rotated), snapshot.draft.with_book(book.updated(rotated)), used)
            case Repeated(current):
                return Change((book, current), snapshot.draft if used else None, used)
            case Reused() if plainly:
                raise WouldEnd
            case Reused():
                swept = snapshot.draft.swept(desk.settings.rules, now)
                return Change(None, swept.ended(session, Reason.REFRESH_REUSED, now), used)

    try:
        found = desk.bookkeeper.change(user_uuid, turn, reading=reading(origin.possession), origin=origin)
    except NoSuchUser:
        raise SessionGone(user_uuid, session_id, Reason.REVOKED) from None
    if found is None:
        raise SessionGone(user_uuid, session_id, Reason.REFRESH_REUSED)
    book, session = found
    return grant(desk, book, username, session)


def logout(desk: Desk, presented: Presented, origin: Origin) -> None:
    """End the session of a token of ours, expired or not; ending it again is no fault.

    Raises Refusal: INVALID_TOKEN, INVALID_DPOP_PROOF, USE_DPOP_NONCE; StoreUnavailable.
    """
    claims = _read_access_token(desk, presented)

    def leave(snapshot: Snapshot) -> Change[None]:
        require_holder(claims, snapshot.book, presented.certificate)
        draft = snapshot.draft.swept(desk.settings.rules, snapshot.now)
        session = draft.book.sessions.get(claims.session_id)
        if session is not None:
            draft = draft.ended(session, Reason.LOGGED_OUT, snapshot.now)
        return Change(None, draft if draft.events else None)

    with suppress(NoSuchUser):
        desk.bookkeeper.change(claims.user_uuid, leave, origin=origin)


def revoke(desk: Desk, caller: Caller, session_id: str, origin: Origin) -> None:
    """End one of the caller's sessions. Raises Refusal(NOT_FOUND) for any other id; SessionGone; StoreUnavailable."""

    def end(snapshot: Snapshot) -> Change[None]:
        own = require_live(snapshot.book, caller.session.session_id, desk.settings.rules, snapshot.now)
        draft = snapshot.draft.swept(desk.settings.rules, snapshot.now)
        session = draft.book.sessions.get(session_id)
        if session is None:
            raise Refusal(Code.NOT_FOUND, reason="no such session")
        reason = Reason.LOGGED_OUT if session_id == own.session_id else Reason.REVOKED
        return Change(None, draft.ended(session, reason, snapshot.now, by=own.device_id))

    desk.bookkeeper.change(caller.user_uuid, end, origin=origin)


def list_sessions(desk: Desk, caller: Caller) -> tuple[tuple[Session, str | None], ...]:
    """Return the caller's live sessions, earliest login first, each with its device's name."""
    book = desk.bookkeeper.read(caller.user_uuid)
    if book is None:
        raise SessionGone(caller.user_uuid, caller.session.session_id, Reason.REVOKED)
    names = desk.names(caller.user_uuid)
    live = live_sessions(book, desk.settings.rules, desk.clock())
    return tuple((session, session.device_name or names.get(session.device_id)) for session in live)


def read_history(desk: Desk, caller: Caller, *, before: int | None, limit: int) -> History:
    """Return a page of the account's history; the failed logins come with the first page only."""
    failures = desk.sessions.failures(caller.user_uuid, limit, desk.clock()) if before is None else ()
    entries = desk.sessions.entries(caller.user_uuid, before=before, limit=limit)
    return History(entries, failures, desk.names(caller.user_uuid))


def _read_access_token(desk: Desk, presented: Presented) -> Claims:
    """Return what a token says, if it is ours and whoever presents it holds the key that it is bound to.

    Its certificate is the book's to judge.
    """
    try:
        claims = desk.access_tokens.read(presented.token)
    except ForgedToken as error:
        raise Refusal(Code.INVALID_TOKEN, reason=str(error)) from None
    desk.possessions.check(presented, claims.thumbprint)
    return claims


def _read_refresh_token(desk: Desk, refresh_token: str) -> tuple[str, str, int, str]:
    try:
        user_uuid, session_id, generation, username = desk.refresh_tokens.open(refresh_token)
    except ForgedToken as error:
        raise Refusal(Code.INVALID_TOKEN, reason=str(error)) from None
    return user_uuid, session_id, generation, username
