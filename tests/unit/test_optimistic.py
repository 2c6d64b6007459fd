"""Optimistic concurrency: a decision is taken anew while its condition fails, until the deadline, and never longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from common.clock import system_clock
from common.errors import Code, Refusal
from common.retry import RetryBudget
from common.storage.optimistic import write_optimistically
from common.storage.port import Absent, Equals, Put, Store
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, NAMES

KEY = NAMES.key("counter")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with a counter at 0."""
    with closing(SqliteStore(tmp_path / "store.db", ALL, system_clock)) as opened:
        put(opened, 0)
        yield opened


def put(store: Store, number: int) -> None:
    """Write the counter, whatever it was."""
    store.put(NAMES, {"claim": "counter", "n": number})


def number(store: Store) -> int:
    """Return the counter."""
    item = store.get(KEY)
    assert item is not None
    assert isinstance(item["n"], int)
    return item["n"]


def test_a_failed_condition_is_decided_anew(store: Store) -> None:
    """Each try reads what the others wrote; the result is that of the try that was written."""
    seen: list[int] = []

    def add() -> tuple[int, Put]:
        seen.append(before := number(store))
        if len(seen) < 3:
            put(store, before + 10)
        return before + 1, Put(NAMES, {"claim": "counter", "n": before + 1}, Equals("n", before))

    assert write_optimistically(store, add, contended="a counter") == 21
    assert (seen, number(store)) == ([0, 10, 20], 21)


def test_without_writes_there_is_nothing_to_wait_for(store: Store) -> None:
    """The decision alone is the answer."""
    assert write_optimistically(store, lambda: ("as it is", None), contended="nothing") == "as it is"


def test_past_the_deadline_it_is_busy(store: Store) -> None:
    """Nothing was written; the reason names what others kept changing."""
    tries: list[None] = []

    def never() -> tuple[None, Put]:
        tries.append(None)
        return None, Put(NAMES, {"claim": "counter", "n": 1}, Absent())

    with pytest.raises(Refusal) as refused:
        write_optimistically(store, never, contended="a counter", budget=RetryBudget(0.05))
    assert (refused.value.code, refused.value.reason) == (Code.BUSY, "a counter")
    assert (len(tries) > 1, number(store)) == (True, 0)


def test_what_the_decision_raises_passes_through(store: Store) -> None:
    """And nothing was written."""

    def refuse() -> tuple[None, Put]:
        raise Refusal(Code.NOT_FOUND)

    with pytest.raises(Refusal, match="not-found"):
        write_optimistically(store, refuse, contended="a counter")
    assert number(store) == 0
