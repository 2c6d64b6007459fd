"""The forms in which the suite is run, as people and their browsers meet it: four processes, behind nginx, combined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.test_behind_nginx import server_certificate
from tests.support.nginx import Nginx
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, four_served

CHEAP = {"ICHIDAI_TEST_CHEAP_HASH": "true"}


@dataclass(frozen=True, slots=True)
class Form:
    """A running suite: where its console is, where apps are reached, and what a page may ask beside its own host."""

    console: str
    apps: Mapping[str, str]
    hosts: tuple[str, ...]


@contextmanager
def four_processes(folder: Path) -> Iterator[Form]:
    """Run the four apps, each on a free port, with the event streams on another."""
    events = free_port()
    suite = four_served(folder, **CHEAP, ICHIDAI_EVENTS_PORT=str(events))
    with _running(suite):
        apps = {server.part: server.base for server in suite.servers}
        hosts = (*(f"{base}/" for base in apps.values()), f"http://127.0.0.1:{events}/session/events")
        yield Form(apps["registration"], apps, hosts)


@contextmanager
def behind_nginx(folder: Path) -> Iterator[Form]:
    """Run the four apps behind a real nginx with the file of `deploy/nginx`, as one origin with TLS."""
    events, port = free_port(), free_port()
    public = f"https://127.0.0.1:{port}"
    proxied = {"ICHIDAI_PUBLIC_URL": public, "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"}
    suite = four_served(folder / "suite", **CHEAP, **proxied, ICHIDAI_EVENTS_PORT=str(events))
    with _running(suite), ExitStack() as after:
        told = {server.part.upper(): f"127.0.0.1:{server.port}" for server in suite.servers}
        told |= {"EVENTS": f"127.0.0.1:{events}", "NAME": "localhost", **server_certificate(folder)}
        after.callback(Nginx("suite.conf", told, folder, port).close)
        yield Form(public, {"login": public}, ())


@contextmanager
def one_process(folder: Path) -> Iterator[Form]:
    """Run the combined app."""
    suite = combined(folder, **CHEAP, ICHIDAI_EVENTS_PORT=str(events := free_port()))
    with _running(suite):
        base = suite.servers[0].base
        yield Form(
            base.replace("127.0.0.1", "localhost"),
            {"login": base},
            (
                f"{base}/",
                f"http://127.0.0.1:{events}/",
            ),
        )


FORMS: Mapping[str, Callable[[Path], AbstractContextManager[Form]]] = {
    "four processes": four_processes,
    "behind nginx": behind_nginx,
    "combined": one_process,
}


@contextmanager
def _running(suite: Suite) -> Iterator[None]:
    try:
        suite.start()
        yield
    finally:
        suite.stop()
