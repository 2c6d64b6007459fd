"""Tokens: access tokens as JWT (RFC 7519, RFC 9068), and sealed values under a MAC for all else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import jwt
import orjson
from itsdangerous import BadSignature, URLSafeSerializer
from msgspec import Struct

from common.bounded_cache import BoundedCache
from common.clock import from_millis, to_millis
from common.crypto.jws import BadSignatureOrKey, SigningKey, VerifyingKey, from_base64url, is_canonical, to_base64url
from common.storage.port import StoreUnavailable

TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068
_HEADER = frozenset({"alg", "typ", "kid"})
_KEY, _CERTIFICATE = "jkt", "x5t#S256"
_TEXT_CLAIMS = ("sub", "sid", "device_id", "preferred_username", "jti")
_CLAIMS = frozenset({"iss", "aud", "iat", "exp", *_TEXT_CLAIMS})
_LONGEST = 8192
_LONGEST_MAC = 4096
_REMEMBERED = 16_384
"""Tokens whose signature is known to be good, for each process: at most 15 MB."""
_MOST_HEADERS = 64
"""Headers of good tokens: one for each key."""


class ForgedToken(Exception):
    """The text is no token of ours. The message never quotes it."""


class VoidToken(ForgedToken):
    """The text is a token of ours, of before the store's generation: it is good for nothing any more."""


class AccessKeys(Protocol):
    """The keys of access tokens as they are now: they are rotated and retired while we run."""

    def signer(self) -> SigningKey:
        """Return the key that signs. Raises StoreUnavailable."""

    def verifier(self, kid: str) -> VerifyingKey | None:
        """Return the published key of this name; None when there is none, or it is retired. Raises StoreUnavailable."""

    def published(self) -> Sequence[VerifyingKey]:
        """Return all keys that verify or soon will, needing no store."""


class SingleKey(Struct, frozen=True):
    """The keys of access tokens where there is only one, and for ever."""

    key: SigningKey

    def signer(self) -> SigningKey:
        """Return it."""
        return self.key

    def verifier(self, kid: str) -> VerifyingKey | None:
        """Return it, if it is asked for."""
        return self.key.verifying if kid == self.key.kid else None

    def published(self) -> Sequence[VerifyingKey]:
        """Return it alone."""
        return (self.key.verifying,)


class Claims(Struct, frozen=True):
    """What an access token says: whose it is, which session and device, its id and its times.

    `cnf` is what must be proven whenever it is presented: `thumbprint` a key (`jkt`, RFC 9449), `certificate` that one
    by its fingerprint in hex (`x5t#S256`, RFC 8705); None: neither.
    """

    user_uuid: str
    session_id: str
    device_id: str
    username: str
    token_id: str
    issued_at: datetime
    expires_at: datetime
    thumbprint: str | None = None
    certificate: str | None = None


class AccessTokens:
    """Signs and checks access tokens of one issuer and audience. It knows nothing of sessions or stores.

    That a signature is good is remembered by the SHA-256 of the whole token, and believed while its key is published.
    `_kids` has the key's name by the text of a header that came with a good signature of it: the next is not parsed.
    """

    def __init__(self, keys: AccessKeys, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._good: BoundedCache[bytes, tuple[str, Claims]] = BoundedCache(_REMEMBERED)
        self._kids: BoundedCache[str, str] = BoundedCache(_MOST_HEADERS)

    def sign(self, claims: Claims) -> str:
        """Return the signed token. Raises StoreUnavailable when it cannot be known which key signs."""
        payload: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": claims.user_uuid,
            "sid": claims.session_id,
            "device_id": claims.device_id,
            "preferred_username": claims.username,
            "jti": claims.token_id,
            "iat": to_millis(claims.issued_at) // 1000,
            "exp": to_millis(claims.expires_at) // 1000,
        }
        confirmation = _confirmation(claims)
        if confirmation:
            payload["cnf"] = confirmation
        key = self._keys.signer()
        return key.sign(orjson.dumps(payload), {"typ": TOKEN_TYPE, "kid": key.kid})

    def verify(self, token: str) -> Claims:
        """Check everything about a token but its expiry, and return its claims. Raises ForgedToken, StoreUnavailable.

        Expiry is left to the caller: an expired token of ours may still log its session out, and a forged one may not.
        """
        return self.read(token)[1]

    def read(self, token: str) -> tuple[str, Claims]:
        """Return the same, with the name of the key that signed the token. Raises as `verify`."""
        if len(token) > _LONGEST or not token.isascii():
            raise ForgedToken("its form")
        digest = hashlib.sha256(token.encode()).digest()
        known = self._good.get(digest)
        if known is not None and self._keys.verifier(known[0]) is not None:
            return known
        return self._good.put(digest, self._check(token))

    def is_published(self, kid: str) -> bool:
        """Say whether tokens that a key of this name signed are good still. Raises StoreUnavailable."""
        return self._keys.verifier(kid) is not None

    def _check(self, token: str) -> tuple[str, Claims]:
        """Return the name of the key that signed a token, and its claims. Raises ForgedToken, StoreUnavailable."""
        if not is_canonical(token):
            raise ForgedToken("its form")
        try:
            written = token.partition(".")[0]
            kid = self._kids.get(written)
            key = self._key_of(jwt.get_unverified_header(token)) if kid is None else self._published(kid)
            payload = key.payload_of(token)
            if kid is None:
                self._kids.put(written, key.kid)
            return key.kid, self._claims(orjson.loads(payload))
        except (
            jwt.InvalidTokenError,
            BadSignatureOrKey,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
        ) as error:
            raise ForgedToken(type(error).__name__) from None

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK set (RFC 7517)."""
        return {"keys": [key.jwk() for key in self._keys.published()]}

    def _key_of(self, header: Mapping[str, Any]) -> VerifyingKey:
        """Refuse any header but one that `sign` writes: no other parameter can then have a meaning."""
        if header.keys() != _HEADER or header["typ"] != TOKEN_TYPE or not isinstance(header["kid"], str):
            raise ForgedToken("its header")
        key = self._published(header["kid"])
        if header["alg"] != key.algorithm:
            raise ForgedToken("its header")
        return key

    def _published(self, kid: str) -> VerifyingKey:
        key = self._keys.verifier(kid)
        if key is None:
            raise ForgedToken("no key of ours")
        return key

    def _claims(self, payload: Mapping[str, Any]) -> Claims:
        if payload.keys() - {"cnf"} != _CLAIMS:
            raise ForgedToken("its claims")
        if payload["iss"] != self._issuer or payload["aud"] != self._audience:
            raise ForgedToken("another issuer or audience")
        user_uuid, session_id, device_id, username, token_id = (_text(payload[name]) for name in _TEXT_CLAIMS)
        issued_at, expires_at = (_time(payload[name]) for name in ("iat", "exp"))
        bound_to = _bound_to(payload["cnf"]) if "cnf" in payload else (None, None)
        return Claims(user_uuid, session_id, device_id, username, token_id, issued_at, expires_at, *bound_to)


class MacKeys(Struct, frozen=True):
    """The keys of one purpose, oldest first; the last one seals, each of them opens.

    `all_here` is False while the store knows of a key that this host has not: then a token that does not open proves
    nothing.
    """

    keys: tuple[bytes, ...]
    all_here: bool = True


class SignedTokens:
    """Values sealed under a MAC (HMAC-SHA-256): anyone may read them, nobody but we can make them.

    `keys` is one key for ever, or what returns the keys as they are now. `generation` returns the store's, never one
    before that which a token tells; where it is given, a token of an earlier one is void.
    """

    def __init__(
        self, keys: bytes | Callable[[], MacKeys], purpose: str, generation: Callable[[int], int] | None = None
    ) -> None:
        fixed = MacKeys((keys,)) if isinstance(keys, bytes) else None
        self._keys: Callable[[], MacKeys] = (lambda: fixed) if fixed else keys  # type: ignore[assignment]
        self._salt = f"ichidai.{purpose}.v1"
        self._generation = generation

    def sign(self, value: Sequence[Any]) -> str:
        """Return the token that holds a JSON value. Raises StoreUnavailable when it cannot be known which key seals."""
        number = 0 if self._generation is None else self._generation(0)
        signed = {"generation": number, "value": value} if number else value
        return str(_serializer(self._keys().keys, self._salt).dumps(signed))

    def verify(self, token: str) -> Any:
        """Return the value of a token. Raises ForgedToken, VoidToken among them; StoreUnavailable."""
        signed, number = self._verified(token), 0
        if isinstance(signed, dict):
            signed, number = signed["value"], signed["generation"]
        if self._generation is not None and number < self._generation(number):
            raise VoidToken("of before the store's generation")
        return signed

    def _verified(self, token: str) -> Any:
        """Return what a token's MAC covers."""
        parts = token.removeprefix(".").split(".")  # a dot in front: what is sealed is compressed
        if len(parts) != 2 or len(token) > _LONGEST_MAC or not token.isascii() or not is_canonical(token):  # noqa: PLR2004 - the value and its seal
            raise ForgedToken("its form")
        keys = self._keys()
        try:
            return _serializer(keys.keys, self._salt).loads(token)
        except (BadSignature, ValueError) as error:
            if not keys.all_here:
                raise StoreUnavailable("a MAC key is not on this host: copy keyring.json") from None
            raise ForgedToken(type(error).__name__) from None


@lru_cache(maxsize=64)
def _serializer(keys: tuple[bytes, ...], salt: str) -> URLSafeSerializer:
    settings = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(list(keys), salt=salt, signer_kwargs=settings)


def _confirmation(claims: Claims) -> dict[str, str]:
    """Return what a token's `cnf` says."""
    said = {} if claims.thumbprint is None else {_KEY: claims.thumbprint}
    return (
        said if claims.certificate is None else {**said, _CERTIFICATE: to_base64url(bytes.fromhex(claims.certificate))}
    )


def _bound_to(confirmation: Any) -> tuple[str | None, str | None]:
    """Return the key's thumbprint and the certificate's fingerprint of a `cnf`."""
    if not isinstance(confirmation, dict) or not confirmation or confirmation.keys() - {_KEY, _CERTIFICATE}:
        raise ForgedToken("its confirmation")
    thumbprint = _text(confirmation[_KEY]) if _KEY in confirmation else None
    certificate = _fingerprint(_text(confirmation[_CERTIFICATE])) if _CERTIFICATE in confirmation else None
    return thumbprint, certificate


def _fingerprint(digest: str) -> str:
    """Return in hex what `x5t#S256` has in base64url: a SHA-256 as an encoder writes it."""
    raw = from_base64url(digest)
    if len(raw) != hashlib.sha256().digest_size or to_base64url(raw) != digest:
        raise ForgedToken("its confirmation")
    return raw.hex()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ForgedToken("a claim that is no text")
    return value


def _time(value: Any) -> datetime:
    if type(value) is not int:
        raise ForgedToken("a time that is no whole number")
    return from_millis(value * 1000)
