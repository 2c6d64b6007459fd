"""What child processes of the contract suite do. Each function runs in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common.clock import system_clock
from common.ids import new_id
from common.storage.port import Absent, Conflict, Equals, Store
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, LOGIN_HISTORY, USERS
from tests.support.engines import Engine


def add_one(store: Store, own: str) -> int:
    """Add one to the counter at `own` by a write that is conditional on what was read; return the tries it took."""
    for tries in count(1):
        item = store.get(USERS.key(own))
        version: Any = 0 if item is None else item["version"]
        when = Absent() if item is None else Equals("version", version)
        try:
            store.put(USERS, {"uuid": own, "version": version + 1}, when)
        except Conflict:
            continue
        return tries
    raise AssertionError


def add(_number: int, gate: Callable[[], None], engine: Engine, own: str, times: int) -> int:
    """Open the store, wait for the others, add to the common counter so many times; return the tries."""
    store = engine.open()
    store.get(USERS.key(own))
    gate()
    tries = sum(add_one(store, own) for _ in range(times))
    store.close()
    return tries


def claim(number: int, gate: Callable[[], None], engine: Engine, own: str, rounds: int) -> list[bool]:
    """In each round put oneself where only one can be; return in which rounds that succeeded."""
    store, won = engine.open(), []
    for each in range(rounds):
        gate()
        try:
            store.put(LOGIN_HISTORY, {"user_uuid": own, "change_no": each, "winner": number}, Absent())
        except Conflict:
            won.append(False)
        else:
            won.append(True)
    store.close()
    return won


def look(engine: Engine, own: str, line: Connection) -> None:
    """Answer each message with the counter's value as this process reads it; None ends."""
    store = engine.open()
    while line.recv() is not None:
        item = store.get(USERS.key(own))
        line.send(None if item is None else item["version"])
    store.close()


def pad(number: int) -> str:
    """Return a long text that goes with a number."""
    return str(number % 10) * 20_000


def write_on(engine: Engine, own: str, line: Connection) -> None:
    """Write one number after another with its pad, and tell each once it is acknowledged; never end."""
    store = engine.open()
    for number in count(1):
        store.put(LOGIN_HISTORY, {"user_uuid": own, "change_no": 0, "number": number, "pad": pad(number)})
        line.send(number)


def create(_number: int, gate: Callable[[], None], path: Path, rounds: int) -> None:
    """Open a database that nobody has made yet, all at the same moment."""
    for each in range(rounds):
        gate()
        store = SqliteStore(path.with_name(f"{each}.db"), ALL, system_clock)
        store.put(USERS, {"uuid": new_id()})
        store.close()


def hammer(_number: int, gate: Callable[[], None], path: Path, seconds: float) -> tuple[int, float]:
    """Commit without a pause for so long; return how many commits that were, and the longest wait in seconds."""
    store, commits, worst = SqliteStore(path, ALL, system_clock, wait=60), 0, 0.0
    gate()
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        store.put(USERS, {"uuid": new_id(), "pad": "x" * 3000})
        commits, worst = commits + 1, max(worst, time.monotonic() - began)
    store.close()
    return commits, worst
