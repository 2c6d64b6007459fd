"""The key-encrypting key: one key of 256 bits, of a file, a setting, or AWS KMS, that opens all others.

It wraps a key that the store's secrets are sealed with, never a secret itself: so it can be replaced by wrapping that
one key anew. What is wrapped is bound to its store.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.keys.errors import KeyRingError

KEY_BYTES = 32
NONCE_BYTES = 12

_FORMS = "file:PATH, kms:KEY (an id, alias/… or ARN of AWS KMS), or 32 bytes in base64"


class KeyEncryptingKey(Protocol):
    """Wraps a key for one store, and opens it again."""

    @property
    def name(self) -> str:
        """Which key this is; it tells nothing of it."""

    def wrap(self, key: bytes, store_id: str) -> bytes:
        """Return a key as only this key opens it, for this store. Raises KeyRingError."""

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        """Return it opened. Raises KeyRingError for what was wrapped by another key, or for another store."""


class LocalKey:
    """A key that this process has: AES-256-GCM."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.name = f"local:{hashlib.sha256(b'ichidai key-encrypting key' + key).hexdigest()[:16]}"

    def wrap(self, key: bytes, store_id: str) -> bytes:
        """See `KeyEncryptingKey.wrap`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, _bound_to(store_id))

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        """See `KeyEncryptingKey.unwrap`."""
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _bound_to(store_id))
        except InvalidTag:
            raise KeyRingError("ICHIDAI_SEALING_KEY does not open this store's keys.") from None


def read_key_encrypting_key(setting: str, region: str = "") -> KeyEncryptingKey:
    """Return the key that a setting names. Raises KeyRingError; a key that stands in the setting is never quoted."""
    kind, _, rest = setting.partition(":")
    if kind == "kms" and rest:
        from common.keys.kms import KmsKey  # noqa: PLC0415 - only who uses KMS waits for boto3

        return KmsKey(rest, region)
    if kind == "file" and rest:
        try:
            return LocalKey(_decoded(Path(rest).read_text(encoding="ascii")))
        except (OSError, UnicodeDecodeError) as error:
            raise KeyRingError(f"ICHIDAI_SEALING_KEY: {rest} cannot be read ({type(error).__name__}).") from None
    return LocalKey(_decoded(setting))


def check_usable(key: KeyEncryptingKey) -> None:
    """Wrap a key that is none, and open it again. Raises KeyRingError for a key-encrypting key that cannot do both."""
    key.unwrap(key.wrap(secrets.token_bytes(KEY_BYTES), "doctor"), "doctor")


def new_key_text() -> str:
    """Return a fresh key as a file or the setting holds it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyRingError(f"ICHIDAI_SEALING_KEY must be {_FORMS}; `ichidai keys new-sealing-key` makes one.")
    return key


def _bound_to(store_id: str) -> bytes:
    return f"ichidai store {store_id}".encode()
