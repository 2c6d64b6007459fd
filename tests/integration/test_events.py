"""`GET /session/events` over real HTTP: told at once, by whatever process the session was ended, and then the end."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.support.client import Account, Client, granted, refused
from tests.support.engines import ENGINES
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, is_listened_to, run_to_its_end, serve_command, until
from tests.support.streams import Event, Listener, events_url

Starting = Callable[..., Suite]

SOON = 2.0
"""The promise, which the middle one of several notices keeps; on a shared machine one may be late."""

LATEST = 20.0


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return the combined app with its streams."""
    suite = combined(tmp_path_factory.mktemp("events"), ICHIDAI_EVENTS_PORT=str(free_port()))
    suite.start()
    until(lambda: is_up(suite.client), "the streams answer")
    yield suite
    suite.stop()


@pytest.fixture(scope="module")
def neighbour(deployment: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return another server over the same data, without streams of its own."""
    settings = {"ICHIDAI_DATA_DIR": str(deployment.data), "ICHIDAI_ISSUER": deployment.settings["ICHIDAI_ISSUER"]}
    suite = combined(tmp_path_factory.mktemp("neighbour"), **settings)
    suite.start()
    yield suite
    suite.stop()


@pytest.fixture
def client(deployment: Suite) -> Client:
    """Return a client of the app with streams."""
    return deployment.client


@pytest.fixture
def anna(client: Client) -> Account:
    """Return a person with a phone."""
    return client.register()


def is_up(client: Client) -> bool:
    """Say whether the streams' server answers."""
    try:
        return client.get(events_url(client).replace("/session/events", "/ready")).ok
    except OSError:
        return False


def listen(client: Client, token: str) -> Listener:
    """Open a stream where the discovery says it is."""
    return Listener(events_url(client), token)


def told(listener: Listener, since: float, reason: str, by: str | None) -> Event:
    """Return the notice after checking that it came, that it says this, and that the stream ended with it."""
    event = listener.event
    assert event.name == "session-revoked"
    assert set(event.data) == {"reason", "event_timestamp", "by_device"}
    assert (event.data["reason"], event.data["by_device"]) == (reason, by)
    assert event.at - since < LATEST
    assert listener.wait() - event.at < LATEST
    return event


@pytest.mark.requirement("B33", "B20")
def test_an_evicted_device_is_told_within_two_seconds_wherever_the_takeover_came_in(
    client: Client, neighbour: Suite, anna: Account
) -> None:
    """The takeover is done by another server; the stream is told who did it, and ends; its token is dead."""
    laptop = anna.pair()
    elsewhere = Account(neighbour.client, anna.username, anna.email, anna.password, anna.uuid, anna.phone)
    seconds = []
    for _ in range(3):
        phone = anna.login(force=True)
        listener = listen(client, phone.access)
        question = elsewhere.question(laptop)
        since = time.monotonic()
        granted(elsewhere.take_over(question, laptop))
        event = told(listener, since, "taken-over", "Laptop")
        seconds.append(event.at - since)
        assert event.data["event_timestamp"].endswith("Z")
        ended = refused(client.get(events_url(client), token=phone.access), 401, "session-ended")
        assert ended["reason"] == "taken-over"
    assert median(seconds) < SOON


def test_every_tab_is_told_of_a_logout_and_nobody_else_is(client: Client, anna: Account) -> None:
    """All streams of the session end; another person's goes on."""
    login, other = anna.login(), client.register().login()
    tabs, stranger = [listen(client, login.access) for _ in range(3)], listen(client, other.access)
    since = time.monotonic()
    granted(client.post("/session/logout", token=login.access))
    for tab in tabs:
        told(tab, since, "logged-out", None)
    assert stranger.is_open()
    assert not stranger.events
    stranger.leave()


def test_a_new_login_of_the_same_device_tells_the_session_that_it_replaces(client: Client, anna: Account) -> None:
    """By itself."""
    listener = listen(client, anna.login().access)
    since = time.monotonic()
    anna.login()
    told(listener, since, "replaced", "Phone")


def test_force_tells(client: Client, anna: Account) -> None:
    """With the name of the device that forced its way in."""
    laptop, listener = anna.pair(), listen(client, anna.login().access)
    since = time.monotonic()
    anna.login(laptop, force=True)
    told(listener, since, "forced-out", "Laptop")


def test_a_reused_refresh_token_tells(client: Client, anna: Account) -> None:
    """Whoever has the tokens of a stolen session is out, and the owner knows."""
    login = anna.login()
    listener = listen(client, login.access)
    first = granted(client.refresh(login.refresh))
    granted(client.refresh(first["refresh_token"]))
    since = time.monotonic()
    refused(client.refresh(login.refresh), 401, "session-ended")
    told(listener, since, "refresh-reused", None)


def test_mode_evict_unbinding_revoking_and_an_expiry_tell(tmp_path: Path, started: Starting) -> None:
    """Each with its reason. An expiry comes at its moment although nobody writes it down; a stream is no activity."""
    suite = started(
        combined(
            tmp_path,
            ICHIDAI_EVENTS_PORT=str(free_port()),
            ICHIDAI_CONCURRENCY_MODE="evict",
            MAX_CONCURRENT_DEVICES="2",
            ICHIDAI_IDLE_SECONDS="12",
        )
    )
    client = suite.client
    until(lambda: is_up(client), "the streams answer")
    anna = client.register()
    laptop, tablet = anna.pair("Laptop"), anna.pair("Tablet")
    phone, on_laptop = anna.login(), anna.login(laptop)
    listener, since = listen(client, phone.access), time.monotonic()
    on_tablet = anna.login(tablet)
    told(listener, since, "evicted", "Tablet")
    listener, since = listen(client, on_tablet.access), time.monotonic()
    granted(client.post("/session/revoke", {"session_id": on_tablet.session_id}, token=on_laptop.access))
    told(listener, since, "revoked", "Laptop")
    on_tablet = anna.login(tablet)
    listener, since = listen(client, on_tablet.access), time.monotonic()
    granted(client.post("/device/unbind", {"device_id": tablet.device_id}, token=on_laptop.access))
    told(listener, since, "device-unbound", "Laptop")
    login, since = anna.login(), time.monotonic()
    event = listen(client, login.access).event
    assert event.data["reason"] == "expired"
    assert 12.2 < event.at - since < 12.2 + LATEST


@pytest.mark.parametrize("slash", ["", "/"])
def test_who_may_not_listen_is_refused_as_on_every_route(client: Client, anna: Account, slash: str) -> None:
    """Problem documents; the token counts in its header alone."""
    url, login = events_url(client) + slash, anna.login()
    refused(client.get(url), 401, "token-missing")
    refused(client.get(f"{url}?access_token={login.access}&token={login.access}"), 401, "token-missing")
    refused(client.get(url, token="junk"), 401, "invalid-token")
    assert refused(client.get(url, token="junk", headers={"Accept-Language": "ja"}), 401, "invalid-token")["title"] == (
        "トークンが無効です"
    )
    granted(client.post("/session/logout", token=login.access))
    assert refused(client.get(url, token=login.access), 401, "session-ended")["reason"] == "logged-out"
    refused(client.post(url, token=login.access), 405, "method-not-allowed")
    refused(client.get(url.replace("/session/events", "/session/verify")), 404, "not-found")
    assert client.call("HEAD", url).status_code == 401


def test_a_flask_app_says_where_the_streams_are_and_holds_no_thread_for_one(client: Client, anna: Account) -> None:
    """The 401s come first there too."""
    login = anna.login()
    for _ in range(10):
        told_where = refused(client.get("/session/events", token=login.access), 421, "served-elsewhere")
        assert told_where["events_endpoint"] == events_url(client)
    refused(client.get("/session/events"), 401, "token-missing")


def test_the_consoles_origin_may_call_and_no_other(deployment: Suite, client: Client, anna: Account) -> None:
    """With a preflight as browsers send it; and the pages' policy lets them connect there."""
    url, login = events_url(client), anna.login()
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    own, port = f"http://127.0.0.1:{deployment.servers[0].port}", deployment.servers[0].port
    for origin in (own, f"http://localhost:{port}"):
        answer = client.call("OPTIONS", url, headers={"Origin": origin, **asking})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
        listener = Listener(url, login.access, Origin=origin)
        assert listener.answer.headers["Access-Control-Allow-Origin"] == origin
        listener.leave()
    for origin in ("http://evil.test", f"http://127.0.0.1:{port + 1}", "null"):
        assert client.call("OPTIONS", url, headers={"Origin": origin, **asking}).status_code == 400
        answer = client.get(url, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert url.removesuffix("/session/events") in client.get("/").headers["Content-Security-Policy"]


def test_stopping_the_server_ends_the_streams_and_is_quick(tmp_path: Path, started: Starting) -> None:
    """Without a notice, since the session lives; open streams hold nothing up, and nobody is left behind."""
    suite = started(combined(tmp_path, ICHIDAI_EVENTS_PORT=str(free_port())))
    until(lambda: is_up(suite.client), "the streams answer")
    url, login = events_url(suite.client), suite.client.register().login()
    listeners = [Listener(url, login.access) for _ in range(5)]
    since = time.monotonic()
    suite.stop()
    assert time.monotonic() - since < LATEST
    for listener in listeners:
        assert listener.wait() - since < LATEST
        assert not listener.events
        assert listener.comments[-1] == "this server ends"
    assert not is_listened_to(int(suite.settings["ICHIDAI_EVENTS_PORT"]))


@pytest.mark.skipif(os.name == "nt", reason="only on systems where a parent is seen to be gone")
def test_a_killed_server_leaves_no_streams_behind(tmp_path: Path, started: Starting) -> None:
    """As its workers, the streams' process ends with it."""
    suite = started(combined(tmp_path, ICHIDAI_EVENTS_PORT=str(free_port())))
    until(lambda: is_up(suite.client), "the streams answer")
    suite.servers[0].kill_parent_alone()
    port = int(suite.settings["ICHIDAI_EVENTS_PORT"])
    until(lambda: not is_listened_to(port), "the streams' process has ended")


def test_a_process_of_streams_that_dies_is_started_again(tmp_path: Path, started: Starting) -> None:
    """The app goes on meanwhile; whoever listened connects anew."""
    suite = started(combined(tmp_path, ICHIDAI_EVENTS_PORT=str(free_port())))
    until(lambda: is_up(suite.client), "the streams answer")
    login = suite.client.register().login()
    listener = listen(suite.client, login.access)
    child = next(
        child
        for child in psutil.Process(suite.servers[0].process.pid).children()
        if any(str(each.laddr.port) == suite.settings["ICHIDAI_EVENTS_PORT"] for each in child.net_connections())
    )
    child.kill()
    listener.wait()
    assert suite.client.verify(login.access).ok
    until(lambda: is_up(suite.client), "the streams answer again")
    listen(suite.client, login.access).leave()


def test_streams_alone(deployment: Suite, tmp_path: Path) -> None:
    """`ichidai serve events` over the same data, on a port of its own; the session app has them too."""
    settings = {**deployment.settings, "ICHIDAI_EVENTS_PORT": "off"}
    alone = Suite({"events": lambda port: serve_command("events", port)}, settings, tmp_path)
    try:
        alone.start()
        anna = deployment.client.register()
        laptop, phone = anna.pair(), anna.login()
        listener = Listener(f"{alone.servers[0].base}/session/events", phone.access)
        since = time.monotonic()
        anna.login(laptop, force=True)
        told(listener, since, "forced-out", "Laptop")
    finally:
        alone.kill()


@pytest.mark.parametrize("part", ["all", "session", "events"])
def test_a_port_in_use_is_a_clear_error(part: str, tmp_path: Path) -> None:
    """Naming the option that chooses another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        own = {"ICHIDAI_DATA_DIR": str(tmp_path), "ICHIDAI_EVENTS_PORT": str(port)}
        code, said = run_to_its_end(serve_command(part, port if part == "events" else free_port()), own, tmp_path)
    assert code == 2
    assert f"Port {port} on 127.0.0.1 is in use" in said
    assert ("--events-port" in said) == (part != "events")
    assert "Traceback" not in said


def test_a_bound_on_streams(tmp_path: Path, started: Starting) -> None:
    """429 for one too many of a session, 503 where the process is full; after one has ended the next is accepted."""
    suite = started(
        combined(tmp_path, ICHIDAI_EVENTS_PORT=str(free_port()), ICHIDAI_STREAMS_SESSION="2", ICHIDAI_STREAMS="3")
    )
    client = suite.client
    until(lambda: is_up(client), "the streams answer")
    url, login, other = events_url(client), client.register().login(), client.register().login()
    first, _ = Listener(url, login.access), Listener(url, login.access)
    refused(client.get(url, token=login.access), 429, "too-many-streams")
    Listener(url, other.access)
    assert "event streams" in refused(client.get(url, token=other.access), 503, "busy")["detail"]
    first.leave()

    def there_is_room() -> bool:
        with client.get(url, token=other.access, stream=True) as answer:
            return answer.status_code == 200

    until(there_is_room, "the place of the stream that left")


class TestWebSocket:
    """The second endpoint."""

    @pytest.mark.requirement("B40")
    def test_it_tells_as_the_stream_does(self, client: Client, anna: Account) -> None:
        """The token is the first message; the notice, and then a good end."""
        login = anna.login()
        with connect(socket_url(client), origin=Origin(client.url("").rstrip("/"))) as socket_:
            socket_.send(json.dumps({"access_token": login.access}))
            assert json.loads(socket_.recv(LATEST)) == {"event": "open", "data": None}
            since = time.monotonic()
            granted(client.post("/session/logout", token=login.access))
            notice = json.loads(socket_.recv(LATEST))
            assert time.monotonic() - since < LATEST
            assert notice["event"] == "session-revoked"
            assert notice["data"]["reason"] == "logged-out"
            assert set(notice["data"]) == {"reason", "event_timestamp", "by_device"}
            assert closed_with(socket_) == 1000

    @pytest.mark.parametrize(
        ("first", "code"),
        [
            ("junk", "token-missing"),
            ("{}", "token-missing"),
            ('{"access_token": 5}', "token-missing"),
            ('{"access_token": "junk"}', "invalid-token"),
            ("x" * 10_000, "invalid-request"),
            (b"\x00", "invalid-request"),
        ],
    )
    def test_what_is_no_token_is_refused(self, client: Client, first: str | bytes, code: str) -> None:
        """With the problem, and a close code that tells its status."""
        with connect(socket_url(client)) as socket_:
            socket_.send(first)
            problem = json.loads(socket_.recv(LATEST))
            assert (problem["event"], problem["data"]["code"]) == ("problem", code)
            assert closed_with(socket_) == 4000 + problem["data"]["status"]

    def test_an_ended_session_is_told_why(self, client: Client, anna: Account) -> None:
        """As over HTTP."""
        login = anna.login()
        granted(client.post("/session/logout", token=login.access))
        with connect(socket_url(client)) as socket_:
            socket_.send(json.dumps({"access_token": login.access}))
            problem = json.loads(socket_.recv(LATEST))["data"]
            assert (problem["code"], problem["reason"]) == ("session-ended", "logged-out")

    def test_silence_is_ended_after_five_seconds(self, client: Client) -> None:
        """A socket that nobody has proven anything on is held no longer."""
        since = time.monotonic()
        with connect(socket_url(client)) as socket_:
            assert json.loads(socket_.recv(LATEST))["data"]["code"] == "token-missing"
            assert 4 < time.monotonic() - since < 4 + LATEST
            assert closed_with(socket_) == 4401

    def test_another_origin_is_turned_away_at_the_handshake(self, client: Client, anna: Account) -> None:
        """A page of another site cannot open one, and a token in the URL opens nothing."""
        with pytest.raises(InvalidStatus, match="403"):
            connect(socket_url(client), origin=Origin("http://evil.test"))
        with connect(f"{socket_url(client)}?access_token={anna.login().access}") as socket_:
            assert json.loads(socket_.recv(LATEST))["event"] == "problem"


def test_what_a_user_is_asked_comes_on_the_stream(tmp_path: Path, started: Starting) -> None:
    """On both transports, once, without the digits; and the stream goes on until its session ends."""
    settings = {"ICHIDAI_TAKEOVER_APPROVAL": "ask", "ICHIDAI_EVENTS_PORT": str(free_port())}
    client = started(combined(tmp_path, **settings)).client
    until(lambda: is_up(client), "the streams answer")
    anna = client.register()
    laptop, phone = anna.pair("Laptop"), anna.login()
    stream = Listener(events_url(client), phone.access)
    with connect(socket_url(client)) as socket_:
        socket_.send(json.dumps({"access_token": phone.access}))
        assert json.loads(socket_.recv(LATEST))["event"] == "open"
        question = refused(anna.try_login(laptop), 409, "device-active")
        body = {"approval_token": question["approval"]["token"]}
        waiting = client.post("/login/approval", body).json()
        notice = json.loads(socket_.recv(LATEST))
        assert notice["event"] == "approval-requested"
        told = notice["data"]
        assert set(told) == {"approval_id", "device_name", "asked_at", "expires_in", "joins"}
        assert (told["approval_id"], told["device_name"]) == (waiting["approval_id"], "Laptop")
        until(lambda: bool(stream.events), "the other stream has told", LATEST)
        granted(client.post("/session/logout", token=phone.access))
        assert json.loads(socket_.recv(LATEST))["event"] == "session-revoked"
    stream.wait(LATEST)
    assert [event.name for event in stream.events] == ["approval-requested", "session-revoked"]


def socket_url(client: Client) -> str:
    """Return where the sockets are."""
    return events_url(client).replace("http://", "ws://")


def closed_with(socket_: ClientConnection) -> int:
    """Return the code with which the server closes."""
    with pytest.raises(ConnectionClosed):
        socket_.recv(LATEST)
    assert socket_.close_code is not None
    return socket_.close_code


@pytest.mark.parametrize("engine", ["dynamodb"])
def test_on_dynamodb_too(engine: str, tmp_path: Path, started: Starting) -> None:
    """The same feed, read the same way; ten evictions, each told."""
    settings = ENGINES[engine](tmp_path).settings
    suite = started(combined(tmp_path, ICHIDAI_EVENTS_PORT=str(free_port()), **settings))
    client = suite.client
    until(lambda: is_up(client), "the streams answer")
    anna = client.register()
    devices = [("Phone", anna.phone), ("Laptop", anna.pair())]
    login = anna.login()
    seconds = []
    for turn in range(10):
        name, device = devices[(turn + 1) % 2]
        listener, since = listen(client, login.access), time.monotonic()
        login = anna.login(device, force=True)
        seconds.append(told(listener, since, "forced-out", name).at - since)
    assert median(seconds) < SOON
