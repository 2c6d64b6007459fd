"""Keys sealed by AWS KMS, on real hosts over both engines: KMS unavailable at the start, in the middle, and back.

moto's server, a process of its own, is the KMS; the endpoint before it loses requests while KMS is unavailable.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import requests
from typing_extensions import override

from common.keys.sealed_files import PLACE
from tests.support.client import Client, granted, login_of, refused
from tests.support.engines import ENGINES
from tests.support.faulty_endpoint import FaultyEndpoint, lose_request
from tests.support.hosts import Hosts, keys, kid_of, patient, run_command
from tests.support.moto_server import CREDENTIALS, REGION, moto_server
from tests.support.ports import free_port
from tests.support.servers import Suite, run_to_its_end, serve_command, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a worker cannot be killed alone")

METRICS, STREAMS = "ICHIDAI_METRICS_PORT", "ICHIDAI_EVENTS_PORT"
LAST = "second"
LONG = 180.0
"""Seconds after which a step has failed, on a machine that does much else."""
UNAVAILABLE = "AWS KMS does not open the keys of this store"


@dataclass(frozen=True)
class Kms:
    """A key of an imitated KMS, reached through an endpoint that can lose every request."""

    endpoint: FaultyEndpoint
    arn: str

    @property
    def settings(self) -> dict[str, str]:
        """What a host must be told."""
        where = {"AWS_ENDPOINT_URL_KMS": self.endpoint.url, "ICHIDAI_SEALING_KEY": f"kms:{self.arn}"}
        return {**CREDENTIALS, "AWS_REGION": REGION, **where}

    def go_away(self) -> None:
        """Answer no request from now on."""
        self.endpoint.expect(then=lose_request)

    def come_back(self) -> None:
        """Answer again."""
        self.endpoint.expect()


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[Kms]:
    """Return a KMS with one key."""
    with moto_server(tmp_path) as url:
        aws: Any = boto3.session.Session("testing", "testing", region_name=REGION)
        arn = aws.client("kms", endpoint_url=url).create_key()["KeyMetadata"]["Arn"]
        endpoint = FaultyEndpoint(url)
        yield Kms(endpoint, arn)
        endpoint.stop()


class MeasuredHosts(Hosts):
    """Hosts of which the last shows its metrics and serves event streams; it is the one whose processes are killed."""

    @override
    def own_settings(self, part: str) -> dict[str, str]:
        """See `Suite`: the ports of the last one."""
        own = super().own_settings(part)
        if part != LAST:
            return own
        for name in (METRICS, STREAMS):
            own[name] = str(self._ports.setdefault(f"{name} {part}", free_port()))
        return own

    def key_opens(self) -> float | None:
        """Return whether the key-encrypting key opens the keys, as the metrics have it; None: they do not say yet."""
        page = requests.get(f"http://127.0.0.1:{self._ports[f'{METRICS} {LAST}']}/metrics", timeout=60).text
        found = re.search(r"^ichidai_sealing_key_opens (\S+)$", page, re.MULTILINE)
        return None if found is None else float(found[1])

    def kill_worker(self) -> None:
        """Kill the one worker, and wait until another has taken its place."""
        self._kill(is_streams=False)

    def kill_streams(self) -> None:
        """Kill the process of the event streams, and wait until another serves them."""
        self._kill(is_streams=True)

    def _kill(self, *, is_streams: bool) -> None:
        parent, port = psutil.Process(self.servers[-1].process.pid), self._ports[f"{STREAMS} {LAST}"]

        def there() -> list[int]:
            return [each.pid for each in parent.children() if is_ours(each) and (port in listening(each)) is is_streams]

        before: list[int] = []

        def is_one() -> bool:
            before[:] = there()
            return len(before) == 1

        until(is_one, "there is one such process")
        os.kill(before[0], signal.SIGKILL)
        until(lambda: there() not in ([], before), "another has taken its place")


def is_ours(child: psutil.Process) -> bool:
    """Say whether a child of a server is a worker or serves streams; multiprocessing has one of its own."""
    with suppress(psutil.Error):
        return "resource_tracker" not in " ".join(child.cmdline())
    return False


def listening(child: psutil.Process) -> set[int]:
    """Return the ports that a process listens on; none if it has ended."""
    with suppress(psutil.Error):
        return {each.laddr.port for each in child.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    return set()


def does_not_start(hosts: Suite) -> str:
    """Start one more host, which must end by itself with a sentence; return what it said."""
    settings = hosts.settings | hosts.own_settings("one more")
    code, said = run_to_its_end(serve_command("all", free_port()), settings, hosts.folder)
    assert (code, "Traceback" in said) == (2, False), said
    return said


@pytest.mark.parametrize("engine", ENGINES)
def test_the_doctor_asks_kms_before_anything_is_sealed(tmp_path: Path, kms: Kms, engine: str) -> None:
    """A host that was never started, on empty tables: the key that its first start will need is tried."""
    store = ENGINES[engine](tmp_path)
    real = {"ICHIDAI_TEST_CHEAP_HASH": ""}  # of what is for tests the doctor tells too
    hosts = Hosts(tmp_path / "hosts", {**kms.settings, **store.settings, **real}, 1)
    kms.go_away()
    code, said = run_command(hosts, "doctor")
    assert (code, said.count(UNAVAILABLE), "Traceback" in said) == (1, 1, False), said
    kms.come_back()
    code, said = run_command(hosts, "doctor")
    assert (code, UNAVAILABLE in said) == (0, False), said
    with closing(store.open()) as opened:
        assert opened.get(PLACE) is None, "nothing was made"


@pytest.mark.parametrize("engine", ENGINES)
def test_kms_unavailable_at_the_start_in_the_middle_and_back(
    tmp_path: Path, started: Callable[[Suite], Suite], kms: Kms, engine: str
) -> None:
    """Without KMS no host starts; those that run go on with what is in memory, replaced processes too, and tell it."""
    store = ENGINES[engine](tmp_path)
    hosts = MeasuredHosts(tmp_path / "hosts", kms.settings | store.settings, 2)

    kms.go_away()
    assert UNAVAILABLE in does_not_start(hosts)
    with closing(store.open()) as opened:
        assert opened.get(PLACE) is None, "nothing was made"

    kms.come_back()
    started(hosts)
    first, last = clients = [patient(server, LONG) for server in hosts.servers]
    assert len({str(client.get("/.well-known/jwks.json").json()["keys"]) for client in clients}) == 1
    account = first.register()
    credentials = account.credentials | account.phone.proof
    session = account.login()
    granted(last.verify(session.access))
    until(lambda: hosts.key_opens() == 1, "the key-encrypting key opens the keys")

    kms.go_away()
    hosts.kill_streams()
    hosts.kill_worker()  # its successor has what the parent unwrapped, and asks KMS at once
    until(lambda: hosts.key_opens() == 0, "what the alert goes by")
    for client in clients:
        assert client.get("/ready").status_code == 200
        granted(client.verify(session.access))
        session = login_of(client.refresh(session.refresh))
        session = login_of(client.post("/login", credentials))
    assert UNAVAILABLE in does_not_start(hosts)
    code, said = run_command(hosts, "keys", "rotate")
    assert (code, UNAVAILABLE in said, "Traceback" in said) == (2, True, False), said
    code, said = run_command(hosts, "doctor")
    assert (code, UNAVAILABLE in said) == (1, True), said
    code, said = run_command(hosts, "accounts", "end-sessions", account.username, "--reason", "lost", "--yes")
    assert (code, "ended: 1" in said) == (0, True), said
    refused(first.verify(session.access), 401, "session-ended")
    assert "event streams ended" in hosts.output
    assert "a server that started now would have no keys" in hosts.output

    kms.come_back()
    hosts.kill_worker()
    until(lambda: hosts.key_opens() == 1, "the key-encrypting key opens the keys again")
    new = re.findall(r"^(\S+) is published", keys(hosts, "rotate", "--after", "5"), re.MULTILINE)

    def signs_with_it(client: Client) -> bool:
        return [kid_of(login_of(client.post("/login", credentials)).access)] == new

    for client in clients:
        until(lambda: signs_with_it(client), "each host signs with the new key", LONG)  # noqa: B023 - at once
    hosts.restart(LAST)
    granted(last.verify(account.login().access))
    assert "Traceback" not in hosts.output
    assert not list(hosts.folder.rglob("keyring*"))
