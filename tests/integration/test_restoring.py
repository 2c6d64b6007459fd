"""The restore drill over real servers under load: back up, evict, restore, accept."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.support.client import TOO_BUSY, Account, Client, Login, RetryingClient, login_of, refused
from tests.support.engines import ENGINES, Engine
from tests.support.load import ThreadedLoad
from tests.support.restoring import copy_of
from tests.support.servers import GENEROUS, Suite, run_to_its_end, serve_command, until

WORKERS = 2
WITHIN_SECONDS = 60.0
"""A restore is noticed within one second and its acceptance within five, on a machine that does nothing else."""


class Load(ThreadedLoad):
    """Accounts that log in, refresh and verify without a pause, and what they were told."""

    def __init__(self, client: Client, accounts: list[Account]) -> None:
        super().__init__([partial(self._run, account) for account in accounts])
        self._client = client
        self.logins: list[Login] = []
        self.told: Counter[int] = Counter()

    def _run(self, account: Account) -> None:
        while not self.ending.wait(0.05):
            reply = account.try_login()
            self.told[reply.status_code] += 1
            if reply.status_code == 200:
                login = login_of(reply)
                self.logins.append(login)
                self.told[self._client.verify(login.access).status_code] += 1


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Return each engine in turn."""
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def suite(engine: Engine, tmp_path: Path) -> Iterator[Suite]:
    """Return a server of two workers."""
    served = Suite(
        {"all": lambda port: serve_command("all", port, WORKERS)}, {**GENEROUS, **engine.settings}, tmp_path / "host"
    )
    served.start()
    yield served
    served.stop()


def operate(suite: Suite, *words: str) -> str:
    """Run a command as the operator does; return what it said."""
    code, said = run_to_its_end([sys.executable, "-m", "ichidai", *words], suite.settings, suite.folder)
    assert code == 0, said
    return said


def progress(suite: Suite) -> int:
    """Return how far the store had come when the host's witness saw it last."""
    witnessed: int = json.loads((suite.data / "keys" / "witness.json").read_bytes())["progress"]
    return witnessed


def each_worker(client: Client, login: Login) -> set[int]:
    """Verify often enough, each time over a new connection, that every worker is asked."""
    return {client.verify(login.access).status_code for _ in range(6 * WORKERS)}


def test_a_restore_brings_nobody_back(suite: Suite, engine: Engine, tmp_path: Path) -> None:
    """No token of before is good at any worker, nothing used works again, and everybody logs in anew."""
    client, patient = suite.client, RetryingClient({"all": suite.servers[0].base}, codes=TOO_BUSY)
    account, others = patient.register(), [replace(patient.register(), client=client) for _ in range(2)]
    laptop = account.pair("Laptop")
    evicted = account.login()
    with Load(client, others) as load:
        until(lambda: len(load.logins) > 4, "the load is felt")
        copy = copy_of(engine, tmp_path)
        copied = progress(suite)
        question = account.question(laptop)
        inside = login_of(account.take_over(question, laptop))
        refused(patient.verify(evicted.access), 401, "session-ended")
        until(lambda: progress(suite) > copied + 2, "each worker has seen more than was copied")

        copy.bring_back()
        until(lambda: each_worker(client, evicted) == {503}, "every worker notices", WITHIN_SECONDS)
        for _ in range(5):
            assert each_worker(client, evicted) | each_worker(client, inside) == {503}
            assert client.get("/ready").status_code == 503
        before = [*load.logins, evicted, inside]

        operate(suite, "restore", "accept", "--reason", "the drill", "--yes")
        until(lambda: each_worker(client, evicted) == {401}, "every worker goes on", WITHIN_SECONDS)
    for login in before:
        gone = {"revoked"} if login in (evicted, inside) else {"revoked", "replaced"}  # by the load's own next login
        assert refused(patient.verify(login.access), 401, "session-ended")["reason"] in gone
        assert refused(patient.refresh(login.refresh), 401, "session-ended")["reason"] in gone
    refused(account.take_over(question, laptop), 410, "takeover-spent")
    for each in (account, *others):
        assert each_worker(patient, replace(each, client=patient).login()) == {200}
    assert load.told.keys() <= {200, 401, 503}, load.told
    assert patient.get("/ready").status_code == 200


def test_a_server_refuses_a_store_that_was_restored(suite: Suite, engine: Engine, tmp_path: Path) -> None:
    """With the sentence that names the command; `everybody-out` needs no restore and is the same write."""
    patient = RetryingClient({"all": suite.servers[0].base}, codes=TOO_BUSY)
    account = patient.register()
    until((suite.data / "keys" / "witness.json").exists, "there is a witness")
    copy = copy_of(engine, tmp_path)
    copied, login = progress(suite), account.login()
    until(lambda: progress(suite) > copied, "more was seen than was copied")
    suite.stop()
    copy.bring_back()
    code, said = run_to_its_end(serve_command("all", suite.servers[0].port), suite.settings, suite.folder)
    assert (code, "ichidai restore accept" in said) == (2, True)
    operate(suite, "restore", "accept", "--reason", "the drill", "--yes")
    suite.start()
    assert refused(patient.verify(login.access), 401, "session-ended")["reason"] == "revoked"
    again = account.login()
    operate(suite, "everybody-out", "--reason", "the drill", "--yes")
    until(lambda: each_worker(suite.client, again) == {401}, "everybody is out", WITHIN_SECONDS)
    assert "operator-everybody-out" in operate(suite, "audit")
