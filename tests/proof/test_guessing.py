"""F12: a thousand guesses at once, through every endpoint, never get more than a bucket's tries; the owner gets in."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.account.history import ClientInfo
from common.errors import Refusal
from registration.credentials import CredentialCheck
from registration.login_rate_limiter import LoginRateLimiter
from tests.proof.conftest import engine_in
from tests.proof.figures import figure, rounds
from tests.proof.guessing import (
    ENDPOINTS,
    OWNER,
    OWNERS_PLACE,
    WRONG,
    Fields,
    Siege,
    Target,
    address,
    besiege,
    guess,
    headers,
    judging,
)
from tests.proof.storm import Fleet
from tests.support.client import Client
from tests.support.engines import ENGINES
from tests.support.processes import at_once
from tests.usecases.in_process_suite import PASSWORD, HandClock, InProcessSuite, Person

BY_SOURCE_AND_ACCOUNT, BY_ACCOUNT, BY_SOURCE = 10, 50, 100
SETTINGS = {
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": str(BY_SOURCE_AND_ACCOUNT),
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": str(BY_ACCOUNT),
    "ICHIDAI_LOGIN_ATTEMPTS_SOURCE": str(BY_SOURCE),
    "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1",
    "MAX_CONCURRENT_DEVICES": "3",
    "ICHIDAI_MAIL": "smtp://127.0.0.1:9",
}
"""The buckets as they are by default; mails are on, to where nothing listens. The clock of the suite stands still: no
try comes back with time."""

NO_DEVICE = {"password": PASSWORD, "client_cert_fp": "0" * 64}
JUDGED = {endpoint.path: endpoint.judged for endpoint in ENDPOINTS}
"""With which status a wrong password was judged, by route."""

ONLY_WITH_A_FACTOR = {"/registration/otp/remove", "/registration/otp/recovery_codes"}
"""Ask an account without a second factor for nothing."""

THREADS = {"sqlite": 32, "dynamodb": 5}
"""How many guess at once: DynamoDB Local does some fifteen changes a second, and more would be told to come back."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for keys."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def suite_on(tmp_path: Path, keys: Path) -> Iterator[Callable[[str], InProcessSuite]]:
    """Return what builds a suite on an engine."""
    with ExitStack() as built:

        def on(kind: str) -> InProcessSuite:
            store = None if kind == "sqlite" else ENGINES[kind](tmp_path).open()
            return built.enter_context(closing(InProcessSuite(tmp_path, keys, HandClock(), store, **SETTINGS)))

        yield on


def target_of(suite: InProcessSuite, person: Person) -> Target:
    """Return what a guesser knows; the person's laptop has a session, the phone was in from the owner's place."""
    laptop = suite.pair(person)
    session = suite.log_in(person, laptop)
    assert log_in_as_owner(suite, person) == 200
    mail = f"{person.username}@example.test"
    return Target(person.username, mail, laptop.fingerprint, suite.qr_code(person, laptop), session.access)


def post(suite: InProcessSuite, path: str, body: Fields, source: str, token: str | None = None) -> TestResponse:
    """Send a body from a place, by a client of this thread's own."""
    return suite.client.application.test_client().post(path, json=body, headers=headers(source, token))


def log_in_as_owner(suite: InProcessSuite, person: Person) -> int:
    """Log the phone in from the owner's place; return the status."""
    phone = {"username": person.username, "client_cert_fp": person.first.fingerprint}
    return post(suite, "/login", {**phone, "password": person.password}, OWNERS_PLACE).status_code


def all_guess(
    suite: InProcessSuite, target: Target, limiter: int, sources: int, rng: Random, threads: int
) -> Counter[int]:
    """Guess from many threads through all endpoints. One of twenty knows the password and has no device: a refund."""

    def one(seed: int) -> int:
        own = Random(seed)
        path, body, token = guess(target, own.choice(ENDPOINTS), WRONG)
        if seed % 20 == 0:
            path, body, token = "/login", {**NO_DEVICE, "username": target.username}, None
        return post(suite, path, body, address(own.randrange(sources)), token).status_code

    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(one, [rng.getrandbits(32) for _ in range(limiter)]))


def use_up(suite: InProcessSuite, target: Target, sources: int) -> None:
    """Guess one after another until none is judged any more: what was given back after the last of many is there."""
    for place in range(sources):
        path, body, token = guess(target, ENDPOINTS[0], WRONG)
        while post(suite, path, body, address(place), token).status_code != 429:
            pass


@contextmanager
def owner_about(suite: InProcessSuite, person: Person) -> Iterator[Counter[int]]:
    """Let the owner log in again and again meanwhile; give how often which status was told."""
    over, told = threading.Event(), Counter[int]()

    def live() -> None:
        while not over.wait(0.02):
            told[log_in_as_owner(suite, person)] += 1

    thread = threading.Thread(target=live, name=OWNER)
    thread.start()
    yield told
    over.set()
    thread.join()


@pytest.mark.regression("X73", "X05")
@pytest.mark.parametrize(("kind", "limiter"), [("sqlite", 1000), ("dynamodb", 150)])
@pytest.mark.parametrize(("sources", "bound"), [(1, BY_SOURCE_AND_ACCOUNT), (40, BY_ACCOUNT)])
def test_guesses_at_one_account(
    suite_on: Callable[[str], InProcessSuite], chance: Random, kind: str, limiter: int, sources: int, bound: int
) -> None:
    """I23: wrong and pending guesses together never pass what the bucket holds; the owner's device is let in always."""
    suite = suite_on(kind)
    anna = suite.register()
    target, limiter = target_of(suite, anna), limiter * rounds(10 if kind == "sqlite" else 1)
    with judging() as judge, owner_about(suite, anna) as owner:
        statuses = all_guess(suite, target, limiter, sources, chance, THREADS[kind])
        use_up(suite, target, sources)
    wrong = [f"{judge.most} wrong or pending"] if judge.most > bound else []
    wrong += [f"the owner was told {owner}"] if set(owner) != {200} else []
    wrong += [f"answers {statuses}"] if set(statuses) - {401, 404, 429, 503} else []
    what = f"guesses at once at one account from {sources} place{'s' * (sources > 1)}, {kind}"
    told = f"most wrong or pending {judge.most} of {bound}; the owner got in {owner[200]} times"
    figure("F12", what, f"{limiter:,} guesses", len(wrong), told)
    assert wrong == []
    assert judge.wrong == bound  # and no try is lost on the way


@pytest.mark.regression("X73", "X05")
def test_spraying_over_accounts(suite_on: Callable[[str], InProcessSuite], chance: Random) -> None:
    """I23: one password tried at many names, of people and of nobody, from one place: its bucket is the bound."""
    suite = suite_on("sqlite")
    people = [suite.register(f"user{number}").username for number in range(5)]
    names = people + [f"nobody{number}" for number in range(295)]
    limiter = 1000 * rounds(10)

    def spray(name: str) -> int:
        body = {**NO_DEVICE, "username": name, "password": WRONG}
        return post(suite, "/login", body, address(0)).status_code

    with judging() as judge, ThreadPoolExecutor(THREADS["sqlite"]) as pool:
        statuses = Counter(pool.map(spray, chance.choices(names, k=limiter)))
    wrong = int(judge.most > BY_SOURCE) + int(bool(set(statuses) - {401, 429, 503}))
    told = f"most wrong or pending {judge.most} of {BY_SOURCE}"
    figure("F12", "one password sprayed over 300 names from one place, sqlite", f"{limiter:,} guesses", wrong, told)
    assert not wrong
    assert judge.wrong == BY_SOURCE


@pytest.mark.regression("X73", "X05")
def test_counting_failures_afterwards_is_caught(
    suite_on: Callable[[str], InProcessSuite], chance: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classic mistake: look for a try that is left, check, and count wrong ones. Guesses at once slip through."""
    suite = suite_on("sqlite")
    anna = suite.register()
    target, take, record = target_of(suite, anna), LoginRateLimiter.acquire, CredentialCheck._record_failure
    guessed = threading.local()

    def look(limiter: LoginRateLimiter, *where: Any, code: bool) -> Any:
        counters = limiter._counters
        tls_certificate, counters._write = counters._write, lambda *_: {"version": ""}
        try:
            taken = take(limiter, *where, code=code)
        finally:
            counters._write = tls_certificate
        guessed.where = where
        return taken

    def count(check: CredentialCheck, account_key: str, origin: ClientInfo) -> None:
        with suppress(Refusal):
            take(check._limiter, *guessed.where, code=False)
        record(check, account_key, origin)

    monkeypatch.setattr(LoginRateLimiter, "acquire", look)
    monkeypatch.setattr(LoginRateLimiter, "refund", lambda *_: None)
    monkeypatch.setattr(LoginRateLimiter, "put_back_code", lambda *_: None)
    monkeypatch.setattr(CredentialCheck, "_record_failure", count)
    with judging() as judge:
        all_guess(suite, target, 200, 1, chance, THREADS["sqlite"])
    assert judge.most > BY_SOURCE_AND_ACCOUNT


def test_every_route_that_takes_a_password_is_an_endpoint(suite_on: Callable[[str], InProcessSuite]) -> None:
    """A new one does not stay out of this unnoticed."""
    document = suite_on("sqlite").get("/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    asking = {name for name, schema in schemas.items() if "password" in schema.get("properties", {})}
    bodies = {
        path: json.dumps(each["post"]["requestBody"]) for path, each in document["paths"].items() if has_body(each)
    }
    endpoints = {path for path, body in bodies.items() if any(f'/{name}"' in body for name in asking)}
    assert endpoints - ONLY_WITH_A_FACTOR == {endpoint.path for endpoint in ENDPOINTS}


def has_body(methods: Mapping[str, Any]) -> bool:
    """Say whether a path takes a body."""
    return "requestBody" in methods.get("post", {})


@pytest.mark.regression("X73", "X05")
@pytest.mark.parametrize(("sources", "bound"), [(1, BY_SOURCE_AND_ACCOUNT), (40, BY_ACCOUNT)])
def test_a_siege_over_http(tmp_path: Path, chance: Random, sources: int, bound: int) -> None:
    """The same against several servers with several workers: what they hold against guessing is one and the same."""
    fleet = Fleet(tmp_path, engine_in(tmp_path, "sqlite"), 2, 2, **SETTINGS)
    try:
        account = Client({"all": f"http://127.0.0.1:{fleet.ports[0]}"}).register()
        laptop = account.pair()
        session, qr_code = account.login(laptop), account.pairing(laptop)["qr_code"]
        assert account.client.post(
            "/login", {**account.credentials, **account.phone.proof}, headers=headers(OWNERS_PLACE)
        ).ok
        target = Target(account.username, account.email, account.phone.fingerprint, qr_code, session.access)
        limiter, began = 1001 * rounds(5) // 7, time.monotonic()
        siege = Siege(fleet.ports, target, chance.getrandbits(32), limiter, sources, owner=40)
        owner, *guessers = at_once(8, besiege, siege)
        minutes = (time.monotonic() - began) / 60
    finally:
        fleet.stop()
    told = sum(guessers, Counter())
    judged = sum(count for (path, status), count in told.items() if status == JUDGED[path])
    others = {status for path, status in told if status not in (JUDGED[path], 429, 503)}
    wrong = int(judged > bound + math.ceil(minutes)) + int(set(owner) != {("/login", 200)}) + int(bool(others))
    what = f"guesses over HTTP at one account from {sources} place{'s' * (sources > 1)}, sqlite"
    numbers = f"judged {judged} of {bound} and one a minute, in {minutes * 60:.0f} s; the owner got in 40 times"
    figure("F12", what, f"{told.total():,} guesses", wrong, numbers)
    assert not wrong, (told, owner)
    assert judged >= bound
