"""What a verified request costs, beside an empty Flask route and beside the peers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice

import requests

from benchmarks import peers, population, suite
from benchmarks.bench import Bench
from benchmarks.chart import Bar, Chart
from benchmarks.environments import CannotInstall
from benchmarks.load import CONNECTIONS, Ask, load
from benchmarks.measuring import Measured, Sample, interleaved
from benchmarks.report import Finding
from benchmarks.servers import Server, ServerFailed, free_port

ACCOUNTS = 100_000
_FRESH = 10_000
_UNIT, _RAW = "empty Flask route", "WSGI callable that does nothing"
_NULL = "RSGI callable that does nothing, the interface that ours has"
_FLOOR = "RSGI callable that reads one row of SQLite and sends what is prepared"
_TOKEN_LENGTH = 580
"""What an access token of ours has, about."""
_ABOUT = f"""\
Server CPU for one verification, an empty Flask route being 1. Ours has {ACCOUNTS:,} accounts, the peers a few
dozen; {CONNECTIONS} connections, another session at each; every server has two processes. Each peer is set up as its
documentation says for a revocation that holds at once; the last column is what a verification answered right after a
logout. The callable that reads one row is sent our requests and answers our headers: over this server and this engine
no verification can cost less. {_FRESH:,} sessions in turn are warm: each was verified, and its activity written, just
before. In a day's mix each 60th request is the first of its token and each 60th that of a session not seen for a while,
whose activity is then written in the background."""
_OURS, _OURS_FRESH, _OURS_MIX = "Ichidai", f"Ichidai, {_FRESH:,} sessions in turn", "Ichidai, a day's mix"
_OURS_SEEN = "Ichidai, showing metrics"
_WARMING = 6
"""How many rounds' time of load beforehand, so that both processes have met every session."""
_WRITTEN_SECONDS = 4
"""After so long the activity of all that were asked beforehand is written: that of ten thousand takes two seconds."""
_EACH, _OFTEN = 60, 600
"""In the mix one request of so many is of another kind; the sessions that make the others."""


@dataclass(frozen=True, slots=True)
class _Case:
    """Something that is loaded: `revoked` says what a verification right after a logout answered.

    `anew`: it asks for something else in each round. `before`: what is asked before each round, unmeasured.
    """

    server: Server
    asks: Callable[[], Sequence[Ask]]
    revoked: str = ""
    anew: bool = False
    before: Sequence[Ask] = ()

    def run(self, seconds: int) -> Callable[[], Sample]:
        """Return what loads it."""
        asks = self.asks() if not self.anew else ()

        def run() -> Sample:
            if self.before:
                load(self.server, self.before, seconds)
                time.sleep(_WRITTEN_SECONDS)
            return load(self.server, asks or self.asks(), seconds)

        return run


def measure(bench: Bench) -> Finding:
    """Measure what a verified request costs."""
    absent: list[str] = []
    with ExitStack() as stack:
        cases = _bare(bench, stack) | _ours(bench, stack) | _peers(bench, stack, absent)
        runs: dict[str, Callable[[], Sample]] = {name: case.run(bench.seconds) for name, case in cases.items()}
        bench.begin("verification", len(runs) * (bench.rounds + 1))
        measured = interleaved(runs, bench.rounds, bench.step)
    return _finding(measured, {name: case.revoked for name, case in cases.items()}, absent)


def _bare(bench: Bench, stack: ExitStack) -> dict[str, _Case]:
    empty, verify = Ask("/empty"), Ask("/session/verify", headers=suite.bearer("x" * _TOKEN_LENGTH))

    def case(name: str, target: str, interface: str, ask: Ask = empty) -> _Case:
        server = peers.empty(bench.folder / name, target, interface=interface)
        stack.callback(server.stop)
        return _Case(server, lambda: [ask])

    return {
        _UNIT: case("flask", "empty:app", "wsgi"),
        _RAW: case("raw", "empty:raw", "wsgi"),
        _NULL: case("null", "empty:null", "rsgi"),
        _FLOOR: case("floor", "floor:floor", "rsgi", verify),
    }


def _ours(bench: Bench, stack: ExitStack) -> dict[str, _Case]:
    folder = bench.folder / "ichidai"
    bench.begin(f"loading {ACCOUNTS:,} accounts", 0)
    people = population.load(suite.settings_in(folder), ACCOUNTS)
    server = suite.started(people.settings, folder)
    stack.callback(server.stop)
    seen = suite.started({**people.settings, "ICHIDAI_METRICS_PORT": str(free_port())}, folder / "seen")
    stack.callback(seen.stop)
    revoked = _ask_after_logout(server, people.tokens(_FRESH + 1)[-1])

    many = _asks(people.tokens(_FRESH))
    load(server, many, _WARMING * bench.seconds)
    mix = _Mix(people, many[:_OFTEN], _FRESH + 1)
    return {
        _OURS: _Case(server, lambda: many[:CONNECTIONS], revoked),
        _OURS_SEEN: _Case(seen, lambda: many[:CONNECTIONS], revoked),
        _OURS_FRESH: _Case(server, lambda: many, revoked, before=many),
        _OURS_MIX: _Case(server, mix.asks, revoked, anew=True, before=many[:_OFTEN]),
    }


def _asks(tokens: Sequence[str]) -> list[Ask]:
    return [Ask("/session/verify", headers=suite.bearer(token)) for token in tokens]


class _Mix:
    """A day's mix: sessions that ask often, and among them new tokens and sessions that nobody saw for a while."""

    def __init__(self, people: population.Population, often: Sequence[Ask], used: int) -> None:
        self._people, self._often = people, often
        self._unseen = iter(people.people[used:])

    def asks(self, rounds: int = 900) -> list[Ask]:
        """Return what is asked in one round of load; new tokens and other sessions each time."""
        new = _asks([pair.access_token for pair in self._people.granted(self._people.people[:rounds])])
        unseen = _asks([pair.access_token for pair in self._people.granted(list(islice(self._unseen, rounds)))])
        asked = []
        for place in range(rounds):
            often = [self._often[(place + each) % len(self._often)] for each in range(_EACH - 2)]
            asked += [new[place], *often[: _EACH // 2], unseen[place], *often[_EACH // 2 :]]
        return asked


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
    unit, null = measured[_UNIT]["cpu"].median, measured[_NULL]["cpu"].median
    rate = measured[_UNIT]["rate"].median
    rows = [
        (
            name,
            numbers["cpu"].over(unit).written(".2f"),
            f"{numbers['cpu'].median / null:.1f}",
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
        head=(
            "what",
            "CPU, in empty routes",
            "in null callables",
            "CPU, µs",
            "rate",
            "requests/s",
            "p50, ms",
            "p99, ms",
            "after logout",
        ),
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
