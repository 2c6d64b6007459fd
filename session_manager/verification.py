"""Verification: may this access token be used now? Pure, one keyword-only function over everything it depends on.

It runs at every request of every product behind the suite, so it takes what one read of the book gives, and no more.
"""

from __future__ import annotations

from datetime import datetime

from common.book import Book
from common.crypto.tokens import Claims
from common.errors import Code, Refusal
from common.granting import Caller
from common.history import Reason
from common.liveness import SessionGone, SessionRules, deadline, require_live


def verify(*, claims: Claims, book: Book | None, rules: SessionRules, now: datetime) -> Caller:
    """Return who calls, given the claims of a token whose signature is good and the user's book as it is now.

    Raises SessionGone when the session has ended, whether or not the token has expired too;
    Refusal(TOKEN_EXPIRED) when the session lives and only the token has run out.
    """
    if book is None:
        raise SessionGone(claims.user_uuid, claims.session_id, Reason.REVOKED)
    session = require_live(book, claims.session_id, rules, now)
    if (session.device_id, session.thumbprint) != (claims.device_id, claims.thumbprint):
        raise Refusal(Code.INVALID_TOKEN, reason="it names another device or key than its session")
    if claims.expires_at <= now:
        raise Refusal(Code.TOKEN_EXPIRED)
    return Caller(claims.user_uuid, claims.username, session, claims.expires_at)


def good_until(caller: Caller, rules: SessionRules) -> datetime:
    """Return the moment before which `verify` says the same again of the same claims and book; from it on it refuses.

    Time is the only thing in it that changes by itself, and all that time does to a session is to end it.
    """
    return min(deadline(caller.session, rules), caller.expires_at)
