"""What is kept of an account's second factor. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from common.account.marks import Mark, kept
from common.clock import from_millis, to_millis
from common.crypto.otp import DRIFT, step_at
from common.storage.port import Item
from common.storage.stored_form import More, carried
from registration.passkey_model import Passkey

MOST_FORMER = 20
"""Codes of earlier sets that are kept; the oldest stay, so that nobody pushes them out by making new ones."""


class FormerCode(Struct, frozen=True):
    """A recovery code (its MAC) of an earlier set, and until when it is good."""

    code_hash: str
    until: datetime
    more: More = {}


class Factor(Struct, frozen=True):
    """An authenticator app, recovery codes and passkeys; `encrypted_secret` is empty where there is no app.

    `recovery_code_hashes`: MACs of the codes that are left; `former`: of earlier sets. `used`: passkeys' challenges
    that were used, until nobody could use them any more.
    `since`: when the app was switched on, `codes_since`: when the codes were made, where that was not then.
    `last_step` is the time step whose code confirmed the app; the book has the newest one whose code was taken.
    The codes were made in the store's `generation`. `more`, here and in its parts: what a later release wrote.
    """

    user_uuid: str
    encrypted_secret: str
    last_step: int
    recovery_code_hashes: tuple[str, ...]
    since: datetime
    former: tuple[FormerCode, ...] = ()
    codes_since: datetime | None = None
    more: More = {}
    passkeys: tuple[Passkey, ...] = ()
    used: Mapping[str, datetime] = field(default_factory=dict)
    generation: int = 0

    def in_generation(self, generation: int, since: datetime | None) -> Factor:
        """Return it as it stands in a generation of the store that began at `since`.

        Recovery codes of before are void, and codes that the app could show up to then: which were used is not known.
        """
        if self.generation >= generation or since is None:
            return self
        last_step = max(self.last_step, step_at(since) + DRIFT)
        return replace(self, recovery_code_hashes=(), former=(), last_step=last_step, generation=generation)

    def holds(self, code_hash: str, now: datetime) -> bool:
        """Say whether a recovery code is good: all are compared, each in constant time."""
        good = (*self.recovery_code_hashes, *(each.code_hash for each in self.former if now < each.until))
        return sum(hmac.compare_digest(each, code_hash) for each in good) > 0

    def is_of_former_set(self, code_hash: str) -> bool:
        """Say whether a good code is of a set that was replaced."""
        return code_hash not in self.recovery_code_hashes

    def without(self, hint: str) -> Factor:
        """Return it once a recovery code was used."""
        return replace(
            self,
            recovery_code_hashes=tuple(one for one in self.recovery_code_hashes if one != hint),
            former=tuple(each for each in self.former if each.code_hash != hint),
        )

    def back_to_former_set(self, hint: str) -> Factor:
        """Return it once a code of an earlier set was used against what came after it: no app, and no later codes."""
        return replace(self.without(hint), encrypted_secret="", recovery_code_hashes=())

    def passkey_of(self, credential_id: str) -> Passkey | None:
        """Return the passkey with a credential's id (base64url), if it is the account's."""
        return next((each for each in self.passkeys if each.credential_id == credential_id), None)

    def with_passkey(self, passkey: Passkey) -> Factor:
        """Return it with one more passkey."""
        return replace(self, passkeys=(*self.passkeys, passkey))

    def without_passkey(self, passkey_id: str) -> Factor:
        """Return it without a passkey."""
        left = tuple(each for each in self.passkeys if each.passkey_id != passkey_id)
        return replace(self, passkeys=left)

    def emptied(self) -> Factor:
        """Return it as nothing of it is left."""
        return replace(self, encrypted_secret="", recovery_code_hashes=(), former=(), passkeys=())

    def without_passkeys(self) -> Factor:
        """Return it without any."""
        return replace(self, passkeys=())

    def after_passkey(self, passkey: Passkey, mark: Mark, now: datetime) -> Factor:
        """Return it once a passkey, which is given as it is now, has signed a challenge."""
        return replace(
            self,
            passkeys=tuple(passkey if each.passkey_id == passkey.passkey_id else each for each in self.passkeys),
            used={**kept(self.used, now), mark.name: mark.until},
        )

    def former_after(self, now: datetime, until: datetime) -> tuple[FormerCode, ...]:
        """Return the codes of earlier sets once the present set is replaced."""
        kept = tuple(each for each in self.former if now < each.until)
        return (*kept, *(FormerCode(each, until) for each in self.recovery_code_hashes))[:MOST_FORMER]

    def with_new_set(self, hashes: tuple[str, ...], now: datetime, until: datetime) -> Factor:
        """Return it with new recovery codes; those of before are good until `until`."""
        former = self.former_after(now, until)
        return replace(self, recovery_code_hashes=hashes, former=former, codes_since=now)

    def with_recovery_codes(self, marks: tuple[str, ...], now: datetime) -> Factor:
        """Return it with new recovery codes in place of all that were left."""
        return replace(self, recovery_code_hashes=marks, former=(), codes_since=now)

    def to_item(self) -> Item:
        """Write it as an item of FactorsTable."""
        former: list[Any] = [
            {**each.more, "mark": each.code_hash, "until": to_millis(each.until)} for each in self.former
        ]
        passkeys: list[Any] = [each.to_item() for each in self.passkeys]
        used = {name: to_millis(until) for name, until in self.used.items()}
        return {
            **self.more,
            **({"former": former} if former else {}),
            **({"passkeys": passkeys} if passkeys else {}),
            **({"used": used} if used else {}),
            **({"codes_since": to_millis(self.codes_since)} if self.codes_since else {}),
            **({"generation": self.generation} if self.generation else {}),
            "user_uuid": self.user_uuid,
            "sealed": self.encrypted_secret,
            "last_step": self.last_step,
            "marks": list(self.recovery_code_hashes),
            "since": to_millis(self.since),
            "book_version": 0,  # the version of the book that it follows from
        }

    @staticmethod
    def from_item(item: Any) -> Factor:
        """Read what `to_item` wrote."""
        return Factor(
            user_uuid=item["user_uuid"],
            encrypted_secret=item["sealed"],
            last_step=item["last_step"],
            recovery_code_hashes=tuple(item["marks"]),
            since=from_millis(item["since"]),
            codes_since=from_millis(item["codes_since"]) if "codes_since" in item else None,
            former=tuple(
                FormerCode(each["mark"], from_millis(each["until"]), carried(each, _FORMER))
                for each in item.get("former", ())
            ),
            generation=item.get("generation", 0),
            more=carried(item, _KNOWN),
            passkeys=tuple(Passkey.from_item(each) for each in item.get("passkeys", ())),
            used={name: from_millis(until) for name, until in item.get("used", {}).items()},
        )


_KNOWN = frozenset(
    (
        *("user_uuid", "sealed", "last_step", "marks", "since", "version", "taken_by", "former", "passkeys", "used"),
        *("codes_since", "generation", "book_version"),
    )
)
_FORMER = frozenset(("mark", "until"))


def without_app(user_uuid: str, hashes: tuple[str, ...], now: datetime, generation: int) -> Factor:
    """Return the first recovery codes, or with none what a first passkey is put into, of an account without an app."""
    return Factor(user_uuid, "", 0, hashes, now, generation=generation)
