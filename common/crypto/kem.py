"""A device's key for sealed challenges: Streamlined NTRU Prime, set sntrup761 (draft-josefsson-ntruprime-ssh)."""

from __future__ import annotations

import base64

from msgspec import Struct
from pqcrypto.kem import sntrup_761

from common.crypto.encoding import decode_base64
from common.crypto.signatures import UnfitKey

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
