"""A challenge as a value: its row in ChallengesTable, how its device is told of it, and how it is used up. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from common.account.book import Book, BoundDevice
from common.account.marks import Mark, mark_of, use
from common.clock import from_millis, to_millis
from common.crypto.kem import KEM, EncryptedChallenge
from common.errors import Code, Refusal
from common.proof.statements import Purpose
from common.storage.port import Item, Key
from common.storage.stored_form import More, carried, known

LIFETIME = timedelta(seconds=60)
MAX_BAD_SIGNATURES = 5
"""How many bad signatures a challenge bears; then it is spent."""

MOST_USED = 16
"""How many used challenges an account may have before the first of them can be forgotten."""


class Challenge(Struct, frozen=True):
    """What a challenge was asked for: by whom, when the password was checked (`auth_time`), on which device.

    `bad` counts the wrong signatures that came for it. It is good in the store's `generation` alone. `more`: what a
    later release wrote.
    """

    user_uuid: str
    username: str
    device_id: str
    purpose: Purpose
    credential_version: int
    auth_time: datetime
    expires_at: datetime
    bad: int = 0
    more: More = {}
    generation: int = 0

    def to_item(self, challenge_hash: str) -> Item:
        """Write it as an item of ChallengesTable."""
        generation = {"generation": self.generation} if self.generation else {}
        return {
            **self.more,
            **generation,
            "challenge_hash": challenge_hash,
            "user_uuid": self.user_uuid,
            "username": self.username,
            "device_id": self.device_id,
            "purpose": str(self.purpose),
            "epoch": self.credential_version,
            "auth_time": to_millis(self.auth_time),
            "expires_at": to_millis(self.expires_at),
            "bad": self.bad,
        }

    @staticmethod
    def from_item(item: Any) -> Challenge:
        """Read what `to_item` wrote."""
        return Challenge(
            user_uuid=item["user_uuid"],
            username=item["username"],
            device_id=item["device_id"],
            purpose=known(Purpose, item["purpose"]),
            credential_version=item["epoch"],
            auth_time=from_millis(item["auth_time"]),
            expires_at=from_millis(item["expires_at"]),
            bad=item["bad"],
            more=carried(item, _KNOWN),
            generation=item.get("generation", 0),
        )

    def is_open(self, now: datetime) -> bool:
        """Say whether it may still be answered."""
        return now < self.expires_at and self.bad < MAX_BAD_SIGNATURES


_KNOWN = frozenset(
    (
        *("challenge_hash", "user_uuid", "username", "device_id", "purpose", "epoch", "auth_time", "expires_at"),
        *("bad", "generation"),
    )
)


class IssuedChallenge(Struct, frozen=True):
    """A challenge as its device is told: its text (base64url), or that text sealed to the device. Lives in memory."""

    challenge_id: str
    device_id: str
    issuer: str
    challenge: str | None
    sealed: EncryptedChallenge | None

    def to_json(self) -> dict[str, object]:
        """Return what an answer tells of it, as JSON values."""
        seconds = int(LIFETIME.total_seconds())
        said: dict[str, object] = {"challenge_id": self.challenge_id, "issuer": self.issuer, "expires_in": seconds}
        if self.sealed is None:
            return {**said, "challenge": self.challenge}
        return {**said, "sealed": {"kem": KEM, "ciphertext": self.sealed.ciphertext, "box": self.sealed.box}}


class SignedChallenge(Struct, frozen=True):
    """A challenge whose signature was right: where its row lies, and what it said when the signature was checked."""

    key: Key
    challenge: Challenge


def challenge_keys(signed: SignedChallenge | None) -> tuple[Key, ...]:
    """Return what a change that spends a challenge must read: its row."""
    return () if signed is None else (signed.key,)


def mark_challenge(
    signed: SignedChallenge, challenge: Challenge | None, device: BoundDevice | None, book: Book, now: datetime
) -> Mark:
    """Judge a signed challenge (`challenge`: as it is now, None if it is gone) and return the mark that it is used.

    Its row stays until it expires. Raises Refusal: CHALLENGE_SPENT, TOO_MANY_ATTEMPTS (16 in two minutes).
    """
    open_now = judge_challenge(signed, challenge, device, book, now)
    mark = mark_of("c", signed.key.partition, open_now.expires_at)
    return use(book.marks, mark, MOST_USED, now, Code.CHALLENGE_SPENT)


def judge_challenge(
    signed: SignedChallenge, challenge: Challenge | None, device: BoundDevice | None, book: Book, now: datetime
) -> Challenge:
    """Return a signed challenge as it is now, if it may be used for this device. Raises Refusal(CHALLENGE_SPENT)."""
    asked = signed.challenge
    if device is None or (asked.user_uuid, asked.device_id) != (book.user_uuid, device.device_id):
        raise Refusal(Code.CHALLENGE_SPENT, reason="another device's")
    if challenge is None:
        raise Refusal(Code.CHALLENGE_SPENT, reason="used meanwhile")
    if not challenge.is_open(now) or not book.is_current(challenge.credential_version):
        raise Refusal(Code.CHALLENGE_SPENT, reason="expired, or of an old password")
    if challenge.generation < book.generation:
        raise Refusal(Code.CHALLENGE_SPENT, reason="of before the store's generation")
    return challenge
