"""A challenge as a value: its row in ChallengesTable, how its device is told of it, and how it is used up. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from common.book import Book, BoundDevice
from common.clock import from_millis, to_millis
from common.crypto.sealing import KEM, Sealed
from common.errors import Code, Refusal
from common.proofs import Purpose
from common.storage.port import Delete, Equals, Item, Key

LIFETIME = timedelta(seconds=60)
MOST_BAD = 5
"""How many bad signatures a challenge bears; then it is spent."""


class Challenge(Struct, frozen=True):
    """What a challenge was asked for: by whom, under which password (`epoch`, checked at `auth_time`), on which device.

    `bad` counts the wrong signatures that came for it.
    """

    user_uuid: str
    username: str
    device_id: str
    purpose: Purpose
    epoch: int
    auth_time: datetime
    expires_at: datetime
    bad: int = 0

    def to_item(self, challenge_hash: str) -> Item:
        """Write it as an item of ChallengesTable."""
        return {
            "challenge_hash": challenge_hash,
            "user_uuid": self.user_uuid,
            "username": self.username,
            "device_id": self.device_id,
            "purpose": str(self.purpose),
            "epoch": self.epoch,
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
            purpose=Purpose(item["purpose"]),
            epoch=item["epoch"],
            auth_time=from_millis(item["auth_time"]),
            expires_at=from_millis(item["expires_at"]),
            bad=item["bad"],
        )

    def is_open(self, now: datetime) -> bool:
        """Say whether it may still be answered."""
        return now < self.expires_at and self.bad < MOST_BAD


class Asked(Struct, frozen=True):
    """A challenge as its device is told: its text (base64url), or that text sealed to the device. Lives in memory."""

    challenge_id: str
    device_id: str
    issuer: str
    challenge: str | None
    sealed: Sealed | None

    def told(self) -> dict[str, object]:
        """Return what an answer tells of it, as JSON values."""
        seconds = int(LIFETIME.total_seconds())
        said: dict[str, object] = {"challenge_id": self.challenge_id, "issuer": self.issuer, "expires_in": seconds}
        if self.sealed is None:
            return {**said, "challenge": self.challenge}
        return {**said, "sealed": {"kem": KEM, "ciphertext": self.sealed.ciphertext, "box": self.sealed.box}}


class Signed(Struct, frozen=True):
    """A challenge whose signature was right: where its row lies, and what it said when the signature was checked."""

    key: Key
    challenge: Challenge


def reading(signed: Signed | None) -> tuple[Key, ...]:
    """Return what a change that spends a challenge must read: its row, as the last of what it reads."""
    return () if signed is None else (signed.key,)


def used_up(
    signed: Signed, challenge: Challenge | None, device: BoundDevice | None, book: Book, now: datetime
) -> Delete:
    """Judge a signed challenge (`challenge`: as it is now, None if it is gone) and return the write that uses it up.

    The write holds only if nobody was quicker. Raises Refusal(CHALLENGE_SPENT).
    """
    asked = signed.challenge
    if device is None or (asked.user_uuid, asked.device_id) != (book.user_uuid, device.device_id):
        raise Refusal(Code.CHALLENGE_SPENT, reason="another device's")
    if challenge is None:
        raise Refusal(Code.CHALLENGE_SPENT, reason="used meanwhile")
    if not challenge.is_open(now) or not book.accepts(challenge.epoch):
        raise Refusal(Code.CHALLENGE_SPENT, reason="expired, or of an old password")
    return Delete(signed.key, Equals("bad", challenge.bad))
