"""Hostile connections (F26): while they do what they can, others are served; afterwards everything is given back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.proof.figures import figure, rounds
from tests.proof.hostile import HALF_SENT, IDLE, WAVES
from tests.raw_http import RawAnswer, connected, head, post
from tests.support.servers import GENEROUS, ROOT, Suite, combined, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the hostile clients use many loopback addresses")

SETTINGS = {
    "ICHIDAI_HEAD_SECONDS": "2",
    "ICHIDAI_BODY_SECONDS": "2",
    "ICHIDAI_TEST_CHEAP_HASH": "true",
    "MAX_CONCURRENT_DEVICES": "0",
}
SECONDS = 2.0
LONGEST_SECONDS = 5.0
"""How long an honest request may take at most, on cores that the hostile share with it."""

MEMORY = 120 * 1024 * 1024
"""How many bytes more the workers may hold afterwards."""


@dataclass
class Honest:
    """Somebody who verifies and logs in over new connections, while others do harm."""

    suite: Suite
    name: str = "anna"
    _token: str = ""
    _login: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Register and log in."""
        body = {"username": self.name, "email": f"{self.name}@example.test", "password": "correct horse 42"}
        made = self.suite.client.post("/registration/", body).json()
        self._login = {**body, "client_cert_fp": made["client_cert_fp"]}
        self._token = self.suite.client.post("/login", self._login).json()["access_token"]

    def serve_yourself(self, seconds: float) -> tuple[list[float], int]:
        """Verify all the time, and log in now and then; return the seconds of each verification, and the failures."""
        end, took, failed = time.monotonic() + seconds, [], 0
        while time.monotonic() < end:
            took.append(self.verify())
            if len(took) % 20 == 1:
                failed += not self.log_in()
        return took, failed + sum(each > LONGEST_SECONDS for each in took)

    def verify(self) -> float:
        """Return how long a good answer took; a long time when none came."""
        begun = time.monotonic()
        answer = self._ask(head("GET", "/session/verify", f"Authorization: Bearer {self._token}", "Connection: close"))
        return time.monotonic() - begun if answer is not None else LONGEST_SECONDS * 2

    def log_in(self) -> bool:
        """Log in anew; say whether that was answered in time."""
        answer = self._ask(post("/login", json.dumps(self._login).encode(), "Connection: close"))
        if answer is not None:
            self._token = json.loads(answer.body)["access_token"]
        return answer is not None

    def _ask(self, sent: bytes) -> RawAnswer | None:
        """Return a good answer that came in time."""
        try:
            with connected(self.suite.servers[0].port) as connection:
                connection.socket.settimeout(LONGEST_SECONDS)
                connection.send(sent)
                answer = connection.receive()
        except OSError:
            return None
        return answer if answer is not None and answer.status == 200 else None


@dataclass(frozen=True)
class Held:
    """What the workers of a server hold."""

    threads: int
    files: int
    memory: int

    @classmethod
    def by(cls, suite: Suite) -> Held:
        """Count it."""
        children = psutil.Process(suite.servers[0].process.pid).children(recursive=True)
        return cls(
            sum(each.num_threads() for each in children),
            sum(each.num_fds() for each in children),
            sum(each.memory_info().rss for each in children),
        )


@contextmanager
def harmed(suite: Suite, kind: str) -> Iterator[None]:
    """Let hostile clients do one kind of harm meanwhile."""
    command = [sys.executable, "-m", "tests.proof.hostile", str(suite.servers[0].port), kind]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.stdin.close()
            process.wait(10)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return a suite with two workers and short bounds, and with event streams."""
    made = combined(tmp_path_factory.mktemp("hostile"), 2, **SETTINGS)
    made.start()
    yield made
    made.stop()


def p99(took: list[float]) -> float:
    """Return the time within which 99 of 100 were answered."""
    return sorted(took)[int(len(took) * 0.99)]


@pytest.mark.requirement("R44")
def test_others_are_served_meanwhile(suite: Suite) -> None:
    """During each kind of harm every verification and login is answered in time; then all is given back."""
    honest = Honest(suite)
    honest.serve_yourself(SECONDS / 2)
    before, idle = Held.by(suite), p99(honest.serve_yourself(SECONDS)[0])
    told, failures = [], 0
    for kind in WAVES:
        with harmed(suite, kind):
            took, failed = honest.serve_yourself(SECONDS * rounds(30))
        failures += failed
        told.append(f"{kind} {p99(took) / idle:.1f}")
        until(lambda: _is_given_back(Held.by(suite), before), f"all is given back after {kind}", 60)
    until(lambda: _is_small_again(honest, before), "its memory is given back", 60)
    after = Held.by(suite)
    figure(
        "F26",
        f"hostile connections: verifications and logins not answered within {LONGEST_SECONDS:.0f} s meanwhile",
        f"{len(WAVES)} kinds, {SECONDS * rounds(30):.0f} s each; {IDLE:,} idle, {HALF_SENT:,} half-sent",
        failures,
        f"p99 of a verification over a new connection, idle {idle * 1000:.1f} ms, as multiples of that: "
        f"{', '.join(told)}; afterwards {after.threads - before.threads:+} threads, "
        f"{after.files - before.files:+} files, {(after.memory - before.memory) / 2**20:+.0f} MB",
    )
    assert not failures, told


def _is_given_back(now: Held, before: Held) -> bool:
    """Say whether threads and files are back; a few of a pool, or of a store's log, may have come to stay."""
    return now.threads <= before.threads + 8 and now.files <= before.files + 20


def _is_small_again(honest: Honest, before: Held) -> bool:
    """Say whether memory is back after more requests: an allocator looks what it can give back when it is asked."""
    honest.serve_yourself(SECONDS / 4)
    return Held.by(honest.suite).memory - before.memory < MEMORY


def test_the_way_of_release_0_1_is_caught(tmp_path: Path) -> None:
    """Planted: where threads read the bodies, the same harm stops everybody."""
    command = [sys.executable, "-m", "tests.proof.served_as_before"]
    before = Suite({"all": lambda port: [*command, str(port)]}, GENEROUS | SETTINGS, tmp_path)
    before.start()
    try:
        honest = Honest(before)
        assert honest.serve_yourself(SECONDS / 2)[1] == 0
        with harmed(before, "half-sent bodies"):
            assert honest.verify() > LONGEST_SECONDS
            assert not honest.log_in()
    finally:
        before.kill()
