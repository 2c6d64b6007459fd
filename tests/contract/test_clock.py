"""Every engine tells the time of its own clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.clock import system_clock
from common.storage.opening import open_store
from common.storage.port import StoreUnavailable
from common.storage.store_clock import HasClock, StoreClock, measure_clock
from tests.support.engines import ENGINES


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engines_clock_is_read(tmp_path_factory: pytest.TempPathFactory, engine: str) -> None:
    """Here it is this machine's, within what its resolution says."""
    store = ENGINES[engine](tmp_path_factory.mktemp("store")).open()
    assert isinstance(store, HasClock)
    before = time.time()
    reading = store.read_clock()
    after = time.time()
    assert before - reading.resolution - 0.01 <= reading.shown <= after + 0.01
    assert 0 < reading.resolution <= 1
    clock = StoreClock(system_clock)
    clock.measure(store)
    assert abs((clock() - system_clock()).total_seconds()) <= 2
    store.close()


@contextmanager
def endpoint_at(date: str) -> Iterator[str]:
    """Serve an endpoint that finds no item, and whose clock shows a date."""

    class Empty(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"ConsumedCapacity": {"TableName": "KeyRingTable", "CapacityUnits": 0.5}}'
            self.send_response_only(200)
            for name, value in (("Date", date), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have some that nobody checks."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@pytest.mark.usefixtures("credentials")
def test_the_date_of_an_answer_is_dynamodbs_time() -> None:
    """Whatever this host's clock shows; it is cut to seconds."""
    with endpoint_at("Wed, 21 Oct 2015 07:28:00 GMT") as url:
        store = open_store(f"dynamodb://?endpoint={url}", system_clock, "eu-central-1")
        clock = StoreClock(system_clock)
        measure_clock(clock, store)
        assert abs(clock().timestamp() - 1_445_412_480.5) < 5
        store.close()


@pytest.mark.usefixtures("credentials")
def test_a_date_that_is_none_is_no_time() -> None:
    """It is never guessed."""
    with endpoint_at("tomorrow") as url:
        store = open_store(f"dynamodb://?endpoint={url}", system_clock, "eu-central-1")
        with pytest.raises(StoreUnavailable, match="without its time"):
            measure_clock(StoreClock(system_clock), store)
        store.close()
