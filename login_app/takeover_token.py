"""Takeover tokens: a person's consent to end exactly the sessions they were shown, bound to the device that asked.

A token is stateless: a MAC over everything it says. What makes it work once is its id in the book's spent consents.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from common.admission import Shown
from common.clock import from_millis, to_millis
from common.crypto.tokens import ForgedToken, MacTokens
from common.errors import Code, Refusal

LIFETIME = timedelta(seconds=120)
"""How long a person may think about the question."""

LONGEST_AFTER_PASSWORD = timedelta(minutes=10)
"""No token is good for longer than this after the password check, not even one that inherits it from another."""


class Asker(Struct, frozen=True):
    """Who was asked: the user, and the device, or the pairing token by which a device wants to join (`subject`).

    `device_name` only for a device that will exist with its session alone; `thumbprint`: of the key that asked,
    `certified`: it asked with its certificate, and must answer with it.
    """

    user_uuid: str
    username: str
    subject: str
    auth_time: datetime
    device_name: str | None = None
    thumbprint: str | None = None
    certified: bool = False


class Takeover(Struct, frozen=True):
    """What a takeover token says."""

    asker: Asker
    consent: Shown


def expiry(auth_time: datetime, now: datetime) -> datetime:
    """Return when a token made now expires."""
    return min(now + LIFETIME, auth_time + LONGEST_AFTER_PASSWORD)


def seal(tokens: MacTokens, takeover: Takeover) -> str:
    """Return the token."""
    asker, consent = takeover.asker, takeover.consent
    return tokens.seal(
        [
            asker.user_uuid,
            asker.username,
            asker.subject,
            to_millis(asker.auth_time),
            asker.device_name,
            sorted(consent.session_ids),
            consent.consent_id,
            to_millis(consent.expires_at),
            consent.epoch,
            asker.thumbprint,
            asker.certified,
        ]
    )


def unseal(tokens: MacTokens, token: str) -> Takeover:
    """Return what a token says, expired or not. Raises Refusal(TAKEOVER_INVALID) for what is no token of ours."""
    try:
        *asked_by, shown, consent_id, expires_at, epoch, thumbprint, certified = tokens.open(token)
        user_uuid, username, subject, auth_time, device_name = asked_by
    except (ForgedToken, ValueError) as error:
        raise Refusal(Code.TAKEOVER_INVALID, reason=str(error)) from None
    asker = Asker(user_uuid, username, subject, from_millis(auth_time), device_name, thumbprint, certified)
    return Takeover(asker, Shown(frozenset(shown), consent_id, from_millis(expires_at), epoch))
