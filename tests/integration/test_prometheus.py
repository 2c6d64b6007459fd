"""A real Prometheus asks two workers under load; its alerts fire on what is wrong and are silent otherwise."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from common.metrics import Metric
from ichidai.server import metrics_endpoint
from tests.support.client import Client, login_of
from tests.support.ports import free_port
from tests.support.prometheus import FOLDER, RULES, Prometheus, program
from tests.support.servers import Suite, combined, until

ROOT = Path(__file__).parents[2]


def test_each_alert_fires_and_none_does_while_all_is_well() -> None:
    """By promtool, for the rules as they are handed out; an alert without a test is one too many."""
    done = subprocess.run(
        [program("promtool"), "test", "rules", "ichidai.rules.test.yml"], cwd=FOLDER, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    rules, tests = ((FOLDER / name).read_text(encoding="utf-8") for name in (RULES, "ichidai.rules.test.yml"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert re.findall(r"- name: (\w+) fires\n", tests) == alerts


@pytest.mark.parametrize("file", ["prometheus/ichidai.rules.yml", "grafana/ichidai.json"])
def test_rules_and_dashboard_name_metrics_that_are_there(file: str) -> None:
    """With the labels that they have."""
    assert metrics_endpoint.DECLARING
    text = (ROOT / "deploy" / file).read_text(encoding="utf-8")
    if file.endswith(".json"):
        panels = json.loads(text)["panels"]
        text = "\n".join(target["expr"] for panel in panels for target in panel.get("targets", ()))
    told = set(re.findall(r"\b(ichidai_\w+)(?:{([^}]*)})?", text))
    assert len(told) > 10
    for name, filters in told:
        metric = Metric.all.get(name) or Metric.all[re.sub(r"_(bucket|count|sum)$", "", name)]
        for label, values in re.findall(r'(\w+)!?=~?"([^"]*)"', filters):
            allowed = metric.labels.get(label)
            assert label == "instance" or allowed is not None, (name, label)
            assert not allowed or set(values.split("|")) <= allowed | {""}, (name, label, values)


def test_the_dashboard_shows_every_metric() -> None:
    """What is counted can be seen."""
    text = (ROOT / "deploy" / "grafana" / "ichidai.json").read_text(encoding="utf-8")
    assert [name for name in Metric.all if name.startswith("ichidai_") and name not in text] == []


@pytest.fixture
def well(tmp_path: Path) -> Iterator[Suite]:
    """Return two workers that hash passwords at their true cost."""
    settings = {"ICHIDAI_TEST_CHEAP_HASH": "false", "ICHIDAI_METRICS_PORT": str(free_port())}
    made = combined(tmp_path / "well", 2, **settings)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def wrong(tmp_path: Path) -> Iterator[Suite]:
    """Return a server whose host's clock is half a minute ahead."""
    settings = {"ICHIDAI_TEST_CLOCK_OFFSET_SECONDS": "30", "ICHIDAI_METRICS_PORT": str(free_port())}
    made = combined(tmp_path / "wrong", 1, **settings)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def prometheus(tmp_path: Path, well: Suite, wrong: Suite) -> Iterator[Prometheus]:
    """Return what asks both."""
    running = Prometheus([address(well), address(wrong)], tmp_path)
    yield running
    running.stop()


def address(suite: Suite) -> str:
    """Return where a suite's metrics are."""
    return f"127.0.0.1:{suite.settings['ICHIDAI_METRICS_PORT']}"


def flood(client: Client, token: str, seconds: float) -> None:
    """Log nobody in on twenty connections, while somebody verifies."""
    end = time.monotonic() + seconds
    guess = {"username": "nobody", "password": "correct horse 42", "client_cert_fp": "0" * 64}

    def hammer(number: int) -> None:
        while time.monotonic() < end:
            if number == 0:
                client.get("/session/list", token=token)  # by a thread, so that the pool knows of others
            else:
                client.post("/login", guess)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(hammer, range(20)))


@pytest.mark.skipif(sys.platform == "win32", reason="there a server has one worker")
def test_a_real_prometheus_sees_what_is_wrong(well: Suite, wrong: Suite, prometheus: Prometheus) -> None:
    """A clock that is off, logins that are shed, a store that is stopped: each alert of its own, where it belongs."""
    here, there = address(well), address(wrong)
    client = well.client
    anna = client.register()
    token = login_of(client.post("/login", anna.credentials | anna.phone.proof)).access
    for _ in range(100):
        assert client.verify(token).status_code == 200
    counted = f'sum(ichidai_verification_seconds_count{{instance="{here}"}})'
    until(lambda: prometheus.value(counted) == 100, "the verifications are seen", 15)
    assert prometheus.value(f'ichidai_workers{{instance="{here}"}}') == 2
    until(lambda: prometheus.firing() == {("IchidaiClockOff", there)}, "the clock that is off is told", 15)

    flood(client, token, 5)
    until(lambda: ("IchidaiLoginsShed", here) in prometheus.firing(), "shed logins are told", 15)

    with closing(sqlite3.connect(well.data / "ichidai.sqlite", isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        until(lambda: client.post("/login", anna.credentials | anna.phone.proof).status_code == 503, "it is away")
        told = {("IchidaiClockOff", there), ("IchidaiLoginsShed", here), ("IchidaiStoreUnavailable", here)}

        def is_told() -> bool:
            client.post("/login", anna.credentials | anna.phone.proof)
            return prometheus.firing() >= told

        until(is_told, "the stopped store is told", 90)
        lock.execute("ROLLBACK")
    assert {instance for name, instance in prometheus.firing() if name != "IchidaiClockOff"} == {here}
