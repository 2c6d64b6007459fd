"""An authenticator of the tests' own: passkeys as WebAuthn Level 3 has them, and each thing that one may do wrong."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from common.clock import Clock
from common.crypto.jws import from_base64url, to_base64url
from common.crypto.tokens import SignedTokens
from registration.passkeys import PasskeyChallenges

ORIGIN, RP_ID = "http://localhost:8000", "localhost"

_PRESENT, _VERIFIED, _ELIGIBLE, _BACKED_UP, _WITH_KEY = 0x01, 0x04, 0x08, 0x10, 0x40


@dataclass
class Passkey:
    """A passkey in an authenticator. `counts`: its counter rises with each use; a synced passkey keeps none."""

    user_handle: str
    counts: bool = True
    backed_up: bool = False
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    counter: int = 0

    @property
    def id(self) -> str:
        """Its id as the wire has it."""
        return to_base64url(self.credential_id)

    def assertion(
        self,
        options: dict[str, Any],
        *,
        origin: str = ORIGIN,
        rp_id: str | None = None,
        verified: bool = True,
        user_handle: str | None = None,
        **client_data: Any,
    ) -> dict[str, Any]:
        """Sign in: return an AuthenticationResponseJSON for request options."""
        self.counter += self.counts
        data = _client_data("webauthn.get", options, origin, client_data)
        authenticator = self._data(rp_id or options["rpId"], verified=verified)
        signed = authenticator + hashlib.sha256(data).digest()
        return {
            "id": self.id,
            "rawId": self.id,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": to_base64url(data),
                "authenticatorData": to_base64url(authenticator),
                "signature": to_base64url(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
                "userHandle": user_handle or self.user_handle,
            },
        }

    def attestation(self, options: dict[str, Any], *, origin: str = ORIGIN, rp_id: str | None = None) -> dict[str, Any]:
        """Return the RegistrationResponseJSON for the creation options that it was made for."""
        data = _client_data("webauthn.create", options, origin, {})
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        named = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        authenticator = self._data(rp_id or options["rp"]["id"], verified=True, key=named)
        attested = {"fmt": "none", "attStmt": {}, "authData": authenticator}
        return {
            "id": self.id,
            "rawId": self.id,
            "type": "public-key",
            "response": {
                "clientDataJSON": to_base64url(data),
                "attestationObject": to_base64url(cbor2.dumps(attested)),
                "transports": ["internal"],
            },
        }

    def _data(self, rp_id: str, *, verified: bool, key: bytes = b"") -> bytes:
        flags = _PRESENT | (_VERIFIED if verified else 0) | (_WITH_KEY if key else 0)
        flags |= 0 if self.counts else _ELIGIBLE
        flags |= _BACKED_UP if self.backed_up else 0
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big") + key


def made_for(options: dict[str, Any], *, synced: bool = False) -> Passkey:
    """Make a passkey for creation options; a synced one keeps no counter."""
    assert options["authenticatorSelection"]["residentKey"] == "required"
    return Passkey(options["user"]["id"], counts=not synced, backed_up=synced)


def _client_data(kind: str, options: dict[str, Any], origin: str, more: dict[str, Any]) -> bytes:
    assert len(from_base64url(options["challenge"])) >= 16
    return json.dumps(
        {"type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": False, **more}
    ).encode()


def no_passkeys(clock: Clock) -> PasskeyChallenges:
    """Return what judges passkeys in a suite that has none."""
    tokens = SignedTokens(bytes(32), "none")
    return PasskeyChallenges(None, "Ichidai", tokens, tokens, clock)
