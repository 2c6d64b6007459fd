"""`ichidai sweep` on both engines and the unkind one: what has expired goes, and what is renewed meanwhile stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner

from common.clock import system_clock, to_millis
from common.retry import RetryBudget
from common.storage.enumeration import EnumerableStore, enumerable
from common.storage.port import Item, Key, StoreUnavailable, Table
from common.storage.tables import ALL, FEED, LOGIN_HISTORY, MAILS, THROTTLE
from ichidai.cli.sweep import Swept, sweep_table
from ichidai.cli.sweep import app as sweep
from tests.support.engines import ENGINES, Engine
from tests.support.unkind_store import Unkindness, UnkindStore
from tests.usecases.in_process_suite import DAY, HOUR, MILLISECOND, T0, HandClock

R = TypeVar("R")

GRACE = 2 * HOUR
EARLIER = HandClock(T0 - 30 * DAY)
"""By this clock nothing has expired, so that SQLite does not purge by itself."""
NOW = to_millis(T0)
EXPIRING = [table for table in ALL if table.expires]


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Return the engine that a test names, by default SQLite."""
    return ENGINES[getattr(request, "param", "sqlite")](tmp_path)


on_both = pytest.mark.parametrize("engine", ENGINES, indirect=True)


def answered(act: Callable[[], R]) -> R:
    """Do something until the store answers: on a busy machine it may take long."""
    for _ in RetryBudget(60):
        with suppress(StoreUnavailable):
            return act()
    return act()


def swept_by_command(*options: str) -> str:
    """Return what the command prints; where the store does not answer, it is run again, as an operator would."""
    for _ in RetryBudget(60):
        result = CliRunner().invoke(sweep, options)
        if result.exit_code != 2:
            break
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@dataclass
class Renewing(UnkindStore):
    """A store in which an item is written anew as soon as a page has been read."""

    renewed: Item = field(kw_only=True)

    def pages(
        self, table: Table, limit: int = 1000, after: Key | None = None, *, consistent: bool = False
    ) -> Iterator[Sequence[Item]]:
        """See `EnumerableStore.pages`."""
        for page in super().pages(table, limit, after, consistent=consistent):
            answered(partial(self.inner.put, table, self.renewed))
            yield page


def item(table: Table, name: str, ago: timedelta | None) -> Item:
    """Return an item that expired so long ago, or never does."""
    sort = {} if table.sort is None else {table.sort: 1 if table.sort_is_number else name}
    return {table.partition: name, **sort, "expires_at": None if ago is None else to_millis(T0 - ago)}


def left(store: EnumerableStore, table: Table) -> set[str]:
    """Return the partitions of what lies in a table."""
    return {str(each[table.partition]) for page in store.pages(table, consistent=True) for each in page}


@on_both
def test_of_every_table_that_has_an_expiry_what_is_over_goes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the store's time and two hours later; what lives, or has no end, is not touched."""
    ahead = T0 - system_clock() + timedelta(seconds=1)
    settings = {**engine.settings, "ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS": str(int(ahead.total_seconds()))}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with closing(engine.open(EARLIER)) as opened:
        store = enumerable(opened)
        for table in EXPIRING:
            for name, ago in (("over", GRACE + HOUR), ("lately", GRACE - HOUR), ("lives", -HOUR), ("for-ever", None)):
                answered(partial(store.put, table, item(table, name, ago)))
        for _ in range(2):
            told = [json.loads(line) for line in swept_by_command("--json").splitlines()]
        assert told == [{"table": table.name, "items": 3, "deleted": 0, "renewed": 0} for table in EXPIRING]
        for table in EXPIRING:
            assert answered(partial(left, store, table)) == {"lately", "lives", "for-ever"}
    assert swept_by_command("--rate", "1000") == "0 expired items deleted.\n"


@pytest.mark.parametrize(("ago", "goes"), [(GRACE + MILLISECOND, True), (GRACE, False)])
def test_it_goes_after_the_grace(engine: Engine, ago: timedelta, *, goes: bool) -> None:
    """Two hours: another process' clock may be behind."""
    with closing(engine.open(EARLIER)) as opened:
        store = enumerable(opened)
        store.put(FEED, item(FEED, "bucket", ago))
        assert sweep_table(store, FEED, NOW) == Swept(FEED.name, 1, int(goes), 0)
        assert left(store, FEED) == (set() if goes else {"bucket"})


@on_both
def test_what_is_renewed_meanwhile_stays(engine: Engine) -> None:
    """A bucket that a try has just been taken from, after the page was read and before the delete."""
    with closing(engine.open(EARLIER)) as opened:
        inner = enumerable(opened)
        renewed = item(THROTTLE, "of#anna", -HOUR)
        answered(lambda: inner.put(THROTTLE, item(THROTTLE, "of#anna", 3 * HOUR)))
        store = Renewing(inner, HandClock(), Unkindness(), renewed=renewed)
        assert answered(lambda: sweep_table(store, THROTTLE, NOW)).deleted == 0
        assert answered(lambda: inner.get(THROTTLE.key("of#anna"))) == renewed


@pytest.mark.parametrize("table", [MAILS, LOGIN_HISTORY, THROTTLE], ids=lambda table: table.name)
def test_answers_that_are_lost_are_asked_for_again(engine: Engine, table: Table) -> None:
    """Of the unkind engine: every item that is over is gone, and is counted once."""
    with closing(engine.open(EARLIER)) as opened:
        inner = enumerable(opened)
        for number in range(7):
            inner.put(table, item(table, f"over{number}", 3 * HOUR))
            inner.put(table, item(table, f"lives{number}", -HOUR))
        store = UnkindStore(inner, HandClock(), Unkindness(losing=True))
        assert sweep_table(store, table, NOW) == Swept(table.name, 14, 7, 0)
        assert left(inner, table) == {f"lives{number}" for number in range(7)}
