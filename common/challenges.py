"""Challenges: what a device must sign to prove that it is itself, each for one purpose, once, and within a minute.

The challenge's text is a MAC over its id, so that a row keeps only its hash and a copied store tells nobody what to
sign. A right signature uses nothing up by itself: `spend` gives the write that does, for the very commit that the
signature was for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import NoReturn

from msgspec.structs import replace

from common.admission import DeviceProof, Proven
from common.book import BoundDevice
from common.bookkeeping import Snapshot
from common.challenge import LIFETIME, Asked, Challenge, Signed, used_up
from common.clock import Clock
from common.crypto.sealing import seal
from common.crypto.signatures import is_signed
from common.devices import HeldCertificate, PublicKeys, is_shown_by_tls
from common.errors import Code, Refusal
from common.ids import new_id
from common.patience import Patience
from common.proofs import NOTHING, Proof, Purpose, statement
from common.storage.port import Absent, Conflict, Equals, Put, Store, Write
from common.storage.resolving import commit_known
from common.storage.tables import CHALLENGES

_DERIVATION = b"ichidai-challenge-v1"


class Challenges:
    """Asks devices for proofs and judges what they answer.

    `keys_of(user_uuid, device_id)` gives a device's public keys. `demanded` is what the suite demands of everybody; a
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
        demanded: DeviceProof,
    ) -> None:
        self._store = store
        self._clock = clock
        self._secret = hmac.digest(secret, _DERIVATION, "sha256")
        self._issuer = issuer
        self._keys_of = keys_of
        self._demanded = demanded

    def needed_for(self, device: BoundDevice) -> bool:
        """Say whether this device is let in only with a signature."""
        return device.self_keyed or self._demanded is DeviceProof.SIGNATURE

    def ask(self, proven: Proven, device_id: str, purpose: Purpose) -> Asked:
        """Make a challenge for a bound device of somebody whose password was right, sealed where it has a KEM key.

        Raises Refusal(CHALLENGE_SPENT) for a device without keys, StoreUnavailable.
        """
        challenge_id = new_id()
        text = self._text(challenge_id)
        keys = self._keys(proven.user_uuid, device_id)
        row = Challenge(
            user_uuid=proven.user_uuid,
            username=proven.username,
            device_id=device_id,
            purpose=purpose,
            epoch=proven.epoch,
            auth_time=proven.auth_time,
            expires_at=self._clock() + LIFETIME,
        )
        commit_known(self._store, [Put(CHALLENGES, row.to_item(_hash(text)), Absent())], Patience())
        sealed = None if keys.kem is None else seal(keys.kem, challenge_id, text)
        return Asked(challenge_id, device_id, self._issuer, None if sealed else text, sealed)

    def check(
        self, proof: Proof, *purposes: Purpose, user_uuid: str | None = None, token_hash: str = NOTHING
    ) -> Signed:
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
        self, signed: Signed | None, device: BoundDevice | None, snapshot: Snapshot, held: HeldCertificate | None = None
    ) -> tuple[Write, ...]:
        """Return the writes that use a challenge up, for the commit it was signed for; judged anew at each try. Pure.

        The snapshot's last item must be what lies at `reading(signed)`. No signature is fine where none is needed, and
        where TLS proved the key of the device's certificate (`held`).
        Raises Refusal: PROOF_REQUIRED, CHALLENGE_SPENT.
        """
        if signed is None:
            self.check_unneeded(device, held)
            return ()
        item = snapshot.items[-1]
        challenge = None if item is None else Challenge.from_item(item)
        return (used_up(signed, challenge, device, snapshot.book, snapshot.now),)

    def check_unneeded(self, device: BoundDevice | None, held: HeldCertificate | None = None) -> None:
        """Let a device pass that signed nothing (None: one without a certificate). Raises Refusal(PROOF_REQUIRED)."""
        if device is None or is_shown_by_tls(device, held):
            return
        if self.needed_for(device):
            raise Refusal(Code.PROOF_REQUIRED)

    def _find(self, challenge_id: str) -> tuple[Signed, str]:
        text = self._text(challenge_id)
        key = CHALLENGES.key(_hash(text))
        item = self._store.get(key)
        if item is None:
            raise Refusal(Code.CHALLENGE_SPENT, reason="unknown or used")
        challenge = Challenge.from_item(item)
        if not challenge.is_open(self._clock()):
            raise Refusal(Code.CHALLENGE_SPENT, reason="expired, or answered wrongly too often")
        return Signed(key, challenge), text

    def _count_bad(self, challenge_id: str) -> NoReturn:
        """Count a wrong signature and refuse it; the sixth of several at once finds the challenge spent."""
        for _ in Patience():
            found, text = self._find(challenge_id)
            challenge = found.challenge
            counted = replace(challenge, bad=challenge.bad + 1).to_item(_hash(text))
            try:
                commit_known(self._store, [Put(CHALLENGES, counted, Equals("bad", challenge.bad))], Patience())
            except Conflict:
                continue
            raise Refusal(Code.PROOF_INVALID, reason="signature")
        raise Refusal(Code.BUSY, reason="counting bad signatures", retry_after=1)

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
