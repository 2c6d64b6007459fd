"""The storage port's contract when many threads and processes call at once."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.storage.port import Store
from common.storage.tables import LOGIN_HISTORY, USERS
from tests.contract import workers
from tests.support.engines import Engine
from tests.support.processes import at_once

_MOST_ADDED = 1000
"""In memory an addition takes so little time that four processes may pass each other by."""

SPAWN = multiprocessing.get_context("spawn")


def test_threads_lose_no_update(store: Store, own: str) -> None:
    """Eight threads on one store object add to one counter; every acknowledged addition is in the sum."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: workers.add_one(store, own), range(80)))
    assert store.get(USERS.key(own)) == {"uuid": own, "version": 80}


def test_processes_lose_no_update(engine: Engine, store: Store, own: str) -> None:
    """Four processes add to one counter until rivals did meet; every acknowledged addition is in the sum."""
    tries = added = 0
    while tries == added:
        assert added < _MOST_ADDED, "no two processes ever added at once"
        tries += sum(at_once(4, workers.add, engine, own, 25))
        added += 100
        assert store.get(USERS.key(own)) == {"uuid": own, "version": added}


@pytest.mark.regression("X05", "Y07")
def test_one_place_has_one_winner(engine: Engine, store: Store, own: str) -> None:
    """The race that this port is there for.

    A limit of one fails in the classic way when two logins both count "nobody is here" and both write. Here six
    processes come to a gate and, when it opens, each writes itself to the same place on condition that it is empty.
    Exactly one may win, twenty times over, and the place must name the winner who was told so.
    """
    rounds = 20
    won = at_once(6, workers.claim, engine, own, rounds)
    winners = [[number for number in range(6) if won[number][each]] for each in range(rounds)]
    assert [len(each) for each in winners] == [1] * rounds
    places = store.query(LOGIN_HISTORY, own).items
    assert [[item["winner"]] for item in places] == winners


def test_a_read_sees_every_answered_write(engine: Engine, store: Store, own: str) -> None:
    """Once a write was answered, another process and another thread read it at once, each of fifty times."""
    mine, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=workers.look, args=(engine, own, theirs), daemon=True)
    process.start()
    with ThreadPoolExecutor(1) as pool:
        for version in range(50):
            store.put(USERS, {"uuid": own, "version": version})
            mine.send("look")
            assert pool.submit(store.get, USERS.key(own)).result() == {"uuid": own, "version": version}
            assert mine.recv() == version
    mine.send(None)
    process.join()


def test_kill_9_leaves_whole_items_and_all_that_were_answered(engine: Engine, store: Store, own: str) -> None:
    """A writer killed in the middle: the item is whole, and nothing that was acknowledged is missing."""
    for each in range(5):
        key = f"{own}{each}"
        mine, theirs = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=workers.write_on, args=(engine, key, theirs), daemon=True)
        process.start()
        theirs.close()
        answered = [mine.recv()]
        time.sleep(0.02 * each + 0.003)
        process.kill()
        process.join()
        answered += _rest(mine)
        assert _settled(store, key) >= answered[-1]


def _rest(line: Any) -> list[int]:
    """Return what was sent before the sender died."""
    numbers = []
    try:
        while True:
            numbers.append(line.recv())
    except EOFError:
        return numbers


def _settled(store: Store, key: str) -> int:
    """Return the number that the item holds at both its ends, once nothing is under way."""
    time.sleep(0.3)  # a request may outlive its sender
    item = store.get(LOGIN_HISTORY.key(key, 0))
    assert item is not None
    number = item["number"]
    assert item["pad"] == workers.pad(int(str(number)))
    assert isinstance(number, int)
    return number
