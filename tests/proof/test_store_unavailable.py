"""F11: the store is down for 1 and for 10 seconds while people go on asking: nobody is told anything wrong (I21)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from tests.proof.figures import figure, rounds
from tests.support.client import Account, Login
from tests.support.dynamodb_local import LocalServer
from tests.support.engines import dynamodb_without_tables, local_dynamodb, with_tables
from tests.support.servers import Suite, combined, until

DEADLINE, WELL_AGAIN = 8.0, 10.0
"""Seconds: what an answer may take and until all is well: the five that are promised, and those of a busy machine."""


@pytest.fixture(scope="module")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Return a DynamoDB Local of this file's own."""
    server = local_dynamodb(tmp_path_factory.mktemp("dynamodb"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def suite(dynamodb: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return a suite of two workers on it."""
    engine = with_tables(dynamodb_without_tables(dynamodb))
    settings = {**engine.settings, "ICHIDAI_TEST_CHEAP_HASH": "true"}
    suite = combined(tmp_path_factory.mktemp("suite"), 2, **settings)
    suite.start()
    yield suite
    suite.kill()


class Requester(Thread):
    """Somebody who asks one thing again and again; notes when each call began, how long it took and what was said."""

    def __init__(self, account: Account, session: Login, what: str) -> None:
        super().__init__(daemon=True)
        self.told: list[tuple[float, float, requests.Response]] = []
        self.over = Event()
        self._asks = {
            "verify": lambda: account.client.verify(session.access),
            "list": lambda: account.client.get("/session/list", token=session.access),
            "own login": account.try_login,
            "forged": lambda: account.client.verify(session.access[:-4] + "AAAA"),
        }
        self.what = what

    def run(self) -> None:
        """Ask until it is over."""
        while not self.over.wait(0.05):
            begun = time.monotonic()
            reply = self._asks[self.what]()
            self.told.append((begun, time.monotonic() - begun, reply))


def wrong_with(requester: Requester, back: float) -> Iterator[str]:
    """Yield what was told wrongly; the store was back at `back`."""
    good = {401} if requester.what == "forged" else {200}
    for begun, seconds, reply in requester.told:
        about = f"{requester.what}: {reply.status_code} after {seconds:.1f} s"
        if reply.status_code == 503 and "Retry-After" not in reply.headers:
            yield f"{about}, without Retry-After"
        if reply.status_code not in {*good, 503} or seconds > DEADLINE:
            yield about
        if reply.status_code == 503 and begun > back + WELL_AGAIN:
            yield f"{about}, {begun - back:.1f} s after the store was back"


@pytest.mark.regression("X62", "X46")
@pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")
@pytest.mark.parametrize(("seconds", "how"), [(1, "silent"), (10, "silent"), (10, "gone")])
def test_the_store_is_away(suite: Suite, dynamodb: LocalServer, tmp_path: Path, seconds: int, how: str) -> None:
    """503 with Retry-After in time, no yes to what is not known, no 401 to a good token; and well again soon."""
    wrong, away, told, slowest, well = list[str](), 0, 0, 0.0, 0.0
    for _ in range(rounds(3)):
        accounts = [suite.client.register() for _ in range(4)]
        asked = zip(accounts, ("verify", "list", "own login", "forged"), strict=True)
        askers = [Requester(account, account.login(), what) for account, what in asked]
        for requester in askers:
            requester.start()
        time.sleep(0.5)
        dynamodb.stop() if how == "gone" else dynamodb.hold()
        time.sleep(seconds)
        dynamodb.start() if how == "gone" else dynamodb.go_on()
        back = time.monotonic()
        until(lambda: suite.client.get("/ready").status_code == 200, "the suite is ready again", WELL_AGAIN)
        well = max(well, time.monotonic() - back)
        time.sleep(max(0.0, back + WELL_AGAIN + 0.5 - time.monotonic()))
        for requester in askers:
            requester.over.set()
            requester.join()
            wrong += wrong_with(requester, back)
        slowest = max([slowest, *(taken for requester in askers for _, taken, _ in requester.told)])
        told += sum(len(requester.told) for requester in askers)
        away += sum(reply.status_code == 503 for requester in askers for _, _, reply in requester.told)
    what = f"the store {how} for {seconds} s, dynamodb"
    numbers = f"{away:,} answered 503, the slowest answer after {slowest:.1f} s; well again after {well:.1f} s"
    figure("F11", what, f"{told:,} calls", len(wrong), numbers)
    assert wrong == []
    assert away or seconds == 1  # a call waits a second for its answer
