"""A device's key for sealed challenges: Streamlined NTRU Prime, set sntrup761 (draft-josefsson-ntruprime-ssh)."""

from __future__ import annotations

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct
from pqcrypto.kem import sntrup_761

from common.crypto.device_keys import UnfitKey
from common.encoding import decode_base64

PUBLIC_BYTES = 1158


class KemKeyPair(Struct, frozen=True):
    """Both halves as base64 of their raw bytes: `public` of 1,158, `private` of 1,763."""

    public: str
    private: str


def new_kem_key_pair() -> KemKeyPair:
    """Make a new key pair."""
    public, private = sntrup_761.keygen()
    return KemKeyPair(_text(bytes(public)), _text(bytes(private)))


def read_kem_key(text: str) -> str:
    """Return a public key (base64, raw) as it is stored. Raises UnfitKey(`kem`) for what has another length."""
    try:
        raw = decode_base64(text)
    except ValueError:
        raise UnfitKey("kem") from None
    if len(raw) != PUBLIC_BYTES:
        raise UnfitKey("kem")
    return _text(raw)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


KEM = "sntrup761"
_INFO = b"ichidai-seal-v1"
_KEY_BYTES, _NONCE_BYTES = 32, 12


class EncryptedChallenge(Struct, frozen=True):
    """A sealed challenge: base64 of the encapsulation, and of nonce ‖ ciphertext with its tag."""

    ciphertext: str
    box: str


def encrypt_challenge(kem_public_key: str, challenge_id: str, challenge: str) -> EncryptedChallenge:
    """Seal a challenge's text to a public key (base64, raw). Raises ValueError for what is no such key."""
    ciphertext, shared = sntrup_761.encaps(decode_base64(kem_public_key))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    box = nonce + AESGCM(_key(bytes(shared))).encrypt(nonce, challenge.encode(), challenge_id.encode())
    return EncryptedChallenge(base64.b64encode(bytes(ciphertext)).decode(), base64.b64encode(box).decode())


def decrypt_challenge(kem_private_key: str, challenge_id: str, sealed: EncryptedChallenge) -> str:
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
