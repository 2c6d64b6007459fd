"""Run as a program on a store's URL, region and a key: parent and forked child add to one counter in turn."""

from __future__ import annotations

import os
import sys

from common.storage.tables import USERS
from tests.contract.workers import add_one
from tests.support.engines import Engine


def main() -> None:
    """Add twice, fork, add once in each; both print what the counter holds in the end."""
    engine, own = Engine("dynamodb", sys.argv[1], sys.argv[2]), sys.argv[3]
    store = engine.open()
    for _ in range(2):
        add_one(store, own)
    pid = os.fork()
    add_one(store, own)
    if pid and os.waitpid(pid, 0)[1]:
        sys.exit(1)
    while (item := store.get(USERS.key(own))) is None or item["version"] != 4:
        pass
    print(item["version"], flush=True)  # noqa: T201 - the test reads it
    store.close()


if __name__ == "__main__":
    main()
