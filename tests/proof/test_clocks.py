"""Hosts whose clocks are up to an hour wrong: throttle, grace, consents, idle time and evictions are as with one clock.

A host that refuses (503) breaks no promise; what it was asked is asked anew. Each question is shown to find what it is
for: in processes that go by their own clocks, as all did before the store's time counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import requests

from common.account.book import Book
from common.clock import system_clock
from common.rate_limit import NOTHING
from common.storage.tables import SESSIONS
from registration import attempts
from tests.proof.conftest import engine_in
from tests.proof.figures import each_round, figure, rounds
from tests.proof.storm import Fleet
from tests.support.client import Account, Client
from tests.support.engines import Engine
from tests.support.in_process import served

TRIES, EVICTIONS, IDLE_SECONDS = 5, 2, 1800
SETTINGS = {
    "ICHIDAI_IDLE_SECONDS": str(IDLE_SECONDS),
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": str(TRIES),
    "ICHIDAI_EVICTIONS_BEFORE_SIGNATURE": str(EVICTIONS),
    "ICHIDAI_REGISTRATIONS_SOURCE": "1000000",
}
HOUR = 3600
GRACE_SECONDS, A_TRY_BACK_SECONDS = 10, 60
_PATIENCE_SECONDS = 120.0


class NotJudged(Exception):
    """A host refused, or this machine was too slow to ask in time."""


@dataclass
class Hosts:
    """Hosts on one store, each with a clock of its own; `now`: the time that counts."""

    clients: Sequence[Client]
    engine: Engine
    chance: Random
    now: Callable[[], datetime]

    def any(self) -> Client:
        """Return one of them."""
        return self.chance.choice(self.clients)

    def each(self) -> Sequence[Client]:
        """Return all, in any order."""
        return self.chance.sample(self.clients, len(self.clients))

    def account(self) -> Account:
        """Register somebody at one of them."""
        return self.any().register()

    def evictions_of(self, account: Account) -> Sequence[datetime]:
        """Return when the account's evictions were, as its book has it."""
        store = self.engine.open()
        try:
            return Book.from_item(store.get(SESSIONS.key(account.uuid)) or {}).evictions
        finally:
            store.close()


def at(account: Account, client: Client) -> Account:
    """Return an account that asks at another host."""
    return replace(account, client=client)


def told(reply: requests.Response) -> tuple[int, str]:
    """Return status and code of an answer ("" where it is good). Raises NotJudged: the host refuses."""
    if reply.status_code == 503:
        raise NotJudged
    return reply.status_code, reply.json().get("code", "")


GOOD = 200, ""


def throttle(hosts: Hosts) -> Iterator[object]:
    """So many wrong passwords in all, at whichever host; those before the last shut nobody out anywhere."""
    account, begun = hosts.account(), time.monotonic()
    one, *others = hosts.each()
    wrong = {"username": account.username, "password": "a guess", "client_cert_fp": "0" * 64}
    answers = [told(one.post("/login", wrong))]
    yield from (answer for client in others if (answer := told(at(account, client).try_login())) != GOOD)
    while answers[-1] == (401, "bad-credentials") and len(answers) < 4 * TRIES:
        answers.append(told(hosts.any().post("/login", wrong)))
    back = 1 + int((time.monotonic() - begun) // A_TRY_BACK_SECONDS)
    if answers[-1] != (429, "too-many-attempts") or not TRIES < len(answers) <= TRIES + 1 + back:
        yield answers


def grace(hosts: Hosts) -> Iterator[object]:
    """A refresh whose answer was lost is sent again elsewhere: the same successor; an older one ends the session."""
    login, begun = hosts.account().login(), time.monotonic()
    replies = [client.refresh(login.refresh) for client in hosts.each()]
    answers = [told(reply) for reply in replies]
    if time.monotonic() - begun > GRACE_SECONDS - 2:
        raise NotJudged
    if set(answers) != {GOOD} or len({reply.json()["refresh_token"] for reply in replies}) > 1:
        yield answers
        return
    later = told(again := hosts.any().refresh(replies[0].json()["refresh_token"]))
    if later != GOOD or told(hosts.any().refresh(login.refresh)) != (401, "session-ended"):
        yield "an old one is taken", again.json()


def consents(hosts: Hosts) -> Iterator[object]:
    """A question of one host is answered at another; once, wherever it is tried again."""
    account, begun = hosts.account(), time.monotonic()
    laptop = account.pair()
    at(account, hosts.any()).login()
    asked = at(account, hosts.any()).try_login(laptop)
    if told(asked) != (409, "device-active"):
        yield told(asked)
        return
    consent = {"takeover_token": asked.json()["takeover"]["token"], **laptop.proof}
    answers = [told(client.post("/login/takeover", consent)) for client in hosts.each()]
    if time.monotonic() - begun > 100:
        raise NotJudged
    fine = {GOOD, (410, "takeover-spent")}
    if answers[0] != GOOD or not set(answers) <= fine:
        yield answers
    at(account, hosts.any()).login(force=True)  # so a consent that counts again would evict
    replayed = [told(client.post("/login/takeover", consent)) for client in hosts.each()]
    if not set(replayed) <= {(410, "takeover-spent"), (409, "device-active")}:  # the latter asks anew
        yield "replayed", replayed


def idle(hosts: Hosts) -> Iterator[object]:
    """A session that is in use at one host is not idle at another."""
    login = at(hosts.account(), hosts.any()).login()
    answers = [told(client.verify(login.access)) for client in hosts.each()]
    if set(answers) != {GOOD}:
        yield answers


def evictions(hosts: Hosts) -> Iterator[object]:
    """So many in all; none lies in the future, and the next one needs a signature at every host."""
    account, begun = hosts.account(), time.monotonic()
    devices = [account.phone, account.pair()]
    at(account, hosts.any()).login()
    for number in range(EVICTIONS):
        answer = told(at(account, hosts.any()).try_login(devices[(number + 1) % 2], force=True))
        if answer != GOOD:
            yield number, answer
    ahead = [(when - hosts.now()).total_seconds() for when in hosts.evictions_of(account)]
    took = time.monotonic() - begun
    if len(ahead) != EVICTIONS or not all(-took - 5 < seconds < 5 for seconds in ahead):
        yield "evictions counted ahead", ahead
    device = devices[(EVICTIONS + 1) % 2]
    answers = [told(at(account, client).try_login(device, force=True)) for client in hosts.each()]
    if set(answers) != {(401, "proof-required")}:
        yield answers


QUESTIONS: Mapping[str, Callable[[Hosts], Iterator[object]]] = {
    "throttle": throttle,
    "grace": grace,
    "consents": consents,
    "idle": idle,
    "evictions": evictions,
}


def violations(hosts: Hosts, name: str) -> tuple[list[str], int]:
    """Ask until it can be judged; return what is broken, and how often it could not be judged."""
    refused, until = 0, time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            return [f"{name}: {found}" for found in QUESTIONS[name](hosts)], refused
        except (NotJudged, AssertionError):  # the latter: of a client that was told to come back
            refused += 1
    return [f"{name}: it could never be judged"], refused


def test_every_promise_about_time_on_hosts_whose_clocks_are_wrong(tmp_path: Path, chance: Random) -> None:
    """F18: three servers, up to an hour fast and slow; at least one question of each kind is answered by them."""
    what = "throttle, grace, consents, idle time and evictions on hosts whose clocks are up to ± 1 h wrong"
    sets, each = rounds(40), 4 if rounds(2) == 1 else 10
    wrong, asked, refused = list[str](), 0, 0
    for number in each_round(what, sets):
        folder = tmp_path / str(number)
        folder.mkdir()
        offsets = [HOUR, -HOUR, chance.randint(-HOUR, HOUR)]
        environments = [{**SETTINGS, "ICHIDAI_TEST_CLOCK_OFFSET_SECONDS": str(offset)} for offset in offsets]
        fleet = Fleet(folder, engine_in(folder, "sqlite"), 3, 1, environments=environments)
        try:
            clients = [Client({"all": f"http://127.0.0.1:{port}"}) for port in fleet.ports]
            hosts = Hosts(clients, fleet.engine, chance, system_clock)
            for name in QUESTIONS:
                for _ in range(each):
                    found, not_judged = violations(hosts, name)
                    wrong, refused, asked = [*wrong, *found], refused + not_judged, asked + 1
        finally:
            fleet.stop()
    figure("F18", what, f"{asked} questions to {sets} sets of clocks", len(wrong), f"{refused} asked anew")
    assert wrong == []


@pytest.fixture
def apart(tmp_path: Path, chance: Random) -> Iterator[Hosts]:
    """Return two hosts, an hour apart, that go by their own clocks."""
    engine = engine_in(tmp_path, "sqlite")
    with ExitStack() as running:
        settings = {**SETTINGS, "ICHIDAI_WITNESS_FILE": str(tmp_path / "witness.json")}
        slow, fast = (running.enter_context(served(engine, tmp_path, settings)) for _ in range(2))
        fast[1].go_on(hours=1)
        yield Hosts([Client({"all": url}) for url, _ in (slow, fast)], engine, chance, slow[1])


def ahead_of_time(level: timedelta, since: datetime, now: datetime) -> timedelta:
    """Leak as a bucket does that keeps when it will be empty: for a slow clock that is later by the difference."""
    return max(level - (now - since), NOTHING)


@pytest.mark.parametrize("name", QUESTIONS)
def test_planted_hosts_that_go_by_their_own_clocks(apart: Hosts, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the five failures is found.

    429 for all after one guess, a refresh called reused, a consent spent too early or good too long, a session that is
    idle too early, an eviction that counts for an hour and ten minutes.
    """
    if name == "throttle":  # our bucket keeps no time in the future; one that does was at fault too
        monkeypatch.setattr(attempts, "leak", ahead_of_time)
    assert any(violations(apart, name)[0] for _ in range(40)), "which host is asked first is chance"
