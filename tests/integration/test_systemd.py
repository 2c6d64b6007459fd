"""The units of `deploy/systemd`, and what the service manager is told."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ichidai.topology import App
from tests.support.ports import free_port
from tests.support.servers import combined

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
MOST_EXPOSED = 2.0
"""systemd's own figure, from 0 (shut in) to 10 (may do anything); a unit without any protection has 9.6."""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such manager")
def test_the_manager_is_told_when_the_server_answers_and_when_it_ends(tmp_path: Path) -> None:
    """READY once it can be asked, STOPPING once it is told to end; and no word between."""
    address = str(tmp_path / "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(address)
        manager.settimeout(20)
        suite = combined(tmp_path / "suite", 1, NOTIFY_SOCKET=address)
        suite.start()
        try:
            assert manager.recv(100) == b"READY=1"
            assert suite.client.get("/health").status_code == 200
            suite.stop()
            assert manager.recv(100) == b"STOPPING=1"
        finally:
            suite.kill()


def test_a_manager_that_is_gone_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor is one that there never was."""
    from ichidai.server.service_manager import READY, notify_manager  # noqa: PLC0415 - beside its settings

    for name in (str(tmp_path / "nobody"), "@nobody-listens-here", ""):
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify_manager(READY)


def analyze() -> str:
    """Return where systemd-analyze is, or skip; `ICHIDAI_TEST_REQUIRE=all` forbids the skip."""
    found = shutil.which("systemd-analyze")
    if found is None and os.environ.get("ICHIDAI_TEST_REQUIRE") == "all":
        pytest.fail("systemd-analyze is not here, and ICHIDAI_TEST_REQUIRE=all demands it")
    if found is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd): the units are not looked at")
    return found


@pytest.mark.parametrize(("unit", "instance"), [("ichidai.service", ""), ("ichidai@.service", "session")])
def test_systemd_finds_the_units_good_and_shut_in(unit: str, instance: str, tmp_path: Path) -> None:
    """By `systemd-analyze`: no word in them is unknown, and little is left that the service may do."""
    text = (UNITS / unit).read_text(encoding="utf-8")
    named = tmp_path / unit.replace("@", f"@{instance}")
    named.write_text(text.replace("/opt/ichidai/bin/ichidai", sys.executable), encoding="utf-8")
    verified = subprocess.run([analyze(), "verify", str(named)], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    looked_at = [analyze(), "security", "--offline=yes", "--no-pager", str(named)]
    told = subprocess.run(looked_at, capture_output=True, text=True, check=False).stdout
    exposed = re.search(r"Overall exposure level for \S+ ([0-9.]+)", told)
    assert exposed is not None
    assert float(exposed[1]) < MOST_EXPOSED


def test_the_units_start_what_there_is() -> None:
    """The part and the options of the command are ours."""
    for unit in UNITS.glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        command = re.search(r"^ExecStart=/opt/ichidai/bin/ichidai (.*)$", text, re.MULTILINE)
        assert command is not None
        part, *options = command[1].replace("serve %i", "serve session").split()[1:]
        assert part in set(App)
        asked = [sys.executable, "-m", "ichidai", "serve", part, *options, "--port", str(free_port()), "--help"]
        assert subprocess.run(asked, capture_output=True, check=False).returncode == 0
        assert "Type=notify" in text
