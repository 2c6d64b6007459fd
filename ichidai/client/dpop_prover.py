"""Tokens that are worth nothing without the device: proofs by its P-256 key (DPoP, RFC 9449; `docs/tokens.md`).

A device with ML-DSA-87 takes bearer tokens: its proofs, one with each request, are longer than servers take headers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import requests
from cryptography.hazmat.primitives.asymmetric import ec

from common.clock import Clock, system_clock, to_millis
from common.crypto.device_keys import DevicePrivateKey
from common.crypto.jws import Algorithm, SigningKey
from common.ids import new_id
from common.proof.dpop import token_hash
from ichidai.client.addresses import AppAddresses
from ichidai.client.errors import ServerIdentityError
from ichidai.client.http_transport import Auth, HttpTransport

_VERIFY: Final = "/session/verify"


class DpopProver:
    """Makes proofs with one key.

    `public`: the address by which the suite's session app knows itself. `addresses` says where the apps are called;
    proofs name the addresses by which they know themselves.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        addresses: Callable[[], AppAddresses],
        public: str,
        clock: Clock = system_clock,
    ) -> None:
        self.public = public
        self._key = SigningKey(key)
        self._addresses = addresses
        self._clock = clock
        self._nonce: str | None = None

    @classmethod
    def of(cls, key: DevicePrivateKey, addresses: Callable[[], AppAddresses], public: str) -> DpopProver:
        """Return the prover of a device's key. Raises ServerIdentityError for one that makes no proofs."""
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ServerIdentityError("The session is bound to a key of another kind than the device has.")
        return cls(key, addresses, public)

    def auth(self, token: str | None = None) -> Auth:
        """Return what proves the key in a request, and binds the access token to it, where there is one."""

        def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
            url = self._addresses().known_as(request.path_url, self.public)
            request.headers["DPoP"] = self._proof(str(request.method), url, token)
            if token is not None:
                request.headers["Authorization"] = f"DPoP {token}"
            request.hooks["response"].append(self._keep_nonce)
            return request

        return authorise

    def _proof(self, method: str, url: str, token: str | None) -> str:
        claims = {"jti": new_id(), "htm": method, "htu": url, "iat": to_millis(self._clock()) // 1000}
        if token is not None:
            claims |= {"ath": token_hash(token)} | ({"nonce": self._nonce} if self._nonce else {})
        header = {"typ": "dpop+jwt", "jwk": dict(self._key.verifying.bare_jwk)}
        return self._key.sign(json.dumps(claims).encode(), header)

    def _keep_nonce(self, reply: requests.Response, **_more: object) -> None:
        """Keep the nonce that the next proof must name."""
        self._nonce = reply.headers.get("DPoP-Nonce", self._nonce)


def auth_by(prover: DpopProver | None) -> Auth | None:
    """Return what proves the key in a request; None for a device that takes bearer tokens."""
    return prover.auth() if prover else None


def prover_for(key: DevicePrivateKey, transport: HttpTransport) -> DpopProver | None:
    """Return what binds a session to a device's key, if the key is made for it and the suite takes such proofs."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    about = transport.discovery()
    if Algorithm.ES256 not in about.get("dpop_signing_alg_values_supported", ()):
        return None
    return DpopProver(key, transport.addresses, str(about["verify_endpoint"]).removesuffix(_VERIFY))
