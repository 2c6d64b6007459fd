"""F23: many idle streams on one process while logins go on; every evicted session is told, and how soon.

`python -m tests.proof.streams` measures 4,000 streams, each of another session, and writes the section `streams` of
`docs/benchmarks.md`; a test runs a small size, and in the long size this one. With fewer accounts each has several
streams on its one session, as tabs have; a login by force ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.support.benchmarks_page import machine, replace_section, table, today
from tests.support.client import Account, Client, login_of
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, until
from tests.support.streams import events_url

IN_TIME = 2.0

_SETTINGS = {
    "ICHIDAI_TEST_CHEAP_HASH": "true",
    "ICHIDAI_DEVICE_PROOF": "none",
    "ICHIDAI_STREAMS_SESSION": "1000",
    "ICHIDAI_STREAMS_USER": "1000",
}
_TOGETHER = 50


@dataclass(frozen=True)
class Size:
    """How many accounts, and how many streams each has."""

    accounts: int
    tabs: int

    @property
    def streams(self) -> int:
        """All streams."""
        return self.accounts * self.tabs


@dataclass
class Figures:
    """What was measured; times in seconds from the eviction's request to the notice, memory in bytes."""

    opened: int = 0
    lags: list[float] = field(default_factory=list)
    memory: float = 0.0
    logins: int = 0
    seconds_to_open: float = 0.0
    idle_cpu: float = 0.0

    @property
    def p99(self) -> float:
        """The lag that one in a hundred exceeds."""
        return statistics.quantiles(self.lags, n=100)[98] if len(self.lags) > 1 else max(self.lags)


@dataclass
class Tab:
    """One stream: whose it is, and when its notice came."""

    account: int
    told_at: float | None = None


def measure(size: Size, folder: Path) -> Figures:
    """Open the streams, let them be idle while others log in, evict every account, and wait for the notices."""
    suite = combined(folder, **_SETTINGS, ICHIDAI_EVENTS_PORT=str(free_port()))
    client = suite.start()
    try:
        until(lambda: _is_up(client), "the streams answer")
        with ThreadPoolExecutor(4) as pool:
            accounts = list(pool.map(lambda _: client.register(), range(size.accounts)))
            tokens = list(pool.map(_log_in, accounts))
        return asyncio.run(_measured(size, suite, accounts, tokens))
    finally:
        suite.kill()


async def _measured(size: Size, suite: Suite, accounts: Sequence[Account], tokens: Sequence[str]) -> Figures:
    figures, url, process = Figures(), events_url(suite.client), _process(suite)
    tabs = [Tab(number % size.accounts) for number in range(size.streams)]
    opened: list[Tab] = []
    before, begun = process.memory_info().rss, time.monotonic()
    with _others_logging_in(suite.client, figures):
        tasks = []
        for start in range(0, len(tabs), _TOGETHER):
            group = tabs[start : start + _TOGETHER]
            tasks += [asyncio.create_task(_listen(url, tokens[tab.account], tab, opened)) for tab in group]
            await _until_open(opened, len(tasks))
        figures.opened, figures.seconds_to_open = len(opened), time.monotonic() - begun
        figures.memory = (process.memory_info().rss - before) / max(1, len(opened))
        await asyncio.to_thread(process.cpu_percent)
        await asyncio.sleep(5)
        figures.idle_cpu = process.cpu_percent()
        evicted = [await asyncio.to_thread(_evict, account) for account in accounts]
        await asyncio.wait(tasks, timeout=30)
    for task in tasks:
        task.cancel()
    figures.lags = [tab.told_at - evicted[tab.account] for tab in tabs if tab.told_at is not None]
    return figures


async def _listen(url: str, token: str, tab: Tab, opened: list[Tab]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        head = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b": open\n")
        opened.append(tab)
        await reader.readuntil(b"event: session-revoked\n")
        tab.told_at = time.monotonic()
    finally:
        writer.close()


@contextmanager
def _others_logging_in(client: Client, figures: Figures) -> Iterator[None]:
    """Let somebody log in again and again meanwhile."""
    stranger, over = client.register(), threading.Event()

    def log_in() -> None:
        while not over.wait(0.05):
            _log_in(stranger)
            figures.logins += 1

    thread = threading.Thread(target=log_in)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _log_in(account: Account) -> str:
    return login_of(account.client.post("/login", {**account.credentials, "force": True})).access


def _evict(account: Account) -> float:
    """Evict the account's session; return when that was asked for."""
    begun = time.monotonic()
    _log_in(account)
    return begun


async def _until_open(opened: Sequence[Tab], number: int, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while len(opened) < number:
        if time.monotonic() > end:
            raise AssertionError("the streams do not open")
        await asyncio.sleep(0.01)


def _is_up(client: Client) -> bool:
    with suppress(OSError):
        return client.get(events_url(client).replace("/session/events", "/ready")).ok
    return False


def _process(suite: Suite) -> psutil.Process:
    """Return the process that serves the streams: the one that listens on their port."""
    port = int(suite.settings["ICHIDAI_EVENTS_PORT"])
    children = psutil.Process(suite.servers[0].process.pid).children(recursive=True)
    return next(c for c in children if any(each.laddr.port == port for each in c.net_connections(kind="tcp")))


def allow_many_files(number: int) -> int:
    """Let this process have so many files open; return how many it may."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return number
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = number if hard == resource.RLIM_INFINITY else min(number, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def main(arguments: Sequence[str]) -> int:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=4000)
    parser.add_argument("--accounts", type=int, default=4000)
    asked = parser.parse_args(arguments)
    size = Size(asked.accounts, asked.streams // asked.accounts)
    allow_many_files(size.streams + 1000)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(size, Path(folder))
    body = _body(size, figures)
    print(body)
    replace_section("streams", body)
    return 0 if len(figures.lags) == size.streams and figures.p99 < IN_TIME else 1


def _body(size: Size, figures: Figures) -> str:
    lags = sorted(figures.lags)
    rows = [
        ("streams open at once on one process", f"{figures.opened:,}"),
        ("memory of that process for each stream", f"{figures.memory / 1024:.1f} KiB"),
        ("processor of that process while all are idle, of one core", f"{figures.idle_cpu:.1f} %"),
        ("evictions, one after another", f"{size.accounts:,}"),
        ("logins of other users meanwhile", f"{figures.logins:,}"),
        ("streams told", f"{len(lags):,} of {size.streams:,}"),
        ("from the request that evicts to the notice: median", f"{statistics.median(lags):.2f} s"),
        ("p99", f"{figures.p99:.2f} s"),
        ("longest", f"{lags[-1]:.2f} s"),
    ]
    each = "one stream" if size.tabs == 1 else f"{size.tabs} streams"
    return (
        "## Event streams (F23)\n"
        f"`python -m tests.proof.streams`, on {machine()}, {today()}. Eviction by force over HTTP with SQLite; each of "
        f"{size.accounts:,} sessions has {each}, client and servers share the machine. The feed is read once a "
        "second.\n\n"
        f"{table(('measured', 'value'), rows)}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
