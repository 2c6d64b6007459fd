"""Registry items: cached until they are read again, and written only as they were read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.keys.registry_item import CachedRegistry, next_version, version_of
from common.storage.idempotent_commit import write_once
from common.storage.port import Conflict, Item, StoreUnavailable
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, KEY_RING
from tests.unit.builders import T0

KEY = KEY_RING.key("a list")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Return a fresh store."""
    store = SqliteStore(tmp_path / "store.db", ALL, lambda: T0)
    yield store
    store.close()


def write(store: SqliteStore, found: Item | None, *names: str) -> None:
    """Write the list's next version."""
    put = next_version(found, lambda version: {"id": "a list", "version": version, "names": list(names)})
    write_once(store, put)


def test_it_is_written_only_as_it_was_read(store: SqliteStore) -> None:
    """The first of two writers wins, also where there was nothing yet; the other one reads again."""
    write(store, None, "one")
    with pytest.raises(Conflict):
        write(store, None, "another")
    found = store.get(KEY)
    write(store, found, "one", "two")
    with pytest.raises(Conflict):
        write(store, found, "three")
    item: Any = store.get(KEY)
    assert (item["names"], version_of(item)) == (["one", "two"], 2)


def test_one_without_a_version_is_written_while_its_digest_stands(store: SqliteStore) -> None:
    """So release 0.1.0 began its own."""
    old: Item = {"id": "a list", "digest": "d"}
    store.put(KEY_RING, old)
    write(store, old, "one")
    assert version_of(store.get(KEY)) == 1
    with pytest.raises(Conflict):
        write(store, old, "two")


def test_what_cannot_be_read_leaves_the_last_value_and_its_age(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that failed says nothing; the next one that succeeds does, and is as old as its beginning."""
    seconds = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])

    def read(item: Item | None, last: list[object]) -> list[object]:
        if item is None:
            raise StoreUnavailable("nothing there")
        return [*last, version_of(item)]

    registry = CachedRegistry[list[object]](store, KEY, read, [0])
    seconds[0] = 103.0
    with pytest.raises(StoreUnavailable):
        registry.refresh()
    assert (registry.value, registry.age()) == ([0], 3.0)
    write(store, None, "one")
    registry.refresh()
    assert (registry.value, registry.age()) == ([0, 1], 0.0)
