"""Claims: what must be unique across accounts (a name, its look, a mail, a device's key) belongs to one of them. Pure.

A claim is *reserved* before the commit of the account's book and *confirmed* after it. A confirmed one has no
`reservation`: those of earlier releases are confirmed. A *contested* one is being taken from its owner: no commit may
rely on it any more. The claim says whose a name or a mail is; that account's row says whether it still is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.storage.port import Item, Key
from common.storage.stored_form import More, carried
from common.storage.tables import NAMES

RESERVED_FOR = timedelta(seconds=10)
"""How long a reservation is waited for before it is taken over: longer than any request lasts. No promise rests on it,
for the commit of its owner is made to fail before one is taken over."""


CLOSED = "closed"
"""Whose a claim is that stays taken although its account is gone: nobody's."""


class Claim(Struct, frozen=True):
    """A claim on `name` (a key of NamesTable); `device_id` only where it is a device's key.

    `reservation` changes with every change of the claim until it is confirmed, then it is None. `scripts` only where it
    is how a name looks: names of the same scripts may look the same, and the first of them holds the claim for all.
    `more`: what a later release wrote.
    """

    name: str
    user_uuid: str
    device_id: str | None = None
    reservation: str | None = None
    reserved_at: datetime | None = None
    contested: bool = False
    scripts: str | None = None
    more: More = {}

    @property
    def key(self) -> Key:
        """Where it lies."""
        return NAMES.key(self.name)

    @property
    def is_confirmed(self) -> bool:
        """Whether its owner's book knows it, or knew it once."""
        return self.reservation is None

    @property
    def is_for_good(self) -> bool:
        """Whether nobody else ever has it: a confirmed one of a device's key, or of a look, which others share."""
        return self.is_confirmed and (self.device_id is not None or self.scripts is not None)

    def reserved(self, reservation: str, now: datetime) -> Claim:
        """Return it as it is written before the commit."""
        return replace(self, reservation=reservation, reserved_at=now, contested=False)

    def contested_by(self, reservation: str, now: datetime) -> Claim:
        """Return it as a request writes it that is about to take it over."""
        return replace(self, reservation=reservation, reserved_at=self.reserved_at or now, contested=True)

    def confirmed(self) -> Claim:
        """Return it as it is written after the commit."""
        return Claim(self.name, self.user_uuid, self.device_id, scripts=self.scripts, more=self.more)

    def is_shared_with(self, other: Claim) -> bool:
        """Say whether another may rely on this one in place of its own: both are looks, of the same scripts."""
        return self.scripts is not None and self.scripts == other.scripts

    def may_be_contested(self, now: datetime) -> bool:
        """Say whether its owner has had the time to confirm or release it, or another is taking it over already."""
        return self.reserved_at is None or self.contested or self.reserved_at + RESERVED_FOR <= now

    def to_item(self) -> Item:
        """Write it as an item of NamesTable."""
        item: dict[str, Any] = {**self.more, "claim": self.name, "uuid": self.user_uuid}
        if self.device_id is not None:
            item["device_id"] = self.device_id
        if self.scripts is not None:
            item["scripts"] = self.scripts
        if self.reservation is not None and self.reserved_at is not None:
            item |= {"reservation": self.reservation, "at": to_millis(self.reserved_at)}
        return item | {"contested": True} if self.contested else item

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> Claim:
        """Read what `to_item` wrote, or an earlier release."""
        return Claim(
            name=item["claim"],
            user_uuid=item["uuid"],
            device_id=item.get("device_id"),
            reservation=item.get("reservation"),
            reserved_at=from_millis(item["at"]) if "at" in item else None,
            contested=item.get("contested", False),
            scripts=item.get("scripts"),
            more=carried(item, _KNOWN),
        )


_KNOWN = frozenset(("claim", "uuid", "device_id", "reservation", "at", "contested", "scripts"))


def is_held(claim: Claim, item: Item | None) -> bool:
    """Say whether what lies at the claim's key is this very reservation, or still its account's; nobody takes it over.

    Only its own account gives a confirmed claim up, and that is a change of its book.
    """
    found = None if item is None else Claim.from_item(item)
    if found is None or not claim.is_confirmed:
        return found == claim
    return found.user_uuid == claim.user_uuid and not found.contested


def confirmed_in(item: Item | None) -> Claim | None:
    """Return the claim that lies there, if it is confirmed."""
    claim = None if item is None else Claim.from_item(item)
    return claim if claim is not None and claim.is_confirmed else None
