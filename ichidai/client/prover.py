"""Tokens that are worth nothing without the device: proofs by its P-256 key (DPoP, RFC 9449; `docs/tokens.md`).

A device with ML-DSA-87 takes bearer tokens: its proofs, one with each request, are longer than servers take headers.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric import ec

from common.clock import Clock, system_clock, to_millis
from common.crypto.dpop import token_hash
from common.crypto.signatures import DevicePrivateKey
from common.crypto.signing import Algorithm, SigningKey
from common.ids import new_id
from ichidai.client.failures import Answer, Untrustworthy
from ichidai.client.wire import Auth, Wire

_VERIFY: Final = "/session/verify"


class Prover:
    """Makes proofs with one key. The suite is called at `here`, and knows itself as `public`: proofs name that."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, here: str, public: str, clock: Clock = system_clock) -> None:
        self.public = public
        self._key = SigningKey(key)
        self._here = urlsplit(here).path.rstrip("/")
        self._clock = clock
        self._nonce: str | None = None

    @classmethod
    def of(cls, key: DevicePrivateKey, here: str, public: str) -> Prover:
        """Return the prover of a device's key. Raises Untrustworthy for one that makes no proofs."""
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Untrustworthy("The session is bound to a key of another kind than the device has.")
        return cls(key, here, public)

    def auth(self, token: str | None = None) -> Auth:
        """Return what proves the key in a request, and binds the access token to it, where there is one."""

        def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
            url = self.public + request.path_url.removeprefix(self._here)
            request.headers["DPoP"] = self._proof(str(request.method), url, token)
            if token is not None:
                request.headers["Authorization"] = f"DPoP {token}"
            request.hooks["response"].append(self._heed)
            return request

        return authorise

    def _proof(self, method: str, url: str, token: str | None) -> str:
        claims = {"jti": new_id(), "htm": method, "htu": url, "iat": to_millis(self._clock()) // 1000}
        if token is not None:
            claims |= {"ath": token_hash(token)} | ({"nonce": self._nonce} if self._nonce else {})
        header = {"typ": "dpop+jwt", "jwk": dict(self._key.verifying.bare_jwk)}
        return self._key.sign(json.dumps(claims).encode(), header)

    def _heed(self, reply: requests.Response, **_more: object) -> None:
        """Keep the nonce that the next proof must name."""
        self._nonce = reply.headers.get("DPoP-Nonce", self._nonce)


def prover_for(key: DevicePrivateKey, wire: Wire) -> Prover | None:
    """Return what binds a session to a device's key, if the key is made for it and the suite takes such proofs."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    about: Answer = wire.call("GET", "/.well-known/ichidai.json", repeatable=True)
    if Algorithm.ES256 not in about.get("dpop_signing_alg_values_supported", ()):
        return None
    return Prover(key, wire.base, str(about["verify_endpoint"]).removesuffix(_VERIFY))
