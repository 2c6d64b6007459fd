"""What is kept of an account's second factor. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.storage.port import Item


class Factor(Struct, frozen=True):
    """An authenticator app and recovery codes. `sealed`: the app's secret; `marks`: MACs of the codes that are left.

    `last_step` is the newest time step whose code was taken: only a later one's is taken now. `version` rises with
    every write.
    """

    user_uuid: str
    sealed: str
    last_step: int
    marks: tuple[str, ...]
    since: datetime
    version: int = 1

    def after(self, step: int) -> Factor:
        """Return it once the code of a step was taken."""
        return replace(self, last_step=step, version=self.version + 1)

    def without(self, mark: str) -> Factor:
        """Return it once a recovery code was used."""
        return replace(self, marks=tuple(one for one in self.marks if one != mark), version=self.version + 1)

    def to_item(self) -> Item:
        """Write it as an item of FactorsTable."""
        return {
            "user_uuid": self.user_uuid,
            "sealed": self.sealed,
            "last_step": self.last_step,
            "marks": list(self.marks),
            "since": to_millis(self.since),
            "version": self.version,
        }

    @staticmethod
    def from_item(item: Any) -> Factor:
        """Read what `to_item` wrote."""
        return Factor(
            user_uuid=item["user_uuid"],
            sealed=item["sealed"],
            last_step=item["last_step"],
            marks=tuple(item["marks"]),
            since=from_millis(item["since"]),
            version=item["version"],
        )
