"""Tokens: access tokens as JWT (RFC 7519, RFC 9068) signed with ES256, and sealed values under a MAC for all else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from itsdangerous import BadSignature, URLSafeSerializer
from jwt.algorithms import ECAlgorithm

from common.clock import from_millis

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068
_HEADER = frozenset({"alg", "typ", "kid"})
_TEXT_CLAIMS = ("sub", "sid", "device_id", "preferred_username", "jti")
_CLAIMS = ("iss", "aud", *_TEXT_CLAIMS, "iat", "exp")
_LONGEST = 4096


class ForgedToken(Exception):
    """The text is no token of ours. The message never quotes it."""


@dataclass(frozen=True)
class SigningKey:
    """An EC key on P-256 that signs access tokens under one algorithm."""

    private: ec.EllipticCurvePrivateKey

    @cached_property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The half that verifies."""
        return self.private.public_key()

    @cached_property
    def kid(self) -> str:
        """The key's name: the SHA-256 of its SPKI, cut to 16 bytes, base64url."""
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        digest = hashlib.sha256(self.public.public_bytes(encoding, form)).digest()
        return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()

    def private_bytes(self) -> bytes:
        """Return the key as PKCS#8 DER."""
        form = serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())

    def jwk(self) -> dict[str, Any]:
        """Return the public key as a JWK (RFC 7517)."""
        return {**ECAlgorithm.to_jwk(self.public, as_dict=True), "kid": self.kid, "use": "sig", "alg": ALGORITHM}


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says: whose it is, which session and device, its id and its times."""

    user_uuid: str
    session_id: str
    device_id: str
    username: str
    token_id: str
    issued_at: datetime
    expires_at: datetime


class AccessTokens:
    """Signs and checks access tokens of one issuer and audience. It knows nothing of sessions or stores."""

    def __init__(self, key: SigningKey, issuer: str, audience: str) -> None:
        self._key = key
        self._issuer = issuer
        self._audience = audience

    def sign(self, claims: Claims) -> str:
        """Return the signed token."""
        payload = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": claims.user_uuid,
            "sid": claims.session_id,
            "device_id": claims.device_id,
            "preferred_username": claims.username,
            "jti": claims.token_id,
            "iat": claims.issued_at,
            "exp": claims.expires_at,
        }
        headers = {"typ": TOKEN_TYPE, "kid": self._key.kid}
        return jwt.encode(payload, self._key.private, algorithm=ALGORITHM, headers=headers)

    def read(self, token: str) -> Claims:
        """Check everything about a token but its expiry, and return its claims. Raises ForgedToken.

        Expiry is left to the caller: an expired token of ours may still log its session out, and a forged one may not.
        """
        if len(token) > _LONGEST or not token.isascii() or not _is_canonical(token):
            raise ForgedToken("its form")
        try:
            self._check_header(jwt.get_unverified_header(token))
            payload = jwt.decode(
                token,
                self._key.public,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
            )
            return _claims(payload)
        except (jwt.InvalidTokenError, ValueError, TypeError, KeyError, OverflowError) as error:
            raise ForgedToken(type(error).__name__) from None

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK set (RFC 7517)."""
        return {"keys": [self._key.jwk()]}

    def _check_header(self, header: Mapping[str, Any]) -> None:
        """Refuse any header but the one that `sign` writes: no other parameter can then have a meaning."""
        if header.keys() != _HEADER or header["typ"] != TOKEN_TYPE or header["kid"] != self._key.kid:
            raise ForgedToken("its header")


class MacTokens:
    """Values sealed under a MAC (HMAC-SHA-256): anyone may read them, nobody but we can make them."""

    def __init__(self, key: bytes, purpose: str) -> None:
        settings = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._serializer = URLSafeSerializer(key, salt=f"ichidai.{purpose}.v1", signer_kwargs=settings)

    def seal(self, value: Sequence[Any]) -> str:
        """Return the token that holds a JSON value."""
        return str(self._serializer.dumps(value))

    def open(self, token: str) -> Any:
        """Return the value of a token. Raises ForgedToken."""
        if len(token) > _LONGEST or not token.isascii() or not _is_canonical(token):
            raise ForgedToken("its form")
        try:
            return self._serializer.loads(token)
        except (BadSignature, ValueError) as error:
            raise ForgedToken(type(error).__name__) from None


def _is_canonical(token: str) -> bool:
    """Say whether every part is base64url exactly as an encoder writes it, so that no two texts are one token."""
    return all(_is_canonical_part(part) for part in token.lstrip(".").split("."))


def _is_canonical_part(part: str) -> bool:
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part


def _claims(payload: Mapping[str, Any]) -> Claims:
    user_uuid, session_id, device_id, username, token_id = (_text(payload[name]) for name in _TEXT_CLAIMS)
    issued_at, expires_at = (_time(payload[name]) for name in ("iat", "exp"))
    return Claims(user_uuid, session_id, device_id, username, token_id, issued_at, expires_at)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ForgedToken("a claim that is no text")
    return value


def _time(value: Any) -> datetime:
    if type(value) is not int:
        raise ForgedToken("a time that is no whole number")
    return from_millis(value * 1000)
