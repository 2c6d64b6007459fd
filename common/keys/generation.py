"""The store's generation: everything that was given out before it is void. Pure.

One item says it, with a mark of how far the store has come (`progress`), by which a host that has seen more notices a
store that was restored from a backup. See `docs/decisions/0052-a-restore-generation.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.ids import new_change_id, new_id
from common.storage.port import Item
from common.storage.tables import KEY_RING

GENERATION = KEY_RING.key("generation")
"""Where the item lies."""

MOST_MARKS = 40
"""How many marks the store remembers: forty seconds of changes, in an item under 1,024 bytes."""

_MEMBERS = frozenset({"id", "store", "number", "progress", "mark", "earlier", "since", "who", "why"})


class Generation(Struct, frozen=True):
    """The generation `number` of the store with the id `store`; it began at `since`, by whom and why.

    `progress` rises at least once a second while accounts change, each time with a `mark` of its own, so that copies of
    a store that were served apart can be told from each other; `earlier` are the marks before it, the last one at the
    end. `more`: members that a later release wrote.
    """

    store: str
    number: int = 0
    progress: int = 0
    mark: str = ""
    earlier: tuple[str, ...] = ()
    since: datetime | None = None
    who: str = ""
    why: str = ""
    more: Mapping[str, Any] = {}

    @staticmethod
    def first() -> Generation:
        """Return that of a store that was never served."""
        return Generation(new_id(), mark=new_change_id())

    def marked(self) -> Generation:
        """Return it with the store's next mark."""
        earlier = (*self.earlier, self.mark)[-MOST_MARKS:]
        return replace(self, progress=self.progress + 1, mark=new_change_id(), earlier=earlier)

    def mark_at(self, progress: int) -> str | None:
        """Return the mark that the store had then; None where that is too long ago, or still to come."""
        marks = (*self.earlier, self.mark)
        back = self.progress - progress
        return marks[-1 - back] if 0 <= back < len(marks) else None

    def raised(self, who: str, why: str, now: datetime) -> Generation:
        """Return the next generation: all that was given out before is void.

        Its number is a time in seconds, so that it is later than one that was lost with a restored store.
        """
        number = max(self.number + 1, to_millis(now) // 1000)
        return replace(self.marked(), number=number, since=now, who=who, why=why)

    def to_item(self) -> Item:
        """Write it as an item of the key ring's table."""
        since = {} if self.since is None else {"since": to_millis(self.since), "who": self.who, "why": self.why}
        return {
            **self.more,
            "id": GENERATION.partition,
            "store": self.store,
            "number": self.number,
            "progress": self.progress,
            "mark": self.mark,
            "earlier": list(self.earlier),
            **since,
        }

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> Generation:
        """Read what `to_item` wrote."""
        return Generation(
            store=item["store"],
            number=item["number"],
            progress=item["progress"],
            mark=item["mark"],
            earlier=tuple(item["earlier"]),
            since=from_millis(item["since"]) if "since" in item else None,
            who=item.get("who", ""),
            why=item.get("why", ""),
            more={name: value for name, value in item.items() if name not in _MEMBERS},
        )


class Witnessed(Struct, frozen=True):
    """What a host has seen of a store: id, generation, how far it had come, its mark then, its key list's version."""

    store: str
    generation: int
    progress: int
    mark: str
    ring: int

    def fault(self, found: Generation | None, ring: int) -> str | None:
        """Say what is wrong with a store that says this of itself now; None where it is what was seen, or later."""
        if found is None:
            return "The store is empty or was never served, and this host has served another one"
        if found.number > self.generation:
            return None
        if found.store != self.store:
            return "The store is not the one that this host has served"
        if found.number < self.generation or found.progress < self.progress or ring < self.ring:
            return "The store is older than this host has seen it: it was restored from a backup"
        if found.mark_at(self.progress) not in (None, self.mark):
            return "The store is another copy of the one that this host has served: it was restored from a backup"
        return None


def seen(found: Generation, ring: int) -> Witnessed:
    """Return what a host that has read this has seen."""
    return Witnessed(found.store, found.number, found.progress, found.mark, ring)
