"""`ichidai migrate` beside release 0.1.0 itself: its own code serves, stops serving, and does not start again.

`ichidai-0.1.0.zip` is the server's code of commit 3c6ba74, packed by `make.py`; it runs with the dependencies of today.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from common.storage.tables import KEY_RING, SESSIONS
from tests.releases.test_releases import migrated
from tests.support.client import Account, Client, Login, granted
from tests.support.engines import dynamodb_without_tables, local_dynamodb
from tests.support.faulty_endpoint import Answer, FaultyEndpoint, Forward
from tests.support.hosts import patient, run_command
from tests.support.servers import ServerDied, Suite, serve_command, until

HERE = Path(__file__).parent
ISSUER = "https://accounts.example.test"
OTHER_KEYS = "are not those this store was first used with"
"""What 0.1.0 says of a key ring's digest that it does not know."""
NO_MORE_SECONDS = 60.0
"""How long a 0.1.0 is given to stop serving: it trusts what it read of the keys for four."""
Users = Mapping[str, tuple[Account, Login]]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the code of 0.1.0."""
    folder = tmp_path_factory.mktemp("0.1.0")
    with zipfile.ZipFile(HERE / "ichidai-0.1.0.zip") as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture
def suites(code: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Suite, Suite]]]:
    """Return what makes a server of 0.1.0 and one of today on the same data; none is started yet."""
    made: list[Suite] = []

    def make(**store: str) -> tuple[Suite, Suite]:
        settings = {"ICHIDAI_ISSUER": ISSUER, "ICHIDAI_PUBLIC_URL": ISSUER, "ICHIDAI_EVENTS_PORT": "off", **store}
        settings["ICHIDAI_DATA_DIR"] = str(tmp_path / "data")
        for name, path in (("old", {"PYTHONPATH": str(code)}), ("new", {})):
            made.append(Suite({"all": partial(serve_command, "all")}, settings | path, tmp_path / name))
        old, new = made
        return old, new

    yield make
    for suite in made:
        suite.kill()


def started(suite: Suite) -> Client:
    """Start a server; return a client that asks again where it cannot reach its store for now."""
    suite.start()
    return patient(suite.servers[0])


def logged_in(client: Client, *names: str) -> Users:
    """Register and log in users."""
    accounts = {name: client.register(name) for name in names}
    return {name: (account, account.login()) for name, account in accounts.items()}


def verified(client: Client, users: Users) -> set[int]:
    """Return the statuses by which the sessions are verified."""
    return {client.verify(login.access).status_code for _, login in users.values()}


def does_not_start(suite: Suite) -> None:
    """A server of 0.1.0 ends by itself, with a sentence."""
    with pytest.raises(ServerDied, match=OTHER_KEYS):
        suite.start()
    assert suite.servers[0].process.returncode == 2


def go_on(client: Client, users: Users) -> None:
    """Sessions, refresh tokens and passwords of before are good."""
    for account, login in users.values():
        assert granted(client.verify(login.access))["user_uuid"] == account.uuid
        granted(client.refresh(login.refresh))
        granted(client.verify(replace(account, client=client).login().access))


def test_on_sqlite_the_server_must_be_stopped(suites: Callable[..., tuple[Suite, Suite]]) -> None:
    """While 0.1.0 has the file open nothing is changed and it serves; afterwards it cannot start, and today's can."""
    old, new = suites()
    users = logged_in(started(old), "anna")
    before = old.rows()
    assert "schema" not in json.loads(before["KeyRingTable", "ring", ""]), "it is no 0.1.0 that runs"
    status, said = migrated(new.settings)
    assert (status, "The store is open in another process: stop all servers" in said) == (2, True), said
    assert old.rows() == before
    assert verified(old.client, users) == {200}
    old.stop()
    status, said = migrated(new.settings)
    assert status == 0, said
    does_not_start(old)
    go_on(started(new), users)


class CutShort:
    """What becomes of the requests of a process: its first write arrives, and nothing after it."""

    def __init__(self, endpoint: FaultyEndpoint) -> None:
        self._endpoint = endpoint
        self._has_written = False

    def __call__(self, forward: Forward) -> Answer | None:
        """Forward a request, or break its connection."""
        if self._has_written:
            return None
        self._has_written = "Item" in self._endpoint.bodies[-1]
        return forward()


@pytest.fixture
def endpoint() -> Iterator[FaultyEndpoint]:
    """Return what lies between a process and DynamoDB Local."""
    made = FaultyEndpoint(local_dynamodb().endpoint)
    yield made
    made.stop()


def test_on_dynamodb_a_server_that_still_runs_stops_serving(
    suites: Callable[..., tuple[Suite, Suite]], endpoint: FaultyEndpoint
) -> None:
    """By the first write of the migration, before any book is changed; 200 never comes back, and it cannot start."""
    plain = dynamodb_without_tables(local_dynamodb())
    engine = replace(plain, url=f"{plain.url}&answer=4")  # as `dynamodb_engine`; 0.1.0 does not know it
    old, new = suites(**plain.settings)
    new.settings |= engine.settings
    status, said = run_command(old, "tables", "create")
    assert status == 0, said
    client = started(old)
    users = logged_in(client, "anna", "ben")
    with closing(engine.open()) as store:
        ring = store.get(KEY_RING.key("ring"))
        assert ring is not None
        assert "schema" not in ring, "it is no 0.1.0 that runs"
        status, said = migrated(new.settings)
        assert (status, "--servers-stopped" in said) == (2, True), said
        assert store.get(KEY_RING.key("ring")) == ring
    assert verified(client, users) == {200}

    endpoint.expect(then=CutShort(endpoint))
    through = engine.url.replace(local_dynamodb().endpoint, endpoint.url)
    status, said = migrated(new.settings | {"ICHIDAI_STORE_URL": through}, "--servers-stopped")
    assert status == 2, said
    seen: set[int] = set()

    def serves_no_more() -> bool:
        answers = verified(client, users)
        seen.update(answers)
        return answers == {500}

    until(serves_no_more, "0.1.0 serves no session", NO_MORE_SECONDS)
    assert 401 not in seen, "clients would throw their sessions away"
    with closing(engine.open()) as store:
        books = [store.get(SESSIONS.key(account.uuid)) for account, _ in users.values()]
    assert [book for book in books if book is None or "admissions" in book] == [], "only the key ring was changed"

    status, said = migrated(new.settings, "--servers-stopped")
    assert status == 0, said
    assert min(verified(client, users)) >= 500
    assert min(account.try_login().status_code for account, _ in users.values()) >= 500
    old.stop()
    does_not_start(old)
    status, said = run_command(new, "tables", "create")
    assert status == 0, said
    go_on(started(new), users)
