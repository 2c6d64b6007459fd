"""Machines are told of every ending, pushed or asked for: one token for each, with the right reason, in order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
import urllib3
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from common.account.history import EventKind
from common.account.laying_down import LayingDown
from common.account.operator import Operator
from common.background import at_once
from common.config import SettingsError
from common.ids import new_id
from ichidai.administration import Administration, Kept
from ichidai.cli.event_key import app as event_key
from ichidai.gauges import Gauges
from ichidai.settings import read_settings
from session_manager.event_metrics import EVENTS, OLDEST, POLLS, WAITING
from session_manager.event_poll import LONGEST_WAIT_SECONDS, LOOK_SECONDS, MOST_WAITING, Ask, poll
from session_manager.event_push import LONGEST_PAUSE, EventPusher
from session_manager.event_receivers import digest_of
from session_manager.security_event import SESSION_REVOKED
from tests.support.engines import ENGINES, Engine
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import DAY, MINUTE, HandClock, InProcessSuite, Login, Person, code_of

RECEIVERS = {"shop": "https://shop.example/events", "forum": "https://forum.example/events"}
LEDGER, OLD_KEY, KEY = "ledger", "the key of before", "the key from now on"
POLL = "/session/security-events"


class Machine:
    """What two receivers take: their tokens by URL, in order; a `down` one answers nothing."""

    def __init__(self, suite: InProcessSuite) -> None:
        self.suite = suite
        self.taken: dict[str, list[str]] = {url: [] for url in RECEIVERS.values()}
        self.down: set[str] = set()
        self.status: dict[str, int] = {}
        self.tries = 0
        services = suite.suite
        self.pushers = [self.pusher() for _ in range(2)]
        self.keys = {key["kid"]: key for key in suite.get("/.well-known/jwks.json").get_json()["keys"]}
        self.issuer = services.addresses.issuer

    def pusher(self) -> EventPusher:
        """Return what another process has."""
        pusher = self.suite.suite.event_pusher
        return EventPusher(
            self.suite.store.inner, self.suite.clock, RECEIVERS, pusher._issuer, pusher._signer, self.post
        )

    def post(self, url: str, token: str) -> int:
        """Take a token."""
        self.tries += 1
        if url in self.down:
            raise urllib3.exceptions.ProtocolError("nobody is there")
        status = self.status.get(url, 202)
        if status == 202:
            self.taken[url].append(token)
        return status

    def claims(self, name: str = "shop") -> list[dict[str, Any]]:
        """Return the claims of a receiver's tokens, each verified by the published keys."""
        return [self.verified(token, name) for token in self.taken[RECEIVERS[name]]]

    def verified(self, token: str, name: str) -> dict[str, Any]:
        """Return a token's claims, verified by the published keys."""
        header = jwt.get_unverified_header(token)
        assert header["typ"] == "secevent+jwt"
        key = jwt.PyJWK(self.keys[header["kid"]])
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=["ES256"], audience=name, options={"verify_iat": False}
        )
        assert claims["iss"] == self.issuer
        return claims

    def ask(self, **asked: Any) -> Any:
        """Ask for the ledger's events, once and without waiting."""
        answer = self.suite.post(POLL, {"returnImmediately": True, **asked}, token=KEY)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()

    def asked_for(self, most: int) -> list[dict[str, Any]]:
        """Ask until nothing waits, acknowledging with each poll what the one before gave; return the claims."""
        found: dict[str, str] = {}
        answer = self.ask(maxEvents=most)
        while sets := answer["sets"]:
            assert len(sets) <= most
            assert not found.keys() & sets.keys()
            found |= sets
            answer = self.ask(maxEvents=most, ack=list(sets))
        assert answer == {"sets": {}, "moreAvailable": False}
        claims = [self.verified(token, LEDGER) for token in found.values()]
        assert [each["jti"] for each in claims] == list(found)
        return claims


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Return each engine in turn, with a store of its own: queues and leases are the store's."""
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def suite(new_suite: Build, engine: Engine, tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[InProcessSuite]:
    """Return a suite that tells two machines, and lets two devices be active at once."""
    polled = f"{LEDGER}=poll:{digest_of(OLD_KEY)}+{digest_of(KEY)}"
    named = ",".join([*(f"{name}={url}" for name, url in RECEIVERS.items()), polled])
    settings = {"MAX_CONCURRENT_DEVICES": "2", "ICHIDAI_EVENT_RECEIVERS": named}
    with closing(new_suite(tmp_path, keys / engine.name, clock, store=engine.open(clock), **settings)) as suite:
        yield suite


def endings(suite: InProcessSuite, *people: Person) -> list[tuple[str, str, str, str | None]]:
    """Return what the history tells of ended sessions: account, session, reason, act."""
    return [
        (person.uuid, event.session_id or "", str(event.reason), event.act and str(event.act))
        for person in people
        for record in suite.history(person)
        for event in record.events
        if event.kind is EventKind.SESSION_ENDED
    ]


def told(claims: list[dict[str, Any]], *people: Person) -> list[tuple[str, str, str, str | None]]:
    """Return the same as the tokens tell it."""
    uuids = {person.uuid for person in people}
    subjects = [(each["sub_id"], each["events"][SESSION_REVOKED]) for each in claims]
    return [
        (subject["user"]["sub"], subject["session"]["id"], event["reason"], event.get("act"))
        for subject, event in subjects
        if subject["user"]["sub"] in uuids
    ]


class Life:
    """A person who does what comes to mind, and an operator who does too."""

    def __init__(self, suite: InProcessSuite, number: int) -> None:
        self.suite = suite
        self.random = random.Random(number)
        self.person = suite.register(f"life-{new_id()[:8]}")
        self.devices = [self.person.first, *(suite.pair(self.person, f"Device {n}") for n in range(2))]
        self.logins: list[Login] = []
        services = suite.suite
        self.administration = Administration(
            suite.store.inner,
            suite.clock,
            services.policies,
            Kept(DAY, DAY),
            services.registration.hashing_pool.cost,
            services.registration.notifier,
            "",
            LayingDown(suite.store.inner, suite.clock, at_once, receivers=(*RECEIVERS, LEDGER)),
        )

    def step(self) -> None:
        """Do one thing."""
        self.random.choice([self.log_in] * 4 + [self.log_out, self.reuse, self.expire, self.force, self.operate])()

    def log_in(self) -> None:
        """Log a device in, and say yes where it is asked."""
        device = self.random.choice(self.devices)
        answer = self.suite.login(self.person, device)
        if answer.status_code == 409:
            answer = self.suite.take_over(answer, device)
        if answer.status_code == 200:
            body = answer.get_json()
            self.logins.append(
                Login(body["access_token"], body["refresh_token"], body["session_id"], body["device_id"], body)
            )

    def force(self) -> None:
        """Log in by force."""
        self.suite.login(self.person, self.random.choice(self.devices), path="/login/force")

    def log_out(self) -> None:
        """End a session, which may have ended before."""
        if self.logins:
            self.suite.post("/session/logout", token=self.random.choice(self.logins).access)

    def reuse(self) -> None:
        """Use refresh tokens again and again."""
        if self.logins:
            for _ in range(3):
                self.suite.refresh(self.random.choice(self.logins).refresh)
                self.suite.clock.move(MINUTE)

    def expire(self) -> None:
        """Let everything expire."""
        self.suite.clock.move(2 * DAY)

    def operate(self) -> None:
        """Let an operator act."""
        view = self.administration.view(self.person.uuid)
        assert view is not None
        operator = Operator("kim@ops", "why", new_id(), DAY)
        act = self.random.choice([self.administration.end_sessions, self.administration.disable])
        act(view, operator)
        self.administration.enable(view, Operator("kim@ops", "why", new_id(), DAY))


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(number=st.integers(0, 10_000))
def test_events_are_the_sessions_that_ended(number: int, suite: InProcessSuite) -> None:
    """Whatever happens, in whatever order: as many, with the same reasons, to each machine, each under its own jti.

    Two machines they are pushed to, a third asks for them.
    """
    machine, life = Machine(suite), Life(suite, number)
    polled: list[dict[str, Any]] = []
    for _ in range(4):
        for _ in range(3):  # six days at most pass
            life.step()
        while any(pusher.push_due() for pusher in machine.pushers):
            pass
        polled += machine.asked_for(most=1 + number % 7)
    happened = endings(suite, life.person)
    assert sorted(told(machine.claims("shop"), life.person), key=str) == sorted(happened, key=str)
    assert sorted(told(machine.claims("forum"), life.person), key=str) == sorted(happened, key=str)
    assert sorted(told(polled, life.person), key=str) == sorted(happened, key=str)
    for claims in (machine.claims(), polled):
        names = [each["jti"] for each in claims]
        assert len(set(names)) == len(names)


def test_a_token_says_who_what_and_why(suite: InProcessSuite, clock: HandClock) -> None:
    """As OpenID CAEP has it, signed with a published key; `jti` is account and change number."""
    anna = suite.register(f"caep-{new_id()[:8]}")
    login = suite.log_in(anna)
    suite.post("/session/logout", token=login.access)
    machine = Machine(suite)
    machine.pushers[0].push_due()
    (claims,) = [each for each in machine.claims() if each["sub_id"]["user"]["sub"] == anna.uuid]
    number = suite.history(anna)[-1].change_no
    assert claims["jti"] == f"{anna.uuid}.{number}.0"
    assert claims["sub_id"]["session"] == {"format": "opaque", "id": login.session_id}
    event = claims["events"][SESSION_REVOKED]
    assert (event["reason"], event["initiating_entity"]) == ("logged-out", "user")
    assert event["event_timestamp"] == int(clock().timestamp())
    assert login.access not in orjson.dumps(claims).decode()


def test_a_receiver_that_is_down_is_in_nobodys_way(suite: InProcessSuite, clock: HandClock) -> None:
    """The other has its events at once; the pause doubles up to five minutes; what waited arrives once, in order."""
    anna, machine = suite.register(f"down-{new_id()[:8]}"), Machine(suite)
    while any(pusher.push_due() for pusher in machine.pushers):
        pass
    machine.taken = {url: [] for url in RECEIVERS.values()}
    machine.down = {RECEIVERS["shop"]}
    for _ in range(3):
        suite.post("/session/logout", token=suite.log_in(anna).access)
        clock.move(timedelta(seconds=1))
    assert machine.pushers[0].push_due() == 3
    assert told(machine.claims("forum"), anna) == endings(suite, anna)
    Gauges(suite.suite)()
    assert {receiver: WAITING.snapshot()[receiver,] for receiver in RECEIVERS} == {"shop": (3,), "forum": (0,)}
    assert OLDEST.snapshot()["shop",] == (3,)
    machine.tries = 0
    for pusher in machine.pushers * 3:
        pusher.push_due()
    assert machine.tries == 0  # the pause is on, for every process
    for _ in range(20):
        clock.move(LONGEST_PAUSE)
        machine.pushers[1].push_due()
    assert machine.tries == 20
    machine.down = set()
    clock.move(LONGEST_PAUSE)
    machine.pushers[0].push_due()
    assert told(machine.claims("shop"), anna) == endings(suite, anna)


def test_what_is_refused_for_good_is_dropped_and_what_is_old_too(suite: InProcessSuite, clock: HandClock) -> None:
    """A 400 is not sent again; a 500 is; after seven days nothing is."""
    anna, machine = suite.register(f"old-{new_id()[:8]}"), Machine(suite)
    while any(pusher.push_due() for pusher in machine.pushers):
        pass
    shop = RECEIVERS["shop"]
    machine.taken, machine.status = {url: [] for url in RECEIVERS.values()}, {shop: 400}
    EVENTS.reset()
    suite.post("/session/logout", token=suite.log_in(anna).access)
    assert machine.pushers[0].push_due() == 2
    machine.status = {shop: 500}
    suite.post("/session/logout", token=suite.log_in(anna).access)
    machine.pushers[0].push_due()
    clock.move(7 * DAY)
    machine.status = {}
    machine.pushers[0].push_due()
    assert machine.taken[shop] == []
    assert len(machine.taken[RECEIVERS["forum"]]) == 2
    counted = {("push", "delivered"): (2,), ("push", "refused"): (1,), ("push", "failed"): (1,)}
    assert EVENTS.snapshot() == counted


# --- Asked for ----------------------------------------------------------------------------------------------------


def drained(suite: InProcessSuite) -> Machine:
    """Return the machines, once nothing of before waits for the ledger."""
    machine = Machine(suite)
    machine.asked_for(100)
    return machine


def test_what_was_given_waits_until_it_is_acknowledged(suite: InProcessSuite, clock: HandClock) -> None:
    """In order, `maxEvents` at a time; none at all is a way to acknowledge; seven days, not longer."""
    anna, machine = suite.register(f"poll-{new_id()[:8]}"), drained(suite)
    for _ in range(4):
        suite.post("/session/logout", token=suite.log_in(anna).access)
        clock.move(timedelta(seconds=1))
    for metric in (EVENTS, POLLS):
        metric.reset()
    every = machine.ask()
    assert (len(every["sets"]), every["moreAvailable"]) == (4, False)
    first, second, third, fourth = every["sets"]
    assert told([machine.verified(token, LEDGER) for token in every["sets"].values()], anna) == endings(suite, anna)
    two = machine.ask(maxEvents=2)
    assert (list(two["sets"]), two["moreAvailable"]) == ([first, second], True)  # none was acknowledged
    assert machine.ask(maxEvents=0, ack=[second, "unknown"]) == {"sets": {}, "moreAvailable": True}
    assert list(machine.ask(maxEvents=2)["sets"]) == [first, third]
    refused = {third: {"err": "invalid_issuer", "description": "who is that?"}}
    rest = machine.ask(setErrs=refused, ack=[first])
    assert (list(rest["sets"]), rest["moreAvailable"]) == ([fourth], False)
    clock.move(7 * DAY - timedelta(seconds=2))
    assert list(machine.ask()["sets"]) == [fourth]
    clock.move(timedelta(seconds=1))
    assert machine.ask()["sets"] == {}
    assert EVENTS.snapshot() == {("poll", "delivered"): (2,), ("poll", "refused"): (1,)}
    assert POLLS.snapshot() == {("events",): (5,), ("nothing",): (2,)}


def test_what_has_expired_is_in_no_ones_way(suite: InProcessSuite, clock: HandClock) -> None:
    """A store may remove it days later: what came after it is given all the same."""
    anna, machine = suite.register(f"lag-{new_id()[:8]}"), drained(suite)
    for _ in range(3):
        suite.post("/session/logout", token=suite.log_in(anna).access)
    clock.move(7 * DAY)
    suite.post("/session/logout", token=suite.log_in(anna).access)
    assert len(machine.ask(maxEvents=1)["sets"]) == 1


def test_a_poll_that_finds_nothing_waits_for_a_moment(suite: InProcessSuite) -> None:
    """An event that comes meanwhile is its answer; it waits no longer than it may, and few wait at once."""
    anna, machine = suite.register(f"wait-{new_id()[:8]}"), drained(suite)
    polls, login, waited = suite.suite.event_polls, suite.log_in(anna), []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            suite.post("/session/logout", token=login.access)

    given = poll(replace(polls, pause=pause), LEDGER, Ask())
    assert (len(given.tokens), waited) == (1, [LOOK_SECONDS] * 3)
    assert machine.ask(ack=list(given.tokens))["sets"] == {}
    assert poll(replace(polls, pause=pause), LEDGER, Ask()).tokens == {}
    assert sum(waited[3:]) <= LONGEST_WAIT_SECONDS
    before = len(waited)
    for _ in range(MOST_WAITING):
        assert polls.turns.acquire(blocking=False)  # as many wait as may: nobody's turn was kept
    assert poll(replace(polls, pause=pause), LEDGER, Ask()).tokens == {}
    assert len(waited) == before
    for _ in range(MOST_WAITING):
        polls.turns.release()


def test_a_receiver_shows_its_own_key(suite: InProcessSuite) -> None:
    """Both of two while it is changed; nobody else's word, and no session's token, is good for it."""
    anna = suite.register(f"key-{new_id()[:8]}")
    access = suite.log_in(anna).access
    for key, status in ((KEY, 200), (OLD_KEY, 200), ("another", 401), (digest_of(KEY), 401), (access, 401)):
        answer = suite.post(POLL, {"returnImmediately": True}, token=key)
        assert answer.status_code == status, key
        if status == 401:
            assert code_of(answer) == (401, "invalid-token")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert code_of(suite.post(POLL, {})) == (401, "token-missing")
    bound = {"Authorization": f"DPoP {KEY}"}
    assert code_of(suite.client.post(POLL, json={}, headers=bound)) == (401, "invalid-token")
    assert code_of(suite.client.post(POLL, data="{", headers={"Authorization": "Bearer x"})) == (401, "invalid-token")
    for body in ({"maxEvents": -1}, {"ack": "no list"}, {"setErrs": {"a": "b"}}, {"returnImmediately": 1}):
        assert code_of(suite.post(POLL, body, token=KEY)) == (400, "invalid-request"), body


def test_a_key_is_made_by_command(suite: InProcessSuite) -> None:
    """What it prints is what the setting takes; what is wrong there is told, and quotes no key."""
    printed = dict(line.split(":", 1) for line in CliRunner().invoke(event_key, ["books"]).stdout.splitlines())
    key, entry = printed["key"].strip(), printed["setting"].strip()
    shop = "shop=https://shop.example/events"
    receivers = read_settings({"ICHIDAI_EVENT_RECEIVERS": f"{shop},{entry}"}).event_receivers
    assert (receivers.names, receivers.holder_of(key), receivers.holder_of("x")) == (("shop", "books"), "books", None)
    digest = digest_of(key)
    for wrong in (f"a=poll:{digest[1:]}", f"a=poll:{digest},a=poll:{'0' * 64}", f"a=poll:{digest},b=poll:{digest}"):
        with pytest.raises(SettingsError, match="ICHIDAI_EVENT_RECEIVERS") as told_of:
            read_settings({"ICHIDAI_EVENT_RECEIVERS": wrong})
        assert digest[1:] not in str(told_of.value)
    with pytest.raises(SettingsError):
        read_settings({"ICHIDAI_EVENT_RECEIVERS": f"{shop},shop=poll:{digest}"})
