"""Each app started by its own module, in every way and from every kind of folder; and what is told when it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.ports import free_port
from tests.support.servers import DOMAINS, ENTRANCES, ROOT, environment, run_to_its_end, serve_command

FLASK = Path(sys.executable).parent / "flask"

OWN_ROUTE = {
    "registration": "/registration/",
    "login": "/login/takeover",
    "session": "/session/refresh",
    "device": "/device/unbind",
}


def path_of(domain: str) -> Path:
    """Return the file of an entrance."""
    return ROOT.joinpath(*ENTRANCES[domain].split(".")).with_suffix(".py")


def by_module(domain: str, folder: Path) -> list[str]:
    """Start it as `python -m` does."""
    return [sys.executable, "-m", ENTRANCES[domain]]


def by_path(domain: str, folder: Path) -> list[str]:
    """Start it as a script: by the shortest path from where one is."""
    return [sys.executable, os.path.relpath(path_of(domain), folder)]


def by_flask(domain: str, folder: Path) -> list[str]:
    """Let Flask's own command find the app in it."""
    return [str(FLASK), "--app", os.path.relpath(path_of(domain), folder), "run"]


WAYS = {way.__name__: way for way in (by_module, by_path, by_flask)}


def folder_of(kind: str, domain: str, folder: Path) -> Path:
    """Return the folder to start in: the repository's root, the entrance's own, or a package of somebody else's."""
    if kind == "root":
        return ROOT
    if kind == "own":
        return path_of(domain).parent
    (folder / "__init__.py").touch()
    return folder


@contextmanager
def started(command: list[str], folder: Path, data: Path, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Start something that serves, with nothing on its path that is not installed; end it."""
    own = {"ICHIDAI_DATA_DIR": str(data), "ICHIDAI_EVENTS_PORT": "off", "PYTHONPATH": "", **settings}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment(own), **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.terminate()


def said_where(process: subprocess.Popen[str]) -> str:
    """Return the address at which a server says that it answers."""
    said = ""
    for line in process.stdout or ():
        said += line
        if found := re.search(r"(?:answers on|Running on) (http://\S+)", line):
            return found[1]
    raise AssertionError(said)


@pytest.mark.requirement("D22", "D25", "D26", "D27", "R33")
@pytest.mark.parametrize("kind", ["root", "own", "package"])
@pytest.mark.parametrize("way", WAYS)
def test_every_app_starts_from_anywhere(way: str, kind: str, tmp_path: Path) -> None:
    """It answers, itself and at once, as soon as it says so: nothing is looked for in the folder one is in."""
    for domain in DOMAINS:
        folder, port = folder_of(kind, domain, tmp_path), free_port()
        command = [*WAYS[way](domain, folder), "--port", str(port)]
        with started(command, folder, tmp_path / "data") as process:
            base = said_where(process)
            assert base == f"http://127.0.0.1:{port}"
            assert requests.post(base + OWN_ROUTE[domain], json={}, timeout=10).status_code in (400, 401)
            other = next(each for each in DOMAINS if each != domain)
            assert requests.post(base + OWN_ROUTE[other], json={}, timeout=10).status_code == 404


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])  # noqa: S104 - for a moment, on a free port
def test_a_server_says_that_it_answers_once_it_does(host: str, tmp_path: Path) -> None:
    """Also through a pipe, with several workers, in a package's folder."""
    (tmp_path / "__init__.py").touch()
    port = free_port()
    with started([*serve_command("all", port, 2), "--host", host], tmp_path, tmp_path / "data") as process:
        base = said_where(process).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        assert requests.get(f"{base}/health", timeout=10).ok


@pytest.mark.parametrize(
    ("settings", "warned"),
    [({}, True), ({"ICHIDAI_PUBLIC_URL": "https://accounts.test"}, False)],
    ids=["no public URL", "a public URL"],
)
def test_what_leads_others_astray_is_told_at_the_start(
    settings: dict[str, str], *, warned: bool, tmp_path: Path
) -> None:
    """Listening for other machines while handing out this one's own name; with the setting that mends it."""
    command = [*serve_command("all", free_port()), "--host", "0.0.0.0"]  # noqa: S104
    with started(command, tmp_path, tmp_path / "data", **settings) as process:
        output: list[str] = []
        for line in process.stdout or ():
            output.append(line)
            if "answers on" in line:
                break
    assert any("ICHIDAI_PUBLIC_URL" in line for line in output) == warned, output


@pytest.mark.parametrize(
    ("more", "settings", "told"),
    [
        (["--port", "70000"], {}, "70000 is not in the range 1<=x<=65535"),
        (["--port", "21000", "--events-port", "21000"], {}, "cannot both listen on port 21000"),
        (["--port", "21000"], {"ICHIDAI_EVENTS_PORT": "21000"}, "cannot both listen on port 21000"),
        (["--host", "192.0.2.1"], {}, "'192.0.2.1' is no address of this machine"),
        (["--host", "nobody.invalid"], {}, "'nobody.invalid' is no address of this machine"),
        ([], {"ICHIDAI_DATA_DIR": __file__}, f"{Path(__file__)} is a file"),
        ([], {"ICHIDAI_KEYS_DIR": f"{__file__}/keys"}, f"{Path(__file__)} is a file"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    more: list[str], settings: dict[str, str], told: str, tmp_path: Path
) -> None:
    """And nothing is made or started."""
    own = {"ICHIDAI_DATA_DIR": str(tmp_path / "data"), **settings}
    command = [*serve_command("all", free_port()), *more]
    code, said = run_to_its_end(command, own, tmp_path)
    assert code == 2
    assert told in said
    assert "Traceback" not in said
    assert "answers" not in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "command",
    [["-m", "ichidai", "serve"], ["-m", "login_app.app_login"], ["registration/app_registration.py"]],
    ids=["ichidai", "module", "script"],
)
def test_a_clone_in_which_nothing_is_installed_says_so(command: list[str]) -> None:
    """Which library is not there, for which Python, and what to do."""
    code, said = run_to_its_end([sys.executable, "-S", *command], {"PYTHONPATH": ""}, ROOT)
    assert code == 1
    assert re.search(r"has no module named '\w+'\. .*`python3 dev\.py` makes \.venv", said)
    assert "Traceback" not in said
