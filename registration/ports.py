"""What registration needs of the device manager, as a Protocol that the composition root joins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from common.account.book import Book
from common.account.devices import NewDevice, OwnKeys
from common.account.draft import Draft
from common.account.policy import Policy
from common.storage.port import Delete, Item, Key


class Enrolment(Protocol):
    """What registration needs of the device manager."""

    def check_key_proof(self, keys: OwnKeys | None, token_hash: str | None = None) -> None:
        """Let pass a device that has shown that it holds the key it brings. Raises Refusal."""

    def prepare(self, user_uuid: str, device_name: str, *, primary: bool, keys: OwnKeys | None = None) -> NewDevice:
        """Make certificate and row of a new device, and keys where it brings none."""

    def claims_of(self, keys: OwnKeys | None) -> tuple[Key, ...]:
        """Return what must be read to know whether a key is free."""

    def check_free(self, claims: Sequence[Item | None]) -> None:
        """Refuse a key that is, or ever was, another device's. Raises Refusal(KEY_IN_USE)."""

    def bind(
        self, draft: Draft, device: NewDevice, policy: Policy, now: datetime, leaving: Sequence[str] = ()
    ) -> Draft:
        """Bind it; `leaving`: devices that are unbound right after. Raises Refusal(TOO_MANY_DEVICES)."""

    def removal(self, user_uuid: str, device_id: str) -> tuple[Delete, ...]:
        """Return the writes that forget a device that was never used."""

    def check_device_limit(self, book: Book, policy: Policy, leaving: Sequence[str] = ()) -> None:
        """Raise Refusal(TOO_MANY_DEVICES) when no device can join."""
