"""I33: a limit lowered from 3 to 1 in the middle of a storm on several processes holds everywhere within five seconds.

What is judged is what clients were told: a session that was answered 200 twice lived between those answers, for what a
limit refused never comes back. And what books say: an account that was changed under the new policy has one session.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from common.account.book import Book
from common.storage.port import StoreUnavailable
from common.storage.tables import SESSIONS
from ichidai.cli.policy import app as policy
from tests.proof.figures import figure
from tests.proof.recording import Call, Operation
from tests.proof.storm import Fleet, Storm, actor_of_chance, caller_of, read, read_people
from tests.proof.timeline import GRANTING
from tests.proof.users import actors_of, register
from tests.support.engines import ENGINES, Engine
from tests.support.processes import at_once
from tests.support.servers import ROOT, until

FOLLOWED_WITHIN_SECONDS = 5.0
"""What is promised. It holds on a busy machine too: a process decides nothing by a policy that it read 4 s ago."""
ENOUGH_CALLS = 150
MOST_CALLS = 50_000
PEOPLE, DEVICES, CLIENTS = 2, 3, 4
WEIGHTS = {"login": 25, "takeover": 10, "force": 5, "verify": 50, "refresh": 10}
SHOWING = frozenset({Operation.VERIFY, Operation.REFRESH, Operation.LIST, *GRANTING})
DEAF = """
from msgspec.structs import replace
from common.account import policy_store
read = policy_store._policy_of
def deaf(record):
    policy = read(record)
    return replace(policy, rules=replace(policy.rules, limit=3), lower=())
policy_store._policy_of = deaf
"""
"""What makes a server one that never learns of a lower limit."""


def rage_on(number: int, gate: Callable[[], None], storm: Storm) -> None:
    """Be one client, with devices of its own, until the storm is told to end."""
    rng = Random(f"{storm.seed} {number}")
    caller = caller_of(number, storm.ports, storm.folder, rng)
    actors = actors_of(caller, rng, read_people(storm.folder, storm.people))[number :: storm.clients]
    gate()
    for _ in range(storm.calls):
        if (storm.folder / "over").exists():
            break
        actor_of_chance(actors, rng).act(storm.weights)
    caller.close()


@dataclass(frozen=True)
class Shown:
    """A session that lived for certain from `first` to `last`: from an answer to it to a later call that was let in."""

    session_id: str
    first: float
    last: float


def shown(calls: Sequence[Call], since: float) -> Mapping[str, Sequence[Shown]]:
    """Return for each user the sessions that calls begun since a moment show to have lived, and when."""
    found: dict[tuple[str, str], Shown] = {}
    for call in calls:
        told = call.told if call.operation in GRANTING else call.asked
        session = str(told.get("session_id", ""))
        if call.status != 200 or call.end is None or call.start < since or call.operation not in SHOWING or not session:
            continue
        place = call.user, session
        known = found.get(place) or Shown(session, call.end, call.start)
        found[place] = Shown(session, min(known.first, call.end), max(known.last, call.start))
    by_user: dict[str, list[Shown]] = defaultdict(list)
    for (user, _), each in found.items():
        by_user[user].append(each)
    return by_user


def too_many(calls: Sequence[Call], since: float, limit: int) -> Iterator[str]:
    """Yield each session with which more than `limit` lived at once, as calls begun since a moment show."""
    for user, sessions in shown(calls, since).items():
        for each in sessions:
            others = [other for other in sessions if other.first <= each.first < other.last]
            if each.first < each.last and len(others) > limit:
                yield f"{len(others)} sessions of {user} lived at once when {each.session_id} was first seen"


class Books(threading.Thread):
    """Looks at the accounts' books all the while: the most sessions under each policy."""

    def __init__(self, engine: Engine, users: Sequence[str]) -> None:
        super().__init__()
        self._engine = engine
        self._users = users
        self._ending = threading.Event()
        self.most: dict[int, int] = {}

    def run(self) -> None:  # type: ignore[explicit-override]
        """Look until it is told to end."""
        with closing(self._engine.open()) as store:
            while not self._ending.wait(0.01):
                with suppress(StoreUnavailable):  # it is busy
                    for item in map(store.get, map(SESSIONS.key, self._users)):
                        if item is not None:
                            book = Book.from_item(item)
                            self.most[book.policy] = max(self.most.get(book.policy, 0), len(book.sessions))

    def end(self) -> None:
        """Look no more."""
        self._ending.set()
        self.join()


@dataclass(frozen=True)
class Lowered:
    """A storm in which the limit was lowered: its calls, when it began and the command had ended, what books said."""

    calls: Sequence[Call]
    begun: float
    lowered: float
    most: Mapping[int, int]


def _calls(folder: Path) -> int:
    """Return how many calls the clients have written down."""
    return sum(file.read_bytes().count(b"\n") for file in folder.glob("*.jsonl"))


def _lowered() -> bool:
    said = CliRunner().invoke(policy, ["set", "MAX_CONCURRENT_DEVICES=1", "--reason", "too many at once"])
    return said.exit_code == 0


def storm_in_which_it_is_lowered(fleet: Fleet, folder: Path, until_found: bool) -> Lowered:  # noqa: FBT001
    """Register people, let clients rage, lower the limit in the middle, and let them rage on.

    `until_found`: until the calls show that more than one lived, for what is planted shows by chance.
    """
    folder.mkdir()
    rng = Random("17")
    with closing(caller_of(CLIENTS, fleet.ports, folder, rng)) as caller:
        people = [register(caller, rng, DEVICES) for _ in range(PEOPLE)]
    for place, person in enumerate(people):
        (folder / f"{place}.person").write_text(json.dumps(asdict(person)))
    books = Books(fleet.engine, [person.uuid for person in people])
    storm = Storm(fleet.ports, folder, 17, MOST_CALLS, PEOPLE, DEVICES, WEIGHTS, CLIENTS)
    moments: list[float] = []

    def lower() -> None:
        try:
            until(lambda: max(books.most.values(), default=0) > 1, "several are in")
            until(lambda: _calls(folder) > ENOUGH_CALLS, "they are used")
            until(_lowered, "the limit is lowered")  # an engine that is busy may refuse the command for a moment
            moments.append(time.monotonic())
            time.sleep(FOLLOWED_WITHIN_SECONDS)
            until_now, in_force = _calls(folder), moments[0] + FOLLOWED_WITHIN_SECONDS
            until(lambda: _calls(folder) > until_now + ENOUGH_CALLS, "the storm goes on after it")
            if until_found:
                until(lambda: any(too_many(read(fleet, folder).calls, in_force, 1)), "more than one lives")
        finally:
            (folder / "over").touch()

    lowering = threading.Thread(target=lower)
    begun = time.monotonic()
    books.start()
    lowering.start()
    try:
        at_once(CLIENTS, rage_on, storm)
    finally:
        lowering.join()
        books.end()
    return Lowered(read(fleet, folder).calls, begun, moments[0], books.most)


@pytest.fixture
def rage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lowered]]:
    """Return what lets a storm rage on two servers over an engine, the second with an environment of its own."""
    fleets: list[Fleet] = []

    def rage(name: str, *environments: Mapping[str, str], until_found: bool = False) -> Lowered:
        engine = ENGINES[name](tmp_path)
        fleets.append(Fleet(tmp_path, engine, 2, 2, environments=environments, MAX_CONCURRENT_DEVICES="3"))
        for setting, value in {**fleets[0].suite.settings, **engine.settings}.items():
            monkeypatch.setenv(setting, value)
        return storm_in_which_it_is_lowered(fleets[0], tmp_path / "storm", until_found)

    yield rage
    for fleet in fleets:
        fleet.stop()


@pytest.mark.parametrize("name", ENGINES)
def test_a_limit_lowered_in_a_storm(rage: Callable[..., Lowered], name: str) -> None:
    """Never more than three live before, never more than one five seconds after; by each book from its change on."""
    run = rage(name)
    in_force = run.lowered + FOLLOWED_WITHIN_SECONDS
    assert {call.status for call in run.calls} <= {None, 200, 401, 403, 409, 410, 429, 503}
    assert list(too_many(run.calls, run.begun, 3)) == []
    assert list(too_many(run.calls, in_force, 1)) == []
    assert max(most for number, most in run.most.items() if number < 2) > 1, "several were in before"
    after = max(most for number, most in run.most.items() if number >= 2)
    assert after == 1, "no more than the policy allows under which the account was changed"
    late = sum(call.status == 200 for call in run.calls if call.start >= in_force)
    assert late, "the storm was felt after it, too"
    before = [call for call in run.calls if call.end is not None and call.end < run.lowered]
    assert list(too_many(before, run.begun, 1)), "the checker sees that three lived while three might"
    figure("F2", f"a limit lowered from 3 to 1 in a storm, 4 processes, {name}", f"{len(run.calls):,} calls", 0, "")


def test_a_server_that_does_not_follow_is_found(rage: Callable[..., Lowered], tmp_path: Path) -> None:
    """It is planted beside one that does: the calls alone tell that more than one lived."""
    (tmp_path / "deaf").mkdir()
    (tmp_path / "deaf" / "sitecustomize.py").write_text(DEAF, encoding="utf-8")
    deaf = {"PYTHONPATH": os.pathsep.join((str(tmp_path / "deaf"), str(ROOT)))}
    run = rage("sqlite", {}, deaf, until_found=True)
    assert list(too_many(run.calls, run.lowered + FOLLOWED_WITHIN_SECONDS, 1))
