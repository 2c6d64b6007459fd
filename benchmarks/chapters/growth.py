"""What more accounts, and more devices of each, change: verification, takeover, lists, disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks import population, suite
from benchmarks.bench import Bench
from benchmarks.chart import Bar, Chart
from benchmarks.inside import Inside, Takeovers, seconds_of
from benchmarks.measuring import Case, Measured, Sample, Spread, interleaved
from benchmarks.report import Finding
from common.crypto.passwords import CHEAP_FOR_TESTS

_LEAST = (1_000, 2)
_SIZES = (_LEAST, (100_000, 2))
_LONG = (1_000_000, 2)
_DEVICES = ((5_000, 1), (5_000, 3), (5_000, 10))
_CALLS, _TAKEOVERS, _PEOPLE = 200, 60, 2_000
_ABOUT = f"""\
The suite in one process on SQLite, without HTTP's way and with a cheap hash, so that what grows is not hidden. Each
call is of another account, drawn from {_PEOPLE:,} that lie all over the file. Times are milliseconds through the whole
app; for takeovers also of the commit alone, and of the 409 before it. The limit is one where takeovers are measured; in
the other lines all devices are logged in."""

_COLD = (
    "The largest file is bigger than many a machine's memory, and pushes the pages of the others out of it: "
    "then most calls, each of another account, read from the disk first."
)


@dataclass(frozen=True, slots=True)
class _Size:
    """A suite with so many accounts of so many devices each."""

    accounts: int
    devices: int
    inside: Inside
    takeovers: Takeovers | None

    @property
    def name(self) -> str:
        """How the table calls it."""
        return f"{self.accounts:,} accounts, {self.devices} device{'s' if self.devices > 1 else ''}"


def measure(bench: Bench) -> Finding:
    """Measure what more accounts and more devices change."""
    with ExitStack() as stack:
        sizes = [_made(bench, stack, *size, taking=True) for size in (*_SIZES, *((_LONG,) if bench.long else ()))]
        sizes += [_made(bench, stack, *size, taking=False) for size in _DEVICES]
        cases: dict[str, Case] = {size.name: partial(_sample, size) for size in sizes}
        bench.begin("growth", len(cases) * (bench.rounds + 1))
        measured = interleaved(cases, bench.rounds, bench.step)
        disk = {size.name: size.inside.people.bytes / size.accounts for size in sizes}
    cold = [_COLD] if bench.long else []
    return _finding(measured, disk, {size.name for size in sizes if size.takeovers}, cold)


def _made(bench: Bench, stack: ExitStack, accounts: int, devices: int, *, taking: bool) -> _Size:
    bench.begin(f"loading {accounts:,} accounts with {devices} devices", 0)
    limit = 1 if taking else devices
    folder = bench.folder / f"{accounts}-{devices}-{limit}"
    settings = suite.settings_in(folder, MAX_CONCURRENT_DEVICES=str(limit))
    inside = Inside(population.load(settings, accounts, devices, cost=CHEAP_FOR_TESTS), _PEOPLE)
    stack.callback(inside.close)
    return _Size(accounts, devices, inside, Takeovers(inside) if taking else None)


def _sample(size: _Size) -> Sample:
    """Ask everything once for each of some people; another token at each call, made before."""
    inside = size.inside
    found: dict[str, float] = {}
    for name, path in _PATHS.items():
        tokens = inside.tokens(_CALLS)
        found[name] = _middle([seconds_of(partial(inside.get, path, token)) for token in tokens])
    if size.takeovers is None:
        return {**found, "takeover": 0, "commit": 0, "question": 0}
    whole, commits, questions = size.takeovers.run(_TAKEOVERS)
    return {**found, "takeover": _middle(whole), "commit": _middle(commits), "question": _middle(questions)}


_PATHS = {
    "verify": "/session/verify",
    "devices": "/device/list",
    "sessions": "/session/list",
    "history": "/session/history",
}
_COLUMNS = (*_PATHS, "takeover", "commit", "question")


def _middle(seconds: Sequence[float]) -> float:
    return sorted(seconds)[len(seconds) // 2] * 1000


def _finding(measured: Measured, disk: Mapping[str, float], taking: set[str], remarks: Sequence[str]) -> Finding:
    least = next(iter(measured))

    def cell(name: str, column: str) -> str:
        if column in _COLUMNS[len(_PATHS) :] and name not in taking:
            return ""
        spread: Spread = measured[name][column]
        if name not in taking:
            return spread.written(".2f")
        return f"{spread.written('.2f')}, {spread.median / measured[least][column].median:.2f} of it"

    rows = [(name, *(cell(name, column) for column in _COLUMNS), f"{disk[name]:,.0f}") for name in measured]
    bars = [
        Bar(
            f"{column}, {name.partition(', ')[0]}",
            measured[name][column].median / measured[least][column].median,
            ours=True,
        )
        for column in ("verify", "takeover")
        for name in measured
        if name in taking
    ]
    return Finding(
        title="Growth",
        about=_ABOUT,
        head=("what", *(f"{column}, ms" for column in _COLUMNS), "bytes on disk each"),
        rows=rows,
        remarks=[f'"of it": of what it takes with {least}.', *remarks],
        charts=[
            Chart(
                "growth.svg",
                "What more accounts change",
                "Time through the whole app; 1 = with a thousand accounts. Shorter is better.",
                bars,
                unit=1,
            )
        ],
    )
