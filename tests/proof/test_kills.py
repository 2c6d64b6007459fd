"""F9: kill -9 in the middle of writes. What was answered is there afterwards, and the file is whole at every cut."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL
from tests.proof.conftest import engine_in
from tests.proof.figures import each_round, figure, is_long, rounds
from tests.proof.killing import Client, all_wrong, is_whole, kill_again_and_again
from tests.proof.recording import Run, whole_history
from tests.proof.storm import Fleet, books_differ, caller_of, read
from tests.proof.users import Actor, actors_of, register
from tests.support.passkeys import ORIGIN, RP_ID

pytestmark = pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")

KILLS = 8
CLIENTS = 6
LIFE = {"force": 4, "refresh": 3, "logout": 2} | dict.fromkeys(
    ("close", "end-all", "password", "username", "recover", "passkey", "object"), 1
)


class Owner(Client):
    """Somebody who registers, logs in on two devices in turn, refreshes and logs out, whoever is killed meanwhile.

    Now and then the account is closed and opened again, signed out everywhere, given its password anew, another name or
    a passkey, recovered by a code as a new device, or what was done last is taken back.
    """

    def life(self) -> Iterator[int]:
        """Register, and do twenty things."""
        try:
            actors = actors_of(self._caller, self._rng, [register(self._caller, self._rng, 2)])
        except AssertionError:  # killed meanwhile
            return
        yield 2
        for _ in range(20):
            self._rng.choice(actors).act(LIFE)
            yield 1


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
    records, up = folder / "records", threading.Event()
    records.mkdir()
    up.set()
    clients = [
        Owner(caller_of(number, fleet.ports, records, Random(chance.random())), Random(chance.random()), up)
        for number in range(CLIENTS)
    ]
    wrong = kill_again_and_again(fleet, clients, up, chance, kills)
    run = read(fleet, records)
    return run, [*wrong, *all_wrong(fleet, run)]


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
