"""Keys that sign (JWS, RFC 7515), each under one algorithm: ES256 (RFC 7518) or ML-DSA (FIPS 204, RFC 9964)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
    MLDSA87PrivateKey,
    MLDSA87PublicKey,
)
from jwt.algorithms import ECAlgorithm
from msgspec import Struct


class Algorithm(StrEnum):
    """What a token may be signed with, by its name in JOSE."""

    ES256 = "ES256"
    ML_DSA_44 = "ML-DSA-44"
    ML_DSA_65 = "ML-DSA-65"
    ML_DSA_87 = "ML-DSA-87"


_MlDsaPrivate: TypeAlias = MLDSA44PrivateKey | MLDSA65PrivateKey | MLDSA87PrivateKey
_MlDsaPublic: TypeAlias = MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | _MlDsaPrivate
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | _MlDsaPublic

_ML_DSA: Mapping[Algorithm, tuple[type[_MlDsaPrivate], type[_MlDsaPublic]]] = {
    Algorithm.ML_DSA_44: (MLDSA44PrivateKey, MLDSA44PublicKey),
    Algorithm.ML_DSA_65: (MLDSA65PrivateKey, MLDSA65PublicKey),
    Algorithm.ML_DSA_87: (MLDSA87PrivateKey, MLDSA87PublicKey),
}
_JWS = jwt.PyJWS(algorithms=[Algorithm.ES256])
_ES256 = ECAlgorithm(ECAlgorithm.SHA256)
_THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "AKP": ("alg", "kty", "pub")}


class BadSignatureOrKey(Exception):
    """A signature is not the key's, or a key is none that we take. The message quotes neither."""


class VerifyingKey(Struct, frozen=True, dict=True):
    """A public key and the one algorithm that it is good for. ValueError for a key of any other kind."""

    public: PublicKey

    def __post_init__(self) -> None:
        if isinstance(self.public, ec.EllipticCurvePublicKey) and not isinstance(self.public.curve, ec.SECP256R1):
            raise ValueError(self.public.curve.name)  # noqa: TRY004 - a key of the right type on a wrong curve

    @cached_property
    def algorithm(self) -> Algorithm:
        """The algorithm, told by the key itself."""
        found = (name for name, (_, public) in _ML_DSA.items() if isinstance(self.public, public))
        return next(found, Algorithm.ES256)

    @cached_property
    def kid(self) -> str:
        """The key's name: the SHA-256 of its SPKI, cut to 16 bytes, base64url."""
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return name_of(self.public.public_bytes(encoding, form))

    @cached_property
    def bare_jwk(self) -> Mapping[str, str]:
        """The key's own members as a JWK: `EC` (RFC 7518) or `AKP` (RFC 9964)."""
        if isinstance(self.public, ec.EllipticCurvePublicKey):
            return ECAlgorithm.to_jwk(self.public, as_dict=True)
        return {"kty": "AKP", "alg": str(self.algorithm), "pub": to_base64url(self.public.public_bytes_raw())}

    @cached_property
    def thumbprint(self) -> str:
        """The SHA-256 thumbprint of the JWK (RFC 7638), base64url."""
        members = {name: self.bare_jwk[name] for name in _THUMBPRINT_MEMBERS[self.bare_jwk["kty"]]}
        canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
        return to_base64url(hashlib.sha256(canonical.encode()).digest())

    def jwk(self) -> dict[str, Any]:
        """Return the key as a JWK for a key set (RFC 7517)."""
        return {**self.bare_jwk, "kid": self.kid, "use": "sig", "alg": str(self.algorithm)}

    def verify(self, token: str) -> tuple[dict[str, Any], bytes]:
        """Return the header and the payload of a JWS that this key signed. Raises BadSignatureOrKey."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise BadSignatureOrKey(type(error).__name__) from None
        if header.get("alg") != self.algorithm or header.keys() & {"crit", "b64"}:
            raise BadSignatureOrKey("its header")
        return header, self.payload_of(token)

    def payload_of(self, token: str) -> bytes:
        """Return the payload of a JWS that this key signed, whose header is known to be good.

        ML-DSA is pure, with an empty context (RFC 9964, section 3). Raises BadSignatureOrKey.
        """
        signed, _, written = token.rpartition(".")
        try:
            signature, message = from_base64url(written), signed.encode()
            if isinstance(self.public, ec.EllipticCurvePublicKey):
                if not _ES256.verify(message, self.public, signature):
                    raise BadSignatureOrKey("its signature")
            else:
                self.public.verify(signature, message)
            return from_base64url(signed.partition(".")[2])
        except (InvalidSignature, ValueError) as error:
            raise BadSignatureOrKey(type(error).__name__) from None

    @staticmethod
    def from_jwk(jwk: Mapping[str, Any]) -> VerifyingKey:
        """Read a public JWK; one that holds a private part is refused. Raises BadSignatureOrKey."""
        if not all(isinstance(value, str) for value in jwk.values()):
            raise BadSignatureOrKey("a member that is no text")
        if jwk.keys() & {"d", "priv", "k", "p", "q", "dp", "dq", "qi", "oth"}:
            raise BadSignatureOrKey("a private part")
        try:
            return VerifyingKey(_public_from_jwk(jwk))
        except (jwt.InvalidKeyError, ValueError, KeyError, TypeError) as error:
            raise BadSignatureOrKey(type(error).__name__) from None


class SigningKey(Struct, frozen=True, dict=True):
    """A private key that signs under one algorithm. ValueError for a key of a kind that we do not use."""

    private: PrivateKey

    @cached_property
    def verifying(self) -> VerifyingKey:
        """The half that verifies."""
        return VerifyingKey(self.private.public_key())

    @property
    def kid(self) -> str:
        """The key's name, which both halves share."""
        return self.verifying.kid

    def private_bytes(self) -> bytes:
        """Return the key as PKCS#8 DER."""
        form = serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())

    def sign(self, payload: bytes, header: Mapping[str, Any]) -> str:
        """Return a compact JWS with this header; `alg` is the key's own."""
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return _JWS.encode(payload, self.private, algorithm=Algorithm.ES256, headers=dict(header))
        full = json.dumps({"alg": self.verifying.algorithm, **header}, separators=(",", ":")).encode()
        signed = f"{to_base64url(full)}.{to_base64url(payload)}"
        return f"{signed}.{to_base64url(self.private.sign(signed.encode()))}"


def new_signing_key(algorithm: Algorithm) -> SigningKey:
    """Make a new key."""
    if algorithm is Algorithm.ES256:
        return SigningKey(ec.generate_private_key(ec.SECP256R1()))
    return SigningKey(_ML_DSA[algorithm][0].generate())


def name_of(material: bytes) -> str:
    """Return a name for a key: 16 bytes of a SHA-256 over something that only this key has, base64url."""
    return to_base64url(hashlib.sha256(material).digest()[:16])


def to_base64url(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Read base64url without padding. ValueError for what is none."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def is_base64url(text: str) -> bool:
    """Say whether a text is base64url exactly as an encoder writes it."""
    try:
        return to_base64url(from_base64url(text)) == text
    except ValueError:
        return False


def is_canonical(token: str) -> bool:
    """Say whether every part is base64url exactly as an encoder writes it, so that no two texts are one token."""
    return all(is_base64url(part) for part in token.lstrip(".").split("."))


def _public_from_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    if jwk["kty"] == "EC":
        if jwk["crv"] != "P-256":
            raise ValueError("the curve")
        key = ECAlgorithm.from_jwk(dict(jwk))
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TypeError("a private key")
        return key
    if jwk["kty"] != "AKP" or not is_base64url(jwk["pub"]):
        raise ValueError("its kind")
    _, public = _ML_DSA[Algorithm(jwk["alg"])]
    return public.from_public_bytes(from_base64url(jwk["pub"]))
