"""Sealing bytes under a passphrase: Argon2id (RFC 9106) makes the key, AES-256-GCM (NIST SP 800-38D) seals."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

_PURPOSE = b"ichidai backup of keys, format 1"
_FORMAT, _SALT, _NONCE, _KEY = 1, 16, 12, 32
_ITERATIONS, _LANES, _MEMORY_KIB = 3, 4, 64 * 1024  # RFC 9106, section 4: the second recommended option
_MOST_MEMORY_KIB, _MOST_ITERATIONS = 1024 * 1024, 100


class WrongPassphrase(Exception):
    """The passphrase is another one, or what was sealed has been changed."""


def seal(content: bytes, passphrase: str) -> Mapping[str, Any]:
    """Return content sealed under a passphrase, as JSON values; it says how its key is made."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    key = _key(passphrase, salt, _ITERATIONS, _LANES, _MEMORY_KIB)
    return {
        "format": _FORMAT,
        "iterations": _ITERATIONS,
        "lanes": _LANES,
        "memory_kib": _MEMORY_KIB,
        "salt": base64.b64encode(salt).decode(),
        "nonce": base64.b64encode(nonce).decode(),
        "sealed": base64.b64encode(AESGCM(key).encrypt(nonce, content, _PURPOSE)).decode(),
    }


def unseal(sealed: Mapping[str, Any], passphrase: str) -> bytes:
    """Return what `seal` was given. Raises WrongPassphrase; ValueError for what is no such thing."""
    try:
        numbers = [int(sealed[name]) for name in ("iterations", "lanes", "memory_kib")]
        salt, nonce, box = (base64.b64decode(sealed[name], validate=True) for name in ("salt", "nonce", "sealed"))
        if sealed["format"] != _FORMAT or numbers[0] > _MOST_ITERATIONS or numbers[2] > _MOST_MEMORY_KIB:
            raise ValueError("format")
        return AESGCM(_key(passphrase, salt, *numbers)).decrypt(nonce, box, _PURPOSE)
    except InvalidTag:
        raise WrongPassphrase from None
    except (KeyError, TypeError) as error:
        raise ValueError(type(error).__name__) from error


def _key(passphrase: str, salt: bytes, iterations: int, lanes: int, memory_kib: int) -> bytes:
    made = Argon2id(salt=salt, length=_KEY, iterations=iterations, lanes=lanes, memory_cost=memory_kib)
    return made.derive(passphrase.encode())
