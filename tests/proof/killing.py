"""kill -9 of a fleet's workers and servers while clients write, and what must be there afterwards."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

from tests.proof.callers import Caller
from tests.proof.recording import Call, Operation, Run
from tests.proof.storm import Fleet, books_differ, violations
from tests.proof.timeline import GRANTING, JOINING, Story, tell
from tests.support.servers import Server, until


class Client(threading.Thread):
    """One client that lives one life after another until it is over, and waits while servers that were killed start."""

    def __init__(self, caller: Caller, rng: Random, up: threading.Event) -> None:
        super().__init__(daemon=True)
        self.answered = 0
        self.over = False
        self._caller = caller
        self._rng = rng
        self._up = up

    @abstractmethod
    def life(self) -> Iterator[int]:
        """Register an account and do things with it; yield after each how many calls it took."""

    def run(self) -> None:
        """Live until it is over."""
        while not self.over:
            self._up.wait()
            for answers in self.life():
                self.answered += answers
                if self.over:
                    break
                self._up.wait()
        self._caller.close()

    def is_interrupted(self) -> bool:
        """Say whether servers were killed and are not back yet, or it is over: there is nothing to wait for."""
        return self.over or not self._up.is_set()


def kill_again_and_again(
    fleet: Fleet,
    clients: Sequence[Client],
    up: threading.Event,
    chance: Random,
    kills: int,
    enough: Callable[[], object] = lambda: True,
) -> list[str]:
    """Kill servers of a fleet so many times while clients write, then all; return what was wrong with its file.

    `enough`: says that the clients have done what they shall do at the least.
    """
    wrong = list[str]()
    for client in clients:
        client.start()
    try:
        for _ in range(kills):
            let_them_live(clients, chance.randint(20, 80))
            _kill(fleet, chance)
            up.clear()
            wrong += _start_again(fleet)
            up.set()
        let_them_live(clients, 20)
        until(enough, "the clients have done everything once")
    finally:
        for client in clients:
            client.over = True
        up.set()  # or those who wait for servers that did not come back would be waited for without end
        for client in clients:
            client.join()
        fleet.suite.kill()
    return wrong


def let_them_live(clients: Sequence[Client], answers: int) -> None:
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


def _is_replaced(killed: int, before: Collection[int], now: Collection[int]) -> bool:
    """Say whether there are as many workers as before, without the one that was killed."""
    return killed not in now and len(now) >= len(before)


def _start_again(fleet: Fleet) -> Iterator[str]:
    """Look at the file, then start what is gone."""
    suite = fleet.suite
    if fleet.engine.name == "sqlite" and not is_whole(suite.data / "ichidai.sqlite"):
        yield "the file is not whole"
    for place, server in enumerate(suite.servers):
        if server.process.poll() is not None:
            suite.servers[place] = suite._launch(server.part)
    for server in suite.servers:
        server.wait()


def is_whole(file: Path) -> bool:
    """Say whether SQLite finds nothing wrong with a file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def all_wrong(fleet: Fleet, run: Run) -> Iterator[str]:
    """Yield all that a run breaks, with what was answered and is not there."""
    yield from violations(run, may_be_slow=fleet.engine.name == "dynamodb")
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
