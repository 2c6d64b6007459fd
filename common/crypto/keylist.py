"""The list of the keys that rotate, as the store keeps it for all hosts: what is published, and what is retired.

It holds names, times and public keys, no secret. A key is published here before it signs anywhere, and it is retired
here, for all hosts at once. List and key ring are joined, never replaced by one another: a key is in the list once any
host has it, and it is retired when either says so, so that a restored backup brings no retired key back.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.crypto.keyring import FILE_NAME, KeyRing, KeyRingError, Purpose, RingKey, load_ring, make_ring
from common.crypto.signing import Algorithm, SigningKey, VerifyingKey
from common.storage.port import Absent, Condition, Conflict, Equals, Item, Put, Store
from common.storage.tables import KEY_RING

PUBLISHING = timedelta(seconds=5)
"""How long a key is published at least before it signs: by then every process has read the list, or trusts nothing."""

_PLACE = KEY_RING.key("ring")
_ELSEWHERE = f"copy {FILE_NAME} from a host that has it"


class ListedKey(Struct, frozen=True):
    """A key as all hosts know it. `verifying` is there for those that sign access tokens."""

    kid: str
    purpose: Purpose
    signs_from: datetime
    verifying: VerifyingKey | None = None
    retired_at: datetime | None = None


KeyList = Mapping[str, ListedKey]
"""The keys by name, oldest first."""


def open_keyring(
    folder: Path, store: Store, now: datetime, algorithm: Algorithm = Algorithm.ES256
) -> tuple[KeyRing, KeyList]:
    """Return the key ring in `folder` and the list, making a ring only where neither folder nor store knows of one.

    `algorithm` is that of a first signing key. Raises KeyRingError when the store was used with other keys, when a key
    in use is not on this host, or the file cannot be read; StoreUnavailable.
    """
    path = folder / FILE_NAME
    known = store.get(_PLACE)  # before the file is looked for: whoever makes both writes the file first
    if not path.exists():
        if known is not None:
            msg = f"This store was used with keys that are not here. Copy {FILE_NAME} from the other host to {path}."
            raise KeyRingError(msg)
        make_ring(path, algorithm, now)
    ring = load_ring(path)
    listed = join(ring, path, store, now)
    check_complete(ring, listed, now)
    return ring, listed


def join(ring: KeyRing, path: Path, store: Store, now: datetime) -> KeyList:
    """Bring the list up to what this ring has, and return it. Raises KeyRingError for another store's ring."""
    while True:
        item = store.get(_PLACE)
        check_lineage(ring, item, path)
        known = read_list(item)
        joined = _joined(known, ring, now)
        if item is not None and "keys" in item and joined == known:
            return known
        try:
            _write(store, ring.digest(), joined, item)
        except Conflict:
            continue
        return joined


def retire_in_list(store: Store, kid: str, now: datetime) -> None:
    """Retire a listed key, for all hosts at once. KeyError when it is not in the list."""
    while True:
        item = store.get(_PLACE)
        known = read_list(item)
        retired = {**known, kid: replace(known[kid], retired_at=known[kid].retired_at or now)}
        try:
            return _write(store, str((item or {})["digest"]), retired, item)
        except Conflict:
            continue


def check_lineage(ring: KeyRing, item: Item | None, path: Path) -> None:
    """Raise KeyRingError unless the ring is one of those that this store was used with."""
    if item is None:
        return
    if item["digest"] != (ring.digest() if "keys" in item else ring.first_digest()):
        msg = (
            f"The keys in {path} are not those this store was first used with. All hosts of one store need the "
            f"same {FILE_NAME}: copy it from the host that was there first."
        )
        raise KeyRingError(msg)


def check_complete(ring: KeyRing, listed: KeyList, now: datetime) -> None:
    """Raise KeyRingError when this host could not do its part: nothing to sign with, or a MAC key is missing."""
    here = {key.kid for key in ring.keys if key.secret is not None}
    for purpose in Purpose:
        in_use = [key for key in of_purpose(listed, purpose) if key.signs_from <= now + PUBLISHING]
        if not any(key.kid in here for key in in_use):
            raise KeyRingError(f"No key for {purpose} tokens is here that may be used: {_ELSEWHERE}.")
        missing = [key.kid for key in in_use if key.kid not in here]
        if missing and purpose is not Purpose.ACCESS:
            raise KeyRingError(f"The key {missing[0]} for {purpose} tokens is not on this host: {_ELSEWHERE}.")


def of_purpose(listed: KeyList, purpose: Purpose) -> tuple[ListedKey, ...]:
    """Return the keys of a purpose that are not retired, in the order in which they begin to sign."""
    good = (key for key in listed.values() if key.purpose is purpose and key.retired_at is None)
    return tuple(sorted(good, key=lambda key: key.signs_from))


def read_list(item: Item | None) -> KeyList:
    """Read the list from the store's item; the first format had none."""
    found: list[Any] = [] if item is None else item.get("keys", [])  # type: ignore[assignment]
    return {fields["kid"]: _from_item(fields) for fields in found}


def fetch_list(store: Store) -> KeyList:
    """Return the list as it is now. Raises StoreUnavailable."""
    return read_list(store.get(_PLACE))


def _joined(known: KeyList, ring: KeyRing, now: datetime) -> KeyList:
    earliest = now + PUBLISHING if known else None
    joined = dict(known)
    for key in ring.keys:
        if key.kid not in joined:
            joined[key.kid] = _listed(key, earliest, now)
        elif key.secret is None and joined[key.kid].retired_at is None:
            joined[key.kid] = replace(joined[key.kid], retired_at=now)
    return joined


def _listed(key: RingKey, earliest: datetime | None, now: datetime) -> ListedKey:
    verifying = key.secret.verifying if isinstance(key.secret, SigningKey) else None
    signs_from = max(key.signs_from, earliest) if earliest else key.signs_from
    return ListedKey(key.kid, key.purpose, signs_from, verifying, now if key.secret is None else None)


def _write(store: Store, digest: str, listed: KeyList, item: Item | None) -> None:
    """Write the list if nobody was quicker. Raises Conflict."""
    version = item.get("version", 0) if item else 0
    when: Condition = Absent() if item is None else Equals("version", version)
    if item is not None and "version" not in item:
        when = Equals("digest", item["digest"])
    changed: Item = {
        "id": "ring",
        "digest": digest,
        "version": int(str(version)) + 1,
        "keys": [_to_item(key) for key in listed.values()],
    }
    store.commit([Put(KEY_RING, changed, when)], secrets.token_hex(16))


def _to_item(key: ListedKey) -> dict[str, Any]:
    fields: dict[str, Any] = {"kid": key.kid, "purpose": str(key.purpose), "signs_from": to_millis(key.signs_from)}
    if key.verifying is not None:
        fields["jwk"] = dict(key.verifying.bare_jwk)
    return fields if key.retired_at is None else {**fields, "retired_at": to_millis(key.retired_at)}


def _from_item(fields: Mapping[str, Any]) -> ListedKey:
    return ListedKey(
        kid=fields["kid"],
        purpose=Purpose(fields["purpose"]),
        signs_from=from_millis(fields["signs_from"]),
        verifying=VerifyingKey.from_jwk(fields["jwk"]) if "jwk" in fields else None,
        retired_at=from_millis(fields["retired_at"]) if "retired_at" in fields else None,
    )
