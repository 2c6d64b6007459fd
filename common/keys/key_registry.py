"""Key registry: the rotating keys as the store keeps them for all hosts, published and retired.

It holds names, times and public keys, no secret. A key is published here before it signs anywhere, and it is retired
here, for all hosts at once. List and key ring are joined, never replaced by one another: a key is in the list once any
host has it, and it is retired when either says so, so that a restored backup brings no retired key back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from common.account.audit_carried import carrying, lay_line
from common.clock import from_millis, to_millis
from common.crypto.jws import Algorithm, SigningKey, VerifyingKey
from common.errors import Refusal
from common.keys.key_file import KeyFile, KeyFolder
from common.keys.keyring import FILE_NAME, KeyPurpose, KeyRing, KeyRingError, RingKey, load_ring, make_ring
from common.keys.registry_item import next_version
from common.keys.sealed_files import SealedFile, least_sealed
from common.keys.store_schema import check_schema, digest_to_item, ring_item
from common.storage.optimistic import write_optimistically
from common.storage.port import Item, Put, Store, StoreUnavailable
from common.storage.stored_form import More, carried, named
from common.storage.tables import KEY_RING

R = TypeVar("R")

PUBLISHING = timedelta(seconds=5)
"""How long a key is published at least before it signs: by then every process has read the list, or trusts nothing."""

REGISTRY = KEY_RING.key("ring")
"""Where the registry lies."""

_ELSEWHERE = f"copy {FILE_NAME} from a host that has it"


class RegisteredKey(Struct, frozen=True):
    """A key as all hosts know it. `verifying` is there for those that sign access tokens.

    A purpose that only a later release knows is a text; `more`: what else it wrote.
    """

    kid: str
    purpose: KeyPurpose | str
    signs_from: datetime
    verifying: VerifyingKey | None = None
    retired_at: datetime | None = None
    more: More = {}


KeyRegistry = Mapping[str, RegisteredKey]
"""The keys by name, oldest first."""


def open_keyring(
    folder: KeyFolder, store: Store, now: datetime, algorithm: Algorithm = Algorithm.ES256, made: Put | None = None
) -> tuple[KeyRing, KeyRegistry]:
    """Return the key ring in `folder` and the list, making a ring only where neither folder nor store knows of one.

    `algorithm` is that of a first signing key. `made`: the line of the audit log that tells of it. Raises KeyRingError
    when the store was used with other keys, when a key in use is not on this host, or the file cannot be read;
    StoreUnavailable.
    """
    path = folder / FILE_NAME
    known = store.get(REGISTRY)  # before the file is looked for: the process that makes both writes the file first
    if not path.exists():
        if known is not None:
            raise KeyRingError(not_here(path))
        make_ring(path, algorithm, now)
    ring = load_ring(path)
    listed = register_ring(ring, path, store, now, made if known is None else None)
    check_complete(ring, listed, now)
    return ring, listed


def not_here(path: KeyFile) -> str:
    """Return what is told where the store knows of keys and there are none."""
    if isinstance(path, SealedFile):
        return (
            f"The keys of this store are not sealed in it yet: run `ichidai keys seal` on a host that has {FILE_NAME}."
        )
    return f"This store was used with keys that are not here. Copy {FILE_NAME} from the other host to {path}."


def register_ring(ring: KeyRing, path: KeyFile, store: Store, now: datetime, line: Put | None = None) -> KeyRegistry:
    """Bring the list up to what this ring has, and return it. `line`: of the audit log, where the list is written.

    Raises KeyRingError for another store's ring.
    """

    def joining() -> tuple[tuple[KeyRegistry, bool], Put | None]:
        item = store.get(REGISTRY)
        check_lineage(ring, item, path)
        known = read_registry(item)
        joined = _joined(known, ring, now)
        sealed = path.folder.version(path.name) if isinstance(path, SealedFile) else None
        is_noted = sealed is None or sealed == least_sealed(item, FILE_NAME)
        if item is not None and "listed" in item and joined == known and is_noted:
            return (known, False), None
        noted = item if is_noted else {**(item or {}), "sealed": {FILE_NAME: sealed}}
        put = _list_put(digest_to_item(ring.digest()), joined, item, noted)
        return (joined, True), carrying(store, put, item, line)

    listed, is_written = _changed(store, joining)
    lay_line(store, line if is_written else None)
    return listed


def retire_in_registry(store: Store, kid: str, now: datetime, line: Put | None = None) -> None:
    """Retire a listed key, for all hosts at once; `line`: of the audit log. KeyError when it is not in the list."""

    def retiring() -> tuple[None, Put]:
        item = store.get(REGISTRY)
        known = read_registry(item)
        retired = {**known, kid: replace(known[kid], retired_at=known[kid].retired_at or now)}
        return None, carrying(store, _list_put(str((item or {})["digest"]), retired, item), item, line)

    _changed(store, retiring)
    lay_line(store, line)


def _changed(store: Store, decide: Callable[[], tuple[R, Put | None]]) -> R:
    """Return what was decided, once the list is written. Raises StoreUnavailable, past the deadline too."""
    try:
        return write_optimistically(store, decide, contended="the list of keys")
    except Refusal as busy:
        raise StoreUnavailable(f"the list of keys: {busy.reason}") from busy


def check_lineage(ring: KeyRing, item: Item | None, path: KeyFile) -> None:
    """Raise KeyRingError unless the store is of this schema, and the ring one of those that it was used with."""
    check_schema(item)
    if item is None:
        return
    if item["digest"] != digest_to_item(ring.digest() if "listed" in item else ring.first_digest()):
        msg = (
            f"The keys in {path} are not those this store was first used with. All hosts of one store need the "
            f"same {FILE_NAME}: copy it from the host that was there first."
        )
        raise KeyRingError(msg)


def check_complete(ring: KeyRing, listed: KeyRegistry, now: datetime) -> None:
    """Raise KeyRingError when this host could not do its part: nothing to sign with, or a MAC key is missing."""
    here = {key.kid for key in ring.keys if key.secret is not None}
    for purpose in KeyPurpose:
        in_use = [key for key in of_purpose(listed, purpose) if key.signs_from <= now + PUBLISHING]
        if not any(key.kid in here for key in in_use):
            raise KeyRingError(f"No key for {purpose} tokens is here that may be used: {_ELSEWHERE}.")
        missing = [key.kid for key in in_use if key.kid not in here]
        if missing and purpose is not KeyPurpose.ACCESS:
            raise KeyRingError(f"The key {missing[0]} for {purpose} tokens is not on this host: {_ELSEWHERE}.")


def of_purpose(listed: KeyRegistry, purpose: KeyPurpose) -> tuple[RegisteredKey, ...]:
    """Return the keys of a purpose that are not retired, in the order in which they begin to sign."""
    good = (key for key in listed.values() if key.purpose is purpose and key.retired_at is None)
    return tuple(sorted(good, key=lambda key: key.signs_from))


def read_registry(item: Item | None) -> KeyRegistry:
    """Read the list from the store's item; before 0.1.0 there was none. Raises SchemaError."""
    check_schema(item)
    found: list[Any] = [] if item is None else item.get("listed", [])  # type: ignore[assignment]
    return {fields["kid"]: _from_item(fields) for fields in found}


def fetch_registry(store: Store) -> KeyRegistry:
    """Return the list as it is now. Raises SchemaError, StoreUnavailable."""
    return read_registry(store.get(REGISTRY))


def _joined(known: KeyRegistry, ring: KeyRing, now: datetime) -> KeyRegistry:
    earliest = now + PUBLISHING if known else None
    joined = dict(known)
    for key in ring.keys:
        if key.kid not in joined:
            joined[key.kid] = _listed(key, earliest, now)
        elif key.secret is None and joined[key.kid].retired_at is None:
            joined[key.kid] = replace(joined[key.kid], retired_at=now)
    return joined


def _listed(key: RingKey, earliest: datetime | None, now: datetime) -> RegisteredKey:
    verifying = key.secret.verifying if isinstance(key.secret, SigningKey) else None
    signs_from = max(key.signs_from, earliest) if earliest else key.signs_from
    return RegisteredKey(key.kid, key.purpose, signs_from, verifying, now if key.secret is None else None)


def _list_put(digest: str, listed: KeyRegistry, item: Item | None, noted: Item | None = None) -> Put:
    """Return the write of the list; it holds if nobody was quicker. `noted`: what it is to say besides."""
    entries = [_to_item(key) for key in listed.values()]
    return next_version(item, lambda version: ring_item(digest, version, entries, noted or item))


def _to_item(key: RegisteredKey) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **key.more,
        "kid": key.kid,
        "purpose": str(key.purpose),
        "signs_from": to_millis(key.signs_from),
    }
    if key.verifying is not None:
        fields["jwk"] = dict(key.verifying.bare_jwk)
    return fields if key.retired_at is None else {**fields, "retired_at": to_millis(key.retired_at)}


def _from_item(fields: Mapping[str, Any]) -> RegisteredKey:
    return RegisteredKey(
        kid=fields["kid"],
        purpose=named(KeyPurpose, fields["purpose"]),
        signs_from=from_millis(fields["signs_from"]),
        verifying=VerifyingKey.from_jwk(fields["jwk"]) if fields["purpose"] == KeyPurpose.ACCESS else None,
        retired_at=from_millis(fields["retired_at"]) if "retired_at" in fields else None,
        more=carried(fields, _KNOWN_OF_ACCESS if fields["purpose"] == KeyPurpose.ACCESS else _KNOWN),
    )


_KNOWN = frozenset(("kid", "purpose", "signs_from", "retired_at"))
_KNOWN_OF_ACCESS = _KNOWN | {"jwk"}
