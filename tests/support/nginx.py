"""A real nginx with a file of `deploy/nginx`, on a port of this machine, for as long as a test wants it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.servers import until

ROOT = Path(__file__).parents[2]


def nginx_program() -> str:
    """Return where nginx is, or skip; `ICHIDAI_TEST_REQUIRE=all` forbids the skip."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None and os.environ.get("ICHIDAI_TEST_REQUIRE") == "all":
        pytest.fail("nginx is not here, and ICHIDAI_TEST_REQUIRE=all demands it")
    if found is None:
        pytest.skip("nginx is not installed: the tests behind it are left out")
    return found


class Nginx:
    """A running nginx. `told` are the words of the file in capitals, and what stands in their place.

    `port`: where it listens, for a suite that must know its address first.
    """

    def __init__(self, file: str, told: Mapping[str, str], folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self._log = folder / "nginx-error.log"
        text = (ROOT / "deploy" / "nginx" / file).read_text(encoding="utf-8")
        for word, value in {"LISTEN": f"127.0.0.1:{self.port}", **told}.items():
            for end in (" ", ";", "/"):
                text = text.replace(f" {word}{end}", f" {value}{end}")
        temporary = "".join(f"    {name}_temp_path {folder}/{name};\n" for name in _TEMPORARY)
        head = f"daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {self._log};\nevents {{}}\n"
        config = folder / "nginx.conf"
        config.write_text(f"{head}http {{\n    access_log off;\n{temporary}{text}}}\n", encoding="utf-8")
        command = [nginx_program(), "-p", str(folder), "-c", str(config), "-e", str(self._log)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        until(self._answers_or_died, "nginx listens")
        if self.process.poll() is not None:
            raise RuntimeError(self._log.read_text(encoding="utf-8"))

    def close(self) -> None:
        """Close it."""
        self.process.terminate()
        self.process.wait(timeout=10)

    def _answers_or_died(self) -> bool:
        if self.process.poll() is not None:
            return True
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
