"""Verification: may this access token be used now? Pure, one keyword-only function over everything it depends on.

It runs at every request of every product behind the suite, so it takes what one read of the book gives, and no more.
A certificate is its fingerprint: the one in the book was hashed when it was issued, and no other bytes have it.
"""

from __future__ import annotations

from datetime import datetime

from common.account.admission import Caller
from common.account.book import Book, Session
from common.account.history import Reason
from common.account.liveness import SessionGone, SessionRules, require_live, session_expiry
from common.crypto.tokens import Claims
from common.errors import Code, Refusal


def verify(*, claims: Claims, book: Book | None, certificate: str | None, rules: SessionRules, now: datetime) -> Caller:
    """Return who calls, given the claims of a token whose signature is good and the user's book as it is now.

    `certificate`: the one that TLS proved. Raises SessionGone when the session has ended, whether or not the token has
    expired too; Refusal(TOKEN_EXPIRED) when the session lives and only the token has run out, or is of before its
    device's certificate was renewed; Refusal: INVALID_TOKEN, CERTIFICATE_EXPIRED.
    """
    if book is None:
        raise SessionGone(claims.user_uuid, claims.session_id, Reason.REVOKED)
    require_holder(claims, book, certificate)
    session = require_live(book, claims.session_id, rules, now)
    if (session.device_id, session.thumbprint) != (claims.device_id, claims.thumbprint):
        raise Refusal(Code.INVALID_TOKEN, reason="it names another device or key than its session")
    require_certificate(book, session, certificate, now)
    if claims.certificate != book.certificate_of(session):
        raise Refusal(Code.TOKEN_EXPIRED, reason="its device's certificate was renewed since")
    if claims.expires_at <= now:
        raise Refusal(Code.TOKEN_EXPIRED)
    return Caller(claims.user_uuid, claims.username, session, claims.expires_at)


def good_until(caller: Caller, book: Book, rules: SessionRules) -> datetime:
    """Return the moment before which `verify` says the same again of the same claims, book and certificate.

    From it on it refuses: time is the only thing in it that changes by itself, and all that time does to a session and
    to a certificate is to end it.
    """
    end = min(session_expiry(caller.session, rules), caller.expires_at)
    return min(end, book.devices[caller.session.device_id].not_after) if caller.session.certified else end


def require_holder(claims: Claims, book: Book, certificate: str | None) -> None:
    """Check that a token is bound to no certificate, or comes with its own or with its device's present one.

    It is bound, too, when its session is since it was signed. Raises Refusal(INVALID_TOKEN).
    """
    session = book.sessions.get(claims.session_id)
    if claims.certificate is None and (session is None or not session.certified):
        return
    if certificate is None or certificate != claims.certificate:
        _require_present(book, claims.device_id, certificate)


def require_certificate(book: Book, session: Session, certificate: str | None, now: datetime) -> None:
    """Demand, for a session that is bound to its device's certificate, that very one, and that it has not expired.

    Raises Refusal: INVALID_TOKEN, CERTIFICATE_EXPIRED.
    """
    if not session.certified:
        return
    _require_present(book, session.device_id, certificate)
    if book.devices[session.device_id].not_after <= now:
        raise Refusal(Code.CERTIFICATE_EXPIRED)


def shows_present(book: Book, device_id: str, certificate: str | None, now: datetime) -> bool:
    """Say whether a certificate is the one that a bound device has now, and still good."""
    device = book.active_device(device_id)
    return device is not None and device.fingerprint == certificate and now < device.not_after


def _require_present(book: Book, device_id: str, certificate: str | None) -> None:
    device = book.active_device(device_id)
    if device is None or device.fingerprint != certificate:
        raise Refusal(Code.INVALID_TOKEN, variant="certificate", reason="without the certificate it is bound to")
