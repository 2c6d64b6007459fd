"""The combined app served over HTTP from the test's own process, where the clock is the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from common.crypto.passwords import CHEAP_FOR_TESTS
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build
from ichidai.wiring.services import Services
from tests.support.engines import Engine

PUBLIC = "https://accounts.test"
"""The address that the suite believes to be its own."""


class Clock:
    """A clock that stands still until it is told to go on.

    It stands in the future: DynamoDB deletes by its own clock, and what this one calls fresh must not be old to it.
    """

    def __init__(self) -> None:
        self.now = datetime(2036, 11, 21, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return what time it is."""
        return self.now

    def go_on(self, **by: float) -> None:
        """Let time pass."""
        self.now += timedelta(**by)


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:  # type: ignore[explicit-override]
        """Say nothing."""


@contextmanager
def served(
    engine: Engine,
    folder: Path,
    settings: Mapping[str, str],
    see: Callable[[Services], None] = lambda _services: None,
) -> Iterator[tuple[str, Clock]]:
    """Serve the combined app over an engine; give its address and its clock. Keys lie in the folder.

    `see` is shown what is served.
    """
    clock = Clock()
    read = read_settings({"ICHIDAI_DATA_DIR": str(folder), "ICHIDAI_PUBLIC_URL": PUBLIC, **settings})
    suite = build(read, App.ALL, 8000, clock=clock, cost=CHEAP_FOR_TESTS, store=engine.open(clock))
    see(suite)
    server = make_server("127.0.0.1", 0, app_for(App.ALL, suite), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}", clock
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        suite.close()
