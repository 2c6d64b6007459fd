"""F9: kill -9 while active devices are asked before a takeover, and before a browser joins without the password."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.interleavings.approval_judging import answers_wrong
from tests.proof.approval_users import ApprovalUser, answers_lost
from tests.proof.callers import Caller
from tests.proof.conftest import engine_in
from tests.proof.figures import figure, is_long
from tests.proof.killing import Client, all_wrong, kill_again_and_again
from tests.proof.recording import Operation, Run
from tests.proof.storm import Fleet, caller_of, read
from tests.proof.timeline import tell
from tests.proof.users import actors_of, register

pytestmark = pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")

KILLS, CLIENTS = 4, 5
ALL = (Operation.TAKEOVER, Operation.JOIN, Operation.APPROVAL_ANSWER)
"""What must have taken place at least once."""

ASKING = {
    "MAX_CONCURRENT_DEVICES": "2",
    "ICHIDAI_TAKEOVER_APPROVAL": "ask",
    "ICHIDAI_JOIN_BY_APPROVAL": "true",
    "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1",
}


class Answerer(Client):
    """Somebody who registers three devices, asks with one, and answers on those that are active."""

    def __init__(self, caller: Caller, rng: Random, up: threading.Event) -> None:
        super().__init__(caller, rng, up)
        self.succeeded = set[Operation]()

    def life(self) -> Iterator[int]:
        """Register, and do things until nobody may be asked any more."""
        self._caller.source = f"2001:db8:{self._rng.randrange(1 << 16):x}:{self._rng.randrange(1 << 16):x}::1"
        with suppress(AssertionError):  # killed meanwhile
            person = register(self._caller, self._rng, 3)
            user = ApprovalUser(self._caller, self._rng, person, actors_of(self._caller, self._rng, [person]))
            user.succeeded = self.succeeded
            yield 3
            for _ in range(60):
                user.act()
                yield 1
                if user.has_asked_enough:
                    break


@pytest.mark.regression("X48")
def test_no_answer_to_an_approval_is_lost(tmp_path: Path, chance: Random) -> None:
    """Who agreed is waited for no more, who refused lets nobody in, and who was let in is a device, whoever dies."""
    kills = 60 if is_long() else KILLS
    fleet = Fleet(tmp_path, engine_in(tmp_path, "sqlite"), 2, 1, **ASKING)
    run, wrong = _killed_again_and_again(fleet, chance, kills)
    done = [sum(call.operation is each and call.status == 200 for call in run.calls) for each in ALL]
    lost = sum(call.status is None for call in run.calls)
    size = f"{kills} kills, {done[0]:,} takeovers, {done[1]:,} browsers joined, {done[2]:,} answers"
    figure("F9", "kill -9 while active devices are asked; restart; compare", size, len(wrong), f"{lost} unanswered")
    assert wrong == []
    assert all(done)


def _killed_again_and_again(fleet: Fleet, chance: Random, kills: int) -> tuple[Run, list[str]]:
    records, up = fleet.suite.folder / "records", threading.Event()
    records.mkdir()
    up.set()
    clients = [
        Answerer(caller_of(number, fleet.ports, records, Random(chance.random())), Random(chance.random()), up)
        for number in range(CLIENTS)
    ]

    def enough() -> bool:
        return set[Operation]().union(*(client.succeeded for client in clients)).issuperset(ALL)

    wrong = kill_again_and_again(fleet, clients, up, chance, kills, enough)
    run = read(fleet, records)
    for user, entries in run.histories.items():
        calls, story = [call for call in run.calls if call.user == user], tell(entries, run.limit)
        wrong += [f"{user}: {each}" for judge in (answers_wrong, answers_lost) for each in judge(calls, story)]
    return run, [*wrong, *all_wrong(fleet, run)]
