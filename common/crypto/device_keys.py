"""A device's signing key: ML-DSA-87 (FIPS 204), known to the seeds of this project as Dilithium5, or ECDSA on P-256.

Which of the two a device uses is fixed by the key it enrolled: nothing in a signature chooses an algorithm.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from common.encoding import decode_base64

DevicePublicKey: TypeAlias = MLDSA87PublicKey | ec.EllipticCurvePublicKey
DevicePrivateKey: TypeAlias = MLDSA87PrivateKey | ec.EllipticCurvePrivateKey

_P256_BYTES = 32
"""How long r and s are in a signature on P-256 (RFC 7518, section 3.4)."""


class UnfitKey(ValueError):
    """A key that no device may have. `fault` is `unreadable`, `algorithm`, or `kem` for a KEM key."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def new_signing_key() -> MLDSA87PrivateKey:
    """Make a new key pair."""
    return MLDSA87PrivateKey.generate()


def private_key_text(key: DevicePrivateKey) -> str:
    """Return the private key as base64 of PKCS#8 DER, as it is handed to its device once and kept there."""
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return base64.b64encode(der).decode()


def read_private_key(text: str) -> DevicePrivateKey:
    """Return the key of base64 PKCS#8 DER. Raises UnfitKey for what is no key, and for a key of another kind."""
    try:
        key = serialization.load_der_private_key(decode_base64(text), None)
    except UnsupportedAlgorithm:
        raise UnfitKey("algorithm") from None
    except (ValueError, TypeError):
        raise UnfitKey("unreadable") from None
    if isinstance(key, (MLDSA87PrivateKey, ec.EllipticCurvePrivateKey)):
        fit_key(key.public_key())
        return key
    raise UnfitKey("algorithm")


def public_key_text(key: DevicePublicKey) -> str:
    """Return the public key as base64 of SPKI DER, as it is stored."""
    return base64.b64encode(_spki(key)).decode()


def public_key_digest(key: DevicePublicKey) -> str:
    """Return the SHA-256 (hex) of the key's SPKI DER: what makes it one key among all devices."""
    return hashlib.sha256(_spki(key)).hexdigest()


def read_public_key(text: str) -> DevicePublicKey:
    """Return the key of base64 SPKI DER. Raises UnfitKey for what is no key, and for a key of another kind."""
    try:
        key = serialization.load_der_public_key(decode_base64(text))
    except UnsupportedAlgorithm:
        raise UnfitKey("algorithm") from None
    except ValueError:
        raise UnfitKey("unreadable") from None
    return fit_key(key)


def fit_key(key: object) -> DevicePublicKey:
    """Return the key if a device may have it. Raises UnfitKey(`algorithm`)."""
    if isinstance(key, MLDSA87PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise UnfitKey("algorithm")


def signature_of(key: DevicePrivateKey, message: bytes) -> str:
    """Return the key's signature over the message in base64, as `is_signed` takes it."""
    if isinstance(key, MLDSA87PrivateKey):
        return base64.b64encode(key.sign(message)).decode()
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return base64.b64encode(r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)).decode()


def is_signed(key: DevicePublicKey, signature: str, message: bytes) -> bool:
    """Say whether `signature` (base64) is the key's over the message.

    ML-DSA-87 pure with an empty context, or ECDSA with SHA-256 as raw r‖s: by the key's kind alone.
    """
    try:
        raw = decode_base64(signature)
        if isinstance(key, MLDSA87PublicKey):
            key.verify(raw, message)
        else:
            key.verify(_der_signature(raw), message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _der_signature(raw: bytes) -> bytes:
    if len(raw) != 2 * _P256_BYTES:
        raise ValueError("r and s have 32 bytes each")
    return encode_dss_signature(int.from_bytes(raw[:_P256_BYTES]), int.from_bytes(raw[_P256_BYTES:]))


def _spki(key: DevicePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
