"""Rotating the keys: a new one is published before it signs, an old one is retired for all hosts at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from common.clock import to_rfc3339
from common.crypto.keylist import PUBLISHING, ListedKey, fetch_list, join, of_purpose, open_keyring, retire_in_list
from common.crypto.keyring import (
    FILE_NAME,
    KeyRing,
    KeyRingError,
    Purpose,
    load_ring,
    new_ring_key,
    replace_ring,
)
from common.crypto.signing import Algorithm
from common.storage.port import Store


class ShownKey(Struct, frozen=True):
    """A key as an operator sees it: as it is listed, whether its secret is on this host, and whether it signs here."""

    listed: ListedKey
    is_here: bool
    signs: bool


def show(folder: Path, store: Store, now: datetime) -> tuple[ShownKey, ...]:
    """Return all keys, oldest first, retired ones included. Raises KeyRingError, StoreUnavailable."""
    ring = _ring_there(folder)
    listed = join(ring, folder / FILE_NAME, store, now)
    here = {key.kid for key in ring.keys if key.secret is not None}
    signing = {_signing(of_purpose(listed, purpose), here, now) for purpose in Purpose}
    in_order = sorted(listed.values(), key=lambda key: (list(Purpose).index(key.purpose), key.signs_from))
    return tuple(ShownKey(key, key.kid in here, key.kid in signing) for key in in_order)


def _signing(of_a_purpose: tuple[ListedKey, ...], here: set[str], now: datetime) -> str | None:
    """Return the newest key that may sign on this host."""
    return next((key.kid for key in reversed(of_a_purpose) if key.signs_from <= now and key.kid in here), None)


def rotate(
    folder: Path, store: Store, purpose: Purpose, algorithm: Algorithm, now: datetime, after: timedelta
) -> ListedKey:
    """Make a key that signs from `now + after` on and publish it at once; the old ones go on being accepted.

    Raises KeyRingError (also when `after` is too short for a key to be published), StoreUnavailable.
    """
    if after < PUBLISHING:
        raise KeyRingError(f"A key is published for at least {PUBLISHING.seconds} seconds before it signs.")
    with _alone(folder):
        ring, _ = open_keyring(folder, store, now)
        key = new_ring_key(purpose, now + after, algorithm)
        ring = replace(ring, keys=(*ring.keys, key))
        replace_ring(folder / FILE_NAME, ring)
        return join(ring, folder / FILE_NAME, store, now)[key.kid]


def retire(folder: Path, store: Store, kid: str, now: datetime) -> ListedKey:
    """Retire a key everywhere and drop its secret from this host's ring. Repeating it is harmless.

    Raises KeyRingError when there is no such key, or no other one signs in its stead yet; StoreUnavailable.
    """
    with _alone(folder):
        ring = _ring_there(folder)
        listed = join(ring, folder / FILE_NAME, store, now)
        if kid not in listed:
            raise KeyRingError(f"There is no key {kid}: `ichidai keys show` lists them.")
        _check_replaced(ring, listed[kid], of_purpose(listed, listed[kid].purpose), now)
        retire_in_list(store, kid, now)
        keys = tuple(replace(key, secret=None) if key.kid == kid else key for key in ring.keys)
        replace_ring(folder / FILE_NAME, replace(ring, keys=keys))
        return fetch_list(store)[kid]


def _check_replaced(ring: KeyRing, key: ListedKey, of_its_purpose: tuple[ListedKey, ...], now: datetime) -> None:
    here = {one.kid for one in ring.keys if one.secret is not None}
    others = [one for one in of_its_purpose if one.kid != key.kid and one.kid in here]
    if key.retired_at is not None or any(one.signs_from <= now for one in others):
        return
    begins = min((one.signs_from for one in others), default=None)
    if begins is None:
        msg = f"This is the only key for {key.purpose} tokens: `ichidai keys rotate --for {key.purpose}` first."
        raise KeyRingError(msg)
    raise KeyRingError(f"The next key for {key.purpose} tokens signs from {to_rfc3339(begins)} on: retire this then.")


def _ring_there(folder: Path) -> KeyRing:
    if not (folder / FILE_NAME).exists():
        raise KeyRingError(f"There are no keys in {folder} yet: they are made at the first start of a server.")
    return load_ring(folder / FILE_NAME)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold off other commands that would write the ring on this host."""
    _ring_there(folder)
    lock = folder / f"{FILE_NAME}.lock"
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise KeyRingError(f"Another command changes the keys. If none does, remove {lock}.") from None
    try:
        yield
    finally:
        lock.unlink()
