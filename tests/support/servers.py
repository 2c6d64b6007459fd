"""Real servers for tests: processes on free ports, waited for until they answer as ours, ended by id, output kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from typing_extensions import override

from tests.support.client import Client, RetryingClient
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]


_OF_WRITING = frozenset({"version", "changes", "outbox", "rows"})
"""What of a book every write of it may change."""


class Rows(dict[tuple[str, str, str | int], bytes]):
    """What a store holds: items by table, partition and sort key.

    Rows are equal where nothing but activity ("last seen", of whichever account) was written between them: servers
    write it up to two seconds after the request that it is of, which may be another test's.
    """

    __hash__ = None

    @override
    def __eq__(self, other: object) -> bool:
        """Say whether they tell the same."""
        if not isinstance(other, Rows) or self.keys() != other.keys():
            return False
        differing = (place for place, item in self.items() if item != other[place])
        return all(_differ_by_activity(place, self[place], other[place]) for place in differing)


def _differ_by_activity(place: tuple[str, str, str | int], one: bytes, other: bytes) -> bool:
    """Say whether two states of a book differ in when its sessions were last seen, and else in how it was written."""
    if place[0] != "SessionsTable":
        return False
    books = [json.loads(one), json.loads(other)]
    seen = [[session.pop("s", None) for session in book.get("sessions", {}).values()] for book in books]
    rest = [{name: value for name, value in book.items() if name not in _OF_WRITING} for book in books]
    return seen[0] != seen[1] and rest[0] == rest[1]


_NO_ROWS = ("ThrottleTable", "commit_requests")
"""Tables of a file that are passed over: the second is release 0.1.0's and has no items."""

DOMAINS = ("registration", "login", "session", "device")
ENTRANCES = {
    "registration": "registration.app_registration",
    "login": "login_app.app_login",
    "session": "session_manager.app_session_manager",
    "device": "device_manager.app_device_manager",
}
"""The module that starts each app by itself."""

GENEROUS = {
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "100000",
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": "100000",
    "ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "100000",
    "ICHIDAI_REGISTRATIONS_SOURCE": "1000000",
    "ICHIDAI_EVENTS_PORT": "off",
    "ICHIDAI_TEST_CHEAP_HASH": "true",
}
"""Settings for tests that are not about guessing (all of them come from one address), nor about event streams, nor
about what a password's hash costs."""

_OURS = ("ICHIDAI_", "MAX_CONCURRENT_DEVICES", "PORT", "SNS_TOPIC_ARN", "S3_BUCKET", "AWS_REGION")
_TIMEOUT_SECONDS = 120.0
_READY = b" answers on "


class ServerDied(Exception):
    """A server ended before it answered; the text is what it said."""


def until(condition: Callable[[], object], what: str, seconds: float = _TIMEOUT_SECONDS) -> None:
    """Wait for a condition. AssertionError when it does not come true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.02)


def is_listened_to(port: int) -> bool:
    """Say whether anybody accepts connections on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def serve_command(part: str, port: int, workers: int = 1) -> list[str]:
    """Return the command that serves a part of the suite; on Windows there is one worker at most."""
    workers = 1 if os.name == "nt" else workers
    return [sys.executable, "-m", "ichidai", "serve", part, "--port", str(port), "--workers", str(workers)]


def entrance_command(domain: str) -> list[str]:
    """Return the command that starts one app by its own module, on the port that `PORT` names."""
    return [sys.executable, "-m", ENTRANCES[domain]]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a server: this one's without any setting of the suite, and the given settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    path = os.pathsep.join(filter(None, (str(ROOT), own.get("PYTHONPATH"))))
    return own | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | dict(settings)


def run_to_its_end(command: Sequence[str], settings: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Run a command that is expected to end by itself; return its exit code and all that it said."""
    done = subprocess.run(
        command,
        env=environment(settings),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


class Server:
    """One server process with its workers."""

    def __init__(self, part: str, command: Sequence[str], port: int, settings: Mapping[str, str], log: Path) -> None:
        self.part = part
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self._log = log
        self._said_before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=environment({**settings, "PORT": str(port)}),
                cwd=log.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
                **_own_group(),
            )

    @property
    def output(self) -> str:
        """All that the server said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait(self) -> None:
        """Wait until it answers. Raises ServerDied."""
        until(self._answers_or_died, f"{self.part} answers on port {self.port}")
        if self.process.poll() is not None:
            raise ServerDied(self.output)

    def stop(self) -> None:
        """Ask it to end; after half a minute make it, workers included."""
        if os.name == "nt":
            self.kill()
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and its workers at once, as `kill -9` of the whole group does."""
        if os.name == "nt":
            done = ["taskkill", "/F", "/T", "/PID", str(self.process.pid)]
            subprocess.run(done, check=False, capture_output=True)
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def kill_parent_alone(self) -> None:
        """End the server process at once and leave its workers to themselves."""
        self.process.kill()
        self.process.wait(timeout=60)

    def _answers_or_died(self) -> bool:
        return self.process.poll() is not None or self._answers()

    def _answers(self) -> bool:
        """Say whether /health is well; not before this server has found its port free, so that no stranger is asked."""
        if _READY not in self._log.read_bytes()[self._said_before :]:
            return False
        try:
            return requests.get(f"{self.base}/health", timeout=5).status_code == 200
        except requests.RequestException:
            return False


class Suite:
    """One or several servers on one data folder. Stopped and started again they have the same ports and data."""

    def __init__(
        self, parts: Mapping[str, Callable[[int], list[str]]], settings: Mapping[str, str], folder: Path
    ) -> None:
        self.folder = folder
        self.data = Path(settings.get("ICHIDAI_DATA_DIR", folder / "data"))
        self.settings = {
            "ICHIDAI_ISSUER": f"https://{uuid4().hex}.test",
            **settings,
            "ICHIDAI_DATA_DIR": str(self.data),
        }
        self._parts = parts
        self._ports: dict[str, int] = {}
        self.servers: list[Server] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def client(self) -> Client:
        """A client that finds each route at the server that has it."""
        return Client(self._bases)

    @property
    def retrying_client(self) -> RetryingClient:
        """The same client, but it asks again where the servers are busy."""
        return RetryingClient(self._bases)

    @property
    def _bases(self) -> dict[str, str]:
        return {server.part: server.base for server in self.servers}

    @property
    def output(self) -> str:
        """All that the servers said."""
        return "\n".join(f"--- {server.part} on {server.port}\n{server.output}" for server in self.servers)

    def start(self, **changed: str) -> Client:
        """Start all servers at once and wait until they answer; `changed` settings hold from now on."""
        self.settings |= changed
        for _ in range(3):
            for part in self._parts:
                self._ports.setdefault(part, free_port())
            self.servers = [self._launch(part) for part in self._parts]
            try:
                for server in self.servers:
                    server.wait()
            except ServerDied as died:
                self.kill()
                if "in use" not in str(died):
                    raise
                self._ports.clear()
            else:
                return self.client
        raise ServerDied(self.output)

    def stop(self) -> None:
        """End all servers in good order."""
        for server in self.servers:
            server.stop()

    def kill(self) -> None:
        """End all servers and their workers at once."""
        for server in self.servers:
            server.kill()

    def rows(self) -> Rows:
        """Return what the store holds: a refused call must leave all of it as it was.

        Without what counts guesses, the heartbeats of processes, and the marks of the last probe of readiness and of
        how far the store has come. What servers lay down after their answers is waited for. The feed may tell of a
        change twice, the second time a moment after the history has it: it is told here by what it tells of.
        """
        found = self._rows()
        end = time.monotonic() + _TIMEOUT_SECONDS
        while not _is_laid_down(found):
            if time.monotonic() > end:
                raise AssertionError("changes of accounts are not laid down")
            time.sleep(0.05)
            found = self._rows()
        for mark in ("ready", "generation"):
            found.pop(("KeyRingTable", mark, ""), None)
        return Rows(_hint(place, item) for place, item in found.items() if not _is_passed_over(place))

    def _rows(self) -> Rows:
        database = f"{(self.data / 'ichidai.sqlite').as_uri()}?mode=ro"
        with closing(sqlite3.connect(database, uri=True, timeout=10)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            tables = [name for name in names if name not in _NO_ROWS]
            return Rows(
                ((table, partition, sort), item)
                for table in tables
                for partition, sort, item in connection.execute(f'SELECT partition, sort, item FROM "{table}"')  # noqa: S608
            )

    def _launch(self, part: str) -> Server:
        port, log = self._ports[part], self.folder / f"{part}.log"
        settings = self._addresses() | self.settings | self.own_settings(part)
        return Server(part, self._parts[part](port), port, settings, log)

    def own_settings(self, part: str) -> dict[str, str]:
        """Return what a part is told and the others are not."""
        return {}

    def _addresses(self) -> dict[str, str]:
        """Return where the apps are, where they are several and nothing else was said of it."""
        if "ICHIDAI_PUBLIC_URL" in self.settings:
            return {}
        apart = {part: port for part, port in self._ports.items() if part in DOMAINS}
        return {f"ICHIDAI_{part.upper()}_URL": f"http://127.0.0.1:{port}" for part, port in apart.items()}


def _is_laid_down(rows: Rows) -> bool:
    """Say whether the history holds every record that a book still carries."""
    books = {place[1]: json.loads(item) for place, item in rows.items() if place[0] == "SessionsTable"}
    return all(
        ("LoginHistory", user, record["c"]) in rows for user, book in books.items() for record in book.get("outbox", ())
    )


def _is_passed_over(place: tuple[str, str, str | int]) -> bool:
    return place[1].endswith("#failures") or place[:2] == ("FeedTable", "processes")


def _hint(place: tuple[str, str, str | int], item: bytes) -> tuple[tuple[str, str, str | int], bytes]:
    """Return a row of hints by what it tells of, without its time; another row (a closing, too) as it is."""
    hints = json.loads(item).get("s") if place[0] == "FeedTable" else None
    if hints is None:
        return place, item
    _time, told = str(place[2]).split("#", 1)
    return ("FeedTable", "", told), json.dumps(hints).encode()


def combined(folder: Path, workers: int = 1, **settings: str) -> Suite:
    """Return the combined app, not started yet, in a folder of its own."""
    return Suite({"all": lambda port: serve_command("all", port, workers)}, GENEROUS | settings, folder)


class SuitePool:
    """Running combined apps by workers and settings: who asks for what runs already is given that one.

    A pool is closed with the module that uses it, for a server that nobody asks still takes a share of the processor.
    """

    def __init__(self, new_folder: Callable[[], Path], started: list[Suite], **settings: str) -> None:
        """`started`: is told of each suite while it runs; `settings`: what all of them have."""
        self._new_folder = new_folder
        self._started = started
        self._settings = settings
        self._running: dict[tuple[int, frozenset[tuple[str, str]]], Suite] = {}

    def __call__(self, *, workers: int = 1, **settings: str) -> Suite:
        """Return a running suite with some workers and settings."""
        key = (workers, frozenset(settings.items()))
        if key not in self._running:
            suite = self._running[key] = combined(self._new_folder(), workers, **self._settings, **settings)
            self._started.append(suite)
            suite.start()
        return self._running[key]

    def close(self) -> None:
        """End all of them."""
        for suite in self._running.values():
            suite.stop()
            self._started.remove(suite)
        self._running.clear()


def four_served(folder: Path, workers: int = 1, **settings: str) -> Suite:
    """Return the four apps as `ichidai serve` runs them, on one data folder."""

    def command_of(domain: str) -> Callable[[int], list[str]]:
        return lambda port: serve_command(domain, port, workers)

    return Suite({domain: command_of(domain) for domain in DOMAINS}, GENEROUS | settings, folder)


def four_entrances(folder: Path, **settings: str) -> Suite:
    """Return the four apps as `python -m registration.app_registration` and its sisters run them."""

    def command_of(domain: str) -> Callable[[int], list[str]]:
        return lambda _port: entrance_command(domain)

    return Suite({domain: command_of(domain) for domain in DOMAINS}, GENEROUS | settings, folder)


def _own_group() -> dict[str, Any]:
    """Return how a process gets a group of its own, so that it can be ended with its workers."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}
