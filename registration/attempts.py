"""Attempts that one item of ThrottleTable counts: what is spent of its quotas, as of one moment. Pure values and rules.

Three kinds of items have this form: a source, an account, and a known device at its place. Each change of one is a put
that holds only while the item has the version that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.rate_limit import NOTHING, Exhausted, Level, Quota, latest, leak, refund, spend
from common.storage.port import Item

MOST_SOURCES = 16
"""Of how many sources an account's item keeps an own level; those most spent stay."""

_MILLISECOND = timedelta(milliseconds=1)


class Quotas(Struct, frozen=True):
    """What an item bounds: passwords in all, codes, and passwords of each source; None: it does not count that."""

    passwords: Quota
    codes: Quota | None = None
    of_source: Quota | None = None


class Attempts(Struct, frozen=True):
    """The levels of one item, all as of `at`.

    `sources` has the sources most spent, `others` the most that any source which is not among them may have spent: so
    a source that is pushed out gains nothing by it (M. Mitzenmacher et al. call the scheme Space-Saving).
    """

    at: datetime
    passwords: Level = NOTHING
    codes: Level = NOTHING
    sources: Mapping[str, Level] = field(default_factory=dict)
    others: Level = NOTHING

    def leaked(self, now: datetime) -> Attempts:
        """Return what is left by `now`."""
        sources = {name: leak(level, self.at, now) for name, level in self.sources.items()}
        return Attempts(
            latest(self.at, now),
            leak(self.passwords, self.at, now),
            leak(self.codes, self.at, now),
            {name: level for name, level in sources.items() if level},
            leak(self.others, self.at, now),
        )

    def with_password(self, quotas: Quotas, source: str) -> Attempts | Exhausted:
        """Return it after one try of a password from a source, or that none is left."""
        passwords = spend(self.passwords, quotas.passwords)
        if isinstance(passwords, Exhausted):
            return passwords
        if quotas.of_source is None:
            return replace(self, passwords=passwords)
        level = spend(self.sources.get(source, self.others), quotas.of_source)
        if isinstance(level, Exhausted):
            return level
        sources, others = _most_spent({**self.sources, source: level}, self.others)
        return replace(self, passwords=passwords, sources=sources, others=others)

    def with_code(self, quotas: Quotas) -> Attempts | Exhausted:
        """Return it after one try of a code, or that none is left."""
        if quotas.codes is None:
            return self
        codes = spend(self.codes, quotas.codes)
        return codes if isinstance(codes, Exhausted) else replace(self, codes=codes)

    def without_password(self, quotas: Quotas, source: str) -> Attempts:
        """Return it after a try of a password was put back; what a source spent before it was pushed out stays."""
        kept = replace(self, passwords=refund(self.passwords, quotas.passwords))
        if quotas.of_source is None or source not in self.sources:
            return kept
        own = refund(self.sources[source], quotas.of_source)
        others = {name: level for name, level in self.sources.items() if name != source}
        return replace(kept, sources={**others, source: own} if own else others)

    def without_code(self, quotas: Quotas) -> Attempts:
        """Return it after a try of a code was put back."""
        return self if quotas.codes is None else replace(self, codes=refund(self.codes, quotas.codes))

    def empty_at(self) -> datetime:
        """Return when nothing is spent any more."""
        return self.at + max(self.passwords, self.codes, self.others, *self.sources.values(), NOTHING)

    def to_fields(self) -> dict[str, Any]:
        """Write it as attributes of an item; a level of nothing is left out."""
        levels = {"spent": self.passwords, "codes": self.codes, "others": self.others}
        fields: dict[str, Any] = {name: level // _MILLISECOND for name, level in levels.items() if level}
        if self.sources:
            fields["sources"] = {name: level // _MILLISECOND for name, level in self.sources.items()}
        return {**fields, "at": to_millis(self.at)}

    @staticmethod
    def from_item(item: Item) -> Attempts:
        """Read what `to_fields` wrote."""
        fields: Mapping[str, Any] = item
        return Attempts(
            from_millis(fields["at"]),
            fields.get("spent", 0) * _MILLISECOND,
            fields.get("codes", 0) * _MILLISECOND,
            {name: level * _MILLISECOND for name, level in fields.get("sources", {}).items()},
            fields.get("others", 0) * _MILLISECOND,
        )


def _most_spent(sources: dict[str, Level], others: Level) -> tuple[Mapping[str, Level], Level]:
    """Return the sources that stay, and what any other may have spent."""
    if len(sources) <= MOST_SOURCES:
        return sources, others
    least = min(sources, key=lambda name: sources[name])
    return {name: level for name, level in sources.items() if name != least}, max(others, sources[least])
