"""F9: kill -9 in the middle of writes. What was answered is there afterwards, and the file is whole at every cut."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL
from tests.proof.callers import Caller
from tests.proof.conftest import engine_in
from tests.proof.figures import each_round, figure, is_long, rounds
from tests.proof.recording import Call, Operation, Run, whole_history
from tests.proof.storm import Fleet, books_differ, caller_of, read, violations
from tests.proof.timeline import GRANTING, JOINING, Story, tell
from tests.proof.users import Actor, actors_of, register
from tests.support.passkeys import ORIGIN, RP_ID
from tests.support.servers import Server, until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")

KILLS = 8
CLIENTS = 6
LIFE = {"force": 4, "refresh": 3, "logout": 2} | dict.fromkeys(
    ("close", "end-all", "password", "username", "recover", "passkey", "object"), 1
)


class Client(threading.Thread):
    """Somebody who registers, logs in on two devices in turn, refreshes and logs out, whoever is killed meanwhile.

    Now and then the account is closed and opened again, signed out everywhere, given its password anew, another name or
    a passkey, recovered by a code as a new device, or what was done last is taken back.
    """

    def __init__(self, caller: Caller, rng: Random, up: threading.Event) -> None:
        super().__init__(daemon=True)
        self.answered = 0
        self.over = False
        self._caller = caller
        self._rng = rng
        self._up = up

    def run(self) -> None:
        """Live until it is over."""
        while not self.over:
            self._up.wait()
            try:
                actors = actors_of(self._caller, self._rng, [register(self._caller, self._rng, 2)])
                self.answered += 2
            except AssertionError:  # killed meanwhile
                continue
            self._live(actors)
        self._caller.close()

    def _live(self, actors: list[Actor]) -> None:
        for _ in range(20):
            self._rng.choice(actors).act(LIFE)
            self.answered += 1
            if self.over:
                return
            self._up.wait()


def workers_of(server: Server) -> list[int]:
    """Return the process ids of a server's workers."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in children.read_text().split() if not _is_tracker(pid)]


def _is_tracker(pid: str) -> bool:
    """Say whether a process is the one with which Python watches over spawned workers; one that is gone is not."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def is_whole(file: Path) -> bool:
    """Say whether SQLite finds nothing wrong with a file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.regression("X48")
def test_no_answer_is_lost(tmp_path: Path, chance: Random) -> None:
    """A random worker, a whole server or all of them, killed while six clients write; then all that they were told."""
    kills, runs = (50, 20) if is_long() else (KILLS, rounds(1))
    wrong, told, unanswered = list[str](), 0, 0
    for number in each_round(f"{kills} kills each", runs):
        folder = tmp_path / str(number)
        folder.mkdir()
        workers = 2 if number % 4 == 0 else 1  # one starts sooner: more kills in the same time
        run, found = _killed_again_and_again(folder, chance, kills, workers)
        wrong += found
        told += sum(call.status is not None for call in run.calls)
        unanswered += sum(call.status is None for call in run.calls)
        if not found:
            shutil.rmtree(folder)
    what, size = "kill -9 of a worker, a server, all; restart; compare", f"{kills * runs:,} kills, {told:,} answers"
    figure("F9", what, size, len(wrong), f"{unanswered:,} unanswered")
    assert wrong == []
    assert unanswered


def _killed_again_and_again(folder: Path, chance: Random, kills: int, workers: int) -> tuple[Run, list[str]]:
    """Kill servers of a fleet while clients write; return what these wrote down, and all that is wrong."""
    settings = {"ICHIDAI_PASSKEY_RP_ID": RP_ID, "ICHIDAI_PASSKEY_ORIGINS": ORIGIN}
    fleet = Fleet(folder, engine_in(folder, "sqlite"), 2, workers, **settings)
    records, up, wrong = folder / "records", threading.Event(), list[str]()
    records.mkdir()
    up.set()
    clients = [
        Client(caller_of(number, fleet.ports, records, Random(chance.random())), Random(chance.random()), up)
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            _let_them_live(clients, chance.randint(20, 80))
            _kill(fleet, chance)
            up.clear()
            wrong += _start_again(fleet)
            up.set()
        _let_them_live(clients, 20)
    finally:
        for client in clients:
            client.over = True
        up.set()  # or those who wait for servers that did not come back would be waited for without end
        for client in clients:
            client.join()
        fleet.suite.kill()
    run = read(fleet, records)
    return run, [*wrong, *_all_wrong(fleet, run)]


def _let_them_live(clients: list[Client], answers: int) -> None:
    """Wait until so many more calls were answered: the kill comes while others are under way."""
    before = sum(client.answered for client in clients)
    until(lambda: sum(client.answered for client in clients) >= before + answers, "clients are answered")


def _kill(fleet: Fleet, chance: Random) -> None:
    """Kill a worker (its server replaces it), a server with its workers, or all."""
    victim = chance.choice(fleet.suite.servers)
    match chance.choice(("worker", "server", "all")):
        case "worker":
            before = workers_of(victim)
            killed = chance.choice(before)
            os.kill(killed, signal.SIGKILL)
            until(lambda: _is_replaced(killed, before, workers_of(victim)), "a killed worker is replaced")
        case "server":
            victim.kill()
        case _:
            fleet.suite.kill()


def _is_replaced(killed: int, before: Collection[int], now: Collection[int]) -> bool:
    """Say whether there are as many workers as before, without the one that was killed."""
    return killed not in now and len(now) >= len(before)


def _start_again(fleet: Fleet) -> Iterator[str]:
    """Look at the file, then start what is gone."""
    suite = fleet.suite
    if not is_whole(suite.data / "ichidai.sqlite"):
        yield "the file is not whole"
    for place, server in enumerate(suite.servers):
        if server.process.poll() is not None:
            suite.servers[place] = suite._launch(server.part)
    for server in suite.servers:
        server.wait()


def _all_wrong(fleet: Fleet, run: Run) -> Iterator[str]:
    yield from violations(run)
    store = fleet.engine.open()
    yield from books_differ(store, run)
    store.close()
    stories = {user: tell(entries, run.limit) for user, entries in run.histories.items()}
    for call in run.calls:
        if call.status == 200 and not _is_kept(call, stories[call.user]):
            yield f"call {call.number} ({call.operation}) was answered, and nothing of it is left"


def _is_kept(call: Call, story: Story) -> bool:
    """Say whether the history has what a call was told to have done."""
    session = call.told.get("session_id", "")
    if call.operation in GRANTING:
        return session in story.born and all(ended in story.died for ended in call.told.get("evicted", ()))
    if call.operation in (Operation.LOGOUT, Operation.CLOSE):
        return call.asked["session_id"] in story.died
    if call.operation is Operation.END_ALL:
        return all(ended in story.died for ended in call.told["ended"])
    if call.operation in JOINING:
        return call.told["device_id"] in story.bound_at
    return True


@pytest.mark.regression("X48")
def test_every_cut_of_the_log_is_whole(tmp_path: Path, chance: Random) -> None:
    """The file with its write-ahead log cut off after each frame, and inside each: it opens, whole and consistent."""
    fleet = Fleet(tmp_path / "fleet", engine_in(tmp_path, "sqlite"), 1, 1)
    caller = caller_of(0, fleet.ports, tmp_path, chance)
    actors = actors_of(caller, chance, [register(caller, chance, 2)])
    for _ in range(15 * min(rounds(3), 3)):  # not so much that SQLite starts the log anew
        chance.choice(actors).act({"force": 4, "refresh": 3, "logout": 2, "login": 2, "takeover": 2})
    fleet.suite.kill()
    caller.close()
    database = tmp_path / "data" / "ichidai.sqlite"
    stem, log = database.read_bytes(), database.with_name("ichidai.sqlite-wal").read_bytes()
    told, wrong = list[tuple[int, int]](), list[str]()
    cuts = cuts_of(log)
    for number, cut in enumerate(cuts):
        folder = tmp_path / f"cut {number}"
        folder.mkdir()
        (folder / "ichidai.sqlite").write_bytes(stem)
        (folder / "ichidai.sqlite-wal").write_bytes(log[:cut])
        wrong += [f"cut at byte {cut}: {each}" for each in _faults_of(folder / "ichidai.sqlite", actors[0], told)]
        shutil.rmtree(folder)
    if told != sorted(told) or len({change for _, change in told}) < 5:
        wrong.append(f"the books at the cuts: {told}")
    figure("F9", "the database with its log cut at and inside every frame", f"{len(cuts)} cuts", len(wrong))
    assert wrong == []


def cuts_of(log: bytes) -> list[int]:
    """Return where each frame of a write-ahead log ends, and a place inside it. See sqlite.org/fileformat2.html."""
    frame = 24 + int.from_bytes(log[8:12])
    ends = range(32, len(log) + 1, frame)
    return [cut for end in ends for cut in (end, end + frame // 2) if cut <= len(log)]


def _faults_of(file: Path, actor: Actor, told: list[tuple[int, int]]) -> Iterator[str]:
    """Yield what is wrong with a database; tell its book's version and number of changes, once there is a book."""
    if not is_whole(file):
        yield "not whole"
    user = actor.person.uuid
    store = SqliteStore(file, ALL, system_clock)
    book, entries = AccountTransactions(store, system_clock).get_book(user), whole_history(store, user)
    if book is not None:
        told.append((book.version, book.change_no))
        yield from books_differ(store, Run(1, "ask", (), {user: entries}))
    elif entries:
        yield "a history without a book"
    store.close()
