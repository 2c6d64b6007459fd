"""Takeover tokens: a user's consent to end exactly the sessions they were shown, bound to the device that asked.

A token is stateless: a MAC over everything it says. What makes it work once is the number of admissions that it
carries: its own admission raises the book's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from common.account.admission import AuthenticatedUser, ConsentToEnd, LoginCandidate
from common.clock import from_millis, to_millis
from common.crypto.tokens import ForgedToken, SignedTokens, VoidToken
from common.errors import Code, Refusal

LIFETIME = timedelta(seconds=120)
"""How long a user may think about the question."""

LONGEST_AFTER_PASSWORD = timedelta(minutes=10)
"""No token is good for longer than this after the password check, not even one that inherits it from another."""


_FIELDS_BEFORE, _BEFORE_ANY = 11, -1
"""What a token of release 0.1.0 has, and the number of admissions that stands for the one it lacks: no book's."""

_FIELDS = 13
"""What a token has. One of a release in between has no `counted_as`; one of a later release may have more."""


def expiry(auth_time: datetime, now: datetime) -> datetime:
    """Return when a token made now expires."""
    return min(now + LIFETIME, auth_time + LONGEST_AFTER_PASSWORD)


def sign(tokens: SignedTokens, consent: ConsentToEnd) -> str:
    """Return the token of a consent, whose candidate has shown nothing of its key yet."""
    candidate, user = consent.candidate, consent.candidate.user
    return tokens.sign(
        [
            user.user_uuid,
            user.username,
            candidate.device_id,
            to_millis(user.auth_time),
            candidate.device_name,
            sorted(consent.session_ids),
            consent.consent_id,
            to_millis(consent.expires_at),
            user.credential_version,
            candidate.thumbprint,
            candidate.certified,
            consent.admissions,
            user.counted_as,
        ]
    )


def verify(tokens: SignedTokens, token: str) -> ConsentToEnd:
    """Return the consent of a token, expired or not.

    Raises Refusal: TAKEOVER_INVALID for what is no token of ours, TAKEOVER_SPENT for one of an earlier generation.
    """
    try:
        *asked_by, shown, consent_id, expires_at, credential_version, thumbprint, certified, admissions, counted_as = (
            _fields(tokens, token)
        )
        user_uuid, username, device_id, auth_time, device_name = asked_by
    except VoidToken as error:
        raise Refusal(Code.TAKEOVER_SPENT, reason=str(error)) from None
    except (ForgedToken, ValueError) as error:
        raise Refusal(Code.TAKEOVER_INVALID, reason=str(error)) from None
    user = AuthenticatedUser(user_uuid, username, credential_version, from_millis(auth_time), counted_as=counted_as)
    candidate = LoginCandidate(user, device_id, device_name, thumbprint, certified)
    return ConsentToEnd(candidate, frozenset(shown), consent_id, from_millis(expires_at), admissions)


def _fields(tokens: SignedTokens, token: str) -> list[Any]:
    """Return what was sealed, whichever release sealed it."""
    fields = tokens.verify(token)
    if len(fields) == _FIELDS_BEFORE:
        fields = [*fields, _BEFORE_ANY]
    return fields[:_FIELDS] if len(fields) >= _FIELDS else [*fields, None]
