"""A store moved under load, SQLite to DynamoDB and back: killed in the middle, gone on with, and nobody logged out.

A hundred accounts; in the long size, and with `ICHIDAI_TEST_MOVED_ACCOUNTS=10000`, ten thousand. docs/moving.md tells
what those took.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from common.account.book import Book
from common.account.outbox import read_records
from common.clock import system_clock
from common.ids import new_id
from common.keys.key_registry import REGISTRY
from common.keys.store_move import Phase, move_of
from common.storage.opening import open_for_maintenance
from common.storage.port import Put
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, KEY_RING, SESSIONS
from ichidai.apps import app_for
from ichidai.opening import opened
from ichidai.topology import App
from ichidai.wiring.services import SessionAuthenticator
from session_manager.session_service import SessionDependencies, issue_tokens
from tests.proof.figures import figure, rounds
from tests.support.client import Account, Client
from tests.support.engines import Engine, dynamodb_engine, sqlite_engine
from tests.support.load import ThreadedLoad
from tests.support.servers import GENEROUS, Suite, environment, run_to_its_end, serve_command, until

ACCOUNTS = int(os.environ.get("ICHIDAI_TEST_MOVED_ACCOUNTS", "0")) or 100 * rounds(100)
ACTIVE = 8
"""Accounts that log in again and again meanwhile."""

REGISTERED = 100
"""Accounts that are registered and logged in; those beyond are copies of one of them, with sessions of their own."""

PASSWORD = "correct horse battery"
_TOGETHER = 100
"""Copies whose rows are written at a time."""

LONG_SECONDS = 120.0 + ACCOUNTS / 5


class Load(ThreadedLoad):
    """Sessions that are verified without a pause, and accounts that log in; what they were told."""

    def __init__(self, client: Client, tokens: list[str], accounts: list[Account]) -> None:
        super().__init__((self._verify, self._verify, self._log_in))
        self._client = client
        self._tokens = tokens
        self._accounts = accounts
        self.verified: Counter[int] = Counter()
        self.logged_in: Counter[int] = Counter()
        self.sessions: list[tuple[str, str]] = []

    def _verify(self) -> None:
        while not self.ending.wait(0.05):
            self.verified[self._client.verify(random.choice(self._tokens)).status_code] += 1

    def _log_in(self) -> None:
        while not self.ending.wait(0.1):
            account = random.choice(self._accounts)
            reply = account.try_login()
            self.logged_in[reply.status_code] += 1
            if reply.status_code == 200:
                self.sessions.append((account.uuid, reply.json()["session_id"]))


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    """Return a server of two workers on SQLite."""
    settings = {**GENEROUS, **sqlite_engine(tmp_path).settings, "ICHIDAI_ACCESS_TOKEN_SECONDS": "3600"}
    served = Suite({"all": lambda port: serve_command("all", port, 2)}, settings, tmp_path / "host")
    served.start()
    yield served
    served.stop()


def many_sessions(suite: Suite, count: int) -> list[str]:
    """Register accounts and log them in, in this process on the suite's store; return their access tokens."""
    port = str(suite.servers[0].port)
    services = opened(environment({**suite.settings, "PORT": port}), App.ALL, announces=False)
    tokens: list[str] = []
    ids: Sequence[str] = ()
    try:
        client = app_for(App.ALL, services).test_client()

        def post(path: str, body: dict[str, str]) -> Any:
            answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.get_data(as_text=True)
            return answer.get_json()

        for number in range(min(count, REGISTERED)):
            name = {"username": f"person-{number}", "password": PASSWORD}
            device = post("/registration/", {**name, "email": f"p{number}@example.test", "device_name": "Phone"})
            login = post("/login", {**name, "client_cert_fp": device["client_cert_fp"]})
            tokens.append(login["access_token"])
            ids = device["uuid"], device["device_id"], login["session_id"], name["username"]
        authenticator = services.context.authenticator
        assert isinstance(authenticator, SessionAuthenticator)
        tokens += copies(authenticator.dependencies, suite, ids, count - len(tokens))
    finally:
        services.close()
    return tokens


def copies(sessions: SessionDependencies, suite: Suite, ids: Sequence[str], count: int) -> list[str]:
    """Write the rows of an account so often, each time as another's, and have tokens issued for its session."""
    books: list[tuple[Book, Sequence[str]]] = []
    with closing(SqliteStore(Path(suite.settings["ICHIDAI_STORE_URL"][10:]), ALL, system_clock)) as store:
        rows = [(table, json.dumps(item)) for table in ALL for page in store.pages(table) for item in page]
        own = [(table, text) for table, text in rows if table is not KEY_RING and ids[0] in text]
        for begin in range(0, count, _TOGETHER):
            puts = []
            for number in range(begin, min(begin + _TOGETHER, count)):
                new = *(new_id() for _ in ids[:3]), f"copy-{number}"
                puts += [Put(table, json.loads(with_ids(text, ids, new))) for table, text in own]
                book = Book.from_item(next(put.item for put in reversed(puts) if put.table is SESSIONS))
                books.append((book, new))
            store.write_bulk(puts)
    return [issue_tokens(sessions, book, new[3], book.sessions[new[2]]).access_token for book, new in books]


def with_ids(text: str, old: Sequence[str], new: Sequence[str]) -> str:
    """Return a row with other ids in the place of its own."""
    return reduce(lambda row, pair: row.replace(*pair), zip(old, new, strict=True), text)


def begin_move(suite: Suite, source: str, target: str) -> subprocess.Popen[str]:
    """Start the command."""
    words = ["move", "--from", source, "--to", target, "--yes", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "ichidai", *words],
        env=environment(suite.settings),
        cwd=suite.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def killed_when(moving: subprocess.Popen[str], condition: Callable[[], bool], what: str) -> None:
    """Kill the command as soon as it has come so far."""
    until(lambda: condition() or moving.poll() is not None, what, LONG_SECONDS)
    assert moving.poll() is None, moving.communicate()[0]
    moving.kill()
    moving.communicate()


def moved(suite: Suite, source: str, target: str) -> Any:
    """Move to the end, and return what the command said."""
    moving = begin_move(suite, source, target)
    said = moving.communicate(timeout=LONG_SECONDS)[0]
    assert moving.returncode == 0, said
    return json.loads(said.splitlines()[-1])


def verify_all(suite: Suite, tokens: list[str]) -> None:
    """See every session live."""
    client = suite.retrying_client
    with ThreadPoolExecutor(4) as pool:
        found = Counter(answer.status_code for answer in pool.map(client.verify, tokens))
    assert found == {200: len(tokens)}


def serve_on(suite: Suite, engine: Engine) -> None:
    """Start the servers on another store, as the operator does; on the one of before they do not start."""
    suite.stop()
    code, said = run_to_its_end(serve_command("all", suite.servers[0].port), suite.settings, suite.folder)
    assert (code, "was moved to" in said) == (2, True), said
    suite.start(**engine.settings)


def test_a_move_under_load_and_back(suite: Suite, tmp_path: Path) -> None:
    """Killed while it copies and behind its fence; all that was answered is there, and every session lives."""
    source, target, third = suite.settings["ICHIDAI_STORE_URL"], dynamodb_engine(tmp_path), sqlite_engine(tmp_path)
    suite.settings |= {name: value for name, value in target.settings.items() if name != "ICHIDAI_STORE_URL"}
    tokens = many_sessions(suite, ACCOUNTS)
    active = [suite.client.register() for _ in range(ACTIVE)]
    begun = time.monotonic()
    with (
        Load(suite.client, tokens, active) as load,
        closing(open_for_maintenance(source, system_clock, patient=True)) as old,
        closing(open_for_maintenance(target.url, system_clock, target.region, patient=True)) as new,
    ):

        def has_arrived() -> bool:
            return sum(len(page) for page in new.pages(SESSIONS)) > ACCOUNTS // 10

        def is_fenced() -> bool:
            found = move_of(old.get(REGISTRY))
            return found is not None and found.phase is Phase.FENCED

        killed_when(begin_move(suite, source, target.url), has_arrived, "some of it is copied")
        assert not is_fenced()
        before = len(load.sessions)
        until(lambda: len(load.sessions) > before + 2, "it is served as always")
        killed_when(begin_move(suite, source, target.url), is_fenced, "the fence is there")
        until(lambda: active[0].try_login().status_code == 503, "every worker heeds it")
        verify_all(suite, tokens[:50])
        told = moved(suite, source, target.url)
        until(lambda: suite.client.verify(tokens[0]).status_code == 503, "nobody serves the source")
        took = time.monotonic() - begun
    assert load.verified.keys() <= {200, 503}, load.verified
    assert load.logged_in.keys() <= {200, 503}, load.logged_in
    assert told["tables"]["SessionsTable"]["count"] == ACCOUNTS + ACTIVE
    serve_on(suite, target)
    verify_all(suite, tokens)
    with closing(open_for_maintenance(target.url, system_clock, target.region, patient=True)) as store:
        for account in active:
            book = Book.from_item(store.get(SESSIONS.key(account.uuid)) or {})
            records = [*book.outbox, *read_records(store, account.uuid, before=None, limit=1000)]
            kept = {event.session_id for record in records for event in record.events}
            assert {session for user, session in load.sessions if user == account.uuid} <= kept
    begun = time.monotonic()
    back = moved(suite, target.url, third.url)
    returned = time.monotonic() - begun
    serve_on(suite, third)
    verify_all(suite, tokens)
    rows = sum(table["count"] for table in told["tables"].values())
    numbers = (
        f"there {took:.0f} s with two kills, nothing changed for {told['fenced_seconds']:.0f} s of the last run; "
        f"back {returned:.0f} s, {back['fenced_seconds']:.0f} s of it; meanwhile {load.verified[200]:,} verifications"
        f" good, {load.verified[503]:,} told to come back, {len(load.sessions):,} logins"
    )
    what = "a store moved from SQLite to DynamoDB Local and back while it is served, with `kill -9`"
    figure("move", what, f"{ACCOUNTS:,} accounts, {rows:,} items", 0, numbers)
    print(f"{ACCOUNTS:,} accounts, {rows:,} items: {numbers}")  # noqa: T201 - for who runs the long size
