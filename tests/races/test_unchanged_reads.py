"""A read that is not made, since nothing was committed: while other processes write, none of it is ever old."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from common.clock import system_clock
from common.storage.port import Item, Key
from common.storage.sqlite.store import SqliteStore
from common.storage.sqlite.wal_index import LastReads
from common.storage.tables import SESSIONS
from tests.races.counting import number_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each read is made")

_COUNTERS = 3
_SAID = 1500
"""How many numbers the counters say, in all."""
_KILL_EVERY = 100
"""About one number of so many is the last of its process."""
_ENDS_SECONDS = 60


class Counter:
    """A process that counts; a dead one is followed by another, which counts on."""

    def __init__(self, path: Path, name: str) -> None:
        self._command = [sys.executable, "-m", "tests.races.counting", str(path), name]
        self.key = SESSIONS.key(name)
        self._process = self._begun()

    def next(self) -> int:
        """Return the next number that it says: by then the store has it."""
        assert self._process.stdout is not None
        while not (line := self._process.stdout.readline()).endswith("\n"):
            assert self._process.wait(_ENDS_SECONDS) == -signal.SIGKILL, "it died by itself"
            self.close()
            self._process = self._begun()
        return int(line)

    def kill(self) -> None:
        """End it in the middle of whatever it does; what it has said can still be read."""
        self._process.kill()

    def close(self) -> None:
        """End it, and leave nothing of it."""
        self.kill()
        with self._process:
            pass

    def _begun(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)


def old_reads(path: Path, said: int = _SAID) -> int:
    """Return how many reads told less than a process had said before."""
    old = 0
    with ExitStack() as stack:
        store = stack.enter_context(closing(SqliteStore(path, [SESSIONS], system_clock)))
        counters = [stack.enter_context(closing(Counter(path, f"counter {number}"))) for number in range(_COUNTERS)]
        for _ in range(said):
            counter = random.choice(counters)
            number = counter.next()
            for _ in range(3):
                old += number_in(store.get_promptly(counter.key)) < number
            if random.randrange(_KILL_EVERY) == 0:
                counter.kill()
    return old


@pytest.fixture
def spared(monkeypatch: pytest.MonkeyPatch) -> list[Key]:
    """Return the keys that are not read again, as that happens."""
    keys: list[Key] = []
    unchanged: Callable[[LastReads, Key, bytes | None], Item | None] = LastReads.unchanged

    def noted(self: LastReads, key: Key, head: bytes | None) -> Item | None:
        item = unchanged(self, key, head)
        if item is not None:
            keys.append(key)
        return item

    monkeypatch.setattr(LastReads, "unchanged", noted)
    return keys


def test_no_read_is_old(tmp_path: Path, spared: list[Key]) -> None:
    """Also after checkpoints, kills, and processes that close all they have open."""
    assert old_reads(tmp_path / "store.sqlite") == 0
    assert len(spared) > _SAID / 10


def test_a_head_that_is_not_compared_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted mistake: what was read once is told for good."""

    def unchanged(self: LastReads, key: Key, _head: bytes | None) -> Item | None:
        known = self._known.get(key.partition)
        return None if known is None else known[2]

    monkeypatch.setattr(LastReads, "unchanged", unchanged)
    assert old_reads(tmp_path / "store.sqlite", said=100) > 0


def test_a_head_that_is_seen_after_the_read_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted mistake: a commit between the read and the look at the head is taken for read."""
    keep = LastReads.keep

    def kept(self: LastReads, key: Key, head: bytes | None, item: Item) -> Item:
        return keep(self, key, head and self.head(), item)

    monkeypatch.setattr(LastReads, "keep", kept)
    path = tmp_path / "store.sqlite"
    assert any(old_reads(path, said=500) for _ in range(20))
