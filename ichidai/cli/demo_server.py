"""A server of the demo's own: on a free port, with settings and data of its own, which go when it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import requests

_HOST = "127.0.0.1"
_TIMEOUT_SECONDS = 60.0
_TRIES = 3
_OURS = ("ICHIDAI_", "MAX_CONCURRENT_DEVICES", "PORT", "SNS_TOPIC_ARN", "S3_BUCKET", "AWS_REGION")


class NoServer(Exception):
    """The server does not answer; the text is what it said."""


@contextmanager
def own_server(mail: str) -> Iterator[str]:
    """Start a server, give its address once it answers, and leave neither server nor data behind. Raises NoServer.

    `mail`: what sends its mails, as the setting `ICHIDAI_MAIL` has it.
    """
    with TemporaryDirectory(prefix="ichidai-demo-", ignore_cleanup_errors=True) as folder:
        process, base = _start_somewhere(Path(folder), mail)
        try:
            yield base
        finally:
            _end(process)


def _start_somewhere(folder: Path, mail: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server on a free port; where another program was quicker, on another one."""
    for tries_left in reversed(range(_TRIES)):
        port = _free_port()
        try:
            return _start(folder, port, mail), f"http://{_HOST}:{port}"
        except NoServer as error:
            if not tries_left or "in use" not in str(error):
                raise
    raise AssertionError("the last try returns or raises")


def _start(folder: Path, port: int, mail: str) -> subprocess.Popen[bytes]:
    issuer = f"http://{uuid4().hex}.test"
    command = [sys.executable, "-P", "-m", "ichidai", "serve", "all", "--host", _HOST, "--port", str(port)]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            command, env=_environment(folder, issuer, mail), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait(process, f"http://{_HOST}:{port}", issuer)
    except BaseException as error:
        _end(process)
        if isinstance(error, NoServer):
            raise NoServer(f"{error}\n{log.read_text(errors='replace').strip()}") from None
        raise
    return process


def _environment(folder: Path, issuer: str, mail: str) -> dict[str, str]:
    """Return this environment without any setting of the suite, and with the demo's own."""
    root = str(Path(__file__).parents[2])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    path = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))
    own = {"ICHIDAI_DATA_DIR": str(folder / "data"), "ICHIDAI_ISSUER": issuer, "ICHIDAI_MAIL": mail}
    return kept | {"PYTHONPATH": path, "ICHIDAI_EVENTS_PORT": "off"} | own


def _wait(process: subprocess.Popen[bytes], base: str, issuer: str) -> None:
    """Wait until the server answers, and until it is this one and no other program on its port. Raises NoServer."""
    end = time.monotonic() + _TIMEOUT_SECONDS
    while not _answers(base, issuer):
        if process.poll() is not None:
            raise NoServer("The server ended before it answered:")
        if time.monotonic() > end:
            raise NoServer(f"The server did not answer within {_TIMEOUT_SECONDS:.0f} seconds:")
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)


def _answers(base: str, issuer: str) -> bool:
    with requests.Session() as http:
        http.trust_env = False  # a proxy has no business with this machine's own address
        try:
            ready = http.get(f"{base}/ready", timeout=5).ok
            return ready and bool(http.get(f"{base}/.well-known/ichidai.json", timeout=5).json()["issuer"] == issuer)
        except (requests.RequestException, KeyError):
            return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers by its id, and wait until it has ended."""
    if os.name == "nt":
        tree = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(tree, check=False, capture_output=True)  # noqa: S603 - the command is ours
    else:
        process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    return port
