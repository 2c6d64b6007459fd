"""Servers for the tests over HTTP: one for each choice of settings, shared by tests that bring their own users."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.engines import ENGINES
from tests.support.servers import DOMAINS, Suite, SuitePool, four_entrances

Starting = Callable[..., Suite]

_STARTED: list[Suite] = []
_LONGEST_OUTPUT = 4000
_SAID_BEFORE = pytest.StashKey[dict[int, int]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note how much the servers have said before a test."""
    item.stash[_SAID_BEFORE] = {id(server): len(server.output) for suite in _STARTED for server in suite.servers}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the servers said during the test, and what they said last where it is much."""
    report = yield
    if report.failed:
        before = item.stash[_SAID_BEFORE]
        for server in (server for suite in _STARTED for server in suite.servers):
            said = server.output[before.get(id(server), 0) :][-_LONGEST_OUTPUT:]
            report.sections += [(f"{server.part} on {server.port}", said)] if said else []
    return report


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starting]:
    """Return a function that gives a running combined app with some workers and settings; alike ones are one."""
    with closing(SuitePool(lambda: tmp_path_factory.mktemp("suite"), _STARTED)) as suites:
        yield suites


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return the combined app with the settings it has by default: one active device, the person is asked."""
    with closing(SuitePool(lambda: tmp_path_factory.mktemp("suite"), _STARTED)) as suites:
        yield suites()


@pytest.fixture
def client(suite: Suite) -> Client:
    """Return a client of `suite`."""
    return suite.client


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[Suite], Suite]]:
    """Return a function that starts a suite for one test alone; it is ended after the test."""
    mine: list[Suite] = []

    def start(suite: Suite) -> Suite:
        mine.append(suite)
        _STARTED.append(suite)
        suite.start()
        return suite

    yield start
    for each in mine:
        each.kill()
        _STARTED.remove(each)


@dataclass(frozen=True)
class RunningElsewhere:
    """Four apps that somebody else started."""

    client: Client


@pytest.fixture(scope="session")
def entrances_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Suite | RunningElsewhere]]:
    """Return a function that gives the four apps on an engine, as their own modules start them, two devices active.

    With ICHIDAI_TEST_REGISTRATION_URL, _LOGIN_URL, _SESSION_URL and _DEVICE_URL set they are servers that run already:
    MAX_CONCURRENT_DEVICES=2 there, and login limits that bear many accounts of one address.
    """
    running: dict[str, Suite] = {}
    elsewhere = {domain: os.environ.get(f"ICHIDAI_TEST_{domain.upper()}_URL", "").rstrip("/") for domain in DOMAINS}

    def on(engine: str) -> Suite | RunningElsewhere:
        if all(elsewhere.values()):
            if engine != "sqlite":
                pytest.skip("only on servers that these tests start")
            return RunningElsewhere(Client(elsewhere))
        if engine not in running:
            folder = tmp_path_factory.mktemp("entrances")
            settings = {} if engine == "sqlite" else ENGINES[engine](folder).settings
            running[engine] = four_entrances(folder, MAX_CONCURRENT_DEVICES="2", **settings)
            _STARTED.append(running[engine])
            running[engine].start()
        return running[engine]

    yield on
    for apps in running.values():
        apps.stop()
        _STARTED.remove(apps)


@pytest.fixture(scope="session")
def entrances(entrances_on: Callable[[str], Suite | RunningElsewhere]) -> Suite:
    """Return the four apps on SQLite, for tests that look into their data as well."""
    apps = entrances_on("sqlite")
    if isinstance(apps, RunningElsewhere):
        pytest.skip("only on servers that these tests start")
    return apps
