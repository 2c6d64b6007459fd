"""Run as a program on a database's path: a process that has used the store forks, and parent and child go on writing.

Threads of the parent write while it forks. Every acknowledged key is printed; the test looks for each of them.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from common.clock import system_clock
from common.storage.port import Store
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, USERS


def put(store: Store, key: str) -> None:
    """Write an item and say so."""
    store.put(USERS, {"uuid": key})
    os.write(1, f"{key}\n".encode())  # at one stroke: others write too


def child(store: Store, name: str, parent_closed: int) -> None:
    """Write before and after the parent has closed the store, then die without a farewell."""
    put(store, f"{name}-before")
    os.read(parent_closed, 1)
    for number in range(5):
        put(store, f"{name}-after-{number}")
    os._exit(0)


def main() -> None:
    """Fork three times amid writing threads, close in the parent, let the children go on alone."""
    store = SqliteStore(Path(sys.argv[1]), ALL, system_clock)
    put(store, "parent")
    stop = threading.Event()

    def write(name: str) -> None:
        number = 0
        while not stop.is_set():
            put(store, f"{name}-{number}")
            number += 1

    threads = [threading.Thread(target=write, args=(f"thread-{each}",)) for each in range(2)]
    for thread in threads:
        thread.start()
    waiting, closed = os.pipe()
    children = []
    for each in range(3):
        pid = os.fork()
        if not pid:
            child(store, f"child-{each}", waiting)
        children.append(pid)
    stop.set()
    for thread in threads:
        thread.join()
    store.close()
    os.write(closed, b"xxx")
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
