"""Invitations: a link with a one-time secret that lets one registration pass, where registration is closed too.

Stored only as its hash, beside the pairing tokens, and used up by the account that it let pass: the account claims it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from common.clock import from_millis, to_millis
from common.errors import Code, Refusal
from common.ids import new_secret
from common.storage.port import Absent, Item, Key, Put
from common.storage.tables import PAIRING_TOKENS

LIFETIME = timedelta(days=7)
"""How long an invitation is good where nothing else is said."""

IN_LINK = "invite="
"""What stands before the token in the fragment of a link that opens the console with it."""

_OPEN = "open"


class IssuedInvitation(Struct, frozen=True):
    """A new invitation: its token, which lives in memory only, when it expires, and the write that makes it good."""

    token: str
    expires_at: datetime
    row: Put


def issue(now: datetime, lifetime: timedelta = LIFETIME) -> IssuedInvitation:
    """Make an invitation."""
    token, expires_at = new_secret(), now + lifetime
    item: Item = {"token_hash": invitation_key(token).partition, "state": _OPEN, "expires_at": to_millis(expires_at)}
    return IssuedInvitation(token, expires_at, Put(PAIRING_TOKENS, item, Absent()))


def invitation_key(token: str) -> Key:
    """Return where an invitation lies, by its token or the link that ends with it."""
    secret = token.strip().rpartition("#")[2].removeprefix(IN_LINK)
    return PAIRING_TOKENS.key(f"invitation#{hashlib.sha256(secret.encode()).hexdigest()}")


def check(item: Any, now: datetime) -> None:
    """Judge an invitation (`item`: what lies at its key) that nobody has claimed. Raises Refusal(INVITATION_SPENT)."""
    if item is None or item["state"] != _OPEN or from_millis(item["expires_at"]) <= now:
        raise Refusal(Code.INVITATION_SPENT)
