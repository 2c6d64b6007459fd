"""`ichidai migrate`: nothing serves a store of an earlier schema, and nothing is lost when it is cut short."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from common.account.book import Book
from common.account.history import Reason, read_record
from common.account.outbox import MOST_EVENTS
from common.clock import system_clock, to_millis
from common.crypto.jws import Algorithm
from common.keys.key_provider import KeyProvider
from common.keys.key_registry import PUBLISHING, open_keyring
from common.keys.keyring import KeyPurpose
from common.keys.rotation import rotate
from common.keys.store_schema import SchemaError, check_schema
from common.storage.opening import open_for_maintenance
from common.storage.port import Condition, Item, Put, StoreUnavailable, Table
from common.storage.tables import ALL, KEY_RING, SESSIONS
from ichidai.cli import migration
from tests.interleavings.memory_store import MemoryStore
from tests.releases.test_releases import bring, copy_of, migrated
from tests.support.engines import ENGINES, Engine
from tests.support.ports import free_port
from tests.support.servers import run_to_its_end
from tests.unit.builders import T0

RELEASE = "v0.1.0"
RING = KEY_RING.key("ring")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a copy of the data of 0.1.0."""
    copy_of(RELEASE, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def engine(data: Path) -> Engine:
    """Return the engine that has it."""
    return Engine("sqlite", f"sqlite:///{data / 'ichidai.sqlite'}")


def content(engine: Engine) -> list[tuple[str, Any]]:
    """Return all that lies in a store."""
    store = open_for_maintenance(engine.url, system_clock, engine.region)
    with closing(store):
        return [(table.name, item) for table in ALL for page in store.pages(table) for item in page]


def ring(engine: Engine) -> Any:
    """Return the key ring's item."""
    with closing(engine.open()) as store:
        return store.get(RING)


@pytest.mark.parametrize(
    "command", [["serve", "all"], ["accounts", "reset-otp", "dora", "--reason", "lost", "--yes"], ["keys", "show"]]
)
def test_nothing_starts_before_it(data: Path, engine: Engine, command: list[str]) -> None:
    """Each command ends with a sentence that names the one to run, and has changed nothing."""
    before = content(engine)
    port = ["--port", str(free_port())] if command[0] == "serve" else []
    settings = {"ICHIDAI_DATA_DIR": str(data)}
    status, said = run_to_its_end([sys.executable, "-m", "ichidai", *command, *port], settings, data)
    assert (status, "run `ichidai migrate`" in said, "Traceback" in said) == (2, True, False), said
    assert content(engine) == before


def test_it_refuses_while_the_store_is_open_elsewhere(engine: Engine) -> None:
    """As a server has it; nothing is changed, and it works once that is stopped."""
    before = content(engine)
    with closing(engine.open()) as server:
        server.get(RING)
        status, said = migrated(engine.settings)
        assert (status, "stop all servers" in said) == (2, True)
    assert content(engine) == before
    assert migrated(engine.settings)[0] == 0


def test_on_dynamodb_the_operator_says_that_the_servers_are_stopped(engine: Engine, tmp_path: Path) -> None:
    """Without it nothing is changed."""
    elsewhere = ENGINES["dynamodb"](tmp_path)
    bring(engine, elsewhere)
    before = ring(elsewhere)
    status, said = migrated(elsewhere.settings)
    assert (status, "--servers-stopped" in said) == (2, True)
    assert ring(elsewhere) == before


def test_a_store_without_keys_has_nothing_to_migrate(tmp_path: Path) -> None:
    """A fresh one gets today's schema at the first start; another run finds nothing to do."""
    engine = ENGINES["sqlite"](tmp_path)
    assert migrated(engine.settings) == (0, "The store is empty: nothing to do.\n")
    with closing(engine.open()) as store:
        open_keyring(tmp_path / "keys", store, system_clock())
    assert migrated(engine.settings) == (0, "The store has schema 2: nothing to do.\n")


def test_the_release_of_before_cannot_read_the_list_of_keys(engine: Engine) -> None:
    """What 0.1.0 does with the item, at its start and every second: the digest is another's, the list is no list."""
    before = ring(engine)
    assert migrated(engine.settings)[0] == 0
    after = ring(engine)
    assert after["digest"] != before["digest"]
    with pytest.raises(TypeError):
        {fields["kid"]: fields for fields in after["keys"]}


class Dying(MemoryStore):
    """A store whose process dies before its write number `left`."""

    left = 0

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put, or die."""
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        super().put(table, item, when)


@pytest.fixture
def stored(engine: Engine) -> MemoryStore:
    """Return the data in memory."""
    memory = MemoryStore()
    with closing(open_for_maintenance(engine.url, system_clock)) as store:
        for table in ALL:
            for page in store.pages(table):
                for item in page:
                    memory.put(table, item)
    return memory


def run(store: MemoryStore) -> None:
    """Do what the command does."""
    migration.begin(store)
    for _ in migration.upgrade_all(store):
        pass
    migration.finish(store)


def of_table(store: MemoryStore, table: Table) -> Iterator[Any]:
    """Yield a table's items."""
    return (item for name, item in store.everything() if name == table.name)


def test_the_key_ring_is_changed_before_anything_else(stored: MemoryStore) -> None:
    """So a 0.1.0 that still runs serves nothing more while the books are upgraded, and cannot start again."""
    before = stored.copy()
    store = Dying(stored._items)
    store.left = 2
    with pytest.raises(KeyboardInterrupt):
        run(store)
    ring: Any = store.get(RING)
    assert ring["digest"] != before.get(RING)["digest"]  # type: ignore[index]
    with pytest.raises(TypeError):
        {fields["kid"]: fields for fields in ring["keys"]}
    assert [n for n in store.everything() if n[0] != KEY_RING.name] == [
        n for n in before.everything() if n[0] != KEY_RING.name
    ]


def test_cut_short_at_any_write_it_goes_on(stored: MemoryStore) -> None:
    """In between nobody serves the store; in the end all is as if it had never been cut short."""
    whole, cut, done = stored.copy(), 0, False
    run(whole)
    while not done:
        cut += 1
        store = Dying(stored._items)
        store.left = cut
        try:
            run(store)
            done = True
        except KeyboardInterrupt:
            with pytest.raises(SchemaError, match="ichidai migrate"):
                check_schema(store.get(RING))
            run(store)
        check_schema(store.get(RING))
        for table in ALL:
            if table is not KEY_RING:  # the version of its item counts the tries
                assert list(of_table(store, table)) == list(of_table(whole, table))
    assert cut > 15


def test_a_write_that_was_under_way_comes_too_late(stored: MemoryStore) -> None:
    """A server of before had sent it: its condition names a version that the book no longer has."""
    old = [book["version"] for book in of_table(stored, SESSIONS)]
    run(stored)
    assert [book["version"] for book in of_table(stored, SESSIONS)] == [version + 1 for version in old]


def test_of_an_account_without_limit_the_latest_32_sessions_stay(stored: MemoryStore) -> None:
    """0.1.0 kept any number in one book: 2,700 made each login of the account fail. Each ending is in the history."""
    (old, *_) = of_table(stored, SESSIONS)
    user, at = old["user_uuid"], to_millis(T0)
    sessions = {
        f"s{n}": {"d": f"d{n}", "q": n, "l": at, "a": at, "s": at, "e": at, "n": "Firefox"} for n in range(2700)
    }
    stored._do(Put(SESSIONS, {**old, "sessions": sessions}))  # larger than any is today
    store = Dying(stored._items)
    store.left = 30
    with pytest.raises(KeyboardInterrupt):
        run(store)
    run(store)
    book = Book.from_item(store.get(SESSIONS.key(user)))
    assert [session.session_id for session in book.in_order()] == [f"s{n}" for n in range(2668, 2700)]
    records = [read_record(store, user, number) for number in range(old["change_no"] + 1, book.change_no + 1)]
    events = [event for record in records if record is not None for event in record.events]
    assert [(event.session_id, event.reason) for event in events] == [(f"s{n}", Reason.OVER_LIMIT) for n in range(2668)]
    assert max(len(record.events) for record in records if record is not None) <= MOST_EVENTS


def test_a_later_schema_is_not_served(tmp_path: Path) -> None:
    """Neither by a server that starts nor by one that runs, unless it says so: keys are trusted for seconds only."""
    store: Any = MemoryStore()
    keys, listed = open_keyring(tmp_path, store, system_clock())
    live = KeyProvider(tmp_path, store, system_clock, keys, listed)
    live.reread()
    store.put(KEY_RING, {**store.get(RING), "schema": 3, "least": 2, "later": "kept"})
    live.reread()
    assert list(rotate(tmp_path, store, KeyPurpose.ACCESS, Algorithm.ES256, system_clock(), PUBLISHING).kid)
    ring = store.get(RING)
    assert (ring["schema"], ring["least"], ring["later"]) == (3, 2, "kept")
    store.put(KEY_RING, {**ring, "least": 3})
    with pytest.raises(StoreUnavailable, match="later release"):
        live.reread()
    with pytest.raises(SchemaError, match="later release"):
        open_keyring(tmp_path, store, system_clock())
