"""DPoP proofs (RFC 9449): a client signs each request with a key of its own, to which its tokens are bound. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import orjson
from msgspec import Struct

from common.clock import from_millis
from common.crypto.jws import Algorithm, BadSignatureOrKey, VerifyingKey, is_canonical, to_base64url

ALGORITHMS = (Algorithm.ES256, Algorithm.ML_DSA_44, Algorithm.ML_DSA_65, Algorithm.ML_DSA_87)
CLOCKS_APART = timedelta(minutes=5)
"""How far a proof's `iat` may lie from our time: clients' clocks are not ours."""

_TYPE = "dpop+jwt"
_HEADER = frozenset({"typ", "alg", "jwk"})
_LONGEST = 12_288  # an ML-DSA-87 key and signature make 9.7 KB
_LONGEST_ID = 256
_PORTS = {"http": 80, "https": 443}


class BadProof(Exception):
    """The text is no good proof for this request. The message tells why and never quotes it."""


class DpopProof(Struct, frozen=True):
    """What a proof says. `thumbprint`: of the key that signed it (RFC 7638); `ath` and `nonce` where it has them."""

    thumbprint: str
    proof_id: str
    method: str
    url: str
    issued_at: datetime
    ath: str | None
    nonce: str | None


def read_proof(text: str) -> DpopProof:
    """Check a proof's form and signature, and return what it says. Raises BadProof."""
    if len(text) > _LONGEST or not text.isascii() or not is_canonical(text):
        raise BadProof("its form")
    try:
        key = _key_of(jwt.get_unverified_header(text))
        _, payload = key.verify(text)
        return _read(key.thumbprint, orjson.loads(payload))
    except BadSignatureOrKey as error:
        raise BadProof(f"its key or signature: {error}") from None
    except (jwt.InvalidTokenError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise BadProof(type(error).__name__) from None


def check_request(proof: DpopProof, method: str, url: str, now: datetime) -> None:
    """Raise BadProof unless the proof was made for this request, about now."""
    if proof.method != method:
        raise BadProof("htm")
    if _normal(proof.url) != _normal(url):
        raise BadProof("htu")
    if abs(now - proof.issued_at) > CLOCKS_APART:
        raise BadProof("iat")


def token_hash(access_token: str) -> str:
    """Return the `ath` of an access token."""
    return to_base64url(hashlib.sha256(access_token.encode()).digest())


def _key_of(header: Mapping[str, Any]) -> VerifyingKey:
    if header.keys() != _HEADER or header["typ"] != _TYPE or not isinstance(header["jwk"], dict):
        raise BadProof("its header")
    key = VerifyingKey.from_jwk(header["jwk"])
    if header["alg"] != key.algorithm:
        raise BadProof("its algorithm")
    return key


def _read(thumbprint: str, claims: Mapping[str, Any]) -> DpopProof:
    proof_id, method, url, issued_at = (claims[name] for name in ("jti", "htm", "htu", "iat"))
    ath, nonce = claims.get("ath"), claims.get("nonce")
    texts = [proof_id, method, url, *(text for text in (ath, nonce) if text is not None)]
    if not all(isinstance(text, str) for text in texts) or not 1 <= len(proof_id) <= _LONGEST_ID:
        raise BadProof("a claim that is no text")
    if type(issued_at) is not int:
        raise BadProof("a time that is no whole number")
    return DpopProof(thumbprint, proof_id, method, url, from_millis(issued_at * 1000), ath, nonce)


def _normal(url: str) -> tuple[str, str, int | None, str]:
    """Return what is compared of a URL (RFC 9449, section 4.3): no query, no fragment, no slash at its end."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme.lower()]
    except (ValueError, KeyError):
        raise BadProof("htu") from None
    if not parts.hostname or parts.username is not None:
        raise BadProof("htu")
    return parts.scheme.lower(), parts.hostname.lower(), port, parts.path.rstrip("/")
