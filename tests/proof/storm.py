"""Storms: many client processes on several servers over one store, and what must be true of what they wrote down."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

import requests

from common.account.book import Book
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind
from common.account.laying_down import LayingDown
from common.account.transactions import AccountTransactions
from common.background import BackgroundThread
from common.clock import system_clock
from common.ids import new_id
from common.storage.port import Store, StoreUnavailable
from tests.proof.callers import Caller
from tests.proof.checker import check
from tests.proof.listening import Listening
from tests.proof.recording import Call, Operation, Run, load_run, run_lines, whole_history
from tests.proof.timeline import GRANTING, half_taken_back, tell
from tests.proof.users import Actor, Person, actors_of, register
from tests.support.client import TOO_BUSY, all_at_once
from tests.support.engines import Engine
from tests.support.processes import at_once
from tests.support.servers import GENEROUS, Suite, serve_command, until

CLIENTS = 8
_CLIENTS_AT_MOST = 64

TAKEOVERS = {"login": 45, "takeover": 40, "force": 5, "verify": 10}
"""What happens in a storm on one account."""

EVERYTHING = {
    "login": 25,
    "takeover": 20,
    "verify": 12,
    "refresh": 12,
    "replay": 4,
    "logout": 6,
    "keep-earliest": 6,
    "force": 4,
    "revoke": 3,
    "unbind": 3,
    "revoke certificate": 1,
    "pair": 3,
    "register-device": 2,
}
"""What happens in a mixed storm."""


class Fleet:
    """Several servers with several workers each, on one store."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        servers: int,
        workers: int,
        *,
        offsets: Sequence[int] = (),
        environments: Sequence[Mapping[str, str]] = (),
        **settings: str,
    ) -> None:
        """`offsets`: how many seconds each clock is wrong by; `environments`: what else each server has of its own."""
        self.engine = engine
        self.limit = int(settings.get("MAX_CONCURRENT_DEVICES", "1"))
        ours = {**GENEROUS, "ICHIDAI_TEST_CHEAP_HASH": "true", **engine.settings, **settings}
        own = environments or [{"ICHIDAI_TEST_CLOCK_OFFSET_SECONDS": str(offset)} for offset in offsets]
        commands = {f"server {n}": partial(_command, workers, dict(enumerate(own)).get(n, {})) for n in range(servers)}
        self.suite = Suite(commands, ours, folder)
        self.suite.start()
        self._warm_up()

    @property
    def ports(self) -> tuple[int, ...]:
        """Where the servers are."""
        return tuple(server.port for server in self.suite.servers)

    def history(self, calls: Sequence[Call]) -> Run:
        """Return what was called with what the store says happened."""
        store = self.engine.open()
        users = sorted({call.user for call in calls if call.user})
        histories = {user: whole_history(store, user) for user in users}
        store.close()
        return Run(self.limit, "ask", tuple(calls), histories)

    def _warm_up(self) -> None:
        """Let every worker reach the store once: making a client of DynamoDB takes a second of its own."""
        ready = [partial(requests.get, f"http://127.0.0.1:{port}/ready", timeout=30) for port in self.ports]
        until(lambda: all(reply.ok for reply in all_at_once(ready * 4)), "the store is reached by all")

    def stop(self) -> None:
        """End the servers."""
        self.suite.stop()


def _command(workers: int, environment: Mapping[str, str], port: int) -> list[str]:
    """Return what starts a server, with an environment of its own where one is asked for."""
    own = ["env", *(f"{name}={value}" for name, value in environment.items())] if environment else []
    return [*own, *serve_command("all", port, workers)]


@dataclass(frozen=True, slots=True)
class Storm:
    """How many do how much of what to whom, and where they listen. Plain values: it goes to the client processes."""

    ports: tuple[int, ...]
    folder: Path
    seed: int
    calls: int
    people: int
    devices: int
    weights: Mapping[str, int]
    clients: int = CLIENTS
    streams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Weather:
    """What a storm was like from where the clients stood: seconds for a call, and calls in a second."""

    calls: int
    entering: int
    middle: float
    late: float
    worst: float
    throughput: float
    statuses: Mapping[int | None, int]


def rage(
    fleet: Fleet,
    folder: Path,
    seed: int,
    *,
    calls: int,
    people: int,
    devices: int,
    weights: Mapping[str, int],
    clients: int = CLIENTS,
    streams: Sequence[str] = (),
) -> Run:
    """Let the clients make about so many calls together; return what they wrote down and what the store says.

    `streams`: the addresses at which they open a stream for each session.
    """
    folder.mkdir(parents=True)
    storm = Storm(fleet.ports, folder, seed, calls, people, devices, weights, clients, tuple(streams))
    at_once(clients, take_part, storm)
    return read(fleet, folder)


def read(fleet: Fleet, folder: Path) -> Run:
    """Return what all clients wrote into a folder, with the history."""
    lines = run_lines(Run(fleet.limit, "ask", (), {}))
    (folder / "run.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return fleet.history(load_run(*folder.glob("*.jsonl")).calls)


def take_part(number: int, gate: Callable[[], None], storm: Storm) -> None:
    """Be one client: set up a share of the people, wait for the others, then do things with everybody's devices."""
    rng = Random(f"{storm.seed} {number}")
    caller = caller_of(number, storm.ports, storm.folder, rng)
    for place in range(number, storm.people, storm.clients):
        person = register(caller, rng, storm.devices)
        (storm.folder / f"{place}.person").write_text(json.dumps(asdict(person)))
    gate()
    people = read_people(storm.folder, storm.people)
    gate()
    actors = _share(actors_of(caller, rng, people), number, storm)
    listening = Listening(storm.streams)
    for _ in range(storm.calls // storm.clients):
        actor = actor_of_chance(actors, rng)
        actor.act(storm.weights)
        listening.listen(actor)
    if storm.streams:
        gate()
        listening.close(storm.folder / f"{number}")
    caller.close()


def caller_of(number: int, ports: Sequence[int], folder: Path, rng: Random) -> Caller:
    """Return the wire of one client among all."""
    return Caller(f"client {number}", ports, folder / f"{number}.jsonl", rng, number, _CLIENTS_AT_MOST)


def read_people(folder: Path, count: int) -> list[Person]:
    """Return the people that the clients have set up."""
    told = [json.loads((folder / f"{place}.person").read_text()) for place in range(count)]
    return [Person(each["username"], each["uuid"], tuple(map(tuple, each["devices"]))) for each in told]


def _share(actors: list[Actor], number: int, storm: Storm) -> list[Actor]:
    """Return the actors of one client: a device of the one account; of many accounts, each device has two clients."""
    if storm.people == 1:
        return [actors[number % len(actors)]]
    return [
        actor for place, actor in enumerate(actors) if place % storm.clients in (number, (number + 3) % storm.clients)
    ]


def actor_of_chance(actors: Sequence[Actor], rng: Random) -> Actor:
    """Return any actor, the first ones oftener: some accounts are asked for more than others."""
    return actors[int(rng.random() ** 2 * len(actors))]


def hunt(number: int, gate: Callable[[], None], storm: Storm, times: int) -> None:
    """Take a session over again and again (client 0), or ask for its token all the while (the others)."""
    rng = Random(f"{storm.seed} {number}")
    caller = caller_of(number, storm.ports, storm.folder, rng)
    if number == 0:
        (storm.folder / "0.person").write_text(json.dumps(asdict(register(caller, rng, 2))))
    gate()
    (person,) = read_people(storm.folder, 1)
    phone, laptop = actors_of(caller, rng, [person])
    for turn in range(times):
        shown = storm.folder / f"{turn}.token"
        if number == 0:
            phone.login(force=True)
            laptop.login()
            shown.write_text(json.dumps([phone.access, phone.refreshes[-1]]))
        gate()
        if number == 0:
            laptop.take_over_what_was_shown()
        else:
            _ask(caller, person, *json.loads(shown.read_text()), storm.calls)
        gate()
    caller.close()


def _ask(caller: Caller, person: Person, access: str, refresh: str, times: int) -> None:
    """Ask each server in turn whether a token is good; every sixth time try to refresh it."""
    for place in range(times):
        known = {"user": person.uuid, "port": caller.ports[place % len(caller.ports)]}
        if place % 6 == 5:
            caller.call(Operation.REFRESH, {"refresh_token": refresh}, **known)
        else:
            caller.call(Operation.VERIFY, token=access, **known)


def joined(store: Store) -> str:
    """Make a user whom nobody has a device of; return the id."""
    draft = Draft(Book(new_id()), (Event(EventKind.REGISTERED, system_clock()),))
    AccountTransactions(store, system_clock).create(draft, (), ClientInfo())
    return draft.book.user_uuid


_TRIES_SECONDS = 60.0
"""How long a change is tried: not the four seconds of a request, for a full machine has its own pace."""


def _was_made(change: Callable[[], object]) -> bool:
    """Make a change; say whether the store could be asked, which DynamoDB Local on a full machine may not answer."""
    try:
        change()
    except StoreUnavailable:
        return False
    return True


def count_tries(
    number: int, gate: Callable[[], None], engine: Engine, user: str, changes: int
) -> list[tuple[int, float]]:
    """Change a book so many times, at the same moment as the others; return tries and seconds of each change."""
    store, told, background = engine.open(), [], BackgroundThread()
    laying = LayingDown(store, system_clock, background)
    keeper = AccountTransactions(store, system_clock, laying=laying, deadline=_TRIES_SECONDS)
    background.start()
    while not _was_made(lambda: keeper.get_book(user)):
        continue
    gate()
    for _ in range(changes):
        begun, tries = time.monotonic(), [0]

        def noted(snapshot: Snapshot, tries: list[int] = tries) -> TransactionResult[None]:
            tries[0] += 1
            event = Event(EventKind.DEVICE_RENAMED, snapshot.now, str(number))
            return TransactionResult(None, snapshot.draft.with_book(snapshot.book, event))

        while not _was_made(lambda: keeper.run(user, noted)):
            continue
        told.append((tries[0], time.monotonic() - begun))
    background.close()
    store.close()
    return told


# ---------------------------------------------------------------------------------------------------- what must be true

_MOST_TOLD = 0.1
"""The share of all calls that may be told to come back while a store is slow."""


def violations(run: Run, *, may_be_slow: bool = False) -> list[str]:
    """Return everything that a run breaks: a server error is one, and whatever the checker finds.

    `may_be_slow`: the engine is, now and then, on a busy machine; a few may be told to come back then.
    """
    return [*_server_faults(run, may_be_slow=may_be_slow), *map(str, check(run))]


def _server_faults(run: Run, *, may_be_slow: bool) -> Iterator[str]:
    told = {call.number for call in run.calls if call.status == 503 and call.told.get("code") in TOO_BUSY}
    excused = told if may_be_slow and len(told) <= len(run.calls) * _MOST_TOLD else set()
    for call in run.calls:
        if call.status is not None and call.status >= 500 and call.number not in excused:
            yield f"call {call.number} ({call.operation}) was answered {call.status} {call.told}"


def judged(fleet: Fleet, run: Run) -> list[str]:
    """Return all that is wrong with a run, and with the books it left."""
    store = fleet.engine.open()
    wrong = [*violations(run, may_be_slow=fleet.engine.name == "dynamodb"), *books_differ(store, run)]
    store.close()
    return wrong


def books_differ(store: Store, run: Run) -> Iterator[str]:
    """Yield where a user's book and history tell of different sessions, devices or numbers of changes."""
    keeper = AccountTransactions(store, system_clock)
    for user, entries in run.histories.items():
        book, story = keeper.get_book(user), tell(entries, run.limit)
        if book is None:
            yield f"{user} has no book"
        elif (book.change_no, set(book.sessions), {key for key, each in book.devices.items() if not each.revoked}) != (
            len(entries),
            set(story.live[-1]),
            set(story.bound[-1]) - half_taken_back(book, story),
        ):
            yield f"the book of {user} at change {book.change_no} is not what its history of {len(entries)} tells"


def accepted_after_eviction(run: Run) -> tuple[int, list[str]]:
    """Return how often tokens were used after the takeover that ended them was answered, and each time it was let."""
    out: dict[str, float] = {}
    for call in run.calls:
        if call.operation is Operation.TAKEOVER and call.status == 200 and call.end is not None:
            out |= dict.fromkeys(call.told.get("evicted", ()), call.end)
    late = [
        call
        for call in run.calls
        if call.operation in (Operation.VERIFY, Operation.REFRESH)
        and call.start > out.get(call.asked.get("session_id", ""), math.inf)
    ]
    return len(late), [f"I2: call {call.number} was let in after its eviction" for call in late if call.status == 200]


def weather(run: Run) -> Weather:
    """Measure the calls that are not the setting-up."""
    setting_up = {Operation.REGISTER, Operation.PAIR, Operation.REQUEST_PAIRING_TOKEN}
    calls = [call for call in run.calls if call.operation not in setting_up and call.end is not None]
    waits = sorted((call.end or 0) - call.start for call in calls)
    span = max(call.end or 0 for call in calls) - min(call.start for call in calls)
    statuses = Counter(call.status for call in run.calls)
    at = [waits[int(len(waits) * part)] for part in (0.5, 0.99)]
    entering = sum(call.operation in GRANTING for call in calls)
    return Weather(len(calls), entering, at[0], at[1], waits[-1], len(calls) / span, statuses)
