"""What a check of the store finds: where, what is wrong, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from common.storage.port import Key


class Weight(StrEnum):
    """Damage is something lost or contradictory; a leftover is what a request that died left, and means nothing."""

    DAMAGE = "damage"
    LEFTOVER = "leftover"


class Kind(StrEnum):
    """What is wrong. Programs may go by these words."""

    UNREADABLE = "unreadable"
    BOOK_MISSING = "book-missing"
    BOOK_INCONSISTENT = "book-inconsistent"
    USER_MISSING = "user-missing"
    CREDENTIALS_DIFFER = "credentials-differ"
    FACTOR_MISSING = "factor-missing"
    ROW_LATER = "row-later"
    DEVICE_MISSING = "device-missing"
    DEVICE_DIFFERS = "device-differs"
    DEVICE_UNBOUND = "device-unbound"
    CERTIFICATE_MISSING = "certificate-missing"
    REVOCATION_MISSING = "revocation-missing"
    REVOKED_IN_USE = "revoked-in-use"
    CLAIM_MISSING = "claim-missing"
    CLAIM_TAKEN = "claim-taken"
    CLAIM_UNUSED = "claim-unused"
    HISTORY_MISSING = "history-missing"
    HISTORY_DIFFERS = "history-differs"
    HISTORY_LATER = "history-later"
    AUDIT_MISSING = "audit-missing"
    AUDIT_OF_NOBODY = "audit-of-nobody"
    LEFTOVER_DEVICE = "leftover-device"
    LEFTOVER_ROW = "leftover-row"
    LEFTOVER_KEYS = "leftover-keys"
    LEFTOVER_CLAIM = "leftover-claim"
    LEFTOVER_TOMBSTONE = "leftover-tombstone"


_LEFTOVERS = frozenset(
    {Kind.LEFTOVER_DEVICE, Kind.LEFTOVER_ROW, Kind.LEFTOVER_KEYS, Kind.LEFTOVER_CLAIM, Kind.LEFTOVER_TOMBSTONE}
)
MENDABLE = frozenset(
    {
        *_LEFTOVERS,
        Kind.DEVICE_MISSING,
        Kind.DEVICE_DIFFERS,
        Kind.DEVICE_UNBOUND,
        Kind.REVOCATION_MISSING,
        Kind.CLAIM_MISSING,
        Kind.CLAIM_UNUSED,
    }
)
"""What `--mend` mends: what follows from the book is written anew, and what means nothing is removed."""

_MEND = "run `ichidai check-store --mend`"
_BACKUP = "bring it back from a backup, or tell the user to register anew"
_REMEDIES: Mapping[Kind, str] = {
    Kind.UNREADABLE: _BACKUP,
    Kind.BOOK_MISSING: _BACKUP,
    Kind.BOOK_INCONSISTENT: "`ichidai accounts end-sessions {user}`, then `ichidai accounts show {user}`",
    Kind.USER_MISSING: "bring the store back from a backup: the password lay there; until then the sessions go on",
    Kind.CREDENTIALS_DIFFER: "`ichidai accounts set-password {user}`: no password is good as it is",
    Kind.FACTOR_MISSING: "`ichidai accounts reset-otp {user}`, once the user is known to be the owner",
    Kind.ROW_LATER: "restored to different times? The next change of the account writes it anew",
    Kind.CERTIFICATE_MISSING: "`ichidai accounts unbind {user} {device}`, and let the device join anew",
    Kind.REVOKED_IN_USE: "`ichidai accounts unbind {user} {device}`: it was taken off, and the book is older than that",
    Kind.CLAIM_TAKEN: "rename one of the two accounts, which both have it",
    Kind.HISTORY_MISSING: "it cannot be brought back but from a backup; the account works",
    Kind.HISTORY_DIFFERS: "restored to different times? It is never rewritten; the account works",
    Kind.HISTORY_LATER: "the book is older than its history: `ichidai restore accept` where it was restored",
    Kind.AUDIT_MISSING: "it cannot be brought back but from a backup",
    Kind.AUDIT_OF_NOBODY: "the account was lost: bring it back from a backup",
}


class Finding(Struct, frozen=True):
    """Something that is wrong at `key`; `user_uuid` is the account that it is of."""

    kind: Kind
    key: Key
    user_uuid: str
    text: str
    device_id: str = ""

    @property
    def weight(self) -> Weight:
        """How much it weighs."""
        return Weight.LEFTOVER if self.kind in _LEFTOVERS else Weight.DAMAGE

    @property
    def is_mendable(self) -> bool:
        """Whether `--mend` can mend it."""
        return self.kind in MENDABLE

    @property
    def remedy(self) -> str:
        """What to do about it."""
        remedy = _MEND if self.is_mendable else _REMEDIES[self.kind]
        return remedy.format(user=self.user_uuid, device=self.device_id)

    @property
    def identity(self) -> tuple[Kind, Key]:
        """What tells it from others."""
        return self.kind, self.key
