"""The store goes away while the suite serves: refused connections, silence, a locked file. Nobody is let in by a guess.

DynamoDB Local keeps its data in a folder here, so that it can be ended and started again; standing still (SIGSTOP) it
takes what is sent to it and answers nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.client import Account, Client, Device, Login, all_at_once, granted, login_of, refused, unique
from tests.dynamodb_local import LocalServer
from tests.engines import dynamodb_without_tables, local_dynamodb, with_tables
from tests.servers import Suite, combined, until

AT_MOST_SECONDS = 5
"""What the contract allows an answer to take while the store is away."""

NEEDS_NO_STORE = {
    ("GET", "/.well-known/ichidai.json"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/device/ca"),
}

A_FEW = 4
"""How many calls are made at once: as many as there are threads in one of the workers."""


@dataclass(frozen=True)
class Life:
    """What there was before the store went away. `asked` is the laptop's question, `qr_code` waits to be used."""

    account: Account
    laptop: Device
    removed: Device
    live: Login
    dead: Login
    asked: Mapping[str, Any]
    qr_code: str


def live_a_little(client: Client) -> Life:
    """Register, pair, log in, be replaced, remove a device, be asked."""
    account = client.register()
    laptop, removed = account.pair("Laptop"), account.pair("Tablet")
    dead, live = account.login(), account.login()
    granted(client.post("/device/unbind", {"device_id": removed.device_id}, token=live.access))
    return Life(account, laptop, removed, live, dead, account.question(laptop), account.pairing()["qr_code"])


Calls = dict[tuple[str, str], Callable[[], requests.Response]]


def every_route(client: Client, life: Life) -> Calls:
    """Return a good call of each route; all of them succeed, or ask, while the store is there."""
    account, token = life.account, life.live.access
    person = {"username": unique(), "email": f"{unique()}@b.test", "password": account.password}
    login = {**account.credentials, **life.laptop.proof}
    joining = {**account.credentials, "qr_code": life.qr_code}
    takeover = {"takeover_token": life.asked["takeover"]["token"], **life.laptop.proof}
    device = {"device_id": life.laptop.device_id}
    bodies: dict[str, tuple[dict[str, Any], str | None]] = {
        "/registration/": (person, None),
        "/registration/request_pairing_token": ({**account.credentials, **account.phone.proof}, None),
        "/login": (login, None),
        "/login/force": (login, None),
        "/login/takeover": (takeover, None),
        "/session/create": (login, None),
        "/session/refresh": ({"refresh_token": life.live.refresh}, None),
        "/session/logout": ({}, token),
        "/session/revoke": ({"session_id": life.live.session_id}, token),
        "/device/register": (joining, None),
        "/device/unbind": (device, token),
        "/device/rename": ({**device, "device_name": "Notebook"}, token),
        "/device/force_logout": ({}, token),
    }
    posts = {("POST", path): partial(client.post, path, body, token=t) for path, (body, t) in bodies.items()}
    lists = ("/session/verify", "/session/list", "/session/history", "/device/list")
    return {**posts, **{("GET", path): partial(client.get, path, token=token) for path in lists}}


def more_calls(client: Client, life: Life) -> list[Callable[[], requests.Response]]:
    """Return calls that would be answered 401, 403 or 410 if the store were there: it is not, and nobody knows."""
    account = life.account
    return [
        partial(client.verify, life.dead.access),
        partial(client.refresh, life.dead.refresh),
        partial(account.try_login, life.removed),
        partial(account.try_login, password="wrong guess"),
        partial(account.try_login, username=unique()),
        partial(account.request_pairing, life.removed),
        partial(account.try_pair, life.account.phone.answer["qr_code"]),
    ]


def timed(call: Callable[[], requests.Response]) -> tuple[requests.Response, float]:
    """Make a call; return its answer and how many seconds it took."""
    begun = time.monotonic()
    reply = call()
    return reply, time.monotonic() - begun


def all_are_turned_away(calls: list[Callable[[], requests.Response]]) -> None:
    """Check that each call is answered 503 with Retry-After in time."""
    for start in range(0, len(calls), A_FEW):
        for reply, seconds in all_at_once([partial(timed, call) for call in calls[start : start + A_FEW]]):
            assert refused(reply, 503, "store-unavailable")["retry_after"] >= 1
            assert seconds <= AT_MOST_SECONDS, f"{reply.request.path_url}: {seconds:.1f} s"


def what_needs_no_store_is_answered(client: Client, life: Life) -> None:
    """Check health, what is public, and the refusals that need no store."""
    assert granted(client.get("/health"))["status"] == "up"
    for method, path in NEEDS_NO_STORE:
        assert client.call(method, path).status_code == 200
    refused(client.get("/ready"), 503, "store-unavailable")
    refused(client.get("/session/verify"), 401, "token-missing")
    for forged in ("junk", life.live.access[:-4] + "AAAA"):
        refused(client.verify(forged), 401, "invalid-token")
        refused(client.refresh(forged), 401, "invalid-token")
    refused(client.post("/login"), 400, "invalid-request")
    refused(client.post("/login", {"username": "x"}), 400, "missing-fields")
    refused(client.post("/login/takeover", {"takeover_token": "junk", **life.laptop.proof}), 400, "takeover-invalid")
    refused(client.get("/nowhere"), 404, "not-found")


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
        "device-added", "login", "session-ended", "device-removed", "login", "session-ended", "login",
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


SITUATIONS = [
    pytest.param(gone, id="gone"),
    pytest.param(silent, id="silent", marks=pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")),
]


@pytest.fixture(scope="module")
def suite(dynamodb: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return a suite of two workers on it."""
    engine = with_tables(dynamodb_without_tables(dynamodb))
    suite = combined(tmp_path_factory.mktemp("house"), 2, **engine.settings)
    suite.start()
    yield suite
    suite.kill()


@pytest.mark.row("D29")
@pytest.mark.pitfall("X62", "X46", "X70", "X93", "Y01", "X48")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_dynamodb_stops_in_the_middle_and_comes_back(
    suite: Suite, dynamodb: LocalServer, situation: Callable[[LocalServer], Any]
) -> None:
    """503 at every route and in time, never 200 or 401; and when it is back everything is as it was."""
    client = suite.client
    life = live_a_little(client)
    calls = every_route(client, life)
    assert set(calls) | NEEDS_NO_STORE == routes(client)
    with situation(dynamodb):
        all_are_turned_away([*calls.values(), *more_calls(client, life)])
        what_needs_no_store_is_answered(client, life)
    until(lambda: client.get("/ready").status_code == 200, "the suite is ready again", AT_MOST_SECONDS)
    everything_is_as_before(client, life)


def routes(client: Client) -> set[tuple[str, str]]:
    """Return the routes that the suite documents."""
    paths = client.get("/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.mark.pitfall("X62")
def test_a_server_is_not_started_while_dynamodb_is_away(suite: Suite, dynamodb: LocalServer, tmp_path: Path) -> None:
    """It says why, and makes no keys; when DynamoDB is there again, it starts."""
    again = Suite(suite._parts, suite.settings, tmp_path)
    with gone(dynamodb), pytest.raises(Exception, match="The store cannot be opened: DynamoDB: Could not connect"):
        again.start()
    assert not list(tmp_path.rglob("keyring.json"))
    again.start()
    again.kill()
