"""What a verified request costs, beside an empty Flask route and beside the peers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import requests

from benchmarks import peers, population, suite
from benchmarks.bench import Bench
from benchmarks.chart import Bar, Chart
from benchmarks.environments import CannotInstall
from benchmarks.load import CONNECTIONS, Ask, load
from benchmarks.measuring import Measured, Sample, interleaved
from benchmarks.report import Finding
from benchmarks.servers import Server, ServerFailed

ACCOUNTS = 100_000
_FRESH = 10_000
_UNIT, _RAW = "empty Flask route", "WSGI callable that does nothing"
_ABOUT = f"""\
Server CPU for one verification, an empty Flask route being 1. Ours has {ACCOUNTS:,} accounts, the peers a few
dozen; {CONNECTIONS} connections, another session at each; every server has two processes. Each peer is set up as its
documentation says for a revocation that holds at once; the last column is what a verification answered right after a
logout. With {_FRESH:,} tokens in turn most requests are the first of a token or of a minute: the signature is checked
in full, or "last seen" is written."""
_OURS, _OURS_FRESH = "Ichidai", f"Ichidai, {_FRESH:,} tokens in turn"


@dataclass(frozen=True, slots=True)
class _Case:
    """Something that is loaded: `revoked` says what a verification right after a logout answered."""

    server: Server
    asks: Callable[[], Sequence[Ask]]
    revoked: str = ""


def measure(bench: Bench) -> Finding:
    """Measure what a verified request costs."""
    absent: list[str] = []
    with ExitStack() as stack:
        cases = _bare(bench, stack) | _ours(bench, stack) | _peers(bench, stack, absent)
        asks = {name: case.asks() for name, case in cases.items()}
        runs: dict[str, Callable[[], Sample]] = {
            name: partial(load, case.server, asks[name], bench.seconds) for name, case in cases.items()
        }
        bench.begin("verification", len(runs) * (bench.rounds + 1))
        measured = interleaved(runs, bench.rounds, bench.step)
    return _finding(measured, {name: case.revoked for name, case in cases.items()}, absent)


def _bare(bench: Bench, stack: ExitStack) -> dict[str, _Case]:
    flask, raw = peers.empty(bench.folder / "flask"), peers.empty(bench.folder / "raw", "empty:raw")
    stack.callback(flask.stop)
    stack.callback(raw.stop)
    ask = [Ask("/empty")]
    return {_UNIT: _Case(flask, lambda: ask), _RAW: _Case(raw, lambda: ask)}


def _ours(bench: Bench, stack: ExitStack) -> dict[str, _Case]:
    folder = bench.folder / "ichidai"
    bench.begin(f"loading {ACCOUNTS:,} accounts", 0)
    people = population.load(suite.settings_in(folder), ACCOUNTS)
    server = suite.started(people.settings, folder)
    stack.callback(server.stop)
    revoked = _ask_after_logout(server, people.tokens(_FRESH + 1)[-1])

    def asks(count: int) -> list[Ask]:
        return [Ask("/session/verify", headers=suite.bearer(token)) for token in people.tokens(count)]

    few, many = partial(asks, CONNECTIONS), partial(asks, _FRESH)
    return {_OURS: _Case(server, few, revoked), _OURS_FRESH: _Case(server, many, revoked)}


def _ask_after_logout(server: Server, token: str) -> str:
    def ask(method: str, path: str) -> int:
        return requests.request(method, server.base + path, headers=suite.bearer(token), timeout=30).status_code

    before, _, after = ask("GET", "/session/verify"), ask("POST", "/session/logout"), ask("GET", "/session/verify")
    return _told(alive_before=before == 200, alive_after=after != 401)


def _peers(bench: Bench, stack: ExitStack, absent: list[str]) -> dict[str, _Case]:
    cases = {}
    for number, peer in enumerate(peers.PEERS if bench.peers else ()):
        bench.begin(f"setting up {peer.name}", 0)
        try:
            server = peer.started(bench.folder / f"peer{number}")
            stack.callback(server.stop)
            cases[peer.name] = _signed_in(peer, server)
        except (CannotInstall, ServerFailed) as error:
            absent.append(f"**Not measured: {peer.name}**: {str(error).splitlines()[-1]}")
    return cases


def _signed_in(peer: peers.Peer, server: Server) -> _Case:
    sessions = [peer.sign_in(server.base) for _ in range(CONNECTIONS)]
    last = sessions.pop()
    before = peers.is_alive(peer, server, last)
    last.end(server.base)
    asks = [session.verify for session in sessions]
    return _Case(server, lambda: asks, _told(alive_before=before, alive_after=peers.is_alive(peer, server, last)))


def _told(*, alive_before: bool, alive_after: bool) -> str:
    if not alive_before:
        raise ServerFailed("a fresh session is not good")
    return "**still good**" if alive_after else "refused"


def _finding(measured: Measured, revoked: dict[str, str], absent: Sequence[str]) -> Finding:
    unit = measured[_UNIT]["cpu"].median
    rate = measured[_UNIT]["rate"].median
    rows = [
        (
            name,
            numbers["cpu"].over(unit).written(".2f"),
            numbers["cpu"].written(),
            f"{numbers['rate'].median / rate:.2f}",
            numbers["rate"].written(),
            f"{numbers['p50'].median:.2f}",
            f"{numbers['p99'].median:.2f}",
            revoked[name],
        )
        for name, numbers in measured.items()
    ]
    bars = [Bar(name, numbers["cpu"].median / unit, name.startswith(_OURS)) for name, numbers in measured.items()]
    return Finding(
        title="A verified request",
        about=_ABOUT,
        head=("what", "CPU, in empty routes", "CPU, µs", "rate", "requests/s", "p50, ms", "p99, ms", "after logout"),
        rows=rows,
        remarks=absent,
        charts=[
            Chart(
                "verification.svg",
                "What a verified request costs",
                "Server CPU per request; 1 = an empty Flask route on the same server. Shorter is better.",
                sorted(bars, key=lambda bar: bar.value),
                unit=1,
            )
        ],
    )
