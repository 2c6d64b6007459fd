"""The session policy over real servers: two hosts with different settings, and a limit lowered during a storm."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.account.book import Book
from common.clock import system_clock
from common.storage.tables import SESSIONS
from tests.support.client import PASSWORD, Account, Client
from tests.support.engines import ENGINES, Engine
from tests.support.servers import GENEROUS, Suite, run_to_its_end, serve_command, until

FOLLOWED_WITHIN_SECONDS = 20
"""The promise is five, on a machine that does nothing else."""
"""What is promised of a changed policy."""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Callable[[Engine, Mapping[str, str], Mapping[str, str]], list[Suite]]]:
    """Return what starts two hosts over one engine: each with a folder of keys and settings of its own."""
    started: list[Suite] = []

    def start(engine: Engine, *settings: Mapping[str, str]) -> list[Suite]:
        for number, own in enumerate(settings):
            folder = tmp_path / f"host{number}"
            made = Suite(
                {"all": lambda port: serve_command("all", port)}, {**GENEROUS, **engine.settings, **own}, folder
            )
            if started:
                made.settings["ICHIDAI_ISSUER"] = started[0].settings["ICHIDAI_ISSUER"]
                keys = shutil.ignore_patterns("host")
                shutil.copytree(started[0].data / "keys", made.data / "keys", ignore=keys)
            started.append(made)
            made.start()
        return started

    yield start
    for suite in started:
        suite.stop()


def policy(suite: Suite, *arguments: str) -> str:
    """Run `ichidai policy …` as the operator does; return what it said."""
    code, said = run_to_its_end([sys.executable, "-m", "ichidai", "policy", *arguments], suite.settings, suite.folder)
    assert code == 0, said
    return said


def limit_at(client: Client) -> int:
    """Return the limit that a host tells clients."""
    return int(client.get("/.well-known/ichidai.json").json()["max_concurrent_devices"])


class Storm:
    """Three devices of one account that log in, verify and refresh at both hosts, and what the book said meanwhile."""

    def __init__(self, account: Account, fingerprints: list[str], clients: list[Client], engine: Engine) -> None:
        self._account = account
        self._fingerprints = fingerprints
        self._clients = clients
        self._engine = engine
        self._ending = threading.Event()
        self.tokens: list[str] = []
        self.faults: list[str] = []
        self.most: dict[int, int] = {}
        """The most sessions that the book had, by the policy it was changed under."""

    def run(self, meanwhile: Callable[[], Any]) -> None:
        """Let it blow; `meanwhile` is called once several were in, and it goes on until that is felt."""
        threads = [threading.Thread(target=self._device, args=(number,)) for number in range(3)]
        threads.append(threading.Thread(target=self._look))
        for thread in threads:
            thread.start()
        try:
            until(lambda: self.most.get(1, 0) > 1, "several devices were in")
            meanwhile()
            entered = len(self.tokens)
            until(lambda: 2 in self.most and len(self.tokens) >= entered + 10, "devices log in under the new policy")
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()

    def _device(self, number: int) -> None:
        body = {"username": self._account.username, "password": PASSWORD, "client_cert_fp": self._fingerprints[number]}
        for turn in range(10_000):
            if self._ending.is_set():
                return
            client = self._clients[(turn + number) % 2]
            reply = client.post("/login", {**body, "force": turn % 2 == 0})
            if reply.status_code == 200:
                self.tokens.append(reply.json()["access_token"])
                if client.verify(self.tokens[-1]).status_code not in (200, 401):
                    self.faults.append(f"verify: {reply.text}")
                client.refresh(reply.json()["refresh_token"])
            elif reply.status_code not in (409, 503):
                self.faults.append(f"login: {reply.status_code} {reply.text}")

    def _look(self) -> None:
        store = self._engine.open(system_clock)
        while not self._ending.is_set():
            item = store.get(SESSIONS.key(self._account.uuid))
            assert item is not None
            book = Book.from_item(item)
            self.most[book.policy] = max(self.most.get(book.policy, 0), len(book.sessions))
            time.sleep(0.01)
        store.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_one_policy_whatever_the_hosts_say(tmp_path: Path, hosts: Callable[..., list[Suite]], engine: str) -> None:
    """Two hosts answer alike; a limit lowered during a storm holds from its first change on, and everywhere in 5 s."""
    made = ENGINES[engine](tmp_path)
    first, second = hosts(made, {"MAX_CONCURRENT_DEVICES": "3"}, {"MAX_CONCURRENT_DEVICES": "2"})
    clients = [first.client, second.client]
    assert [limit_at(client) for client in clients] == [3, 3]
    assert "MAX_CONCURRENT_DEVICES is 3, not 2" in second.output
    account = clients[0].register()
    fingerprints = [account.phone.fingerprint, *(account.pair(name).fingerprint for name in ("Laptop", "Tablet"))]
    storm = Storm(account, fingerprints, clients, made)

    def lower() -> None:
        said = policy(first, "set", "MAX_CONCURRENT_DEVICES=1", "--reason", "too many at once")
        assert "Policy 2 is in force" in said
        until(lambda: [limit_at(client) for client in clients] == [1, 1], "both hosts follow", FOLLOWED_WITHIN_SECONDS)

    storm.run(lower)
    assert storm.faults == []
    assert set(storm.most) <= {0, 1, 2}
    assert storm.most[2] == 1, "never more than the policy allowed under which the account was changed"
    for client in clients:
        good = [token for token in dict.fromkeys(storm.tokens) if client.verify(token).status_code == 200]
        assert len(good) <= 1
    shown = policy(second, "show")
    assert "policy 2, managed by command" in shown
    assert "too many at once" in shown
    assert "says MAX_CONCURRENT_DEVICES=2" in shown
    second.stop()
    second.start(MAX_CONCURRENT_DEVICES="3")
    assert limit_at(second.client) == 1, "in a managed policy settings only warn"


def test_a_policy_that_cannot_be_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Status 2, and nothing has changed."""
    folder = tmp_path / "host"
    folder.mkdir()
    settings = {"ICHIDAI_DATA_DIR": str(folder / "data")}
    command = [sys.executable, "-m", "ichidai", "policy"]
    (folder / "data").mkdir()
    (folder / "data" / "ichidai.sqlite").touch()  # a store on which no server has started yet
    for arguments, sentence in (
        (["show"], "no policy yet"),
        (["set", "MAX_CONCURRENT_DEVICES=1", "--reason", "x"], "no policy yet"),
        (["set", "PORT=1", "--reason", "x"], "NAME is one of"),
        (["set", "MAX_CONCURRENT_DEVICES=1", "--reason", " "], "must say something"),
    ):
        code, said = run_to_its_end([*command, *arguments], settings, folder)
        assert (code, sentence in said) == (2, True), said
