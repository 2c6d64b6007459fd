"""Rotating the keys: a new one is published before it signs, an old one is retired for all hosts at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from common.clock import to_rfc3339
from common.crypto.jws import Algorithm
from common.keys.key_file import KeyFolder
from common.keys.key_registry import (
    PUBLISHING,
    RegisteredKey,
    not_here,
    of_purpose,
    open_keyring,
    register_ring,
    retire_in_registry,
)
from common.keys.keyring import FILE_NAME, KeyPurpose, KeyRing, KeyRingError, load_ring, new_ring_key, replace_ring
from common.keys.sealed_files import SealedFolder
from common.storage.port import Put, Store


class KeyStatus(Struct, frozen=True):
    """A key as an operator sees it: as it is listed, whether its secret is on this host, and whether it signs here."""

    listed: RegisteredKey
    is_here: bool
    signs: bool


def show(folder: KeyFolder, store: Store, now: datetime) -> tuple[KeyStatus, ...]:
    """Return all keys, oldest first, retired ones included. Raises KeyRingError, StoreUnavailable."""
    ring = _ring_there(folder)
    listed = register_ring(ring, folder / FILE_NAME, store, now)
    here = {key.kid for key in ring.keys if key.secret is not None}
    signing = {_signing(of_purpose(listed, purpose), here, now) for purpose in KeyPurpose}
    places = {str(purpose): place for place, purpose in enumerate(KeyPurpose)}
    in_order = sorted(listed.values(), key=lambda key: (places.get(key.purpose, len(places)), key.signs_from))
    return tuple(KeyStatus(key, key.kid in here, key.kid in signing) for key in in_order)


def _signing(of_a_purpose: tuple[RegisteredKey, ...], here: set[str], now: datetime) -> str | None:
    """Return the newest key that may sign on this host."""
    return next((key.kid for key in reversed(of_a_purpose) if key.signs_from <= now and key.kid in here), None)


def rotate(
    folder: KeyFolder,
    store: Store,
    purpose: KeyPurpose,
    algorithm: Algorithm,
    now: datetime,
    after: timedelta,
    line: Callable[[str], Put] | None = None,
) -> RegisteredKey:
    """Make a key that signs from `now + after` on and publish it at once; the old ones go on being accepted.

    `line` is given its name, and returns the line of the audit log.

    Raises KeyRingError (also when `after` is too short for a key to be published), StoreUnavailable.
    """
    if after < PUBLISHING:
        raise KeyRingError(f"A key is published for at least {PUBLISHING.seconds} seconds before it signs.")
    with _alone(folder):
        ring, _ = open_keyring(folder, store, now)
        key = new_ring_key(purpose, now + after, algorithm)
        ring = replace(ring, keys=(*ring.keys, key))
        replace_ring(folder / FILE_NAME, ring)
        said = None if line is None else line(key.kid)
        return register_ring(ring, folder / FILE_NAME, store, now, said)[key.kid]


def retire(folder: KeyFolder, store: Store, kid: str, now: datetime, line: Put | None = None) -> RegisteredKey:
    """Retire a key everywhere and drop its secret from this host's ring. Repeating it is harmless.

    `line`: of the audit log.

    Raises KeyRingError when there is no such key, or no other one signs in its stead yet; StoreUnavailable.
    """
    with _alone(folder):
        ring = _ring_there(folder)
        listed = register_ring(ring, folder / FILE_NAME, store, now)
        if kid not in listed:
            raise KeyRingError(f"There is no key {kid}: `ichidai keys show` lists them.")
        purpose = listed[kid].purpose
        if not isinstance(purpose, KeyPurpose):
            raise KeyRingError(f"The key {kid} is for {purpose} tokens, which only a later release knows: update this.")
        _check_replaced(ring, listed[kid], of_purpose(listed, purpose), now)
        retire_in_registry(store, kid, now, line)
        keys = tuple(replace(key, secret=None) if key.kid == kid else key for key in ring.keys)
        ring = replace(ring, keys=keys)
        replace_ring(folder / FILE_NAME, ring)
        return register_ring(ring, folder / FILE_NAME, store, now)[kid]


def _check_replaced(
    ring: KeyRing, key: RegisteredKey, of_its_purpose: tuple[RegisteredKey, ...], now: datetime
) -> None:
    here = {one.kid for one in ring.keys if one.secret is not None}
    others = [one for one in of_its_purpose if one.kid != key.kid and one.kid in here]
    if key.retired_at is not None or any(one.signs_from <= now for one in others):
        return
    begins = min((one.signs_from for one in others), default=None)
    if begins is None:
        msg = f"This is the only key for {key.purpose} tokens: `ichidai keys rotate --for {key.purpose}` first."
        raise KeyRingError(msg)
    raise KeyRingError(f"The next key for {key.purpose} tokens signs from {to_rfc3339(begins)} on: retire this then.")


def _ring_there(folder: KeyFolder) -> KeyRing:
    if not (folder / FILE_NAME).exists():
        if isinstance(folder, SealedFolder):
            raise KeyRingError(not_here(folder / FILE_NAME))
        raise KeyRingError(f"There are no keys in {folder} yet: they are made at the first start of a server.")
    return load_ring(folder / FILE_NAME)


@contextmanager
def _alone(folder: KeyFolder) -> Iterator[None]:
    """Hold off other commands that would write the ring on this host; a sealed ring is written as it was read."""
    _ring_there(folder)
    if isinstance(folder, SealedFolder):
        yield
        return
    lock = folder / f"{FILE_NAME}.lock"
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise KeyRingError(f"Another command changes the keys. If none does, remove {lock}.") from None
    try:
        yield
    finally:
        lock.unlink()
