"""`ichidai migrate`: bringing the store of an earlier release to this one's schema."""

from __future__ import annotations

import click

from common.keys.keyring import KeyRingError
from common.keys.store_schema import SCHEMA, check_schema, is_migrating, schema_of
from common.storage.enumeration import EnumerableStore
from common.storage.opening import is_open_elsewhere
from common.storage.port import Conflict, StoreUnavailable
from ichidai.cli.migration import RING, begin, finish, upgrade_all
from ichidai.cli.operating import fail, open_by_environment, out


@click.command("migrate")
@click.option("--servers-stopped", is_flag=True, help="Say that all servers are stopped: needed on DynamoDB.")
def app(*, servers_stopped: bool) -> None:
    """Bring the store of an earlier release to this one's schema. Stop all servers first; may be run again."""
    settings, store = open_by_environment(makes=True)
    try:
        if _is_needed(store):
            _migrate(store, settings.store_url, servers_stopped=servers_stopped)
    except (KeyRingError, StoreUnavailable, OSError) as fault:
        fail(str(fault))
    except Conflict:
        fail("The store was changed meanwhile: stop all servers and other migrations, and run this again.")
    finally:
        store.close()


def _is_needed(store: EnumerableStore) -> bool:
    item = store.get(RING)
    if item is None:
        out.print("The store is empty: nothing to do.")
        return False
    if schema_of(item) >= SCHEMA and not is_migrating(item):
        check_schema(item)
        out.print(f"The store has schema {SCHEMA}: nothing to do.")
        return False
    return True


def _migrate(store: EnumerableStore, url: str, *, servers_stopped: bool) -> None:
    _require_stopped(store, url, servers_stopped=servers_stopped)
    begin(store)
    _require_stopped(store, url, servers_stopped=servers_stopped)  # one that started meanwhile
    for table, count in upgrade_all(store):
        out.print(f"{table}: {count} items upgraded")
    finish(store)
    out.print(f"The store has schema {SCHEMA} now. Start the servers of this release.")


def _require_stopped(store: EnumerableStore, url: str, *, servers_stopped: bool) -> None:
    """End the command unless all servers are stopped: SQLite can tell, of DynamoDB the operator must."""
    store.close()  # our own connection is not to be counted
    is_open = is_open_elsewhere(url)
    if is_open:
        fail("The store is open in another process: stop all servers, then run this again.")
    if is_open is None and not servers_stopped:
        fail("Stop all servers of this store, then run `ichidai migrate --servers-stopped`.")
