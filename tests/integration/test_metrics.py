"""A server's metrics: all workers added up, also those that are gone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.client import Account, unique
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, run_to_its_end, serve_command, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a server has one worker")


class Metrics:
    """The metrics of a suite, as they are now."""

    def __init__(self, suite: Suite) -> None:
        self._url = f"http://127.0.0.1:{suite.settings['ICHIDAI_METRICS_PORT']}/metrics"

    def text(self) -> str:
        """Return the page."""
        answer = requests.get(self._url, timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        return answer.text

    def of(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels."""
        families = text_string_to_metric_families(self.text())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return a server with two workers and metrics."""
    made = combined(tmp_path_factory.mktemp("metrics"), 2, ICHIDAI_METRICS_PORT=str(free_port()))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def anna(suite: Suite) -> Account:
    """Return somebody who logged in, guessed wrong and verified."""
    return suite.client.register()


def test_what_happened_in_two_workers_is_added_up(suite: Suite, anna: Account) -> None:
    """Logins by outcome, verifications wherever they were answered, events, store calls; and no name in any label."""
    metrics, client = Metrics(suite), suite.client
    form = {"username": anna.username, "password": anna.password, "client_cert_fp": anna.phone.fingerprint}
    token = client.post("/login", form).json()["access_token"]
    for _ in range(3):
        assert client.post("/login", form | {"password": "a wrong guess 42"}).status_code == 401
    for _ in range(40):  # each on a connection of its own, so both workers are asked
        assert client.verify(token).status_code == 200
    client.get(f"/{unique('canary')}")
    expected: list[tuple[str, dict[str, str], float]] = [
        ("ichidai_verification_seconds_count", {}, 40),
        ("ichidai_requests_total", {"route": "/session/verify", "status": "200"}, 40),
        ("ichidai_logins_total", {"way": "password", "outcome": "success"}, 1),
        ("ichidai_logins_total", {"way": "password", "outcome": "bad-credentials"}, 3),
        ("ichidai_requests_total", {"route": "/login", "status": "401", "code": "bad-credentials"}, 3),
        ("ichidai_account_events_total", {"kind": "registered"}, 1),
        ("ichidai_workers", {}, 2),
        ("ichidai_ready", {}, 1),
    ]
    for name, labels, value in expected:  # each worker sends its numbers once a second, in its own time
        until(lambda: metrics.of(name, **labels) == value, f"{name} {labels} is {value}")  # noqa: B023 - at once
    until(lambda: metrics.of("ichidai_requests_total", route="-", status="404") >= 1, "the unknown path is counted")
    assert metrics.of("ichidai_verification_seconds_count", where="loop") > 30
    assert metrics.of("ichidai_account_events_total", kind="login") >= 1
    assert metrics.of("ichidai_store_calls_total", verb="put", outcome="ok") > 0
    assert metrics.of("ichidai_clock_offset_seconds") < 1
    assert 0 <= metrics.of("ichidai_key_age_seconds", purpose="access") < 600
    page = metrics.text()
    assert [told for told in ("canary", anna.username, anna.uuid, "127.0.0.1") if told in page] == []


def test_a_worker_that_is_killed_leaves_its_counters(suite: Suite, anna: Account) -> None:
    """They never fall, though both workers die one after the other; and the replacements are counted."""
    metrics = Metrics(suite)
    until(lambda: metrics.of("ichidai_account_events_total", kind="registered") == 1, "her registration was sent")
    parent = psutil.Process(suite.servers[0].process.pid)
    for gone in range(1, 3):
        before = metrics.of("ichidai_account_events_total"), metrics.of("ichidai_requests_total", route="/login")
        victim = parent.children()[0].pid
        os.kill(victim, signal.SIGKILL)
        until(lambda: metrics.of("ichidai_workers_replaced_total") == gone, "it is replaced")  # noqa: B023 - at once
        until(lambda: metrics.of("ichidai_workers") == 2, "there are two again")
        after = metrics.of("ichidai_account_events_total"), metrics.of("ichidai_requests_total", route="/login")
        assert min(now - then for now, then in zip(after, before, strict=True)) >= 0
    until(lambda: suite.client.get("/ready").status_code == 200, "it serves again")


def test_the_port_of_the_metrics_tells_nothing_else(suite: Suite) -> None:
    """No other path, no other method; and the app's own port has no metrics."""
    base = f"http://127.0.0.1:{suite.settings['ICHIDAI_METRICS_PORT']}"
    assert requests.get(f"{base}/", timeout=5).status_code == 404
    assert requests.post(f"{base}/metrics", timeout=5).status_code == 404
    assert suite.client.get("/metrics").status_code == 404


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path, suite: Suite) -> None:
    """In a sentence that names the setting."""
    taken = {name: suite.settings[name] for name in ("ICHIDAI_METRICS_PORT", "ICHIDAI_EVENTS_PORT")}
    settings = {**taken, "ICHIDAI_DATA_DIR": str(tmp_path / "data")}
    code, said = run_to_its_end(serve_command("all", free_port()), settings, tmp_path)
    assert (code, "ICHIDAI_METRICS_PORT" in said) == (2, True)
