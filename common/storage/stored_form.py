"""What this release understands of what another one wrote. Pure.

Two neighbouring releases serve one store side by side. So the members of an item that a release does not know are
carried through its writes: each codec reads them into `more` and writes them back. A state that it does not know, and
an item that says what its reader `needs` to know, are refused: to every caller the store is unavailable (503). A name
that decides nothing, such as an event's kind, is passed on as the text that it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from common.storage.port import StoreUnavailable

E = TypeVar("E", bound=StrEnum)

More: TypeAlias = Mapping[str, Any]
"""Members that a later release wrote, as they were read."""

NEEDS = "needs"
"""The member by which a later release keeps earlier ones from an item, or from a part of one. None has done so yet."""


class UnknownForm(StoreUnavailable):
    """An item, or a state in it, is of a later release. It is neither served nor written by this one."""


def carried(item: Mapping[str, Any], known: frozenset[str]) -> More:
    """Return the members of an item that are not `known`. Raises UnknownForm where they must be."""
    if item.keys() <= known:
        return {}
    more = {name: value for name, value in item.items() if name not in known}
    if NEEDS in more:
        raise UnknownForm(f"an item needs a release that knows {more[NEEDS]}: update this one")
    return more


def known(kind: type[E], value: Any) -> E:
    """Return a state. Raises UnknownForm for one that a later release made."""
    try:
        return kind(value)
    except ValueError:
        raise UnknownForm(f"{kind.__name__} {value!r} is a later release's: update this one") from None


def named(kind: type[E], text: str) -> E | str:
    """Return a name that decides nothing, or the text where a later release gave it."""
    try:
        return kind(text)
    except ValueError:
        return text
