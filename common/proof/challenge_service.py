"""Challenges: what a device must sign to prove that it is itself, each for one purpose, once, and within a minute.

The challenge's text is a MAC over its id, so that a row keeps only its hash and a copied store tells nobody what to
sign. A right signature uses nothing up by itself: `spend` gives the mark that does, for the very change that the
signature was for. The row stays until it expires.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import NoReturn

from msgspec.structs import replace

from common.account.admission import AuthenticatedUser, DeviceProof
from common.account.book import BoundDevice
from common.account.decision import Snapshot
from common.account.devices import PublicKeys, TlsClientCertificate, is_proven_by_tls
from common.account.marks import Mark
from common.account.policy import Policies
from common.clock import Clock
from common.crypto.device_keys import is_signed
from common.crypto.kem import encrypt_challenge
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.challenge import LIFETIME, Challenge, IssuedChallenge, SignedChallenge, mark_challenge
from common.proof.statements import NOTHING, Proof, Purpose, statement
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.optimistic import write_optimistically
from common.storage.port import Absent, Equals, Put, Store
from common.storage.tables import CHALLENGES

_DERIVATION = b"ichidai-challenge-v1"


class ChallengeService:
    """Asks devices for proofs and judges what they answer.

    `keys_of(user_uuid, device_id)` gives a device's public keys. The policy says what all devices must show; a
    device that made its own key must sign whatever that is.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        secret: bytes,
        issuer: str,
        keys_of: Callable[[str, str], PublicKeys | None],
        policies: Policies,
    ) -> None:
        self._store = store
        self._clock = clock
        self._secret = hmac.digest(secret, _DERIVATION, "sha256")
        self._issuer = issuer
        self._keys_of = keys_of
        self._policies = policies

    def requires_signature(self, device: BoundDevice) -> bool:
        """Say whether this device is let in only with a signature."""
        return device.self_keyed or self._policies.current().device_proof is DeviceProof.SIGNATURE

    def issue(self, user: AuthenticatedUser, device_id: str, purpose: Purpose) -> IssuedChallenge:
        """Make a challenge for a bound device after the password was right, encrypted where it has a KEM key.

        Raises Refusal(CHALLENGE_SPENT) for a device without keys, StoreUnavailable.
        """
        challenge_id = new_id()
        text = self._text(challenge_id)
        keys = self._keys(user.user_uuid, device_id)
        row = Challenge(
            user_uuid=user.user_uuid,
            username=user.username,
            device_id=device_id,
            purpose=purpose,
            credential_version=user.credential_version,
            auth_time=user.auth_time,
            expires_at=self._clock() + LIFETIME,
            generation=self._policies.generation(),
        )
        write_known(self._store, Put(CHALLENGES, row.to_item(_hash(text)), Absent()), RetryBudget())
        sealed = None if keys.kem is None else encrypt_challenge(keys.kem, challenge_id, text)
        return IssuedChallenge(challenge_id, device_id, self._issuer, None if sealed else text, sealed)

    def verify(
        self, proof: Proof, *purposes: Purpose, user_uuid: str | None = None, token_hash: str = NOTHING
    ) -> SignedChallenge:
        """Return the challenge of a proof whose signature is right; a wrong one is counted.

        `user_uuid`: whose challenge it must be (None: the challenge says whose it is). Raises Refusal: CHALLENGE_SPENT
        (unknown, another's, used, expired, too often answered wrongly), PROOF_INVALID; StoreUnavailable.
        """
        signed, text = self._find(proof.challenge_id)
        challenge = signed.challenge
        if user_uuid not in (None, challenge.user_uuid):
            raise Refusal(Code.CHALLENGE_SPENT, reason="another's")
        if challenge.purpose not in purposes:
            raise Refusal(Code.PROOF_INVALID, reason=f"a challenge for {challenge.purpose}")
        message = statement(
            challenge.purpose,
            issuer=self._issuer,
            user_uuid=challenge.user_uuid,
            device_id=challenge.device_id,
            challenge=text,
            token_hash=token_hash,
        )
        keys = self._keys(challenge.user_uuid, challenge.device_id)
        if not is_signed(keys.signing, proof.signature, message):
            self._count_bad(proof.challenge_id)
        return signed

    def spend(
        self,
        signed: SignedChallenge | None,
        device: BoundDevice | None,
        snapshot: Snapshot,
        tls_certificate: TlsClientCertificate | None = None,
    ) -> tuple[Mark, ...]:
        """Return the mark that uses a challenge up, for the change it was signed for; judged anew at each try. Pure.

        The snapshot must have read `reading(signed)`. No signature is fine where none is needed, and
        where TLS proved the key of the device's certificate (`held`).
        Raises Refusal: PROOF_REQUIRED, CHALLENGE_SPENT.
        """
        if signed is None:
            self.check_not_required(device, tls_certificate)
            return ()
        item = snapshot.at(signed.key)
        challenge = None if item is None else Challenge.from_item(item)
        return (mark_challenge(signed, challenge, device, snapshot.book, snapshot.now),)

    def check_not_required(
        self, device: BoundDevice | None, tls_certificate: TlsClientCertificate | None = None
    ) -> None:
        """Let a device pass that signed nothing (None: one without a certificate). Raises Refusal(PROOF_REQUIRED)."""
        if device is None or is_proven_by_tls(device, tls_certificate):
            return
        if self.requires_signature(device):
            raise Refusal(Code.PROOF_REQUIRED)

    def _find(self, challenge_id: str) -> tuple[SignedChallenge, str]:
        text = self._text(challenge_id)
        key = CHALLENGES.key(_hash(text))
        item = self._store.get(key)
        if item is None:
            raise Refusal(Code.CHALLENGE_SPENT, reason="unknown or used")
        challenge = Challenge.from_item(item)
        if not challenge.is_open(self._clock()):
            raise Refusal(Code.CHALLENGE_SPENT, reason="expired, or answered wrongly too often")
        if challenge.generation < self._policies.generation(challenge.generation):
            raise Refusal(Code.CHALLENGE_SPENT, reason="of before the store's generation")
        return SignedChallenge(key, challenge), text

    def _count_bad(self, challenge_id: str) -> NoReturn:
        """Count a wrong signature and refuse it; the sixth of several at once finds the challenge spent."""

        def one_more() -> tuple[None, Put]:
            found, text = self._find(challenge_id)
            bad = found.challenge.bad
            counted = replace(found.challenge, bad=bad + 1).to_item(_hash(text))
            return None, Put(CHALLENGES, counted, Equals("bad", bad))

        write_optimistically(self._store, one_more, contended="bad signatures of one challenge")
        raise Refusal(Code.PROOF_INVALID, reason="signature")

    def _keys(self, user_uuid: str, device_id: str) -> PublicKeys:
        keys = self._keys_of(user_uuid, device_id)
        if keys is None:
            raise Refusal(Code.CHALLENGE_SPENT, reason="its device is gone")
        return keys

    def _text(self, challenge_id: str) -> str:
        """Return the challenge that an id stands for: 32 bytes nobody can foretell, as base64url without padding."""
        return (
            base64.urlsafe_b64encode(hmac.digest(self._secret, challenge_id.encode(), "sha256")).rstrip(b"=").decode()
        )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
