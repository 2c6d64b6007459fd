"""Run as a program on a database's path: the system refuses the write of a commit's last step."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from common.clock import system_clock
from common.storage.port import OutcomeUnknown, StoreUnavailable
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, USERS


def main() -> None:
    """Print what is raised while files may not grow, and again once they may."""
    path = Path(sys.argv[1])
    store = SqliteStore(path, ALL, system_clock)
    first, again = ({"uuid": "u", "pad": letter * 3000} for letter in "xy")
    store.put(USERS, first)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name(path.name + "-wal").stat().st_size + 100, hard))
    try:
        store.put(USERS, again)
    except OutcomeUnknown:
        print("unknown")  # noqa: T201 - the test reads it
    except StoreUnavailable:
        print("unavailable")  # noqa: T201
    print(store.get(USERS.key("u")) == first)  # noqa: T201
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    store.put(USERS, again)
    print(store.get(USERS.key("u")) == again)  # noqa: T201


if __name__ == "__main__":
    main()
