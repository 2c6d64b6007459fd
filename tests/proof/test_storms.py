"""Storms over HTTP on several servers with several workers each: the limit holds, and nobody is told anything wrong.

Each test does its CI size, or `ICHIDAI_TEST_LONG` times that; every choice comes from `ICHIDAI_TEST_SEED`.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.proof.callers import Caller, Reply
from tests.proof.conftest import FleetOf, engine_in
from tests.proof.figures import each_round, figure, is_long, rounds
from tests.proof.recording import Operation
from tests.proof.storm import (
    CLIENTS,
    EVERYTHING,
    TAKEOVERS,
    Fleet,
    Storm,
    Weather,
    accepted_after_eviction,
    caller_of,
    count_tries,
    hunt,
    joined,
    judged,
    rage,
    read,
    weather,
)
from tests.proof.users import Actor, Person, actors_of, register
from tests.support.client import PASSWORD, all_at_once, unique
from tests.support.engines import ENGINES
from tests.support.processes import at_once

MANY = 32
Rows = dict[tuple[str, str, str | int], bytes]


def measured(seen: Sequence[Weather]) -> str:
    """Return in words what the waiting was like."""
    middle = sorted(each.middle for each in seen)[len(seen) // 2]
    late, worst = max(each.late for each in seen), max(each.worst for each in seen)
    speed = sum(each.throughput for each in seen) / len(seen)
    return f"{speed:.0f} calls/s; waits: median {middle * 1000:.0f} ms, 99 % {late:.2f} s, worst {worst:.2f} s"


@pytest.mark.parametrize(("kind", "limit"), [("sqlite", 1), ("sqlite", 3), ("dynamodb", 1)])
def test_logins_and_takeovers_on_one_account(
    fleet_of: FleetOf, tmp_path: Path, chance: Random, kind: str, limit: int
) -> None:
    """F1: eight devices in eight processes log in, consent, replay old consents and force each other out.

    On DynamoDB Local four: it takes some 15 such calls a second, and who waits past the deadline is told to come back.
    """
    clients = CLIENTS if kind == "sqlite" else 4
    calls, times = _SIZES[kind, is_long()]
    size = {"calls": calls, "people": 1, "devices": clients, "clients": clients, "weights": TAKEOVERS}
    what = f"login and takeover storm, one account, N = {limit}, {kind}"
    seen, wrong = storms(fleet_of(kind, limit), tmp_path, chance, what, rounds(times), size)
    made, entering = sum(each.calls for each in seen), sum(each.entering for each in seen)
    figure("F1", what, f"{made:,} calls, {entering:,} of them logins and takeovers", len(wrong), measured(seen))
    assert wrong == []


_SIZES = {
    ("sqlite", False): (2000, 1),
    ("sqlite", True): (10_000, 11),
    ("dynamodb", False): (160, 1),
    ("dynamodb", True): (1000, 6),
}
"""Calls of a storm, and how many storms there are in the long size."""


def storms(
    fleet: Fleet, folder: Path, chance: Random, what: str, times: int, size: Mapping[str, Any]
) -> tuple[list[Weather], list[str]]:
    """Let storms rage one after the other; each is judged and then forgotten, so that any number fits in memory."""
    seen, wrong = list[Weather](), list[str]()
    for number in each_round(what, times):
        run = rage(fleet, folder / str(number), chance.getrandbits(32), **size)
        found = judged(fleet, run)
        seen.append(weather(run))
        wrong += found
        if not found:  # the calls of a storm that went wrong are kept
            shutil.rmtree(folder / str(number))
    return seen, wrong


def test_everything_on_fifty_accounts(fleet_of: FleetOf, tmp_path: Path, chance: Random) -> None:
    """F2: login, takeover, refresh, logout, revoke, unbind, pair, keep-earliest; each device has two clients."""
    size = {"calls": 4000 if is_long() else 2000, "people": 50, "devices": 3, "weights": EVERYTHING}
    what = "mixed storm, 50 accounts, N = 3, sqlite"
    seen, wrong = storms(fleet_of("sqlite", 3), tmp_path, chance, what, rounds(10), size)
    figure("F2", what, f"{sum(each.calls for each in seen):,} calls", len(wrong), measured(seen))
    assert wrong == []


def test_an_evicted_token_is_refused_everywhere(fleet_of: FleetOf, tmp_path: Path, chance: Random) -> None:
    """F3: seven processes ask every server for one token without a pause while and after its session is taken over."""
    fleet = fleet_of("sqlite", 1)
    asked, wrong, times = 0, list[str](), rounds(20)
    for number in each_round("an evicted token", times):
        folder = tmp_path / str(number)
        folder.mkdir()
        at_once(CLIENTS, hunt, Storm(fleet.ports, folder, chance.getrandbits(32), 36, 1, 2, {}), 8)
        run = read(fleet, folder)
        late, accepted = accepted_after_eviction(run)
        asked, wrong = asked + late, [*wrong, *judged(fleet, run), *accepted]
        shutil.rmtree(folder)
    figure("F3", "an evicted token, asked at every process at once", f"{asked:,} asked after the 200", len(wrong))
    assert wrong == []
    assert asked > 500 * times


# ------------------------------------------------------------------------------------------------------------ refreshes


@pytest.fixture
def callers(fleet_of: FleetOf, tmp_path: Path, chance: Random) -> Iterator[list[Caller]]:
    """Return many clients of the servers, for threads of this process."""
    ports = fleet_of("sqlite", 1).ports
    callers = [caller_of(number, ports, tmp_path, Random(chance.random())) for number in range(MANY)]
    yield callers
    for caller in callers:
        caller.close()


def test_refreshes(fleet_of: FleetOf, tmp_path: Path, chance: Random, callers: list[Caller]) -> None:
    """F5: sixteen uses of one refresh token at once have one successor; a lost answer costs nothing; replay ends it."""
    fleet, faults = fleet_of("sqlite", 1), list[str]()
    for _ in each_round("refreshes", 24 * rounds(10)):
        person = register(callers[0], chance, 1)
        (actor,) = actors_of(callers[0], chance, [person])
        actor.login()
        faults += _used_in_parallel(callers, actor)
        faults += _answer_lost(callers, actor)
        faults += _replayed(callers, actor)
    run = read(fleet, tmp_path)
    wrong = [*faults, *judged(fleet, run)]
    made = sum(call.operation is Operation.REFRESH for call in run.calls)
    figure("F5", "refresh: 16 at once, lost answers, replay of old ones", f"{made:,} uses", len(wrong))
    assert wrong == []


def _use(caller: Caller, person: Person, token: str) -> Reply:
    return caller.call(Operation.REFRESH, {"refresh_token": token}, user=person.uuid)


def _used_in_parallel(callers: Sequence[Caller], actor: Actor) -> list[str]:
    token = actor.refreshes[-1]
    replies = all_at_once([partial(_use, caller, actor.person, token) for caller in callers[:16]])
    successors = {reply.body.get("refresh_token") for reply in replies}
    if len(successors) != 1 or not replies[0].ok:
        return [f"sixteen uses at once: {Counter(reply.status for reply in replies)}, {len(successors)} successors"]
    actor.access, actor.refreshes = replies[0].body["access_token"], [replies[0].body["refresh_token"], token]
    return [] if actor.signed_in(Operation.VERIFY).ok else ["the session is dead after sixteen uses at once"]


def _answer_lost(callers: Sequence[Caller], actor: Actor) -> list[str]:
    current, used = actor.refreshes
    callers[1].send_and_leave(Operation.REFRESH, {"refresh_token": current}, user=actor.person.uuid)
    again = _use(callers[2], actor.person, current)
    if not again.ok:
        return [f"a lost answer cost the session: {again}"]
    actor.refreshes = [again.body["refresh_token"], current, used]
    return []


def _replayed(callers: Sequence[Caller], actor: Actor) -> list[str]:
    stolen = _use(callers[3], actor.person, actor.refreshes[-1])
    owner = _use(callers[4], actor.person, actor.refreshes[0])
    reasons = {stolen.body.get("reason"), owner.body.get("reason")}
    dead = not actor.signed_in(Operation.VERIFY).ok
    return [] if reasons == {"refresh-reused"} and dead else [f"an old refresh token: {stolen}, then {owner}"]


# ----------------------------------------------------------------------------------------------- one winner, no traces


def test_one_name_is_registered_once(fleet_of: FleetOf, chance: Random, callers: list[Caller]) -> None:
    """F6: 32 registrations of one name (or mail) at once: one account, and of the others not a row."""
    fleet, wrong = fleet_of("sqlite", 1), list[str]()
    tries = 8 * rounds(10)
    for number in each_round("registrations of one name", tries):
        name, before = unique("Name"), fleet.suite.rows()
        names = [name.upper() if place % 2 else name for place in range(MANY)]
        mails = [f"{unique()}@b.test"] * MANY if number % 2 else [f"{unique()}@b.test" for _ in names]
        forms = [{"username": n, "email": m, "password": PASSWORD} for n, m in zip(names, mails, strict=True)]
        replies = all_at_once(
            [partial(c.call, Operation.REGISTER, form) for c, form in zip(callers, forms, strict=True)]
        )
        wrong += _one_winner(replies, {(409, "username-taken"), (409, "email-taken")})
        wrong += _rows_are(Counter(_tables(before, fleet.suite.rows())), _AN_ACCOUNT)
    figure("F6", "registration race, 32 at once, one name", f"{tries * MANY:,} tries", len(wrong))
    assert wrong == []


def test_one_pairing_token_makes_one_device(fleet_of: FleetOf, chance: Random, callers: list[Caller]) -> None:
    """F7: a QR code redeemed 32 times at once, through both endpoints: one device, and of the others not a row."""
    fleet, wrong = fleet_of("sqlite", 1), list[str]()
    tries = 8 * rounds(10)
    for _ in each_round("uses of one QR code", tries):
        person = register(callers[0], chance, 1)
        asking = {**person.credentials, "client_cert_fp": person.devices[0][1]}
        qr_code = callers[0].call(Operation.REQUEST_PAIRING_TOKEN, asking, user=person.uuid).body["qr_code"]
        before = fleet.suite.rows()
        replies = all_at_once([_redeem(caller, person, qr_code, place) for place, caller in enumerate(callers)])
        wrong += _one_winner(replies, {(410, "pairing-token-spent")})
        entered = any(reply.ok and "access_token" in reply.body for reply in replies)
        wrong += _rows_are(Counter(_tables(before, fleet.suite.rows())), _A_DEVICE if entered else _A_DEVICE_WITH_QR)
    figure("F7", "pairing race, 32 at once, one token", f"{tries * MANY:,} tries", len(wrong))
    assert wrong == []


_AN_ACCOUNT = {
    "UsersTable": 1,
    "NamesTable": 4,
    "SessionsTable": 1,
    "DevicesTable": 1,
    "DeviceKeysTable": 1,
    "PairingTokensTable": 1,
}
_A_DEVICE = {"NamesTable": 1, "SessionsTable": 1, "DevicesTable": 1, "DeviceKeysTable": 1}
_A_DEVICE_WITH_QR = {**_A_DEVICE, "PairingTokensTable": 1}
"""What changes when a device joins: book with its record and the mark of the token, rows, the claim of its key (and the
next token)."""


def _redeem(caller: Caller, person: Person, qr_code: str, place: int) -> Callable[[], Reply]:
    operation = Operation.PAIR if place % 2 else Operation.DEVICE_REGISTER
    form = {**person.credentials, "qr_code": qr_code, "device_name": f"Device {place}"}
    return lambda: caller.call(operation, form, user=person.uuid)


def _one_winner(replies: Sequence[Reply], refusals: set[tuple[int, str]]) -> list[str]:
    told = Counter((reply.status, reply.body.get("code")) for reply in replies)
    fine = told[200, None] == 1 and told.keys() <= {(200, None), *refusals}
    return [] if fine else [f"{MANY} at once: {dict(told)}"]


def _tables(before: Rows, after: Rows) -> list[str]:
    """Return the table of each row that is new, changed or gone. The history is laid down in its own time."""
    places = [place for place in before.keys() | after.keys() if before.get(place) != after.get(place)]
    return [table for table, *_ in places if table != "LoginHistory"]


def _rows_are(changed: Counter[str], expected: dict[str, int]) -> list[str]:
    return [] if dict(changed) == expected else [f"rows changed: {dict(changed)}"]


# --------------------------------------------------------------------------------------------------- clocks, contention


_ASKING = {"login": 30, "takeover": 35, "verify": 30, "force": 5}


def test_clocks_of_the_processes_apart(tmp_path: Path, chance: Random) -> None:
    """F18: three servers whose hosts' clocks differ by up to an hour: everything holds, for the store's time counts."""
    what = "clocks of the processes apart by up to ± 1 h"
    wrong, apart, sets = list[str](), 0, 2 * rounds(5)
    for number in each_round(what, sets):
        folder = tmp_path / str(number)
        folder.mkdir()
        offsets = [*chance.sample((-3600, 3600), 2), chance.randint(-3600, 3600)]
        fleet = Fleet(folder, engine_in(folder, "sqlite"), 3, 1, offsets=offsets)
        try:
            seed = chance.getrandbits(32)
            run = rage(fleet, folder / "run", seed, calls=600, people=10, devices=3, weights=_ASKING)
            wrong += judged(fleet, run)
            asked, accepted = accepted_after_eviction(run)
        finally:
            fleet.stop()
        wrong, apart = [*wrong, *accepted], apart + asked
    size = f"{10 * sets} accounts on {sets} sets of clocks"
    figure("F18", what, size, len(wrong), f"{apart:,} evicted tokens asked")
    assert wrong == []


@pytest.mark.parametrize("kind", ENGINES)
def test_tries_for_a_change(tmp_path: Path, kind: str) -> None:
    """Eight processes that do nothing but change one book: every change is made, in few tries."""
    changes = 25 if kind == "sqlite" else 6
    engine = engine_in(tmp_path, kind)
    store = engine.open()
    user = joined(store)
    told = [one for each in at_once(CLIENTS, count_tries, engine, user, changes) for one in each]
    tries, waits = [one[0] for one in told], [one[1] for one in told]
    numbers = f"tries: mean {sum(tries) / len(tries):.2f}, most {max(tries)}; worst wait {max(waits):.2f} s"
    store.close()
    figure("F1", f"eight processes change one book at once, {kind}", f"{len(told)} changes", 0, numbers)
    assert len(told) == CLIENTS * changes
    assert sum(tries) / len(tries) < CLIENTS
