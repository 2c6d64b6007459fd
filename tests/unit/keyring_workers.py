"""What the processes of the key ring's tests do, importable by a child."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from common.keys.key_registry import open_keyring
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL
from tests.unit.builders import T0


def start(_number: int, gate: Callable[[], object], folder: str) -> str:
    """Start as a worker of a server does, at the same moment as the others, and return the digest of its keys."""
    store = SqliteStore(Path(folder) / "store.db", ALL, lambda: T0, wait=30)
    gate()
    ring, _ = open_keyring(Path(folder) / "keys", store, T0)
    store.close()
    return ring.digest()
