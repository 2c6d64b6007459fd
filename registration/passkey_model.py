"""A passkey of an account: a credential of an authenticator, by which its owner signs in. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.crypto.passkeys import VerifiedPasskey
from common.storage.port import Item
from common.storage.stored_form import More, carried

MOST_PASSKEYS = 10
"""Of an account."""


class Passkey(Struct, frozen=True):
    """A discoverable credential. `credential_id` and `public_key` (COSE) are base64url.

    `passkey_id` is ours, for lists. `sign_count`: its counter when it was used last, 0 for ever where it keeps none.
    `backup_eligible`: it may be copied to other devices, which never changes; `backed_up`: it was, when last seen.
    `more`: what a later release wrote.
    """

    passkey_id: str
    credential_id: str
    public_key: str
    name: str
    since: datetime
    sign_count: int
    backup_eligible: bool
    backed_up: bool
    last_used_at: datetime | None = None
    more: More = {}

    def after(self, verified: VerifiedPasskey, now: datetime) -> Passkey:
        """Return it once it has signed."""
        return replace(self, sign_count=verified.sign_count, backed_up=verified.backed_up, last_used_at=now)

    def to_item(self) -> Item:
        """Write it as a member of its account's item of FactorsTable."""
        return {
            **self.more,
            "id": self.passkey_id,
            "credential": self.credential_id,
            "key": self.public_key,
            "name": self.name,
            "since": to_millis(self.since),
            "count": self.sign_count,
            "eligible": self.backup_eligible,
            "backed_up": self.backed_up,
            "last_used": None if self.last_used_at is None else to_millis(self.last_used_at),
        }

    @staticmethod
    def from_item(item: Any) -> Passkey:
        """Read what `to_item` wrote."""
        return Passkey(
            passkey_id=item["id"],
            credential_id=item["credential"],
            public_key=item["key"],
            name=item["name"],
            since=from_millis(item["since"]),
            sign_count=item["count"],
            backup_eligible=item["eligible"],
            backed_up=item["backed_up"],
            last_used_at=None if item["last_used"] is None else from_millis(item["last_used"]),
            more=carried(item, _KNOWN),
        )


_KNOWN = frozenset(("id", "credential", "key", "name", "since", "count", "eligible", "backed_up", "last_used"))
