"""Identifiers. Every id is a random UUID (RFC 9562, version 4) in its canonical text form of 36 characters."""

from __future__ import annotations

import secrets
import uuid


def new_id() -> str:
    """Return a fresh random UUID as text."""
    return str(uuid.uuid4())


def new_change_id() -> str:
    """Return 12 characters that name one change of an account among those of a few seconds."""
    return secrets.token_urlsafe(9)


def new_secret(nbytes: int = 32) -> str:
    """Return `nbytes` of randomness as base64url text without padding (32 bytes: 43 characters)."""
    return secrets.token_urlsafe(nbytes)


def is_id(text: str) -> bool:
    """Say whether `text` is a UUID exactly as `new_id` writes one; other spellings of it are not."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
