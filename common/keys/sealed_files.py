"""The files of keys as they lie sealed in the store, in one item, for all hosts.

One key, which the key-encrypting key wraps, seals them by AES-256-GCM; the associated data are the store's id, the
file's name and the version of the item at which it was written. So no box opens in another store, under another name,
or as another version. The list of keys says which version is the least that counts (`sealed`), and a process remembers
what it has seen: an older one that is put back is refused.

A `SealedFolder` and its files are used where a folder and its files are; what differs is in `key_file`.
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.errors import Refusal
from common.ids import new_id
from common.keys.errors import KeyRingError
from common.keys.key_encryption import KEY_BYTES, NONCE_BYTES, KeyEncryptingKey
from common.keys.registry_item import next_version, version_of
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.optimistic import write_optimistically
from common.storage.port import Conflict, Item, Put, Store, StoreUnavailable
from common.storage.tables import KEY_RING

PLACE = KEY_RING.key("sealed-keys")
_LIST = KEY_RING.key("ring")

_log = logging.getLogger(__name__)

_opened: dict[str, bytes] = {}
"""The keys that were unwrapped in this process, by what was wrapped: KMS is asked once, and not by who is forked."""


def opened_keys() -> dict[str, bytes]:
    """Return what this process has unwrapped, for another process of this server that is started anew."""
    return dict(_opened)


def adopt_opened_keys(opened: Mapping[str, bytes]) -> None:
    """Take what the process that started this one has unwrapped."""
    _opened.update(opened)


class SealedFolder:
    """The sealed files of one store. `read` raises KeyRingError; everything raises StoreUnavailable."""

    def __init__(self, store: Store, key: KeyEncryptingKey) -> None:
        self._store = store
        self._key = key
        self._item: Any = None
        self._seen: dict[str, int] = {}

    def __truediv__(self, name: str) -> SealedFile:
        """Return the file of a name, whether it is there or not."""
        return SealedFile(self, name)

    def read(self, name: str) -> str | None:
        """Return a file's text; None where it is not there. Raises KeyRingError for one that was put back."""
        self._item = self._store.get(PLACE)
        sealed = self._file(name)
        if sealed is None:
            return None
        version = sealed["version"]
        if version < max(self._least(name), self._seen.get(name, 0)):
            raise KeyRingError(f"An older {name} was put back into the store: bring the store's own items back.")
        box = base64.b64decode(sealed["box"])
        try:
            text = AESGCM(self._unwrapped()).decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], self._bound(name, version))
        except InvalidTag:
            raise KeyRingError(f"What is sealed as {name} is not this store's, or was altered.") from None
        self._seen[name] = version
        return text.decode()

    def version(self, name: str) -> int:
        """Return the version of a file as it was read last; 0 where there was none."""
        sealed = self._file(name)
        return 0 if sealed is None else int(sealed["version"])

    def make(self, name: str, text: str) -> None:
        """Seal a file unless it is there: the first of several makers wins. Raises KeyRingError."""

        def making() -> tuple[None, Put | None]:
            self._item = self._store.get(PLACE)
            return None, None if self._file(name) is not None else self._with(name, text)

        try:
            write_optimistically(self._store, making, contended="the sealed keys")
        except Refusal as busy:
            raise StoreUnavailable(f"the sealed keys: {busy.reason}") from busy

    def replace(self, name: str, text: str) -> None:
        """Seal a file in the place of the one that was read last. Raises KeyRingError where another was quicker."""
        self._write(self._with(name, text))

    def opens(self) -> bool:
        """Say whether this host's key-encrypting key opens the store's keys now: without it no server could start.

        KMS is asked anew. Raises StoreUnavailable.
        """
        item: Any = self._store.get(PLACE)
        wrapped = None if item is None else item["wraps"].get(self._key.name)
        if wrapped is None:
            return False
        try:
            self._key.unwrap(base64.b64decode(wrapped), item["store"])
        except KeyRingError as error:
            _log.warning("a server that started now would have no keys: %s", error)
            return False
        return True

    def wrap_also(self, key: KeyEncryptingKey) -> None:
        """Let another key-encrypting key open the store's keys too. Raises KeyRingError."""
        item = self._there()
        wrapped = base64.b64encode(key.wrap(self._unwrapped(), item["store"])).decode()
        self._write(self._changed({"wraps": {**item["wraps"], key.name: wrapped}}))

    def wrap_alone(self) -> tuple[str, ...]:
        """Let this key-encrypting key alone open them; return the names of those that did. Raises KeyRingError."""
        item = self._there()
        self._unwrapped()
        self._write(self._changed({"wraps": {self._key.name: item["wraps"][self._key.name]}}))
        return tuple(name for name in item["wraps"] if name != self._key.name)

    def _there(self) -> Any:
        self._item = self._store.get(PLACE)
        if self._item is None:
            raise KeyRingError("No keys are sealed in this store.")
        return self._item

    def _file(self, name: str) -> Any:
        return None if self._item is None else self._item["files"].get(name)

    def _least(self, name: str) -> int:
        listed: Any = self._store.get(_LIST)
        return 0 if listed is None else int(listed.get("sealed", {}).get(name, 0))

    def _unwrapped(self) -> bytes:
        wrapped = self._item["wraps"].get(self._key.name)
        if wrapped is None:
            raise KeyRingError(
                f"The keys of this store are sealed for {', '.join(self._item['wraps'])}, not for the key of this host "
                f"({self._key.name}): set ICHIDAI_SEALING_KEY, or run `ichidai keys rewrap` where it opens them."
            )
        if wrapped not in _opened:
            _opened[wrapped] = self._key.unwrap(base64.b64decode(wrapped), self._item["store"])
        return _opened[wrapped]

    def _with(self, name: str, text: str) -> Put:
        """Return the write of a file over the item as it was read last."""
        if self._item is None:
            store_id, key = new_id(), secrets.token_bytes(KEY_BYTES)
            wrapped = base64.b64encode(self._key.wrap(key, store_id)).decode()
            _opened[wrapped] = key
            found: Any = {"store": store_id, "wraps": {self._key.name: wrapped}, "files": {}}
        else:
            found = self._item
            key = self._unwrapped()
        version, nonce = version_of(self._item) + 1, secrets.token_bytes(NONCE_BYTES)
        box = nonce + AESGCM(key).encrypt(nonce, text.encode(), _bound(found["store"], name, version))
        sealed = {"version": version, "box": base64.b64encode(box).decode()}
        return self._changed({**found, "files": {**found["files"], name: sealed}})

    def _changed(self, members: Mapping[str, Any]) -> Put:
        old: dict[str, Any] = dict(self._item or {})
        return next_version(self._item, lambda version: {**old, **members, "id": PLACE.partition, "version": version})

    def _write(self, put: Put) -> None:
        try:
            write_known(self._store, put, RetryBudget())
        except Conflict:
            raise KeyRingError("The sealed keys were changed at the same time: try again.") from None
        self._item = put.item

    def _bound(self, name: str, version: int) -> bytes:
        return _bound(self._item["store"], name, version)


class SealedFile:
    """One file of a `SealedFolder`, used as a path is."""

    def __init__(self, folder: SealedFolder, name: str) -> None:
        self.folder = folder
        self.name = name

    def __str__(self) -> str:  # type: ignore[explicit-override] # Python 3.11 has no such mark
        """Return what a message calls it."""
        return f"the store's sealed {self.name}"

    def exists(self) -> bool:
        """Say whether it is there."""
        return self.folder.read(self.name) is not None

    def read_text(self, encoding: str = "ascii") -> str:  # noqa: ARG002 - as a path has it
        """Return its text. Raises KeyRingError."""
        text = self.folder.read(self.name)
        if text is None:
            raise KeyRingError(f"{self.name} is not sealed in the store: run `ichidai keys seal` where its file is.")
        return text


def least_sealed(item: Item | None, name: str) -> object:
    """Return the least version of a sealed file that counts, as the list of keys (`item`) says; None: it says none."""
    listed: Any = item
    return None if listed is None else listed.get("sealed", {}).get(name)


def _bound(store_id: str, name: str, version: int) -> bytes:
    return f"ichidai store {store_id}, {name}, version {version}".encode()
