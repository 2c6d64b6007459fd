"""The same job on DynamoDB: tables by the command that operators use, the whole story, keys of several hosts, the race.

The eleven tests that were asked for by name run on it as well, in their own files.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from common.storage.tables import ALL
from tests.support.client import Client, all_at_once, granted, login_of, refused
from tests.support.engines import ENGINES, Engine, dynamodb_without_tables, local_dynamodb
from tests.support.ports import free_port
from tests.support.processes import rounds
from tests.support.servers import Suite, combined, four_served, run_to_its_end, serve_command
from tests.support.smoke_flow import run_smoke_flow

Start = Callable[[Suite], Suite]


def tables(verb: str, settings: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Run `ichidai tables …`; return its exit code and all that it said."""
    return run_to_its_end([sys.executable, "-m", "ichidai", "tables", verb], settings, folder)


@pytest.fixture
def bare() -> Engine:
    """Return a place in DynamoDB where nobody has made tables yet."""
    return dynamodb_without_tables(local_dynamodb())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the settings of a place in DynamoDB whose tables the command has made, and of the keys that go with it."""
    engine, folder = dynamodb_without_tables(local_dynamodb()), tmp_path_factory.mktemp("operator")
    code, said = tables("create", engine.settings, folder)
    assert code == 0, said
    return engine.settings | {"ICHIDAI_KEYS_DIR": str(folder / "keys")}


# --- Tables ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("D15")
@pytest.mark.regression("X21")
def test_tables_are_checked_made_and_made_again(bare: Engine, tmp_path: Path) -> None:
    """`check` names what is missing; `create` makes it and may be run again; then `check` has nothing to say."""
    names = {bare.url.partition("//")[2].partition("?")[0] + table.name for table in ALL}
    code, said = tables("check", bare.settings, tmp_path)
    assert code == 1
    assert {line for line in said.splitlines() if "is missing: run `ichidai tables create`" in line} == {
        f"{name}: is missing: run `ichidai tables create`" for name in names
    }
    code, said = tables("create", bare.settings, tmp_path)
    assert (code, {line for line in said.splitlines() if line.endswith(": made")}) == (0, {f"{n}: made" for n in names})
    assert tables("check", bare.settings, tmp_path) == (0, "All tables are as they should be.\n")
    code, said = tables("create", bare.settings, tmp_path)
    assert code == 0
    assert sum(line.endswith(": is there") for line in said.splitlines()) == len(ALL)
    assert tables("check", bare.settings, tmp_path)[0] == 0


@pytest.mark.requirement("R25")
def test_a_server_without_its_tables_says_how_to_make_them(bare: Engine, tmp_path: Path) -> None:
    """It does not start, makes no keys, and names the command."""
    code, said = run_to_its_end(serve_command("all", free_port()), bare.settings, tmp_path)
    assert code != 0
    assert "run `ichidai tables create`" in said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("keyring.json"))


WRONG_PLACES = {
    "no region": ({"AWS_REGION": ""}, "AWS_REGION"),
    "nobody there": ({"ICHIDAI_STORE_URL": "dynamodb://?endpoint=http://127.0.0.1:9"}, "Could not connect"),
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "check the AWS credentials"),
}


@pytest.mark.requirement("R25")
@pytest.mark.parametrize(("wrong", "says"), WRONG_PLACES.values(), ids=WRONG_PLACES)
def test_a_place_that_cannot_be_used_is_told(bare: Engine, tmp_path: Path, wrong: Mapping[str, str], says: str) -> None:
    """By both commands and by the server, in a sentence."""
    settings = bare.settings | wrong
    told = [tables("check", settings, tmp_path), tables("create", settings, tmp_path)]
    for code, said in [*told, run_to_its_end(serve_command("all", free_port()), settings, tmp_path)]:
        assert code == 2, said
        assert says in said
        assert "Traceback" not in said


def test_sqlite_makes_its_own_tables(tmp_path: Path) -> None:
    """There the commands have nothing to do, and say so."""
    for verb in ("check", "create"):
        code, said = tables(verb, {"ICHIDAI_DATA_DIR": str(tmp_path / "data")}, tmp_path)
        assert (code, "makes its own" in said) == (0, True)
    assert not (tmp_path / "data").exists()


# --- The story ---------------------------------------------------------------------------------------------------

DEPLOYMENTS = {"combined, two workers": partial(combined, workers=2), "four apps": four_served}


@pytest.mark.requirement("D22", "D29", "D31", "R14", "R36")
@pytest.mark.regression("X69", "X78", "X47")
@pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_the_whole_story(
    made: Mapping[str, str], tmp_path: Path, started: Start, deployment: Callable[..., Suite]
) -> None:
    """It comes out as on SQLite, also for four people at once; killed and started again, everything is there."""
    suite = started(deployment(tmp_path / "suite", **made))
    granted(suite.client.get("/ready"))
    run_smoke_flow(suite.client)
    all_at_once([partial(run_smoke_flow, suite.retrying_client)] * 4)
    account = suite.client.register()
    live = account.login()
    suite.kill()
    suite.start()
    granted(suite.client.verify(live.access))
    refused(account.try_login(account.pair()), 409, "device-active")


# --- Keys of several hosts ---------------------------------------------------------------------------------------


@pytest.mark.regression("X65")
@pytest.mark.parametrize("engine", ENGINES)
class TestSecondHost:
    """Hosts that share a store must share its keys: another one does not start, and says why."""

    @pytest.fixture
    def used(self, engine: str, tmp_path: Path) -> dict[str, str]:
        """Return the settings of a store that a first host uses; its keys lie in `first/data/keys`."""
        settings = ENGINES[engine](tmp_path).settings
        first = combined(tmp_path / "first", **settings)
        first.start()
        first.client.register()
        first.stop()
        return settings

    def refusal(self, folder: Path, settings: Mapping[str, str]) -> str:
        """Start a host that must not start; return what it said."""
        folder.mkdir(exist_ok=True)
        code, said = run_to_its_end(serve_command("all", free_port()), settings, folder)
        assert code == 2
        assert "Traceback" not in said
        return said

    def test_other_keys_are_refused(self, used: Mapping[str, str], tmp_path: Path) -> None:
        """A host that served another store is told so; one with other keys, which file is wrong. It stays as it was."""
        elsewhere = combined(tmp_path / "second")
        elsewhere.start()
        elsewhere.stop()
        ring = elsewhere.data / "keys" / "keyring.json"
        before = ring.read_bytes()
        settings = used | {"ICHIDAI_DATA_DIR": str(elsewhere.data)}
        assert "The store is not the one that this host has served" in self.refusal(tmp_path / "second", settings)
        (ring.parent / "witness.json").unlink()
        said = self.refusal(tmp_path / "second", settings)
        assert f"The keys in {ring} are not those this store was first used with" in said
        assert "copy it from the host that was there first" in said
        assert ring.read_bytes() == before

    def test_keys_are_never_made_where_the_store_knows_some(self, used: Mapping[str, str], tmp_path: Path) -> None:
        """A host without keys is told where they must come from, and makes none."""
        said = self.refusal(tmp_path / "second", used | {"ICHIDAI_DATA_DIR": str(tmp_path / "second" / "data")})
        assert "This store was used with keys that are not here. Copy keyring.json from the other host" in said
        assert not list((tmp_path / "second").rglob("keyring.json*"))

    def test_the_same_keys_make_one_suite_of_two_hosts(
        self, used: dict[str, str], tmp_path: Path, started: Start
    ) -> None:
        """A host with copies of the files takes the other's tokens, and evicts the other's sessions."""
        shutil.copytree(tmp_path / "first" / "data" / "keys", tmp_path / "second" / "data" / "keys")
        one = {"ICHIDAI_ISSUER": "https://one.test", **used}
        first, second = (started(combined(tmp_path / name, **one)) for name in ("first", "second"))
        account = first.client.register()
        session = account.login()
        granted(second.client.verify(session.access))
        laptop = account.pair()
        asked = refused(second.client.post("/login", {**account.credentials, **laptop.proof}), 409, "device-active")
        login_of(account.take_over(asked, laptop))
        assert refused(first.client.verify(session.access), 401, "session-ended")["reason"] == "taken-over"


# --- The race ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=ENGINES)
def two_hosts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[Suite]]:
    """Return a function that starts two servers of two workers each on one store of each engine, with a limit."""
    running: dict[int, list[Suite]] = {}

    def with_limit(limit: int) -> list[Suite]:
        if limit not in running:
            folder = tmp_path_factory.mktemp("hosts")
            shared = {"ICHIDAI_ISSUER": "https://one.test", "ICHIDAI_KEYS_DIR": str(folder / "keys")}
            settings = ENGINES[request.param](folder).settings | shared | {"MAX_CONCURRENT_DEVICES": str(limit)}
            running[limit] = [combined(folder / name, 2, **settings) for name in ("first", "second")]
            for suite in running[limit]:
                request.addfinalizer(suite.kill)
                suite.start()
        return running[limit]

    return with_limit


@pytest.mark.requirement("B01", "B02", "D40", "D47")
@pytest.mark.regression("X05", "X09", "Y07")
@pytest.mark.parametrize("limit", [1, 3])
def test_of_eight_devices_at_once_as_many_as_the_limit_get_in(
    two_hosts: Callable[[int], list[Suite]], limit: int
) -> None:
    """Two servers of two workers each; the others are asked and shown who is in, and nobody gets an error."""
    clients = [suite.client for suite in two_hosts(limit)]
    for _ in range(rounds(2)):
        race(clients, limit)


def race(clients: Sequence[Client], limit: int) -> None:
    """Let eight devices of a new account log in at the same moment, by turns here and there, and check who is in."""
    account = clients[0].register()
    devices = [account.phone, *(account.pair(f"Device {number}") for number in range(7))]
    forms = [{**account.credentials, **device.proof} for device in devices]
    calls = [partial(clients[number % 2].post, "/login", form) for number, form in enumerate(forms)]
    replies = all_at_once(calls)
    if {reply.status_code for reply in replies} == {503}:  # the machine was busy: the store answered nobody in time
        replies = all_at_once(calls)
    assert Counter(reply.status_code for reply in replies) == {200: limit, 409: 8 - limit}
    inside = [login_of(reply) for reply in replies if reply.status_code == 200]
    ids = {login.session_id for login in inside}
    for client in clients:
        for login in inside:
            assert granted(client.verify(login.access))["device_id"] == login.device_id
        listed = granted(client.get("/session/list", token=inside[0].access))["sessions"]
        assert {session["session_id"] for session in listed} == ids
    for reply in replies:
        if reply.status_code == 409:
            assert len(refused(reply, 409, "device-active")["active"]) == limit
