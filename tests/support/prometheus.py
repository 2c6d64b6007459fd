"""A real Prometheus with the files of `deploy/prometheus`, on a port of this machine, while a test wants it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.ports import free_port
from tests.support.servers import until

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = "ichidai.rules.yml"


def program(name: str) -> str:
    """Return where `prometheus` or `promtool` is, or skip; `ICHIDAI_TEST_REQUIRE=all` forbids the skip."""
    found = shutil.which(name)
    if found is None and os.environ.get("ICHIDAI_TEST_REQUIRE") == "all":
        pytest.fail(f"{name} is not here, and ICHIDAI_TEST_REQUIRE=all demands it")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus): the tests of the metrics' rules are left out")
    return found


class Prometheus:
    """A running Prometheus that asks `targets` (host:port) once a second; its alerts wait for a second at most."""

    def __init__(self, targets: Sequence[str], folder: Path) -> None:
        self._base = f"http://127.0.0.1:{free_port()}"
        rules = (FOLDER / RULES).read_text(encoding="utf-8")
        (folder / RULES).write_text(re.sub(r"for: \w+", "for: 1s", rules), encoding="utf-8")
        config = (FOLDER / "prometheus.yml").read_text(encoding="utf-8").replace(": 15s", ": 1s")
        told = ", ".join(f'"{target}"' for target in targets)
        (folder / "prometheus.yml").write_text(config.replace('"127.0.0.1:9100"', told), encoding="utf-8")
        command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
        command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={self._base[7:]}"]
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._is_ready, "Prometheus is ready", 60)

    def value(self, query: str) -> float:
        """Return what a query gives, 0 for nothing."""
        found = self._result(query)
        return float(found[0]["value"][1]) if found else 0.0

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire: name and instance."""
        found = self._result('ALERTS{alertstate="firing"}')
        return {(each["metric"]["alertname"], each["metric"].get("instance", "")) for each in found}

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=20)

    def _result(self, query: str) -> list[Any]:
        answer = requests.get(f"{self._base}/api/v1/query", params={"query": query}, timeout=10)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["data"]["result"]
        return found

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self._base}/-/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False
