"""What a device signs to prove that it is itself. Pure.

A statement says everything that the signature is good for: the purpose, where, who, over which challenge, on which
token. A signature for one of them is none for another.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

from msgspec import Struct

VERSION = "ichidai-proof-v1"
NOTHING = "-"
"""Stands in a statement where there is no user, no device or no token yet."""


class Purpose(StrEnum):
    """What a signature is for."""

    LOGIN = "login"
    FORCE = "force"
    TAKEOVER = "takeover"
    PAIR_ISSUE = "pair-issue"
    ENROL = "enrol"
    RENEW = "renew"
    OBJECT = "object"


class Proof(Struct, frozen=True):
    """A signature (base64) over the statement of a challenge."""

    challenge_id: str
    signature: str


def statement(
    purpose: Purpose, *, issuer: str, user_uuid: str, device_id: str, challenge: str, token_hash: str = NOTHING
) -> bytes:
    """Return the text that is signed. `token_hash` is `token_digest` of the token acted on."""
    lines = (VERSION, purpose, issuer, user_uuid, device_id, challenge, token_hash)
    return "\n".join(lines).encode()


def enrol_statement(issuer: str, username: str, token_hash: str) -> bytes:
    """Return what the key of a device that joins signs: the username as it was sent stands in the challenge's line."""
    return statement(
        Purpose.ENROL,
        issuer=issuer,
        user_uuid=NOTHING,
        device_id=NOTHING,
        challenge=username,
        token_hash=token_hash,
    )


def token_digest(token: str) -> str:
    """Return the SHA-256 (hex) of a token, as the last line of a statement names it."""
    return hashlib.sha256(token.encode()).hexdigest()
