"""A browser and servers for the tests of the pages. What a page must never do is looked for after every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.window import Window
from tests.support import chromium
from tests.support.client import Client
from tests.support.external_tools import MissingTool
from tests.support.ports import free_port
from tests.support.servers import Suite, SuitePool

expect.set_options(timeout=20_000)  # ms; a browser on a shared machine is slow

CHEAP = {"ICHIDAI_TEST_CHEAP_HASH": "true"}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Suite]]:
    """Return a function that gives a running combined app with some settings; alike ones are one."""
    with closing(SuitePool(lambda: tmp_path_factory.mktemp("pages"), [], **CHEAP)) as suites:
        yield suites


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return the combined app with event streams, one active device, and the person is asked."""
    with closing(SuitePool(lambda: tmp_path_factory.mktemp("pages"), [], **CHEAP)) as suites:
        yield suites(ICHIDAI_EVENTS_PORT=str(free_port()))


@pytest.fixture
def started() -> Iterator[Callable[[Suite], Suite]]:
    """Return a function that starts a suite for one test alone; it is ended after the test."""
    with ExitStack() as after:

        def start(suite: Suite) -> Suite:
            after.callback(suite.stop)
            suite.start()
            return suite

        yield start


@pytest.fixture
def client(suite: Suite) -> Client:
    """Return a client of `suite`."""
    return suite.client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser. It ends with the module: while it runs, nothing else here can have an event loop."""
    with ExitStack() as running:
        try:
            yield running.enter_context(chromium.launched())
        except MissingTool as part:
            pytest.skip(f"missing part: {part}")


@pytest.fixture
def open_window(browser: Browser, suite: Suite) -> Iterator[Callable[..., Window]]:
    """Return a function that opens a window of another person's or device's browser, which knows nothing yet.

    With switches it is a program of its own.
    """
    opened: list[Window] = []
    with ExitStack() as running:

        def new(base: str | None = None, switches: Sequence[str] = (), **options: object) -> Window:
            own = chromium.another(browser, switches, running) if switches else browser
            window = Window(own, base or suite.servers[0].base, **options)
            opened.append(window)
            return window

        yield new
        complaints = [complaint for window in opened for complaint in window.complaints]
        for window in opened:
            window.context.close()
    assert not complaints


@pytest.fixture
def window(open_window: Callable[..., Window]) -> Window:
    """Return a window in English."""
    return open_window()
