"""Workers are replaced when they die, and end in good order when they are told to."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.raw_http import connected, head, post
from tests.support.servers import Suite, combined, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a worker that is told to end is killed")

LOGIN = b'{"username": "nobody", "password": "correct horse 42", "client_cert_fp": "%s"}' % (b"0" * 64)
BACK_SECONDS = 30.0
"""A second and a half on idle cores; the promise is five."""


DRAIN_SECONDS = 8


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    """Return a server with one worker that is drained for a moment."""
    made = combined(tmp_path, 1, ICHIDAI_DRAIN_SECONDS=str(DRAIN_SECONDS), ICHIDAI_TEST_CHEAP_HASH="true")
    made.start()
    yield made
    made.kill()


def worker_of(suite: Suite) -> int:
    """Return the process id of the worker, waiting until there is one."""
    parent = psutil.Process(suite.servers[0].process.pid)
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [each.pid for each in parent.children() if each.status() != psutil.STATUS_ZOMBIE]
        return bool(found)

    until(is_there, "there is a worker")
    return max(found)


def asked(suite: Suite) -> tuple[int, float]:
    """Return the status of an answer on a new connection, and how long it took."""
    with connected(suite.servers[0].port) as connection:
        connection.send(head("GET", "/session/verify"))
        answer = connection.receive()
        assert answer is not None
        return answer.status, answer.seconds


def test_a_worker_that_is_killed_is_replaced(suite: Suite) -> None:
    """Again and again: who connects meanwhile waits for the next one, for the socket is the parent's."""
    parent = suite.servers[0].process
    for _ in range(3):
        os.kill(worker_of(suite), signal.SIGKILL)
        status, seconds = asked(suite)
        assert (status, seconds < BACK_SECONDS) == (401, True)
    assert parent.poll() is None
    assert suite.output.count("is replaced") == 3


def test_a_server_is_drained_before_it_ends(suite: Suite) -> None:
    """It says that it is not ready, serves on, and answers what has begun; then it is gone."""
    process, port = suite.servers[0].process, suite.servers[0].port
    with connected(port) as begun:
        sent = post("/login", LOGIN)
        begun.send(sent[:-1])
        time.sleep(0.2)
        process.terminate()
        until(lambda: suite.client.get("/ready").status_code == 503, "it is not ready", DRAIN_SECONDS)
        assert asked(suite)[0] == 401
        time.sleep(DRAIN_SECONDS)
        begun.send(sent[-1:])
        answer = begun.receive()
        assert answer is not None
        assert (answer.status, answer.headers.get("connection")) == (401, "close")
    assert process.wait(30) == 0


def test_a_worker_that_is_too_old_is_replaced(tmp_path: Path) -> None:
    """The next one goes on in its place."""
    suite = combined(tmp_path, 1, ICHIDAI_WORKER_SECONDS="2", ICHIDAI_TEST_CHEAP_HASH="true")
    suite.start()
    try:
        first = worker_of(suite)
        until(lambda: worker_of(suite) != first, "there is another worker")
        assert asked(suite)[0] == 401
    finally:
        suite.kill()
