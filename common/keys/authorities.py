"""The authorities of a suite: one for each kind of key, and those that came before them, while their leaves may live.

The first ML-DSA-87 root lies in the key ring; all others in `authorities.json` beside it, mode 0600. The store holds
the list of all by name, and when each begins to issue, so that every process knows whether its keys are the ones in
force: one that lacks a key reads the file again, and issues nothing while it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.account.audit_carried import carrying, lay_line
from common.clock import Clock, from_millis, to_millis
from common.crypto.certificates import (
    CERTIFICATE_LIFETIME,
    CertificateAuthority,
    DeviceCertificate,
    KeyKind,
    generate_client_certificate,
    kind_of,
    new_authority,
)
from common.crypto.device_keys import DevicePublicKey
from common.keys.authority_file import FILE_NAME, load_file, make_file, replace_file
from common.keys.key_file import KeyFile, KeyFolder
from common.keys.keyring import KeyRingError
from common.keys.registry_item import CachedRegistry, next_version, version_of
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Conflict, Item, Put, Store, StoreUnavailable
from common.storage.stored_form import More, carried
from common.storage.tables import KEY_RING

_PLACE = KEY_RING.key("authorities")
_GLANCE = timedelta(minutes=1)


class AuthorityMissing(StoreUnavailable):
    """This host has not the key of an authority that is in force; the text says what an operator can do."""


class ListedAuthority(Struct, frozen=True):
    """An authority in the store's list: since when it issues, and until when its leaves may live (None: it issues).

    `more`: what a later release wrote.
    """

    name: str
    kind: KeyKind
    since: datetime
    until: datetime | None = None
    more: More = {}


class _Known(Struct, frozen=True):
    """The list as it was read, its item, and the keys that are here."""

    item: Item | None
    listed: tuple[ListedAuthority, ...]
    here: Mapping[str, CertificateAuthority]


class Authorities:
    """The authorities as they are now. `crl_base` is the URL of the lists of revoked certificates.

    Made by `open_authorities`. Safe to use by several threads: what is known is replaced as a whole.
    """

    def __init__(
        self, path: KeyFile, store: Store, clock: Clock, founder: CertificateAuthority, *, crl_base: str = ""
    ) -> None:
        self._path = path
        self._store = store
        self._clock = clock
        self._founder = founder
        self._crl_base = crl_base
        self._looked_at = clock()
        self._registry = CachedRegistry(store, _PLACE, self._read, self._together(store.get(_PLACE)))

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
        self._registry.refresh()

    def refresh_if_stale(self) -> None:
        """Refresh, but not within a minute of the last time: for those who only look at the authorities."""
        if abs(self._clock() - self._looked_at) >= _GLANCE:
            self.refresh()

    def issuing(self, kind: KeyKind, now: datetime) -> CertificateAuthority:
        """Return the authority of a kind that issues now."""
        begun = [entry for entry in self._registry.value.listed if entry.kind is kind and entry.since <= now]
        return self._registry.value.here[begun[-1].name]

    def active(self, now: datetime) -> tuple[CertificateAuthority, ...]:
        """Return all that verify: of each kind the one that issues, then those that soon will or whose leaves live."""
        living = [entry for entry in self._registry.value.listed if entry.until is None or entry.until > now]
        others = [self._registry.value.here[entry.name] for entry in reversed(living)]
        issuing = {kind: self.issuing(kind, now) for kind in KeyKind}
        return tuple(
            authority
            for kind in KeyKind
            for authority in dict.fromkeys((issuing[kind], *(other for other in others if other.kind is kind)))
        )

    def get(self, name: str, now: datetime) -> CertificateAuthority | None:
        """Return the authority of this name, or the one that issues for a kind of this name, while it is in force."""
        if name in set(KeyKind):
            return self.issuing(KeyKind(name), now)
        return next((authority for authority in self.active(now) if authority.name == name), None)

    def entries(self) -> Sequence[ListedAuthority]:
        """Return the list as it was last read."""
        return self._registry.value.listed

    def rotate(self, kind: KeyKind, since: datetime, line: Callable[[str], Put] | None = None) -> CertificateAuthority:
        """Make a new authority of a kind that issues from `since` on; the one before it verifies for a year longer.

        `line` is given its name, and returns the line of the audit log.

        The file is written first: a list without its keys would stop every host. Raises StoreUnavailable;
        KeyRingError when another host rotated meanwhile, or an earlier rotation has not begun yet.
        """
        self.refresh()
        waiting = [entry for entry in self._registry.value.listed if entry.kind is kind and entry.since > self._clock()]
        if waiting:
            raise KeyRingError(f"The {kind} authority {waiting[0].name} does not issue yet: wait until it does.")
        new = new_authority(self._clock(), kind)
        named = {entry.name for entry in self._registry.value.listed} - {self._founder.name}
        kept = [authority for authority in self._registry.value.here.values() if authority.name in named]
        replace_file(self._path, [*kept, new])
        listed = [_ended(entry, kind, since) for entry in self._registry.value.listed]
        try:
            entries = [*listed, ListedAuthority(new.name, kind, since)]
            said = None if line is None else line(new.name)
            _write_list(self._store, entries, self._registry.value.item, said)
        except Conflict:
            raise KeyRingError("Another host rotated at the same time: copy its file here, and look again.") from None
        self.refresh()
        return new

    def _read(self, item: Item | None, last: _Known) -> _Known:
        """Put the list and the file together anew where the list has changed. Raises AuthorityMissing."""
        self._looked_at = self._clock()
        if version_of(item) == version_of(last.item):
            return last
        try:
            return self._together(item)
        except KeyRingError as error:
            raise AuthorityMissing(str(error)) from error

    def _together(self, item: Item | None) -> _Known:
        """Put the list and the file together. Raises KeyRingError when a key that is listed is not here."""
        here = {authority.name: authority for authority in (self._founder, *load_file(self._path))}
        listed = _listed_in(item)
        missing = [entry.name for entry in listed if entry.name not in here]
        if missing:
            raise KeyRingError(
                f"The authority {missing[0]} is in force and its key is not here. All hosts of one store need the same "
                f"{FILE_NAME}: copy it from the host where it was made to {self._path}."
            )
        return _Known(item, listed, here)


def open_authorities(
    folder: KeyFolder, store: Store, clock: Clock, founder: CertificateAuthority, *, crl_base: str = ""
) -> Authorities:
    """Return the authorities, the classical one made only where neither the folder nor the store knows of it.

    `founder` is the first ML-DSA-87 root, of the key ring. Raises KeyRingError, StoreUnavailable.
    """
    path, item = folder / FILE_NAME, store.get(_PLACE)
    if item is None:
        if not path.exists():
            make_file(path, [new_authority(clock(), KeyKind.CLASSICAL)])
        beginning = from_millis(0)
        listed = [
            ListedAuthority(authority.name, authority.kind, beginning) for authority in (founder, *load_file(path))
        ]
        with suppress(Conflict):  # another process was first; whether its keys are ours is seen below
            _write_list(store, listed, None)
    return Authorities(path, store, clock, founder, crl_base=crl_base)


def _ended(entry: ListedAuthority, kind: KeyKind, since: datetime) -> ListedAuthority:
    """Return an entry of the list as it stands beside one of `kind` that begins at `since`."""
    if entry.kind is not kind or entry.until is not None:
        return entry
    return replace(entry, until=since + CERTIFICATE_LIFETIME)


def _listed_in(item: Item | None) -> tuple[ListedAuthority, ...]:
    found: Any = () if item is None else item["authorities"]
    return tuple(
        ListedAuthority(
            name=fields["name"],
            kind=KeyKind(fields["kind"]),
            since=from_millis(fields["since"]),
            until=None if fields["until"] is None else from_millis(fields["until"]),
            more=carried(fields, _KNOWN),
        )
        for fields in found
        if fields["kind"] in set(KeyKind)
    )


_KNOWN = frozenset(("name", "kind", "since", "until"))


def _of_later_releases(item: Item | None) -> list[Any]:
    """Return the entries of kinds that only a later release knows; they are written back as they are."""
    found: Any = [] if item is None else item["authorities"]
    return [fields for fields in found if fields["kind"] not in set(KeyKind)]


def _write_list(store: Store, listed: Sequence[ListedAuthority], found: Item | None, line: Put | None = None) -> None:
    """Write the list if it is still as it was found. Raises Conflict, StoreUnavailable."""
    entries = [
        {
            **entry.more,
            "name": entry.name,
            "kind": str(entry.kind),
            "since": to_millis(entry.since),
            "until": None if entry.until is None else to_millis(entry.until),
        }
        for entry in listed
    ]
    entries += _of_later_releases(found)
    whole = {**(found or {}), "id": _PLACE.partition, "authorities": entries}
    put = next_version(found, lambda version: {**whole, "version": version})
    write_known(store, carrying(store, put, found, line), RetryBudget())
    lay_line(store, line)
