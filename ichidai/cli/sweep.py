"""`ichidai sweep`: deletes what has expired, where the engine does not do it itself; servers may run."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import click
import orjson

from common.clock import to_millis
from common.retry import RetryBudget
from common.storage.engine_rules import end_of, is_purgeable
from common.storage.enumeration import EnumerableStore
from common.storage.idempotent_commit import write_known
from common.storage.port import Conflict, Delete, Equals, Item, Table
from common.storage.tables import ALL
from ichidai.cli.check_store import paced
from ichidai.cli.operating import opened, out, time_of


@dataclass(slots=True)
class Swept:
    """What was done in a table: items looked at, deleted, and kept because they were renewed meanwhile."""

    table: str
    items: int = 0
    deleted: int = 0
    renewed: int = 0


@click.command("sweep")
@click.option("--rate", type=click.IntRange(min=1), metavar="N", help="Go through no more than N items a second.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one for each table.")
def app(*, rate: int | None, as_json: bool) -> None:
    """Delete what expired more than two hours ago, where the store does not; servers may run.

    SQLite and DynamoDB's TTL do it themselves; strongly consistent global tables have no TTL. An item that is renewed
    meanwhile stays. Exit status 0: all tables were gone through; 2: they could not be. It may be run again at any time.
    """
    with opened() as (_, store):
        now = to_millis(time_of(store))
        total = 0
        for table in ALL:
            if table.expires:
                swept = sweep_table(store, table, now, rate)
                total += swept.deleted
                _say(swept, as_json=as_json)
    if not as_json:
        out.print(f"{total} expired items deleted.")


def sweep_table(store: EnumerableStore, table: Table, now: int, rate: int | None = None) -> Swept:
    """Delete what a table holds that expired before `now` (ms since 1970) and the grace. Raises StoreUnavailable."""
    swept = Swept(table.name)
    for page in paced(store, table, rate):
        swept.items += len(page)
        for item in page:
            if is_purgeable(table, item, now):
                is_gone = _delete(store, table, item)
                swept.deleted += is_gone
                swept.renewed += not is_gone
    return swept


def _delete(store: EnumerableStore, table: Table, item: Item) -> bool:
    """Delete an item as it was read: pages are eventual, and a bucket may be renewed meanwhile. Say whether it is."""
    try:
        write_known(store, Delete(table.key_of(item), Equals("expires_at", end_of(table, item))), RetryBudget())
    except Conflict:
        return False
    return True


def _say(swept: Swept, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(asdict(swept)).decode())
    elif swept.deleted or swept.renewed:
        out.print(f"{swept.table}: {swept.deleted} of {swept.items} items deleted, {swept.renewed} renewed meanwhile.")
