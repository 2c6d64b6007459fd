"""What the SQLite engine promises beyond the port: its file, its waiting, its purging, and processes that fork."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from common.clock import system_clock, to_millis
from common.storage.idempotent_commit import write_once
from common.storage.port import Absent, Conflict, Item, OutcomeUnknown, Put, StoreUnavailable
from common.storage.sqlite import store as engine
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, LOGIN_HISTORY, PAIRING_TOKENS, THROTTLE, USERS
from tests.contract import workers
from tests.support.processes import at_once

ROOT = Path(__file__).parents[2]

unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="only on systems that fork and have file modes")


def opened(file: Path, wait: float = 3.0) -> SqliteStore:
    """Return a store on the file."""
    return SqliteStore(file, ALL, system_clock, wait=wait)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the writers' lock of a database, as a process would that hangs in a commit."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def rows(file: Path, table: str) -> int:
    """Return how many rows a table has, seen from outside."""
    with closing(sqlite3.connect(file)) as other:
        return int(other.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608


@unix
def test_the_files_are_the_owners_alone(file: Path) -> None:
    """Database, log and shared memory have mode 0600 and their folder 0700, whatever the umask lets others do."""
    before = os.umask(0)
    try:
        store = opened(file)
        store.put(USERS, {"uuid": "u"})
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in file.parent.iterdir()}
        assert modes == {"store.db": "0o600", "store.db-wal": "0o600", "store.db-shm": "0o600"}
        assert oct(file.parent.stat().st_mode & 0o777) == "0o700"
        store.close()
    finally:
        os.umask(before)


def test_the_log_is_flushed_at_every_commit(file: Path) -> None:
    """The file is in write-ahead mode, and a connection flushes fully (synchronous 2)."""
    store = opened(file)
    with store._connections.use() as connection:
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2]
    store.close()


def test_a_locked_database_is_unavailable_within_the_wait(file: Path) -> None:
    """A commit waits as long as it was told and no longer; reading needs no lock; afterwards all is well."""
    store = opened(file, wait=0.3)
    with locked(file):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="locked"):
            store.put(USERS, {"uuid": "u"})
        assert 0.3 <= time.monotonic() - began < 3.0, "the wait that a store has if none is told"
        assert store.get(USERS.key("u")) is None
        with pytest.raises(StoreUnavailable, match="locked"):
            opened(file, wait=0.1)
    store.put(USERS, {"uuid": "u"})
    store.close()


def test_who_comes_after_one_that_waited_in_vain_does_not_wait(file: Path) -> None:
    """For a moment each commit looks once; if the lock is free by then it is done, and the waiting is as before."""
    store = opened(file, wait=0.6)
    with locked(file):
        for _ in range(5):
            with pytest.raises(StoreUnavailable, match="locked"):
                store.put(USERS, {"uuid": "u"})
        assert store._circuit.is_open()
    store.put(USERS, {"uuid": "u"})
    assert not store._circuit.is_open()
    store.close()


def test_meanwhile_a_turn_that_another_thread_is_about_to_end_is_waited_for(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is free again: two threads commit at once, and neither is refused because the other was first."""
    store = opened(file, wait=0.1)
    with locked(file), pytest.raises(StoreUnavailable, match="locked"):
        store.put(USERS, {"uuid": "u"})
    assert store._circuit.is_open()
    monkeypatch.setattr(engine, "_TURN_SECONDS", 20.0)  # for a slow machine
    turn = store._group_commit._turn
    turn.acquire()
    threading.Timer(0.02, turn.release).start()
    store.put(USERS, {"uuid": "u"})
    store.close()


def test_a_waiting_commit_goes_on_as_soon_as_the_lock_is_free(file: Path) -> None:
    """However long it has waited, a commit looks every millisecond; SQLite's own waiting would look after 78 here."""
    store, delays = opened(file), []
    for _ in range(5):
        locking = threading.Event()
        freed: list[float] = []

        def hold(locking: threading.Event = locking, freed: list[float] = freed) -> None:
            with locked(file):
                locking.set()
                time.sleep(0.45)
                freed.append(time.monotonic())

        holder = threading.Thread(target=hold)
        holder.start()
        locking.wait()
        store.put(USERS, {"uuid": "u"})
        answered = time.monotonic()
        holder.join()
        delays.append(answered - freed[0])
    assert min(delays) < 0.04, delays
    store.close()


def test_no_writer_starves(file: Path) -> None:
    """Eight processes write without a pause; none waits long for its turn, as long as turns take on this machine now.

    With SQLite's own waiting the worst waited 2 s and more, and one process got a third of another's share.
    """
    opened(file).close()
    hammered = at_once(8, workers.hammer, file, 3.0)
    turn = 3.0 / sum(commits for commits, _ in hammered)
    assert max(worst for _, worst in hammered) < max(1.5, 200 * turn), hammered


def test_what_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """A file of something else, a folder in its place, a path that cannot be made: unavailable, with the reason."""
    text, folder = tmp_path / "text.db", tmp_path / "folder.db"
    text.write_text("no database " * 100)
    folder.mkdir()
    for path in (text, folder, text / "below.db"):
        with pytest.raises(StoreUnavailable, match="SQLite"):
            opened(path, wait=0.1)


def test_a_statement_that_fails_writes_nothing(file: Path) -> None:
    """What goes wrong inside a commit takes all of it back, and leaves the store ready for the next."""
    store = SqliteStore(file, (USERS,), system_clock)
    with pytest.raises(StoreUnavailable, match="no such table"):
        store.put(THROTTLE, {"bucket": "b"})
    assert store.get(USERS.key("u")) is None
    store.put(USERS, {"uuid": "u"})
    store.close()


def test_a_fault_of_ours_is_not_called_unavailable(file: Path) -> None:
    """A wrong use of the library is shown as it is, so that nobody is told to try again later."""
    store = opened(file)
    with pytest.raises(sqlite3.ProgrammingError):
        store._read("SELECT ?", ())
    store.close()


class TestPurge:
    class Time:
        """A clock that a test sets."""

        def __init__(self) -> None:
            self.now = system_clock()

        def __call__(self) -> datetime:
            """Return the time that was set."""
            return self.now

    def test_takes_some_expired_items_every_so_many_commits(self, file: Path) -> None:
        """What expired goes bit by bit as others write, from every table that expires; what lives stays."""
        clock = self.Time()
        store = SqliteStore(file, ALL, clock)
        end, later = to_millis(clock.now) + 1000, to_millis(clock.now + timedelta(days=9))
        for number in range(200):
            gone = [
                Put(PAIRING_TOKENS, {"token_hash": f"t{number}", "expires_at": end}),
                Put(THROTTLE, {"bucket": f"b{number}", "expires_at": end}),
                Put(LOGIN_HISTORY, {"user_uuid": "u#failures", "change_no": number, "expires_at": end}),
            ]
            stay = Put(
                LOGIN_HISTORY, {"user_uuid": "u", "change_no": number, "expires_at": later if number % 2 else None}
            )
            store.put_each([*gone, stay])
        clock.now += timedelta(days=1)
        left = []
        for number in range(3 * 32):
            store.put(USERS, {"uuid": f"u{number}"})
            left.append(sum(rows(file, table.name) for table in (PAIRING_TOKENS, THROTTLE, LOGIN_HISTORY)))
        assert sorted(set(left), reverse=True) == [800, 800 - 3 * 128, 200], "128 of each table at once, not all"
        assert len(store.query(LOGIN_HISTORY, "u", limit=500).items) == 200
        store.close()

    def test_leaves_time_for_a_clock_that_is_behind(self, file: Path) -> None:
        """A process whose clock is an hour ahead takes nothing that still lives for the others."""
        clock = self.Time()
        store = SqliteStore(file, ALL, clock)
        item: Item = {"token_hash": "t", "expires_at": to_millis(clock.now) + 600_000}
        store.put(PAIRING_TOKENS, item)
        clock.now += timedelta(hours=1)
        for number in range(2 * 32):
            store.put(USERS, {"uuid": f"u{number}"})
        assert store.get(PAIRING_TOKENS.key("t")) == item
        store.close()

    def test_reads_no_whole_table(self, file: Path) -> None:
        """Purging goes by an index, so that its cost does not grow with what is stored."""
        from common.storage.sqlite import statements  # noqa: PLC0415

        opened(file).close()
        with closing(sqlite3.connect(file)) as other:
            purge = statements.PURGE.format("ThrottleTable")
            plan = [row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {purge}", (0, 16))]
            assert not [step for step in plan if step.startswith("SCAN") and "subquery" not in step], plan


class TestTogether:
    """Commits of several threads that wait for one another go into one transaction."""

    @staticmethod
    def gathered(store: SqliteStore, file: Path, commits: list[Put]) -> tuple[list[object], int]:
        """Commit each by a thread of its own while the file is locked; return how each ended, and the transactions."""
        ends: list[object] = [None] * len(commits)
        settle, calls = store._commit_batch, []

        def counted(*given: object) -> None:
            calls.append(1)
            settle(*given)  # type: ignore[arg-type]

        def commit(number: int) -> None:
            try:
                write_once(store, commits[number])
            except Exception as fault:  # noqa: BLE001 - it is what the test looks at
                ends[number] = fault

        store._commit_batch = counted  # type: ignore[method-assign,assignment]
        threads = [threading.Thread(target=commit, args=(number,)) for number in range(len(commits))]
        with locked(file):
            for thread in threads:
                thread.start()
            end = time.monotonic() + 30
            while len(store._group_commit._waiting) < len(threads) and time.monotonic() < end:
                time.sleep(0.001)
        for thread in threads:
            thread.join()
        return ends, len(calls)

    def test_each_is_done_or_refused_for_itself(self, file: Path) -> None:
        """Of those who want one key one gets it, the others are refused; whoever wants another gets that."""
        store = opened(file)
        commits = [Put(USERS, {"uuid": "one", "by": n}, Absent()) for n in range(4)]
        commits += [Put(USERS, {"uuid": f"own{number}"}, Absent()) for number in range(4)]
        ends, transactions = self.gathered(store, file, commits)
        assert transactions == 1
        assert [type(end) for end in ends[4:]] == [type(None)] * 4
        (winner,) = [number for number in range(4) if ends[number] is None]
        assert [type(end) for end in ends[:4] if end is not None] == [Conflict] * 3
        assert store.get(USERS.key("one")) == {"uuid": "one", "by": winner}
        assert all(store.get(USERS.key(f"own{number}")) for number in range(4))
        store.close()

    def test_the_fault_of_one_writes_nothing_of_any_and_all_are_told(self, file: Path) -> None:
        """What breaks the transaction takes all of it back: nobody is told that anything was done."""
        store = SqliteStore(file, (USERS,), system_clock)
        commits = [Put(USERS, {"uuid": f"u{number}"}) for number in range(3)]
        ends, transactions = self.gathered(store, file, [*commits, Put(THROTTLE, {"bucket": "b"})])
        assert transactions == 1
        assert [type(end) for end in ends] == [StoreUnavailable] * 4
        assert not any(store.get(USERS.key(f"u{number}")) for number in range(3))
        store.close()

    def test_a_fault_that_is_ours_leaves_the_others_not_knowing(self, file: Path) -> None:
        """They may ask again; whoever had the turn is shown what it was."""
        store = opened(file)
        commits = [Put(USERS, {"uuid": f"u{number}"}) for number in range(4)]
        store._purge.after = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
        ends, _ = self.gathered(store, file, commits)
        assert sorted(type(end).__name__ for end in ends) == ["OutcomeUnknown"] * 3 + ["ZeroDivisionError"]
        del store._purge.after
        for write in commits:
            write_once(store, write)
        assert all(store.get(USERS.key(f"u{number}")) for number in range(4))
        store.close()

    def test_an_end_that_nobody_knows_is_nobodys(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When COMMIT fails, the outcome is unknown to all that were in it, and to ask again tells each."""

        def fail(connection: sqlite3.Connection) -> None:
            engine._roll_back(connection)
            raise OutcomeUnknown("SQLite: disk I/O error")

        store = opened(file)
        commits = [Put(USERS, {"uuid": f"u{number}"}, Absent()) for number in range(4)]
        with monkeypatch.context() as patch:
            patch.setattr(engine, "_finish", fail)
            ends, _ = self.gathered(store, file, commits)
        assert [type(end) for end in ends] == [OutcomeUnknown] * 4
        for write in commits:
            write_once(store, write)
        assert all(store.get(USERS.key(f"u{number}")) for number in range(4))
        store.close()


def test_processes_may_create_one_database_at_once(file: Path) -> None:
    """Workers that start together each find or make the file, the log and the tables; none fails."""
    file.parent.mkdir()
    at_once(4, workers.create, file, 10)
    for each in range(10):
        assert rows(file.with_name(f"{each}.db"), "UsersTable") == 4


@unix
def test_a_fork_loses_nothing(file: Path) -> None:
    """A parent that has used the store forks amid writing threads and closes; whatever either was told is there.

    With a connection open across the fork the child believed that it held the parent's locks, and its commits went into
    a log that the parent had deleted: answered and lost.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.forking", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answered = done.stdout.split()
    assert len(answered) >= 1 + 3 * 6
    store = opened(file)
    assert [key for key in answered if store.get(USERS.key(key)) is None] == []
    store.close()
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@unix
def test_a_commit_that_fails_at_its_very_end_is_unknown(file: Path) -> None:
    """When the log cannot be written the outcome is unknown; the same request then succeeds once the disk is well."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.full_disk", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["unknown", "True", "True"], done.stderr


def test_a_thread_that_ends_closes_its_connection(file: Path) -> None:
    """Connections do not pile up with threads that come and go."""
    store = opened(file)
    for number in range(20):
        thread = threading.Thread(target=store.put, args=(USERS, {"uuid": f"u{number}"}, Absent()))
        thread.start()
        thread.join()
    assert sum(slot.connection is not None for slot in store._connections._slots) <= 2
    store.close()
    assert sum(slot.connection is not None for slot in store._connections._slots) == 0


def test_close_waits_for_calls_under_way(file: Path) -> None:
    """`close` by one thread while others commit breaks none of them."""
    store, stop = opened(file), threading.Event()
    faults: list[Exception] = []

    def write(name: int) -> None:
        number = 0
        try:
            while not stop.is_set():
                store.put(USERS, {"uuid": f"{name}-{number}"})
                number += 1
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is wrong
            faults.append(fault)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        store.close()
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    store.close()
    assert faults == []


def test_a_batch_is_flushed_once_for_a_hundred_commits(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no batch keeps the lock from others for more than that."""
    with closing(opened(file)) as store:
        flushed: list[int] = []
        finish = engine._finish

        def counted(connection: sqlite3.Connection) -> None:
            flushed.append(1)
            finish(connection)

        monkeypatch.setattr(engine, "_finish", counted)
        commits = [Put(USERS, {"uuid": f"u{number}"}) for number in range(250)]
        assert set(store.put_each(commits)) == {None}
        assert len(flushed) == 3
    assert rows(file, "UsersTable") == 250


def test_a_batch_that_finds_the_file_locked_is_unavailable(file: Path) -> None:
    """All of it, and nothing is written later."""
    with closing(opened(file, wait=0.05)) as store:
        commits = [Put(USERS, {"uuid": f"u{number}"}) for number in range(3)]
        with locked(file):
            outcomes = store.put_each(commits)
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert rows(file, "UsersTable") == 0
