"""The store goes away while the suite serves: refused connections, silence, a locked file. Nobody is let in by a guess.

DynamoDB Local keeps its data in a folder here, so that it can be ended and started again; standing still (SIGSTOP) it
takes what is sent to it and answers nothing.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support import dynamodb_local
from tests.support.authenticator import scanned
from tests.support.client import Account, Client, Device, Login, all_at_once, granted, login_of, refused, unique
from tests.support.dynamodb_local import LocalServer
from tests.support.engines import Engine, dynamodb_without_tables, local_dynamodb, with_tables
from tests.support.faulty_endpoint import FaultyEndpoint, Forward, pass_on
from tests.support.in_process import PUBLIC, served
from tests.support.passkeys import Passkey, made_for
from tests.support.processes import rounds
from tests.support.servers import GENEROUS, Suite, combined, until
from tests.support.signing import given_keys

AT_MOST_SECONDS = 7.5
"""An answer may take five while the store is away; a busy machine's delay comes to it here, not a second wait."""

NEEDS_NO_STORE = {
    ("GET", "/.well-known/ichidai.json"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/device/ca"),
    ("GET", "/registration/work"),  # as long as no registration needs work
}

NEEDS_KEYS = {("POST", "/login/passkey/begin")}
"""What needs the suite's own keys: for four seconds without the store those that were read last are trusted."""

WITHOUT_MAIL = {
    ("POST", "/registration/password/forgot"),
    ("POST", "/registration/password/reset"),
    ("POST", "/registration/email"),
    ("POST", "/registration/email/confirm"),
    ("POST", "/registration/objection"),
}
"""Routes that need mails, which are off here, or a link, which nobody has."""

APPROVALS = {("POST", "/login/approval"), ("POST", "/login/approval/answer"), ("POST", "/registration/join")}
"""Routes that need an approval, which nobody has here: active devices are not asked."""

WITHOUT_RECEIVERS = ("POST", "/session/security-events")
"""The route of machines with a key, which none has here."""

SERVED_ELSEWHERE = ("GET", "/session/events")
"""The route whose only success is another process's."""

A_FEW = 4
"""How many calls are made at once: as many as there are threads in one of the workers."""


@dataclass(frozen=True)
class Life:
    """What there was before the store went away. `asked` is the laptop's question, `qr_code` waits to be used.

    `enrolling` is a second factor that was begun, `passkey` one that its owner has, `making` what makes another.
    """

    account: Account
    laptop: Device
    removed: Device
    live: Login
    dead: Login
    asked: Mapping[str, Any]
    qr_code: str
    signed: Mapping[str, Mapping[str, str]]
    enrolling: Mapping[str, str]
    passkey: Passkey
    making: Mapping[str, Any]


def live_a_little(client: Client) -> Life:
    """Register, pair, log in, be replaced, remove a device, be asked."""
    account = client.register()
    laptop, removed = account.pair("Laptop"), account.pair("Tablet")
    dead, live = account.login(), account.login()
    granted(client.post("/device/unbind", {"device_id": removed.device_id}, token=live.access))
    asked, qr_code = account.question(laptop), account.pairing()["qr_code"]
    signed = {purpose: prove(account, laptop, purpose) for purpose in ("login", "renew")}
    enrolling = granted(client.post("/registration/otp/begin", {"password": account.password}, token=live.access))
    passkey, making = passkeys(client, account, live)
    return Life(account, laptop, removed, live, dead, asked, qr_code, signed, enrolling, passkey, making)


def origin(client: Client) -> str:
    """Return the origin of the console, whose pages may ask for passkeys."""
    where = urlsplit(client.url("/"))
    rp_id = granted(client.post("/login/passkey/begin"))["options"]["rpId"]
    return f"http://localhost:{where.port}" if rp_id == "localhost" else PUBLIC


def passkeys(client: Client, account: Account, live: Login) -> tuple[Passkey, Mapping[str, Any]]:
    """Return a passkey that was made, and the body that makes another."""

    def made() -> tuple[Passkey, Mapping[str, Any]]:
        body = {"password": account.password}
        options = granted(client.post("/registration/passkeys/begin", body, token=live.access))["options"]
        passkey = made_for(options)
        return passkey, {"passkey": passkey.attestation(options, origin=origin(client))}

    passkey, body = made()
    granted(client.post("/registration/passkeys/finish", body, token=live.access))
    return passkey, made()[1]


def prove(account: Account, device: Device, purpose: str) -> dict[str, str]:
    """Sign a challenge with a device's key."""
    asked = granted(account.client.post("/login/challenge", account.credentials | device.proof | {"purpose": purpose}))
    return given_keys(device.answer).proof(asked, purpose, account.uuid, device.device_id)


Calls = dict[tuple[str, str], Callable[[], requests.Response]]


def every_route(client: Client, life: Life) -> Calls:
    """Return a good call of each route; while the store is there all succeed, ask, or have nothing to remove."""
    account, token = life.account, life.live.access
    person = {"username": unique(), "email": f"{unique()}@b.test", "password": account.password}
    login = {**account.credentials, **life.laptop.proof}
    joining = {**account.credentials, "qr_code": life.qr_code}
    takeover = {"takeover_token": life.asked["takeover"]["token"], **life.laptop.proof}
    device = {"device_id": life.laptop.device_id}
    passkey = life.passkey.assertion(granted(client.post("/login/passkey/begin"))["options"], origin=origin(client))
    recovery = {**account.credentials, "recovery_code": "AAAA-BBBB-CCCC", "new_password": account.password}
    bodies: dict[str, tuple[dict[str, Any], str | None]] = {
        "/registration/": (person, None),
        "/registration/request_pairing_token": ({**account.credentials, **account.phone.proof}, None),
        "/login": (login, None),
        "/login/force": (login, None),
        "/login/takeover": (takeover, None),
        "/login/challenge": (login, None),
        "/login/verify": (dict(life.signed["login"]), None),
        "/session/create": (login, None),
        "/session/refresh": ({"refresh_token": life.live.refresh}, None),
        "/session/logout": ({}, token),
        "/session/revoke": ({"session_id": life.live.session_id}, token),
        "/session/end-all": ({"password": account.password}, token),
        "/device/register": (joining, None),
        "/device/unbind": (device, token),
        "/device/rename": ({**device, "device_name": "Notebook"}, token),
        "/device/force_logout": ({}, token),
        "/device/renew": ({"proof": life.signed["renew"]}, None),
        "/device/revoke_certificate": (device, token),
        "/registration/password": ({"password": account.password, "new_password": account.password}, token),
        "/registration/username": ({"username": unique(), "password": account.password}, token),
        "/registration/close": ({"password": account.password}, token),
        "/registration/reopen": (account.credentials, None),
        "/registration/recovery-codes": ({"password": account.password}, token),
        "/registration/recover": (recovery, None),
        "/registration/passkeys/begin": ({"password": account.password}, token),
        "/registration/passkeys/finish": (dict(life.making), token),
        "/login/passkey/finish": ({**life.laptop.proof, "passkey": passkey}, None),
        "/registration/otp/begin": ({"password": account.password}, token),
        "/registration/otp/remove": ({"password": account.password}, token),
        "/registration/otp/recovery_codes": ({"password": account.password}, token),
    }
    posts = {("POST", path): partial(client.post, path, body, token=t) for path, (body, t) in bodies.items()}
    lists = (
        "/login/approvals",
        "/session/verify",
        "/session/list",
        "/session/history",
        "/device/list",
        "/device/crl",
        "/registration/otp",
        "/registration/passkeys",
        "/registration/account",
        "/registration/export",
    )
    gets = {("GET", path): partial(client.get, path, token=token) for path in lists}
    body = {"password": account.password}
    removal = partial(client.call, "DELETE", f"/registration/passkeys/{account.uuid}", token=token, json=body)
    return {
        **posts,
        **gets,
        ("POST", "/registration/otp/confirm"): partial(confirm, client, life),
        ("DELETE", "/registration/passkeys/{passkey_id}"): removal,
    }


def confirm(client: Client, life: Life) -> requests.Response:
    """Switch the second factor on that was begun, by the app's code of this moment."""
    code = scanned(life.enrolling["uri"]).code(datetime.now(UTC))
    body = {"enrolment": life.enrolling["enrolment"], "otp": code}
    return client.post("/registration/otp/confirm", body, token=life.live.access)


def more_calls(client: Client, life: Life) -> list[Callable[[], requests.Response]]:
    """Return calls that would be answered 4xx if the store were there: it is not, and nobody knows."""
    account = life.account
    return [
        partial(client.verify, life.dead.access),
        partial(client.refresh, life.dead.refresh),
        partial(client.get, SERVED_ELSEWHERE[1], token=life.live.access),
        partial(account.try_login, life.removed),
        partial(account.try_login, password="wrong guess"),
        partial(account.try_login, username=unique()),
        partial(account.request_pairing, life.removed),
        partial(account.try_pair, life.account.phone.answer["qr_code"]),
    ]


def is_ready(client: Client) -> bool:
    """Say whether all workers reach the store again; each rests a moment after a silence."""
    return all(client.get("/ready").status_code == 200 for _ in range(8))


def timed(call: Callable[[], requests.Response]) -> tuple[requests.Response, float]:
    """Make a call; return its answer and how many seconds it took."""
    begun = time.monotonic()
    reply = call()
    return reply, time.monotonic() - begun


def all_are_turned_away(calls: list[Callable[[], requests.Response]]) -> None:
    """Check that each call is answered 503 with Retry-After in time."""
    for start in range(0, len(calls), A_FEW):
        for reply, seconds in all_at_once([partial(timed, call) for call in calls[start : start + A_FEW]]):
            code = (
                "busy" if reply.json()["code"] == "busy" else "store-unavailable"
            )  # whoever waited for another's turn
            assert refused(reply, 503, code)["retry_after"] >= 1
            assert seconds <= AT_MOST_SECONDS, f"{reply.request.path_url}: {seconds:.1f} s"


def what_needs_no_store_is_answered(client: Client, life: Life) -> None:
    """Check health, what is public, and the refusals that need no store."""
    assert granted(client.get("/health"))["status"] == "up"
    for method, path in NEEDS_NO_STORE:
        assert client.call(method, path).status_code == 200
    refused(client.get("/ready"), 503, "store-unavailable")
    refused(client.get("/session/verify"), 401, "token-missing")
    refused(client.post("/login"), 400, "invalid-request")
    refused(client.post("/login", {"username": "x"}), 400, "missing-fields")
    refused(client.get("/nowhere"), 404, "not-found")
    refused(client.verify("junk"), 401, "invalid-token")
    altered = life.live.access[:-4] + "AAAA"
    for forged in ("junk", altered):
        refused(client.refresh(forged), 401, "invalid-token")
    refused_or_unknown(client.verify(altered), 401, "invalid-token")
    consent = {"takeover_token": "junk", **life.laptop.proof}
    refused_or_unknown(client.post("/login/takeover", consent), 400, "takeover-invalid")
    for method, path in NEEDS_KEYS:
        reply = client.call(method, path)
        assert reply.status_code == 200 or refused(reply, 503, "store-unavailable")


def refused_or_unknown(reply: requests.Response, status: int, code: str) -> None:
    """Check a refusal that needs the suite's keys: once their list is too old, nothing can be judged by them."""
    refused(reply, *((503, "store-unavailable") if reply.status_code == 503 else (status, code)))


def everything_is_as_before(client: Client, life: Life) -> None:
    """Check that nothing of what was turned away has happened, and that all goes on where it stood."""
    account = life.account
    assert granted(client.verify(life.live.access))["session_id"] == life.live.session_id
    assert refused(client.verify(life.dead.access), 401, "session-ended")["reason"] == "replaced"
    refused(account.try_login(life.removed), 401, "certificate-revoked")
    listed = granted(client.get("/device/list", token=life.live.access))["devices"]
    assert [device["device_name"] for device in listed] == ["Phone", "Laptop"]
    granted(client.refresh(life.live.refresh))
    taken = login_of(account.take_over(life.asked, life.laptop))
    assert [ended["session_id"] for ended in taken.answer["evicted"]] == [life.live.session_id]
    granted(account.try_pair(account.pairing(life.laptop)["qr_code"]))
    history = granted(client.get("/session/history", token=taken.access))
    assert [event["kind"] for event in history["events"]] == [
        "device-added", "login", "session-ended", "passkey-added", "device-removed", "login", "session-ended", "login",
        "device-added", "device-added", "device-added", "registered",
    ]  # fmt: skip


# --- DynamoDB ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Return a DynamoDB Local of this file's own, whose tables outlive it."""
    server = local_dynamodb(tmp_path_factory.mktemp("dynamodb"))
    yield server
    server.stop()


@contextmanager
def gone(server: LocalServer) -> Iterator[None]:
    """End the server: connections are refused. Afterwards it is started again."""
    server.stop()
    yield
    server.start()


@contextmanager
def silent(server: LocalServer) -> Iterator[None]:
    """Let the server stand still: connections are taken and nothing is answered. Afterwards it goes on."""
    server.hold()
    yield
    server.go_on()


def live_in_the_end(client: Client) -> Life:
    """Live a little, by another account where the store is slow: it was started, or went on, a moment ago."""
    for _ in range(4):
        try:
            return live_a_little(client)
        except AssertionError as told:
            if not str(told).startswith("503"):
                raise
            time.sleep(2)
    return live_a_little(client)


SITUATIONS = [
    pytest.param(gone, id="gone"),
    pytest.param(silent, id="silent", marks=pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")),
]


@pytest.fixture(scope="module")
def suite(dynamodb: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return a suite of two workers on it."""
    engine = with_tables(dynamodb_without_tables(dynamodb))
    suite = combined(tmp_path_factory.mktemp("suite"), 2, **engine.settings)
    suite.start()
    yield suite
    suite.kill()


@pytest.mark.requirement("D29")
@pytest.mark.regression("X62", "X46", "X70", "X93", "Y01", "X48")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_dynamodb_stops_in_the_middle_and_comes_back(
    suite: Suite, dynamodb: LocalServer, situation: Callable[[LocalServer], Any]
) -> None:
    """503 at every route and in time, never 200 or 401; and when it is back everything is as it was."""
    client = suite.client
    life = live_in_the_end(client)
    calls = every_route(client, life)
    assert {
        *calls,
        *NEEDS_NO_STORE,
        *NEEDS_KEYS,
        *WITHOUT_MAIL,
        *APPROVALS,
        WITHOUT_RECEIVERS,
        SERVED_ELSEWHERE,
    } == routes(client)
    with situation(dynamodb):
        all_are_turned_away([*calls.values(), *more_calls(client, life)])
        what_needs_no_store_is_answered(client, life)
    until(partial(is_ready, client), "the suite is ready again", AT_MOST_SECONDS)
    everything_is_as_before(client, life)


def routes(client: Client) -> set[tuple[str, str]]:
    """Return the routes that the suite documents."""
    paths = client.get("/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.mark.regression("X62")
def test_a_server_is_not_started_while_dynamodb_is_away(suite: Suite, dynamodb: LocalServer, tmp_path: Path) -> None:
    """It says why, and makes no keys; when DynamoDB is there again, it starts."""
    again = Suite(suite._parts, suite.settings, tmp_path)
    with gone(dynamodb), pytest.raises(Exception, match="The store cannot be opened: DynamoDB: Could not connect"):
        again.start()
    assert not list(tmp_path.rglob("keyring.json"))
    again.start()
    again.kill()


def test_many_who_come_at_once_do_not_queue_behind_the_silence(suite: Suite, dynamodb: LocalServer) -> None:
    """Five times as many as there are threads: all are answered in time, and so is whoever asks for the health."""
    client = suite.client
    accounts = [client.register() for _ in range(4)]
    logins = [partial(timed, account.try_login) for account in accounts] * 10
    with silent(dynamodb):
        *replies, health = all_at_once([*logins, partial(timed, partial(client.get, "/health"))])
    assert {reply.status_code for reply, _ in replies} == {503}
    assert max(seconds for _, seconds in [*replies, health]) <= AT_MOST_SECONDS
    assert health[0].status_code == 200
    until(partial(is_ready, client), "the suite is ready again", AT_MOST_SECONDS)
    granted(accounts[0].try_login())


# --- In the middle of a request ----------------------------------------------------------------------------------


@dataclass
class Silence:
    """Silence from a certain call on, until it is released."""

    released: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _forward: Forward) -> None:
        """Take the request and answer nothing."""
        self.released.wait(timeout=60)


def in_the_middle(engine: Engine, folder: Path, route: tuple[str, str], before: int | None) -> tuple[int, int, float]:
    """Call a route whose store falls silent after `before` calls (None: never).

    Returns how often the store was asked, the status, and the seconds until the answer.
    """
    silence = Silence()
    endpoint = FaultyEndpoint(dynamodb_local.shared().endpoint)
    behind = replace(engine, url=engine.url.replace(dynamodb_local.shared().endpoint, endpoint.url))
    with served(behind, folder, {"AWS_REGION": dynamodb_local.REGION, **GENEROUS}) as (base, clock):
        client = InProcess({"all": base})
        life = live_a_little(client)
        clock.go_on(seconds=90)  # a session's activity is worth writing down again
        call = every_route(client, life)[route]
        endpoint.expect([pass_on] * (before or 0), then=pass_on if before is None else silence)
        reply, seconds = timed(call)
        asked = len(endpoint.bodies)
        silence.released.set()
        endpoint.stop()
    return asked, reply.status_code, seconds


class InProcess(Client):
    """A client of a suite that believes to be elsewhere."""

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return super().url(path.removeprefix(PUBLIC))


@pytest.mark.regression("X62", "X51")
@pytest.mark.parametrize("route", [("POST", "/login/force"), ("POST", "/device/unbind")], ids=lambda route: route[1])
def test_silence_in_the_middle_of_a_request(tmp_path: Path, route: tuple[str, str]) -> None:
    """Wherever in a request it begins: 503, or 200 where all was done already, and in time; waits do not add up."""
    engine = with_tables(dynamodb_without_tables(local_dynamodb()))
    asked, status, _ = in_the_middle(engine, tmp_path, route, None)
    assert status == 200
    is_long = rounds(1) > 1
    step = 1 if is_long else asked // 3
    places = range(step, asked, step)
    with ThreadPoolExecutor(4 if is_long else 1) as pool:  # setting up several at once is much for two cores
        ends = list(pool.map(partial(in_the_middle, engine, tmp_path, route), places))
    for place, (_, status, seconds) in zip(places, ends, strict=True):
        assert status in (200, 503), place
        assert seconds <= AT_MOST_SECONDS, f"after {place} calls: {seconds:.1f} s"
    assert ends[0][1] == 503


# --- SQLite ------------------------------------------------------------------------------------------------------

WRITES_NOTHING = {
    ("GET", "/login/approvals"),
    ("GET", "/session/verify"),
    ("GET", "/session/list"),
    ("GET", "/session/history"),
    ("GET", "/device/list"),
    ("GET", "/device/crl"),
    ("GET", "/registration/otp"),
    ("GET", "/registration/account"),
    ("GET", "/registration/export"),
    ("GET", "/registration/passkeys"),
    ("POST", "/registration/otp/remove"),
    ("POST", "/registration/otp/recovery_codes"),
    ("POST", "/login/verify"),
    ("POST", "/device/force_logout"),
}
"""What only reads, a signed login that asks, logging nobody out, no factor to remove: no lock is in their way."""


@pytest.mark.regression("X46", "X70", "X93", "X48")
def test_a_file_that_another_process_has_locked(tmp_path: Path, started: Callable[[Suite], Suite]) -> None:
    """Whatever writes is answered 503 in time, reading goes on; and when the lock is gone everything is as it was."""
    suite = started(combined(tmp_path / "suite", workers=2))
    client = suite.client
    life = live_a_little(client)
    calls = every_route(client, life)
    with closing(sqlite3.connect(suite.data / "ichidai.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        all_are_turned_away([call for route, call in calls.items() if route not in WRITES_NOTHING])
        for route in WRITES_NOTHING:
            assert calls[route]().status_code in (200, 409)
        granted(client.get("/ready"))
        refused(client.verify(life.dead.access), 401, "session-ended")
        other.execute("ROLLBACK")
    everything_is_as_before(client, life)
