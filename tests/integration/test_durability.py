"""Killed, restarted, started twice, started wrongly: what was answered stays, and what cannot work says why."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.support.client import Account, Client, Device, Login, granted, login_of, refused
from tests.support.ports import free_port
from tests.support.servers import (
    Suite,
    combined,
    entrance_command,
    four_served,
    is_listened_to,
    run_to_its_end,
    serve_command,
    until,
)

Start = Callable[[Suite], Suite]

posix = pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")


# --- Killed ------------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """What somebody was told before the server died."""

    account: Account
    laptop: Device
    live: Login
    dead: dict[str, Login]


def live_a_little(client: Client) -> Life:
    """Register, pair, be replaced, taken over, forced out, logged out; keep the tokens and why each is dead."""
    account = client.register()
    laptop, tablet = account.pair("Laptop"), account.pair("Tablet")
    replaced, taken_over = account.login(), account.login()
    forced_out = login_of(account.take_over(account.question(laptop), laptop))
    logged_out = account.login(tablet, force=True)
    granted(client.post("/session/logout", token=logged_out.access))
    live = account.login(laptop)
    granted(client.post("/device/unbind", {"device_id": tablet.device_id}, token=live.access))
    dead = {"replaced": replaced, "taken-over": taken_over, "forced-out": forced_out, "logged-out": logged_out}
    return Life(account, laptop, live, dead)


def check(client: Client, life: Life) -> None:
    """Check that all is as it was told."""
    for reason, session in life.dead.items():
        for reply in (client.verify(session.access), client.refresh(session.refresh)):
            assert refused(reply, 401, "session-ended")["reason"] == reason
    assert granted(client.verify(life.live.access))["session_id"] == life.live.session_id
    refused(life.account.try_login(), 409, "device-active")
    devices = granted(client.get("/device/list", token=life.live.access))["devices"]
    assert [device["device_name"] for device in devices] == ["Phone", "Laptop"]
    granted(client.refresh(life.live.refresh))


@pytest.mark.requirement("B09", "B11", "D29")
@pytest.mark.regression("X48", "X63", "Y01", "X03")
@pytest.mark.parametrize(
    "deployment", [combined, partial(combined, workers=2), four_served], ids=["combined", "two workers", "four apps"]
)
def test_killed_and_started_again_everything_is_as_it_was(
    tmp_path: Path, started: Start, deployment: Callable[[Path], Suite]
) -> None:
    """After kill -9 of all processes every account, device, session and eviction is there, to the byte."""
    suite = started(deployment(tmp_path / "suite"))
    life = live_a_little(suite.client)
    before = suite.rows()
    suite.kill()
    suite.start()
    assert suite.rows() == before
    check(suite.client, life)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clean_stop_writes_the_activity_of_its_last_second(tmp_path: Path, started: Start, workers: int) -> None:
    """Verified, and stopped at once: started again the list shows it."""
    suite = started(combined(tmp_path / "suite", workers=workers, ICHIDAI_LAST_SEEN_SECONDS="1"))
    login = suite.client.register().login()
    time.sleep(2.1)
    assert suite.client.verify(login.access).status_code == 200
    suite.stop()
    suite.start()
    (listed,) = granted(suite.client.get("/session/list", token=login.access))["sessions"]
    seen, entered = (datetime.fromisoformat(listed[name]) for name in ("last_seen_at", "login_at"))
    assert seen - entered > timedelta(seconds=2)


class Storm:
    """People who register, pair and force each other's devices out, until the server is gone; what they were told."""

    def __init__(self, client: Client) -> None:
        self.told: list[tuple[Account, list[Login]]] = []
        self.is_full = threading.Event()
        self._client = client
        self._threads = [threading.Thread(target=self._live) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Wait until all have noticed that the server is gone."""
        for thread in self._threads:
            thread.join()

    def _live(self) -> None:
        with suppress(requests.RequestException):
            while True:
                self._live_once()

    def _live_once(self) -> None:
        account, sessions = self._client.register(), list[Login]()
        self.told.append((account, sessions))
        laptop = account.pair()
        for device in (account.phone, laptop, account.phone, laptop):
            sessions.append(account.login(device, force=True))
            if len(self.told) >= 8:
                self.is_full.set()


@pytest.mark.regression("X48")
def test_killed_in_the_middle_of_everything_no_answer_is_lost(tmp_path: Path, started: Start) -> None:
    """Registrations, logins and evictions under way when all is killed: what was answered 200 holds afterwards."""
    suite = started(combined(tmp_path / "suite", workers=2))
    storm = Storm(suite.client)
    full = storm.is_full.wait(timeout=60)
    suite.kill()
    storm.end()
    assert full
    client = suite.start()
    for account, sessions in storm.told:
        for session in sessions[:-1]:
            refused(client.verify(session.access), 401, "session-ended")
        for session in sessions[-1:]:
            reply = client.verify(session.access)
            if reply.status_code != 200:  # ended by a login that was done and could not be answered any more
                assert refused(reply, 401, "session-ended")["reason"] == "forced-out"
        account.login(force=True)


@posix
@pytest.mark.regression("X90")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_end_when_their_server_is_killed(tmp_path: Path, started: Start, workers: int) -> None:
    """After kill -9 of the parent alone nobody answers on its port a moment later, and a new one can start there."""
    suite = started(combined(tmp_path / "suite", workers))
    account = suite.client.register()
    (server,) = suite.servers
    server.kill_parent_alone()
    until(lambda: not is_listened_to(server.port), "the workers have ended")
    suite.start()
    assert suite.servers[0].port == server.port
    account.login()


@pytest.mark.regression("X90")
def test_a_server_that_is_told_to_stop_leaves_nobody_behind(tmp_path: Path, started: Start) -> None:
    """Ended in good order, its port is free and its data whole."""
    suite = started(combined(tmp_path / "suite", workers=2))
    account = suite.client.register()
    suite.stop()
    assert not is_listened_to(suite.servers[0].port)
    assert suite.servers[0].process.returncode is not None
    suite.start()
    account.login()


# --- The store away ----------------------------------------------------------------------------------------------


def rename_tables(suite: Suite, old: str, new: str) -> None:
    """Take the tables away from under a running server, or bring them back."""
    with closing(sqlite3.connect(suite.data / "ichidai.sqlite", timeout=10)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for name in (name for (name,) in rows if name.startswith(old)):
            connection.execute(f'ALTER TABLE "{name}" RENAME TO "{new}{name.removeprefix(old)}"')
        connection.commit()


@pytest.mark.requirement("B14", "B28")
@pytest.mark.regression("X62", "X46", "Y01")
def test_while_the_store_is_away_nothing_is_let_pass(tmp_path: Path, started: Start) -> None:
    """503 at every route that must ask it, for good tokens and dead ones alike; afterwards all is well again."""
    suite = started(combined(tmp_path / "suite"))
    client = suite.client
    account = client.register()
    laptop = account.pair()
    dead, live = account.login(), account.login()
    asked = account.question(laptop)
    pairing = account.pairing()["qr_code"]
    before = suite.rows()
    rename_tables(suite, "", "away_")
    replies = [
        *(client.verify(session.access) for session in (dead, live)),
        *(client.refresh(session.refresh) for session in (dead, live)),
        client.get("/device/list", token=live.access),
        client.post("/session/logout", token=live.access),
        client.post("/device/unbind", {"device_id": laptop.device_id}, token=live.access),
        account.try_login(laptop),
        account.try_login(laptop, force=True),
        account.take_over(asked, laptop),
        account.try_pair(pairing),
        account.try_join(pairing),
        account.request_pairing(),
        client.post("/registration/", {"username": "new", "email": "new@b.test", "password": account.password}),
        client.get("/ready"),
    ]
    for reply in replies:
        refused(reply, 503, "store-unavailable")
    granted(client.get("/health"))
    refused(client.verify(live.access[:-1]), 401, "invalid-token")
    rename_tables(suite, "away_", "")
    assert suite.rows() == before
    granted(client.get("/ready"))
    granted(client.verify(live.access))
    refused(client.verify(dead.access), 401, "session-ended")
    login_of(account.take_over(asked, laptop))


def test_while_the_store_cannot_be_written_reading_goes_on(tmp_path: Path, started: Start) -> None:
    """A writer that does not let go: a login is 503 within the deadline, a verification is answered."""
    suite = started(combined(tmp_path / "suite"))
    client = suite.client
    account = client.register()
    laptop, session = account.pair(), account.login()
    with closing(sqlite3.connect(suite.data / "ichidai.sqlite", timeout=10, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        granted(client.verify(session.access))
        refused(account.try_login(laptop, force=True), 503, "store-unavailable")
        writer.execute("ROLLBACK")
    granted(client.verify(session.access))
    account.login(laptop, force=True)


# --- Started together --------------------------------------------------------------------------------------------


@pytest.mark.requirement("D18")
@pytest.mark.regression("X65", "X63")
def test_several_that_start_at_once_share_one_key_ring(tmp_path: Path, started: Start) -> None:
    """Four servers of two workers each on an empty folder: one key ring, and a token of one is good at all."""
    settings = {"ICHIDAI_DATA_DIR": str(tmp_path / "data"), "ICHIDAI_ISSUER": "https://one.test"}
    deployments = [combined(tmp_path / str(number), 2, **settings) for number in range(4)]
    threads = [threading.Thread(target=started, args=(deployment,)) for deployment in deployments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clients = [deployment.client for deployment in deployments]
    assert len({client.get("/.well-known/jwks.json").text for client in clients}) == 1
    assert len({client.get("/device/ca").text for client in clients}) == 1
    session = clients[0].register().login()
    for client in clients:
        granted(client.verify(session.access))
    made = sorted(path.name for path in (tmp_path / "data" / "keys").iterdir())
    assert made == ["authorities.json", "host", "keyring.json", "witness.json"]


@posix
@pytest.mark.regression("X30", "X76")
def test_keys_and_data_are_for_their_owner_alone(suite: Suite) -> None:
    """Mode 0600 for the files, and nothing for others on the folders."""
    files = [suite.data / "keys" / "keyring.json", suite.data / "ichidai.sqlite"]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
    assert (suite.data / "keys").stat().st_mode & 0o077 == 0


# --- Started wrongly ---------------------------------------------------------------------------------------------


def start_wrongly(folder: Path, port: int | None = None, part: str = "all", **settings: str) -> str:
    """Start a server that cannot start; return what it said, without a traceback."""
    folder.mkdir(exist_ok=True)
    settings = {"ICHIDAI_DATA_DIR": str(folder / "data"), **settings}
    code, said = run_to_its_end(serve_command(part, port or free_port()), settings, folder)
    while port is None and " is in use" in said:  # another test was quicker there
        code, said = run_to_its_end(serve_command(part, free_port()), settings, folder)
    assert code != 0
    assert "Traceback" not in said
    return said


@pytest.mark.regression("X91")
@pytest.mark.parametrize("command", ["serve", "device"])
def test_a_port_in_use_is_a_clear_error(tmp_path: Path, command: str) -> None:
    """Whoever holds it: one sentence that names the port, and an exit code."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        if command == "serve":
            said = start_wrongly(tmp_path, port)
        else:
            settings = {"PORT": str(port), "ICHIDAI_DATA_DIR": str(tmp_path / "data")}
            code, said = run_to_its_end(entrance_command(command), settings, tmp_path)
            assert code != 0
        assert f"Port {port} on 127.0.0.1 is in use" in said
    assert not (tmp_path / "data").exists()


def test_a_second_server_on_the_port_of_the_first_is_refused(suite: Suite, tmp_path: Path) -> None:
    """It never shares the port with it in silence."""
    said = start_wrongly(tmp_path, suite.servers[0].port)
    assert "is in use" in said
    granted(suite.client.get("/health"))


@pytest.mark.requirement("R03", "R25")
@pytest.mark.regression("X21", "X49")
def test_all_faults_of_the_settings_are_told_at_once(tmp_path: Path) -> None:
    """An unknown name, a word and numbers that cannot be: each is named, and nothing was started or made."""
    wrong = {
        "ICHIDAI_CONCURENCY_MODE": "ask",
        "ICHIDAI_CONCURRENCY_MODE": "maybe",
        "MAX_CONCURRENT_DEVICES": "-1",
        "ICHIDAI_ACCESS_TOKEN_SECONDS": "ten",
        "ICHIDAI_ALLOW_FORCE": "yes",
        "ICHIDAI_MAX_DEVICES": "99",
        "ICHIDAI_PUBLIC_URL": "accounts.test",
        "ICHIDAI_TRUSTED_PROXIES": "10.0.0.0/99",
    }
    said = start_wrongly(tmp_path, **wrong)
    assert {name for name in wrong if name in said} == set(wrong)
    assert not (tmp_path / "data").exists()


def test_names_of_the_tests_own_are_ignored(tmp_path: Path, started: Start) -> None:
    """`ICHIDAI_TEST_…` is no setting."""
    granted(started(combined(tmp_path / "suite", ICHIDAI_TEST_ANYTHING="1")).client.get("/health"))


@pytest.mark.regression("X65")
class TestForeignKeys:
    """A store and the keys it was first used with belong together."""

    @pytest.fixture
    def used(self, tmp_path: Path) -> Path:
        """Return a data folder that a server has used."""
        suite = combined(tmp_path / "used")
        suite.start()
        suite.client.register()
        suite.stop()
        return suite.data

    def test_keys_of_another_store_are_refused(self, used: Path, tmp_path: Path) -> None:
        """It says which file is wrong and what to do; the store stays as it was."""
        other = combined(tmp_path / "other")
        other.start()
        other.stop()
        shutil.copy(other.data / "keys" / "keyring.json", used / "keys" / "keyring.json")
        said = start_wrongly(tmp_path, ICHIDAI_DATA_DIR=str(used))
        assert "not those this store was first used with" in said
        assert "keyring.json" in said

    def test_lost_keys_are_not_made_anew(self, used: Path, tmp_path: Path) -> None:
        """A used store without its keys starts nothing and makes nothing."""
        (used / "keys" / "keyring.json").unlink()
        said = start_wrongly(tmp_path, ICHIDAI_DATA_DIR=str(used))
        assert "keys that are not here" in said
        assert {path.name for path in (used / "keys").iterdir()} == {"authorities.json", "host", "witness.json"}

    @pytest.mark.parametrize("content", ["", "{}", "no JSON", '{"format": 99}', "[]"])
    def test_a_broken_key_ring_is_told(self, used: Path, tmp_path: Path, content: str) -> None:
        """It is never overwritten."""
        ring = used / "keys" / "keyring.json"
        ring.write_text(content, encoding="ascii")
        assert "cannot be read" in start_wrongly(tmp_path, ICHIDAI_DATA_DIR=str(used))
        assert ring.read_text(encoding="ascii") == content


@pytest.mark.parametrize(
    "url", ["postgres://here", "sqlite://", "sqlite:///", "nothing", "dynamodb://", "sqlite:///a?mode=memory"]
)
def test_a_store_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    """With the forms that a URL may have, or what is missing."""
    said = start_wrongly(tmp_path, ICHIDAI_STORE_URL=url)
    assert "sqlite:///" in said or "AWS_REGION" in said


def test_a_store_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A file where a folder should be, and a file that is no database."""
    (tmp_path / "file").write_text("x", encoding="ascii")
    (tmp_path / "no.sqlite").write_bytes(b"this is no database at all" * 100)
    assert "cannot be opened" in start_wrongly(tmp_path, ICHIDAI_DATA_DIR=str(tmp_path / "file"))
    said = start_wrongly(tmp_path, ICHIDAI_STORE_URL=f"sqlite:///{(tmp_path / 'no.sqlite').as_posix()}")
    assert "cannot be opened" in said


@pytest.mark.requirement("R33", "R32")
def test_the_command_line_tells_what_it_can_do(tmp_path: Path) -> None:
    """`python -m ichidai` from any folder; an unknown part is refused by name."""
    code, said = run_to_its_end([sys.executable, "-m", "ichidai", "serve", "--help"], {}, tmp_path)
    assert (code, "--workers" in said) == (0, True)
    code, said = run_to_its_end([sys.executable, "-m", "ichidai", "serve", "everything"], {}, tmp_path)
    assert code != 0
    assert "everything" in said
