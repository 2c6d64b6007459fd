"""An operator at work inside a storm: acts on accounts as the commands do, and writes down each as a call."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from common.account.history import OperatorAct
from common.errors import Code, Refusal
from common.storage.port import StoreUnavailable
from ichidai.administration import AccountView, Administration
from ichidai.cli.administering import administering
from registration.operator_acts import Done
from tests.proof.recording import Call, Operation, call_line
from tests.proof.storm import Storm, read_people, take_part
from tests.support.client import PASSWORD
from tests.support.servers import until

WHY = "in the middle of a storm"
ACTOR = "storm@here"
_FIRST, _STEP = 63, 64
_BRIEFLY_SECONDS = 0.05
_KINDS = {"end": 3, "disable": 3, "password": 3, "unbind": 1}

Do = Callable[[AccountView], Done]


def take_part_or_operate(
    number: int, gate: Callable[[], None], storm: Storm, environment: Mapping[str, str], acts: int, pause: float
) -> None:
    """Be one client, or, as the last of all, the operator, who pauses for so many seconds between acts."""
    if number < storm.clients:
        take_part(number, gate, storm)
        return
    os.environ.update(environment)
    with administering() as administration:
        gate()
        people = read_people(storm.folder, storm.people)
        gate()
        rng, own = Random(storm.seed), _Acts(administration, storm.folder / "operator.jsonl")
        users = [person.uuid for person in people]
        until(lambda: own.signed_in(users), "somebody is logged in", 30)
        for turn in range(acts):
            own.act(rng.choice(own.signed_in(users) or users), turn, rng)
            time.sleep(pause)


class _Acts:
    """The operator: one act after another, each written down."""

    def __init__(self, administration: Administration, file: Path) -> None:
        self._administration = administration
        self._file = file
        self._turns: Counter[tuple[str, OperatorAct]] = Counter()
        self._written = 0

    def signed_in(self, users: Sequence[str]) -> list[str]:
        """Return the accounts with a session."""
        views = [self._administration.view(user) for user in users]
        return [view.account.uuid for view in views if view is not None and view.book.sessions]

    def act(self, user: str, turn: int, rng: Random) -> None:
        """Do something to an account, at first each kind of act; one that was disabled is enabled soon."""
        kinds = list(_KINDS)
        kind = kinds[turn] if turn < len(kinds) else rng.choices(kinds, list(_KINDS.values()))[0]
        for act, do in self._chosen(kind, rng):
            self._do(user, act, do)
            time.sleep(_BRIEFLY_SECONDS)

    def _chosen(self, kind: str, rng: Random) -> Iterator[tuple[OperatorAct, Do]]:
        administration, operator = self._administration, self._administration.operator
        match kind:
            case "end":
                yield OperatorAct.END_SESSIONS, lambda view: administration.end_sessions(view, operator(ACTOR, WHY))
            case "disable":
                yield OperatorAct.DISABLE, lambda view: administration.disable(view, operator(ACTOR, WHY))
                yield OperatorAct.ENABLE, lambda view: administration.enable(view, operator(ACTOR, WHY))
            case "password":
                yield (
                    OperatorAct.SET_PASSWORD,
                    lambda view: administration.set_password(view, PASSWORD, operator(ACTOR, WHY)),
                )
            case _:
                yield (
                    OperatorAct.UNBIND,
                    lambda view: administration.unbind(
                        view, rng.choice(sorted(view.book.devices)), operator(ACTOR, WHY)
                    ),
                )

    def _do(self, user: str, act: OperatorAct, do: Do) -> None:
        view = self._administration.view(user)
        assert view is not None
        start, status, done = time.monotonic(), 200, Done(changed=False)
        try:
            done = do(view)
        except Refusal as refusal:
            status = 503 if refusal.code is Code.BUSY else 409
        except StoreUnavailable:
            status = 503
        asked = {"act": f"{act} {self._turns[user, act]}"}
        self._turns[user, act] += done.changed
        number, told = _FIRST + _STEP * self._written, {"changed": done.changed, "ended": done.ended}
        call = Call(number, "operator", Operation.OPERATE, user, start, time.monotonic(), status, asked, told)
        self._written += 1
        with self._file.open("a", encoding="utf-8") as file:
            file.write(call_line(call) + "\n")
