"""Sealing a challenge to a device: only who holds the private half of its sntrup761 key can read what it must sign.

The shared secret of the encapsulation goes through HKDF-SHA256 (RFC 5869) to a key of AES-256-GCM; the challenge's id
is the associated data, so that a box opens only for the challenge that it was made for.
"""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct
from pqcrypto.kem import sntrup_761

from common.crypto.encoding import decode_base64

KEM = "sntrup761"
_INFO = b"ichidai-seal-v1"
_KEY_BYTES, _NONCE_BYTES = 32, 12


class Sealed(Struct, frozen=True):
    """A sealed challenge: base64 of the encapsulation, and of nonce ‖ ciphertext with its tag."""

    ciphertext: str
    box: str


def seal(kem_public_key: str, challenge_id: str, challenge: str) -> Sealed:
    """Seal a challenge's text to a public key (base64, raw). Raises ValueError for what is no such key."""
    ciphertext, shared = sntrup_761.encaps(decode_base64(kem_public_key))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    box = nonce + AESGCM(_key(bytes(shared))).encrypt(nonce, challenge.encode(), challenge_id.encode())
    return Sealed(base64.b64encode(bytes(ciphertext)).decode(), base64.b64encode(box).decode())


def unseal(kem_private_key: str, challenge_id: str, sealed: Sealed) -> str:
    """Return the challenge's text, as its device reads it. Raises ValueError for another key, id or box."""
    box = decode_base64(sealed.box)
    shared = sntrup_761.decaps(decode_base64(kem_private_key), decode_base64(sealed.ciphertext))
    try:
        text = AESGCM(_key(bytes(shared))).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], challenge_id.encode())
    except InvalidTag:
        raise ValueError("the box does not open") from None
    return text.decode()


def _key(shared_secret: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=_INFO).derive(shared_secret)
