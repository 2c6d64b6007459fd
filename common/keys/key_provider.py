"""Key provider: a background thread reads the key registry and the key ring every second.

So that a key that is retired is refused by every process within five seconds: each reads the list every second, and
after four seconds without an answer from the store it accepts no token at all until there is one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct, field

from common.clock import Clock
from common.crypto.certificates import CLOCK_SKEW
from common.crypto.jws import SigningKey, VerifyingKey
from common.crypto.tokens import AccessKeys, MacKeys
from common.keys.key_file import KeyFile, KeyFolder
from common.keys.key_registry import REGISTRY, KeyRegistry, check_lineage, of_purpose, read_registry
from common.keys.keyring import FILE_NAME, KeyPurpose, KeyRing, KeyRingError, load_ring
from common.keys.registry_item import CachedRegistry, version_of
from common.keys.sealed_files import SealedFile, least_sealed
from common.keys.store_move import check_writable
from common.keys.store_schema import SchemaError
from common.storage.port import Item, Store, StoreUnavailable
from common.storage.prompt import WouldWait

READ_EVERY_SECONDS = 1.0
TRUSTED_SECONDS = 4.0
"""How old what was read may be. With the second between two readings: five until a retired key is refused."""

_log = logging.getLogger(__name__)


class _Secrets(Struct, frozen=True):
    """What is here of the keys of a purpose that are not retired; the one that is to be used now is last.

    So it is until `until`, when another begins to sign (None: for good). `macs` has the same for those of a MAC.
    """

    keys: tuple[SigningKey | bytes, ...]
    macs: MacKeys
    until: datetime | None


class _Read(Struct, frozen=True):
    """What was read last: this host's ring and the list of all, and the keys that verify access tokens, by name.

    `version` is the list's. `item` is what the store holds, None before it was read again. `secrets` is what follows
    for each purpose, as far as it was asked for.
    """

    ring: KeyRing
    listed: KeyRegistry
    verifiers: Mapping[str, VerifyingKey]
    changed: object
    version: int = 0
    item: Item | None = None
    secrets: dict[KeyPurpose, _Secrets] = field(default_factory=dict)


class KeyProvider:
    """The keys that may be used now. It satisfies `common.crypto.tokens.AccessKeys`.

    Until `watch` is called it keeps to what it was made with: an app in a test reads nothing behind the test's back.
    """

    def __init__(self, folder: KeyFolder, store: Store, clock: Clock, ring: KeyRing, listed: KeyRegistry) -> None:
        self._path = folder / FILE_NAME
        self._clock = clock
        self._watched = False
        self._closed = threading.Event()
        first = _Read(ring, listed, _verifiers(listed), _stamp(self._path, None))
        self._registry = CachedRegistry(store, REGISTRY, self._read, first)

    def watch(self) -> None:
        """Read list and ring again every second, until `close`."""
        self._watched = True
        threading.Thread(target=self._keep_reading, name="key-ring", daemon=True).start()

    def close(self) -> None:
        """Let the watching end."""
        self._closed.set()

    def opens_sealed(self) -> bool | None:
        """Say whether a server that started now could open the sealed keys; None: they are files.

        Raises StoreUnavailable.
        """
        return self._path.folder.opens() if isinstance(self._path, SealedFile) else None

    def reread(self) -> None:
        """Read the list, and the ring if its file has changed. Raises StoreUnavailable; what was read before stays."""
        self._registry.refresh()

    def signer(self) -> SigningKey:
        """Return the newest published key that may sign and is on this host. Raises StoreUnavailable."""
        secret = self._secrets(KeyPurpose.ACCESS).keys[-1]
        if not isinstance(secret, SigningKey):
            raise TypeError(type(secret).__name__)
        return secret

    def verifier(self, kid: str) -> VerifyingKey | None:
        """Return the published key of this name; None when there is none, or it is retired. Raises StoreUnavailable."""
        return self._current().verifiers.get(kid)

    def published(self) -> Sequence[VerifyingKey]:
        """Return all keys of access tokens that are not retired; without the store those of the last reading."""
        return tuple(self._registry.value.verifiers.values())

    def macs(self, purpose: KeyPurpose) -> MacKeys:
        """Return the MAC keys of a purpose. Raises StoreUnavailable."""
        return self._secrets(purpose).macs

    def ages(self) -> Mapping[KeyPurpose, timedelta]:
        """Return for how long the key that is in use for each purpose has been. The store is not asked.

        The keys of a new ring say that they sign from 1970 on: they are as old as the ring.
        """
        read, now = self._registry.value, self._clock()
        made = read.ring.authority.certificate.not_valid_before_utc + CLOCK_SKEW
        ages: dict[KeyPurpose, timedelta] = {}
        for purpose in KeyPurpose:
            begun = [key.signs_from for key in of_purpose(read.listed, purpose) if key.signs_from <= now]
            if begun:
                ages[purpose] = now - max(begun[-1], made)
        return ages

    def version(self) -> int:
        """Return the version of the list as it was read last; 0 before it was read again."""
        return self._registry.value.version

    def check_writable(self) -> None:
        """Return where the store may be written now. Raises WritesRefused, StoreUnavailable."""
        check_writable(self._current().item)

    def promptly(self) -> AccessKeys:
        """Return the same keys for an event loop: where the list must be read first, WouldWait is raised."""
        return _PromptKeys(self)

    def _secrets(self, purpose: KeyPurpose) -> _Secrets:
        read, now = self._current(), self._clock()
        known = read.secrets.get(purpose)
        if known is None or (known.until is not None and known.until <= now):
            known = read.secrets[purpose] = _secrets(read.ring, read.listed, purpose, now)
        return known

    def _current(self) -> _Read:
        if self.is_stale():
            self.reread()
        return self._registry.value

    def is_stale(self) -> bool:
        """Say whether the list must be read before anything is said by it."""
        return self._watched and self._registry.age() > TRUSTED_SECONDS

    def _read(self, item: Item | None, last: _Read) -> _Read:
        """Put the list and the ring together. Raises StoreUnavailable for a store of another schema."""
        try:
            listed = read_registry(item)
        except SchemaError as error:  # it was brought to another schema since: nothing more may be served
            raise StoreUnavailable(str(error)) from error
        changed = _stamp(self._path, item)
        ring = last.ring if changed == last.changed else self._changed_ring(item, last.ring)
        return _Read(ring, listed, _verifiers(listed), changed, version_of(item), item)

    def _changed_ring(self, item: Item | None, last: KeyRing) -> KeyRing:
        """Return the ring whose file has changed; the last one where it cannot be used with this store."""
        try:
            ring = load_ring(self._path)
            check_lineage(ring, item, self._path)
        except KeyRingError as error:
            _log.error("the key ring has changed and is not taken: %s", error)
            return last
        return ring

    def _keep_reading(self) -> None:
        while not self._closed.wait(READ_EVERY_SECONDS):
            try:
                self.reread()
            except StoreUnavailable as error:
                _log.warning("the list of keys could not be read: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, the next reading may succeed
                _log.exception("the list of keys could not be read")


class _PromptKeys(Struct, frozen=True):
    """Live keys that never read anything."""

    live: KeyProvider

    def signer(self) -> SigningKey:
        raise WouldWait

    def verifier(self, kid: str) -> VerifyingKey | None:
        if self.live.is_stale():
            raise WouldWait
        return self.live._registry.value.verifiers.get(kid)  # noqa: SLF001 - the same module; `verifier` may read

    def published(self) -> Sequence[VerifyingKey]:
        return self.live.published()


def _secrets(ring: KeyRing, listed: KeyRegistry, purpose: KeyPurpose, now: datetime) -> _Secrets:
    """Return what may be used of a purpose at `now`. Raises StoreUnavailable when nothing may."""
    here = {key.kid: key.secret for key in ring.keys if key.secret is not None}
    good = of_purpose(listed, purpose)
    keys = [key for key in good if key.kid in here]
    in_use = [here[key.kid] for key in keys if key.signs_from <= now]
    later = [key for key in keys if key.signs_from > now]
    if not in_use:
        raise StoreUnavailable(f"no key for {purpose} tokens is on this host: copy {FILE_NAME}")
    ordered = (*(here[key.kid] for key in later), *in_use)
    macs = tuple(secret for secret in ordered if isinstance(secret, bytes))
    return _Secrets(ordered, MacKeys(macs, all_here=len(macs) == len(good)), later[0].signs_from if later else None)


def _verifiers(listed: KeyRegistry) -> Mapping[str, VerifyingKey]:
    keys = of_purpose(listed, KeyPurpose.ACCESS)
    return {key.kid: key.verifying for key in keys if key.verifying is not None}


def _stamp(path: KeyFile, item: Item | None) -> object:
    """Return what changes when the file does; None while it is not there. Of a sealed one the list (`item`) tells."""
    if isinstance(path, SealedFile):
        return least_sealed(item, path.name)
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
