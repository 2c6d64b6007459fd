"""Verifications on the worker's event loop: answered there only when that needs no wait, and always as by Flask."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import ref

import pytest
from msgspec.structs import replace as replaced

from common.storage.port import StoreUnavailable
from common.storage.prompt import WouldWait
from common.web.early_refusal import early_refusal
from common.web.rsgi import Bounds, RsgiApp
from common.web.wsgi_bridge import Answer, Environ
from ichidai.apps import app_for, on_loop, with_fast_path
from ichidai.topology import App
from tests.proof.figures import rounds, seed
from tests.rsgi_caller import RsgiCaller
from tests.support.dpop import DpopKey
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import MINUTE, SECOND, InProcessSuite, Login, Person, as_login
from tests.usecases.test_bound_tokens import try_login
from tests.usecases.test_certificate_bound import BINDING, log_in
from tests.usecases.test_forwarded_certificates import header
from tests.usecases.watched_store import StoreCall

VERIFY = "/session/verify"
BOUNDS = Bounds(head_bytes=32_768, body_bytes=65_536, body_seconds=5)
REQUESTS = 2_000
Lines = list[tuple[str, str]]


@dataclass
class Both:
    """A suite as a worker serves it, and its Flask app alone."""

    suite: InProcessSuite
    passed_on: int = 0
    caller: RsgiCaller = field(init=False)

    def __post_init__(self) -> None:
        """Watch what reaches the app."""
        suite = self.suite.suite
        app = app_for(App.ALL, suite)
        behind = with_fast_path(app, suite)

        def watched(environ: Environ, start: Callable[..., object]) -> object:
            self.passed_on += 1
            return behind(environ, start)

        refuse = early_refusal("Ichidai", suite.addresses.own, suite.context.trusted_proxies)
        fast = on_loop(app, suite)
        self.caller = RsgiCaller(RsgiApp(watched, BOUNDS, refuse, threads=1, fast=fast, look_seconds=0.001))  # type: ignore[arg-type]

    def ask(self, lines: Lines, method: str = "GET", url: str = VERIFY, client: str = "127.0.0.1") -> Answer:
        """Ask both; they must give the same answer."""
        self.passed_on = 0
        status, headers, body = self.caller.ask(method, url, lines, client=client)
        flask = self.suite.client.open(url, method=method, headers=lines, environ_base={"REMOTE_ADDR": client})
        assert status == flask.status_code, (method, url, lines)
        assert sorted(headers) == sorted(flask.headers), (method, url, lines)
        assert body == flask.data, (method, url, lines)
        return status, headers, body

    def status(self, token: str, **more: str) -> int:
        """Verify a token."""
        return self.ask([("Authorization", f"Bearer {token}"), *((n.replace("_", "-"), v) for n, v in more.items())])[0]


@pytest.fixture
def build(build_suite: Build) -> Iterator[Callable[..., Both]]:
    """Return what builds a suite and serves it."""
    made: list[Both] = []

    def with_settings(**settings: str) -> Both:
        made.append(Both(build_suite(**settings)))
        return made[-1]

    yield with_settings
    for each in made:
        each.caller.close()


@pytest.fixture
def both(build: Callable[..., Both]) -> Both:
    """Return a suite with the default settings."""
    return build()


@pytest.fixture
def anna(both: Both) -> Person:
    """Return a registered person."""
    return both.suite.register()


@pytest.fixture
def login(both: Both, anna: Person) -> Login:
    """Return a session of hers."""
    return both.suite.log_in(anna)


@pytest.mark.parametrize("url", [VERIFY, f"{VERIFY}/", f"{VERIFY}?x=1"])
def test_a_good_token_is_answered_on_the_loop(both: Both, login: Login, url: str) -> None:
    """With one read of the store, and no thread."""
    both.suite.store.watch()
    assert both.caller.ask("GET", url, [("authorization", f"Bearer {login.access}")])[0] == 200
    assert [call.verb for call in both.suite.store.calls] == ["get"]
    assert not both.passed_on


def test_activity_of_a_known_token_is_noted(both: Both, anna: Person, login: Login) -> None:
    """On the loop too, for a token that was good before, and written in the background."""
    line = [("authorization", f"Bearer {login.access}")]
    assert both.caller.ask("GET", VERIFY, line)[0] == 200
    both.suite.clock.move(MINUTE + SECOND)
    both.suite.store.watch()
    assert both.caller.ask("GET", VERIFY, line)[0] == 200
    assert not any(call.is_write for call in both.suite.store.calls)
    both.suite.wait_a_second()
    assert both.suite.book(anna).sessions[login.session_id].last_seen_at == both.suite.clock.now


@pytest.mark.parametrize(
    ("lines", "method"),
    [
        ([("Origin", "https://elsewhere.test")], "GET"),
        ([("DPoP", "x")], "GET"),
        ([("Idempotency-Key", "x" * 300)], "GET"),
        ([("Authorization", "Bearer x")], "GET"),
        ([], "HEAD"),
        ([], "POST"),
        ([], "OPTIONS"),
    ],
)
def test_what_is_not_plain_is_the_apps(both: Both, login: Login, lines: Lines, method: str) -> None:
    """It answers as if there were no loop."""
    both.passed_on = 0
    both.caller.ask(method, VERIFY, [("Authorization", f"Bearer {login.access}"), *lines])
    assert both.passed_on


def test_where_the_store_would_let_it_wait(both: Both, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread waits in its place; the answer is the same."""
    assert both.status(login.access) == 200

    def busy(_key: object) -> None:
        raise WouldWait

    monkeypatch.setattr(both.suite.store.inner, "get_promptly", busy)
    assert both.status(login.access) == 200
    assert both.passed_on


def test_where_the_list_of_keys_is_old(both: Both, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread reads it, never the loop."""
    keys = both.suite.suite.context.authenticator.dependencies.access_tokens._keys  # type: ignore[attr-defined]
    assert both.status(login.access) == 200
    monkeypatch.setattr(keys, "_watched", True)
    monkeypatch.setattr(keys._registry, "_read_at", -1000.0)
    both.suite.store.watch()
    assert both.caller.ask("GET", VERIFY, [("authorization", f"Bearer {login.access}")])[0] == 200
    assert [call.tables[0] for call in both.suite.store.calls] == ["KeyRingTable", "SessionsTable"]
    assert both.passed_on


def test_where_the_policy_is_old(both: Both, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread reads it, never the loop."""
    policies = both.suite.suite.context.authenticator.dependencies.policies
    assert both.status(login.access) == 200
    monkeypatch.setattr(policies, "_watched", True)
    monkeypatch.setattr(policies, "_read_at", -1000.0)
    assert both.caller.ask("GET", VERIFY, [("authorization", f"Bearer {login.access}")])[0] == 200
    assert both.passed_on


def test_a_later_policy_holds_at_the_very_next_request(
    both: Both, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one of a later generation of the store, in which no session of before is live."""
    policies = both.suite.suite.context.authenticator.dependencies.policies
    assert [both.status(login.access) for _ in range(3)] == [200] * 3
    later = replaced(policies.current(), generation=policies.current().generation + 1)
    monkeypatch.setattr(policies, "_policy", later)
    assert both.status(login.access) == 401


def test_while_the_store_is_away(both: Both, login: Login) -> None:
    """503, never what was remembered."""
    assert both.status(login.access) == 200

    def away(_call: StoreCall) -> None:
        raise StoreUnavailable("by a test")

    both.suite.store.before = away
    assert both.status(login.access) == 503


@pytest.mark.parametrize(
    "ending",
    [
        lambda both, _anna, login: both.suite.post("/session/logout", None, login.access),
        lambda both, anna, _login: both.suite.log_in(anna),
        lambda both, anna, _login: both.suite.log_in(anna, both.suite.pair(anna), force=True),
        lambda both, _anna, _login: both.suite.clock.move(timedelta(minutes=11)),
        lambda both, _anna, _login: both.suite.clock.move(timedelta(days=2)),
        lambda both, anna, _login: both.suite.put_book(replaced(both.suite.book(anna), sessions={})),
        lambda both, anna, _login: both.suite.put_book(replaced(both.suite.book(anna), devices={})),
    ],
    ids=["logout", "replaced", "forced", "token expired", "idle", "vanished", "unbound"],
)
@pytest.mark.requirement("R44")
def test_an_end_holds_at_the_very_next_request(
    both: Both, anna: Person, login: Login, ending: Callable[[Both, Person, Login], object]
) -> None:
    """However often the token was good on the loop before."""
    for _ in range(3):
        assert both.status(login.access) == 200
    assert not both.passed_on
    ending(both, anna, login)
    assert both.status(login.access) == 401


def test_what_was_replaced_is_let_go(both: Both, anna: Person, login: Login) -> None:
    """An account whose book changes a thousand times is in memory once, however many of its tokens are remembered."""
    transactions = both.suite.suite.context.authenticator.dependencies.transactions  # type: ignore[attr-defined]
    assert both.status(login.access) == 200
    before = ref(transactions.get_book(anna.uuid))
    assert before() is not None
    assert both.status(both.suite.log_in(anna).access) == 200
    both.suite.wait_a_second()
    gc.collect()
    assert before() is None


def test_a_key_that_is_retired(both: Both, login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a signature was good is believed only while its key is published."""
    assert both.status(login.access) == 200
    keys = both.suite.suite.context.authenticator.dependencies.access_tokens._keys  # type: ignore[attr-defined]
    monkeypatch.setattr(keys._registry, "value", replaced(keys._registry.value, verifiers={}))
    assert both.status(login.access) == 401


def test_tokens_that_are_bound(build: Callable[..., Both]) -> None:
    """To a key: never good as a bearer's. To a certificate: good beside it, from a listed proxy alone."""
    both = build(**BINDING)
    anna, key = both.suite.register(), DpopKey()
    token = as_login(log_in(both.suite, anna, anna.first)).access
    assert both.status(token, Client_Cert=header(anna.first)) == 200
    assert not both.passed_on
    for shown in ({}, {"Client_Cert": "junk"}, {"Client_Cert": ""}):
        assert both.status(token, **shown) == 401
    lines = [("Authorization", f"Bearer {token}"), ("Client-Cert", header(anna.first))]
    assert both.ask(lines, client="192.0.2.1")[0] == 401
    bert = both.suite.register("bert")
    bound = try_login(both.suite, bert, bert.first, key).get_json()["access_token"]
    assert both.status(bound) == 401


def test_activity_is_noted(both: Both, anna: Person, login: Login) -> None:
    """And written in the background."""
    both.suite.clock.move(MINUTE + SECOND)
    assert both.status(login.access) == 200
    both.suite.wait_a_second()
    assert both.suite.book(anna).sessions[login.session_id].last_seen_at == both.suite.clock.now


def test_random_requests_have_flasks_answer(build: Callable[..., Both], record_property: Callable[..., None]) -> None:
    """Thousands of them (40,000 in the long size), while sessions begin, are replaced, end and expire."""
    both, chance = build(MAX_CONCURRENT_DEVICES="2", **BINDING), random.Random(seed())
    world = _World(both, chance)
    good, answered_on_loop = 0, 0
    for number in range(REQUESTS * rounds(20)):
        if number % 40 == 0:
            world.change()
        method, url, lines = world.request()
        status = both.ask(lines, method, url)[0]
        if status == 200 and (method, url) == ("GET", VERIFY):
            good += 1
            answered_on_loop += not both.passed_on
    record_property("counted requests asked both ways", REQUESTS * rounds(20))
    assert answered_on_loop > good * 3 / 4 > 0, "the loop hands on what it could answer"


class _World:
    """Some people with sessions, whose tokens stay known after they have ended."""

    def __init__(self, both: Both, chance: random.Random) -> None:
        self._suite, self._chance = both.suite, chance
        self._people = [both.suite.register(name) for name in ("anna", "bert", "cleo")]
        self._tokens: list[tuple[str, str | None]] = []

    def change(self) -> None:
        """Let something happen to somebody."""
        person = self._chance.choice(self._people)
        what = self._chance.random()
        if what < 0.35 or not self._tokens:
            token = as_login(self._suite.login(person, force=True)).access
            self._tokens.append((token, None))
        elif what < 0.6:
            token = as_login(log_in(self._suite, person, person.first)).access
            self._tokens.append((token, header(person.first)))
        elif what < 0.75:
            self._suite.post("/session/logout", None, self._tokens[-1][0])
        else:
            self._suite.clock.move(timedelta(seconds=self._chance.choice([1, 30, 61, 200])))
        self._tokens = self._tokens[-12:]

    def request(self) -> tuple[str, str, Lines]:
        """Return a request, mostly a verification."""
        pick = self._chance.choice
        token, certificate = pick(self._tokens[-4:] if self._chance.random() < 0.8 else self._tokens)
        lines = [("Authorization", f"Bearer {token}")]
        if certificate and self._chance.random() < 0.9:
            lines.append(("Client-Cert", certificate))
        for _ in range(pick([0, 0, 0, 0, 1, 1, 2])):
            lines = pick(_TWISTS)(lines, self._chance)
        self._chance.shuffle(lines)
        method = "GET" if self._chance.random() < 0.9 else pick(["HEAD", "POST", "OPTIONS", "DELETE", "PUT"])
        url = VERIFY if self._chance.random() < 0.8 else pick(_URLS)
        return method, url, lines


_URLS = [f"{VERIFY}/", f"{VERIFY}?a=b&a=c", f"{VERIFY}//", "/session/Verify", "/session/list", "/health", "/nowhere"]
_HARMLESS = [
    ("Accept-Language", "ja"),
    ("Accept-Language", "en;q=0.1, ja"),
    ("Cookie", "a=b; c=d"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Method", "POST"),
    ("If-None-Match", "*"),
    ("User-Agent", "x" * 400),
    ("Content-Type", "application/json"),
]
_FOR_THE_APP = [
    ("DPoP", "x.y.z"),
    ("Origin", "https://evil.test"),
    ("Origin", "http://127.0.0.1:8000"),
    ("Idempotency-Key", "k"),
    ("Idempotency-Key", "k" * 256),
    ("Client-Cert", ":AAAA:"),
]


def _spoilt(lines: Lines, chance: random.Random) -> Lines:
    """Change a letter of the token, or its scheme."""
    name, value = lines[0]
    at = chance.randrange(len(value) + 1)
    other = value[:at] + chance.choice("aB3._- ") + value[at + 1 :]
    wrong = [other, other, value[:at], value.lower(), "", f"{value}, {value}"]
    return [(name, chance.choice(wrong)), *lines[1:]]


def _without(lines: Lines, _chance: random.Random) -> Lines:
    return lines[1:] or [("Accept", "*/*")]


_TWISTS: list[Callable[[Lines, random.Random], Lines]] = [
    lambda lines, chance: [*lines, chance.choice(_HARMLESS)],
    lambda lines, chance: [*lines, chance.choice(_HARMLESS)],
    lambda lines, chance: [*lines, chance.choice(_FOR_THE_APP)],
    _spoilt,
    _without,
]
