"""Marks: what was used once and belongs to an account, named in its book until it could not be used again anyway. Pure.

The mark goes into the book with the very change that used the thing, so that of two uses only one is made. A mark is
never dropped before its time; where a quota is full, the use is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from common.errors import Code, Refusal

CLOCKS_APART = timedelta(seconds=60)
"""How much longer than its thing a mark is kept: as far as the clocks of two hosts may be apart."""

_THING = 25


class Mark(Struct, frozen=True):
    """That something was used: its name in the book, and when nobody could use it any more.

    A name is the kind (a letter), the thing (24 hex digits), and what has a quota of its own, where that is not the
    account (6 hex digits).
    """

    name: str
    until: datetime

    def is_of(self, name: str) -> bool:
        """Say whether a name in the book is that of the same thing, whosever quota it counted for."""
        return name[:_THING] == self.name[:_THING]

    def shares_quota_with(self, name: str) -> bool:
        """Say whether a name in the book counts for the same quota."""
        return name[0] == self.name[0] and name[_THING:] == self.name[_THING:]


def mark_of(kind: str, secret: str, expires_at: datetime, owner: str = "") -> Mark:
    """Return the mark of a thing of a kind (one letter), named by a digest of what tells it from others (96 bits).

    `owner`: what has a quota of its own, where it is not the account.
    """
    group = _digest(owner)[:6] if owner else ""
    return Mark(kind + _digest(f"{kind}#{secret}")[:24] + group, expires_at + CLOCKS_APART)


def check_quota(marks: Mapping[str, datetime], mark: Mark, most: int, now: datetime) -> None:
    """Refuse a use when as many things of its kind were used as may be. Raises Refusal(TOO_MANY_ATTEMPTS)."""
    ends = sorted(until for name, until in marks.items() if mark.shares_quota_with(name) and until > now)
    if len(ends) >= most:
        wait = ends[len(ends) - most] - now
        raise Refusal(Code.TOO_MANY_ATTEMPTS, reason="marks of one kind", retry_after=int(wait.total_seconds()) + 1)


def kept(marks: Mapping[str, datetime], now: datetime) -> dict[str, datetime]:
    """Return the marks that are still needed."""
    return {name: until for name, until in marks.items() if until > now}


def use(marks: Mapping[str, datetime], mark: Mark, most: int, now: datetime, spent: Code) -> Mark:
    """Return a mark for the change that uses the thing, where it was not used before.

    Raises Refusal: `spent`, or TOO_MANY_ATTEMPTS when `most` of the same group were used.
    """
    if any(mark.is_of(name) for name in marks):
        raise Refusal(spent, reason="used before")
    check_quota(marks, mark, most, now)
    return mark


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
