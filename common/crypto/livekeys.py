"""The keys as they are now: a running process reads the list and the key ring again and again, beside its requests.

So that a key that is retired is refused by every process within five seconds: each reads the list every second, and
after four seconds without an answer from the store it accepts no token at all until there is one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field

from common.clock import Clock
from common.crypto.keylist import KeyList, check_lineage, of_purpose, read_list
from common.crypto.keyring import FILE_NAME, KeyRing, KeyRingError, Purpose, load_ring
from common.crypto.signing import SigningKey, VerifyingKey
from common.crypto.tokens import MacKeys
from common.storage.port import Store, StoreUnavailable
from common.storage.tables import KEY_RING

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

    `secrets` is what follows from it for each purpose, as far as it was asked for.
    """

    ring: KeyRing
    listed: KeyList
    verifiers: Mapping[str, VerifyingKey]
    changed: object
    secrets: dict[Purpose, _Secrets] = field(default_factory=dict)


class LiveKeys:
    """The keys that may be used now. It satisfies `common.crypto.tokens.AccessKeys`.

    Until `watch` is called it keeps to what it was made with: an app in a test reads nothing behind the test's back.
    """

    def __init__(self, folder: Path, store: Store, clock: Clock, ring: KeyRing, listed: KeyList) -> None:
        self._path = folder / FILE_NAME
        self._store = store
        self._clock = clock
        self._reading = threading.Lock()
        self._watched = False
        self._closed = threading.Event()
        self._read_at = time.monotonic()
        self._last = _Read(ring, listed, _verifiers(listed), _stamp(self._path))

    def watch(self) -> None:
        """Read list and ring again every second, until `close`."""
        self._watched = True
        threading.Thread(target=self._keep_reading, name="key-ring", daemon=True).start()

    def close(self) -> None:
        """Let the watching end."""
        self._closed.set()

    def reread(self) -> None:
        """Read the list, and the ring if its file has changed. Raises StoreUnavailable; what was read before stays."""
        with self._reading:
            begun = time.monotonic()
            item = self._store.get(KEY_RING.key("ring"))
            listed, ring, changed = read_list(item), self._last.ring, _stamp(self._path)
            if changed != self._last.changed:
                try:
                    ring = load_ring(self._path)
                    check_lineage(ring, item, self._path)
                except KeyRingError as error:
                    _log.error("the key ring has changed and is not taken: %s", error)
                    ring = self._last.ring
            self._last = _Read(ring, listed, _verifiers(listed), changed)
            self._read_at = begun

    def signer(self) -> SigningKey:
        """Return the newest published key that may sign and is on this host. Raises StoreUnavailable."""
        secret = self._secrets(Purpose.ACCESS).keys[-1]
        if not isinstance(secret, SigningKey):
            raise TypeError(type(secret).__name__)
        return secret

    def verifier(self, kid: str) -> VerifyingKey | None:
        """Return the published key of this name; None when there is none, or it is retired. Raises StoreUnavailable."""
        return self._current().verifiers.get(kid)

    def published(self) -> Sequence[VerifyingKey]:
        """Return all keys of access tokens that are not retired; when the store is away, those of the last reading."""
        return tuple(self._last.verifiers.values())

    def macs(self, purpose: Purpose) -> MacKeys:
        """Return the MAC keys of a purpose. Raises StoreUnavailable."""
        return self._secrets(purpose).macs

    def _secrets(self, purpose: Purpose) -> _Secrets:
        read, now = self._current(), self._clock()
        known = read.secrets.get(purpose)
        if known is None or (known.until is not None and known.until <= now):
            known = read.secrets[purpose] = _secrets(read.ring, read.listed, purpose, now)
        return known

    def _current(self) -> _Read:
        if self._watched and time.monotonic() - self._read_at > TRUSTED_SECONDS:
            self.reread()
        return self._last

    def _keep_reading(self) -> None:
        while not self._closed.wait(READ_EVERY_SECONDS):
            try:
                self.reread()
            except StoreUnavailable as error:
                _log.warning("the list of keys could not be read: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, the next reading may succeed
                _log.exception("the list of keys could not be read")


def _secrets(ring: KeyRing, listed: KeyList, purpose: Purpose, now: datetime) -> _Secrets:
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


def _verifiers(listed: KeyList) -> Mapping[str, VerifyingKey]:
    keys = of_purpose(listed, Purpose.ACCESS)
    return {key.kid: key.verifying for key in keys if key.verifying is not None}


def _stamp(path: Path) -> object:
    """Return what changes when the file does; None while it is not there."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino
