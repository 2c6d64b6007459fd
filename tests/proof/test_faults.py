"""F10: every fault at every store call of every operation. What happened is whole, told rightly, and never twice.

Beside `tests/usecases/test_store_failures.py`, which sends requests over HTTP to one SQLite file, this goes through all
starts of the interleavings, adds conflicts that were none and answers that stay lost, and has the history judge.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from common.account.book import Book
from common.retry import DEADLINE_SECONDS, deadline
from common.storage.port import Store
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, SESSIONS, THROTTLE
from tests.interleavings.bugs import Around
from tests.interleavings.judging import Outcome, judged
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.person import Alone, Person
from tests.interleavings.process import STRAIGHT, UseCases, clock_at
from tests.interleavings.scenarios import Scenario
from tests.interleavings.scheduler import Moments
from tests.interleavings.starts import STARTS
from tests.proof.faults import LASTING, OF_COMMITS, PASSING, Fault, FaultyStore
from tests.proof.figures import is_long
from tests.proof.recording import Call, whole_history
from tests.support.engines import dynamodb_without_tables, local_dynamodb, with_tables
from tests.unit.builders import SECOND, T0

Begin = Callable[[Scenario], Store]

TABLES = {table.name: table for table in ALL}

ROWS = [(start, name) for start, about in STARTS.items() for name in about.acts]

ON_DISK = ("full", "stolen")
"""The starts that are gone through on engines too; the other test of faults is on SQLite alone."""

MOST = 10
"""How many writes a commit takes."""

LONGEST = 60
"""More store calls than any of these acts makes, with what is tried again."""

UNBOUND_AFTER = {"object": 1, "object by link": 1, "reset": 2}
"""Acts that unbind so many devices, each in a change of its own, whose right was taken away in the first."""

A_MOMENT = 0.02
"""For how many seconds a store that stays away is tried again; nothing sleeps."""


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Begin:
    """Return what puts a start into a SQLite file of its own, from a copy that is made once."""
    folder, numbers = tmp_path_factory.mktemp("faults"), itertools.count()
    masters: dict[str, Path] = {}

    def begin(start: Scenario) -> Store:
        master = masters.get(start.user) or _written(folder / f"master {start.user}.db", start.store)
        masters[start.user] = master
        copy = folder / f"{next(numbers)}.db"
        shutil.copy(master, copy)
        return SqliteStore(copy, ALL, clock_at(T0))

    return begin


def _written(path: Path, start: MemoryStore) -> Path:
    store = SqliteStore(path, ALL, clock_at(T0))
    for name, item in start.everything():
        store.put(TABLES[name], item)
    store.close()
    return path


def _empty(client: Any, table: str, key: Sequence[str]) -> None:
    """Delete what lies in a table: less than one page."""
    names = {f"#{number}": name for number, name in enumerate(key)}
    lying = client.scan(
        TableName=table,
        ConsistentRead=True,
        ProjectionExpression=",".join(names),
        ExpressionAttributeNames=names,
    )["Items"]
    for item in lying:
        client.delete_item(TableName=table, Key=item)


class Kept(Around):
    """A store that stays open for the next run."""

    def close(self) -> None:
        """Let nobody close it."""


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Begin]:
    """Return what puts a start into one set of tables of DynamoDB Local, in the place of whatever lies there."""
    server = local_dynamodb()
    engine = with_tables(dynamodb_without_tables(server))
    client = boto3.client("dynamodb", region_name=engine.region, endpoint_url=server.endpoint)
    prefix = urlsplit(engine.url).netloc
    with closing(engine.open()) as store:

        def begin(start: Scenario) -> Store:
            for table in ALL:
                _empty(client, prefix + table.name, [table.partition, *([table.sort] if table.sort else [])])
            for name, item in start.store.everything():
                store.put(TABLES[name], item)
            return Kept(store)

        yield begin
        client.close()


def in_memory(start: Scenario) -> Store:
    """Return a copy of a start."""
    return start.store.copy()


def run(
    start: Scenario, begin: Begin, row: tuple[str, str], fault: Fault | None, at: int
) -> tuple[Outcome, FaultyStore]:
    """Do one act with a fault at one of its calls; return what it left, and the store."""
    store = begin(start)
    faulty = FaultyStore(store, fault or Fault.AWAY, at if fault else 0)
    outcome = Outcome(store, start.facts.copy(), list(start.calls), Moments(start.now))
    clock = clock_at(T0 + (70 * SECOND if row[1] == "touch" else 0 * SECOND))
    use_cases = UseCases(faulty, start.user, start.rules, clock, STRAIGHT)
    with deadline(A_MOMENT if fault in LASTING else DEADLINE_SECONDS):
        STARTS[row[0]].acts[row[1]](Person(use_cases, outcome.facts, Alone(outcome.moments), start.user, outcome.calls))
    return outcome, faulty


def answer(outcome: Outcome, start: Scenario) -> Call:
    """Return how the act was answered, as yet unjudged; of several calls in a row the last that was made."""
    assert len(outcome.calls) > len(start.calls)
    return outcome.calls[-1]


def changes(store: Store, start: Scenario) -> int:
    """Return how many changes the account has seen."""
    return len(whole_history(store, start.user))


def approvals(store: Store, start: Scenario) -> list[object]:
    """Return what was asked of the users of active devices, and what they answered: no history tells of it."""
    items = [store.get(THROTTLE.key(f"{kind}#{start.user}")) for kind in ("approvals", "joins")]
    return [None if item is None else item["approvals"] for item in items]


def leaves_rows(store: Store, start: Scenario) -> bool:
    """Say whether the account's last change has rows: who cannot lay them down any more says 503, though it is made."""
    item = store.get(SESSIONS.key(start.user))
    book = None if item is None else Book.from_item(item)
    return book is not None and any(row.version == book.version for row in book.rows)


def check(begin: Begin, row: tuple[str, str], fault: Fault) -> None:
    """Put the fault at every call in turn."""
    start = STARTS[row[0]].make()
    undisturbed, _ = run(start, begin, row, None, 0)
    after = UNBOUND_AFTER.get(row[1], 0)
    for at in range(1, LONGEST + 1):
        outcome, faulty = run(start, begin, row, fault, at)
        if faulty.struck:
            where = f"{fault.name} at call {at}: {answer(outcome, start)}"
            check_one(start, outcome, undisturbed, fault, where, after)
        outcome.store.close()
        if faulty.calls < at:
            return
    pytest.fail(f"{row} makes more than {LONGEST} calls")


def check_one(
    start: Scenario, outcome: Outcome, undisturbed: Outcome, fault: Fault, where: str, after: int = 0
) -> None:
    """Assert that the answer is right, the change whole, and that the history agrees with all that is told later.

    `after`: so many changes of the act may be left undone, for what they do is safe before.
    """
    told, expected = answer(outcome, start), answer(undisturbed, start)
    before, done, now = changes(start.store, start), changes(undisturbed.store, start), changes(outcome.store, start)
    asked, unasked = approvals(undisturbed.store, start), approvals(start.store, start)
    if (told.status, told.told.get("code")) == (expected.status, expected.told.get("code")):
        assert done - after <= now <= done, where
        assert approvals(outcome.store, start) == asked, where
    else:
        assert told.status == 503, where
        assert fault not in PASSING, where
        is_unknown = fault in OF_COMMITS or leaves_rows(outcome.store, start)
        assert approvals(outcome.store, start) in (asked, unasked), where
        assert now == before or (is_unknown and done - after <= now <= done), where
    calm = UseCases(outcome.store, start.user, start.rules, clock_at(T0), STRAIGHT)
    assert [*judged(start, outcome, calm)] == [], where


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
@pytest.mark.parametrize("row", ROWS, ids=" - ".join)
def test_in_memory(row: tuple[str, str], fault: Fault) -> None:
    """The answer is the one without the fault, or 503.

    A 503 of a store that was away changed nothing, or all but rows that whoever reads the book next lays down.
    """
    check(in_memory, row, fault)


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
@pytest.mark.parametrize("row", [row for row in ROWS if row[0] in ON_DISK], ids=" - ".join)
def test_on_sqlite(row: tuple[str, str], fault: Fault, sqlite: Begin) -> None:
    """The same on a file."""
    check(sqlite, row, fault)


@pytest.mark.parametrize("fault", Fault if is_long() else (Fault.ANSWER_LOST, Fault.CONFLICT), ids=lambda f: f.name)
@pytest.mark.parametrize("row", [row for row in ROWS if row[0] in ON_DISK[: 1 + is_long()]], ids=" - ".join)
def test_on_dynamodb(row: tuple[str, str], fault: Fault, dynamodb: Begin) -> None:
    """The same on DynamoDB Local; but for the long size only what an engine has a part in, in one start."""
    check(dynamodb, row, fault)
