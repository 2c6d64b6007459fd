"""A client's DPoP key (RFC 9449) for tests: it makes proofs, good ones and, where it is told what to change, others."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from common.crypto.jws import Algorithm, SigningKey, new_signing_key


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def ath_of(token: str) -> str:
    """Return the hash by which a proof names an access token."""
    return b64(hashlib.sha256(token.encode()).digest())


@dataclass
class DpopKey:
    """A key, and the nonce that it was told last."""

    key: SigningKey = field(default_factory=lambda: new_signing_key(Algorithm.ES256))
    nonce: str | None = None

    @property
    def thumbprint(self) -> str:
        """The key's thumbprint."""
        return self.key.verifying.thumbprint

    def proof(
        self,
        method: str,
        url: str,
        token: str | None = None,
        *,
        now: float | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Return a proof; a claim or a parameter of the header that is `...` is left out."""
        iat = int(time.time() if now is None else now)
        said: dict[str, Any] = {"jti": str(uuid4()), "htm": method, "htu": url, "iat": iat, "nonce": self.nonce or ...}
        said |= {"ath": ... if token is None else ath_of(token), **claims}
        full = {"typ": "dpop+jwt", "jwk": dict(self.key.verifying.bare_jwk), **(header or {})}
        full = {name: value for name, value in full.items() if value is not ...}
        payload = json.dumps({name: value for name, value in said.items() if value is not ...}).encode()
        return self.key.sign(payload, full)
