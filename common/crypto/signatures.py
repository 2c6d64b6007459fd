"""A device's signing key: ML-DSA-87 (FIPS 204), known to the seeds of this project as Dilithium5."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey


def new_signing_key() -> MLDSA87PrivateKey:
    """Make a new key pair."""
    return MLDSA87PrivateKey.generate()


def private_key_text(key: MLDSA87PrivateKey) -> str:
    """Return the private key as base64 of PKCS#8 DER, as it is handed to its device once."""
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return base64.b64encode(der).decode()


def public_key_text(key: MLDSA87PublicKey) -> str:
    """Return the public key as base64 of SPKI DER, as it is stored."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()
