"""Eviction limit: clients that share a password end each other's sessions in turn. Then a signature is asked for.

Every admission that ends another device's session is noted in the book, in its own commit. Once there were as many as
the settings say within ten minutes, the next one needs the device's signature; a login that ends nobody never does.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from common.account.book import Book

WINDOW = timedelta(minutes=10)


def is_limit_reached(book: Book, most: int, now: datetime) -> bool:
    """Say whether there were `most` evictions within ten minutes (0: that is never asked). Pure."""
    return 0 < most <= len(_recent(book, now))


def was_limit_reached(book: Book, most: int, at: datetime) -> bool:
    """Say whether the eviction that was noted at a moment, if one was, came after `most` others. Pure."""
    before = tuple(each for each in book.evictions if each <= at)
    return is_limit_reached(replace(book, evictions=before[: len(before) - (at in before)]), most, at)


def with_eviction(book: Book, most: int, now: datetime) -> Book:
    """Return the book with an eviction noted, and only as many as are asked for, with one before them. Pure."""
    return replace(book, evictions=(*_recent(book, now), now)[-most - 1 :]) if most else book


def _recent(book: Book, now: datetime) -> tuple[datetime, ...]:
    """Return those of the last ten minutes; one in the future, by another process's clock, counts."""
    return tuple(at for at in book.evictions if now - at < WINDOW)
