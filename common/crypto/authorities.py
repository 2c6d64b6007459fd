"""The authorities of a suite: one for each kind of key, and those that came before them, while their leaves may live.

The first ML-DSA-87 root lies in the key ring; all others in `authorities.json` beside it, mode 0600. The store holds
the list of all by name, and when each begins to issue, so that every process knows whether its keys are the ones in
force: one that lacks a key reads the file again, and issues nothing while it is not there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from common.clock import Clock, from_millis, to_millis
from common.crypto.authority_file import FILE_NAME, load_file, make_file, replace_file
from common.crypto.certificates import (
    CERTIFICATE_LIFETIME,
    CertificateAuthority,
    DeviceCertificate,
    KeyKind,
    generate_client_certificate,
    kind_of,
    new_authority,
)
from common.crypto.keyring import KeyRingError
from common.crypto.signatures import DevicePublicKey
from common.storage.port import Absent, Conflict, Equals, Item, Put, Store, StoreUnavailable
from common.storage.tables import KEY_RING

_PLACE = KEY_RING.key("authorities")
_GLANCE = timedelta(minutes=1)


class AuthorityMissing(StoreUnavailable):
    """This host has not the key of an authority that is in force; the text says what an operator can do."""


class Listed(Struct, frozen=True):
    """An authority in the store's list: since when it issues, and until when its leaves may live (None: it issues)."""

    name: str
    kind: KeyKind
    since: datetime
    until: datetime | None = None


class _Known(Struct, frozen=True):
    """The list as it was read, and the keys that are here."""

    version: int
    listed: tuple[Listed, ...]
    here: Mapping[str, CertificateAuthority]


class Authorities:
    """The authorities as they are now. `crl_base` is the URL of the lists of revoked certificates.

    Made by `open_authorities`. Safe to use by several threads: what is known is replaced as a whole.
    """

    def __init__(
        self, path: Path, store: Store, clock: Clock, founder: CertificateAuthority, *, crl_base: str = ""
    ) -> None:
        self._path = path
        self._store = store
        self._clock = clock
        self._founder = founder
        self._crl_base = crl_base
        self._looked_at = clock()
        self._known = self._read(store.get(_PLACE))

    def issue(self, user_uuid: str, device_id: str, public_key: DevicePublicKey, now: datetime) -> DeviceCertificate:
        """Issue a device's certificate by the authority of the key's kind that issues now.

        Raises ValueError for a key of another kind, StoreUnavailable.
        """
        self.refresh()
        authority = self.issuing(kind_of(public_key), now)
        url = f"{self._crl_base}?issuer={authority.name}" if self._crl_base else None
        return generate_client_certificate(user_uuid, device_id, public_key, authority, now, crl_url=url)

    def refresh(self) -> None:
        """Read the list again, and the file if the list has changed. Raises AuthorityMissing, StoreUnavailable."""
        item, self._looked_at = self._store.get(_PLACE), self._clock()
        if _version_of(item) == self._known.version:
            return
        try:
            self._known = self._read(item)
        except KeyRingError as error:
            raise AuthorityMissing(str(error)) from error

    def glance(self) -> None:
        """Refresh, but not within a minute of the last time: for those who only look at the authorities."""
        if abs(self._clock() - self._looked_at) >= _GLANCE:
            self.refresh()

    def issuing(self, kind: KeyKind, now: datetime) -> CertificateAuthority:
        """Return the authority of a kind that issues now."""
        begun = [entry for entry in self._known.listed if entry.kind is kind and entry.since <= now]
        return self._known.here[begun[-1].name]

    def in_force(self, now: datetime) -> tuple[CertificateAuthority, ...]:
        """Return all that verify: of each kind the one that issues, then those that soon will or whose leaves live."""
        living = [entry for entry in self._known.listed if entry.until is None or entry.until > now]
        others = [self._known.here[entry.name] for entry in reversed(living)]
        issuing = {kind: self.issuing(kind, now) for kind in KeyKind}
        return tuple(
            authority
            for kind in KeyKind
            for authority in dict.fromkeys((issuing[kind], *(other for other in others if other.kind is kind)))
        )

    def named(self, name: str, now: datetime) -> CertificateAuthority | None:
        """Return the authority of this name, or the one that issues for a kind of this name, while it is in force."""
        if name in set(KeyKind):
            return self.issuing(KeyKind(name), now)
        return next((authority for authority in self.in_force(now) if authority.name == name), None)

    def entries(self) -> Sequence[Listed]:
        """Return the list as it was last read."""
        return self._known.listed

    def rotate(self, kind: KeyKind, since: datetime) -> CertificateAuthority:
        """Make a new authority of a kind that issues from `since` on; the one before it verifies for a year longer.

        The file is written first: a list without its keys would stop every host. Raises StoreUnavailable;
        KeyRingError when another host rotated meanwhile, or an earlier rotation has not begun yet.
        """
        self.refresh()
        waiting = [entry for entry in self._known.listed if entry.kind is kind and entry.since > self._clock()]
        if waiting:
            raise KeyRingError(f"The {kind} authority {waiting[0].name} does not issue yet: wait until it does.")
        new = new_authority(self._clock(), kind)
        named = {entry.name for entry in self._known.listed} - {self._founder.name}
        kept = [authority for authority in self._known.here.values() if authority.name in named]
        replace_file(self._path, [*kept, new])
        listed = [_ended(entry, kind, since) for entry in self._known.listed]
        try:
            _write_list(self._store, [*listed, Listed(new.name, kind, since)], self._known.version)
        except Conflict:
            raise KeyRingError("Another host rotated at the same time: copy its file here, and look again.") from None
        self.refresh()
        return new

    def _read(self, item: Item | None) -> _Known:
        """Put the list and the file together. Raises KeyRingError when a key that is listed is not here."""
        here = {authority.name: authority for authority in (self._founder, *load_file(self._path))}
        listed = _listed_in(item)
        missing = [entry.name for entry in listed if entry.name not in here]
        if missing:
            raise KeyRingError(
                f"The authority {missing[0]} is in force and its key is not here. All hosts of one store need the same "
                f"{FILE_NAME}: copy it from the host where it was made to {self._path}."
            )
        return _Known(_version_of(item), listed, here)


def open_authorities(
    folder: Path, store: Store, clock: Clock, founder: CertificateAuthority, *, crl_base: str = ""
) -> Authorities:
    """Return the authorities, the classical one made only where neither the folder nor the store knows of it.

    `founder` is the first ML-DSA-87 root, of the key ring. Raises KeyRingError, StoreUnavailable.
    """
    path, item = folder / FILE_NAME, store.get(_PLACE)
    if item is None:
        if not path.exists():
            make_file(path, [new_authority(clock(), KeyKind.CLASSICAL)])
        beginning = from_millis(0)
        listed = [Listed(authority.name, authority.kind, beginning) for authority in (founder, *load_file(path))]
        with suppress(Conflict):  # another process was first; whether its keys are ours is seen below
            _write_list(store, listed, 0)
    return Authorities(path, store, clock, founder, crl_base=crl_base)


def _ended(entry: Listed, kind: KeyKind, since: datetime) -> Listed:
    """Return an entry of the list as it stands beside one of `kind` that begins at `since`."""
    if entry.kind is not kind or entry.until is not None:
        return entry
    return Listed(entry.name, entry.kind, entry.since, since + CERTIFICATE_LIFETIME)


def _version_of(item: Item | None) -> int:
    version = 0 if item is None else item["version"]
    if not isinstance(version, int):
        raise TypeError("version")
    return version


def _listed_in(item: Item | None) -> tuple[Listed, ...]:
    found: Any = () if item is None else item["authorities"]
    return tuple(
        Listed(
            name=fields["name"],
            kind=KeyKind(fields["kind"]),
            since=from_millis(fields["since"]),
            until=None if fields["until"] is None else from_millis(fields["until"]),
        )
        for fields in found
    )


def _write_list(store: Store, listed: Sequence[Listed], version: int) -> None:
    """Write the list if it still has this version. Raises Conflict, StoreUnavailable."""
    entries = [
        {
            "name": entry.name,
            "kind": str(entry.kind),
            "since": to_millis(entry.since),
            "until": None if entry.until is None else to_millis(entry.until),
        }
        for entry in listed
    ]
    item: Item = {"id": _PLACE.partition, "version": version + 1, "authorities": entries}
    store.commit([Put(KEY_RING, item, Equals("version", version) if version else Absent())], secrets.token_hex(16))
