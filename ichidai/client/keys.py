"""A device's keys: made here, kept here. What leaves is public halves and signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from common.crypto.certificates import KeyKind
from common.crypto.device_keys import (
    DevicePrivateKey,
    DevicePublicKey,
    new_signing_key,
    private_key_text,
    public_key_text,
    read_private_key,
    signature_of,
)
from common.crypto.kem import EncryptedChallenge, KemKeyPair, decrypt_challenge, new_kem_key_pair
from common.proof.statements import NOTHING, Purpose, enrol_statement, statement, token_digest
from ichidai.client.errors import Answer, ServerIdentityError


@dataclass(frozen=True, slots=True)
class DeviceKeys:
    """A key that signs, and one that opens sealed challenges, where the device has one."""

    signing: DevicePrivateKey
    kem: KemKeyPair | None

    @classmethod
    def make(cls, kind: KeyKind) -> DeviceKeys:
        """Make new keys: ML-DSA-87 and sntrup761, or P-256 alone."""
        if kind is KeyKind.POST_QUANTUM:
            return cls(new_signing_key(), new_kem_key_pair())
        return cls(ec.generate_private_key(ec.SECP256R1()), None)

    @property
    def public_key(self) -> DevicePublicKey:
        """The public half of the key that signs."""
        return self.signing.public_key()

    def enrolment(self, issuer: str, username: str, pairing_token: str | None) -> dict[str, Any]:
        """Return what a device sends to join: its public keys, and the proof that it has the private ones."""
        public = {"signing": public_key_text(self.public_key)} | ({"kem": self.kem.public} if self.kem else {})
        message = enrol_statement(issuer, username, _digest(pairing_token))
        return {"public_keys": public, "proof": {"signature": signature_of(self.signing, message)}}

    def sign_challenge(
        self, asked: Answer, purpose: Purpose, user_uuid: str, device_id: str, token: str | None = None
    ) -> dict[str, str]:
        """Answer a challenge; `token` is what is acted on. Raises ServerIdentityError for one sealed to another."""
        message = statement(
            purpose,
            issuer=asked["issuer"],
            user_uuid=user_uuid,
            device_id=device_id,
            challenge=self._opened(asked),
            token_hash=_digest(token),
        )
        return {"challenge_id": asked["challenge_id"], "signature": signature_of(self.signing, message)}

    def sign_objection(self, change_no: int, issuer: str, user_uuid: str, device_id: str) -> str:
        """Sign that a change of the account was not its user's."""
        message = statement(
            Purpose.OBJECT, issuer=issuer, user_uuid=user_uuid, device_id=device_id, challenge=str(change_no)
        )
        return signature_of(self.signing, message)

    def to_json(self) -> dict[str, str]:
        """Write both keys, private halves too."""
        kem = {"kem_public": self.kem.public, "kem_private": self.kem.private} if self.kem else {}
        return {"signing": private_key_text(self.signing), **kem}

    @classmethod
    def from_json(cls, fields: Mapping[str, str]) -> DeviceKeys:
        """Read what `to_json` wrote. Raises ValueError, KeyError."""
        kem = KemKeyPair(fields["kem_public"], fields["kem_private"]) if "kem_private" in fields else None
        return cls(read_private_key(fields["signing"]), kem)

    def _opened(self, asked: Answer) -> str:
        sealed = asked.get("sealed")
        if not sealed:
            return str(asked["challenge"])
        try:
            if self.kem is None:
                raise ValueError("no key to open it")
            return decrypt_challenge(
                self.kem.private, asked["challenge_id"], EncryptedChallenge(sealed["ciphertext"], sealed["box"])
            )
        except ValueError as error:
            raise ServerIdentityError(f"The server's challenge is not sealed to this device ({error}).") from None


def _digest(token: str | None) -> str:
    return NOTHING if token is None else token_digest(token)
