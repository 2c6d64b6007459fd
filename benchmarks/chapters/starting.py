"""How soon a server is ready, and how much memory it holds, beside what its libraries cost by themselves."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks import peers, suite
from benchmarks.bench import Bench
from benchmarks.measuring import Sample, interleaved
from benchmarks.report import Finding
from benchmarks.servers import Server

_UNIT, _EMPTY, _OURS = "import of Flask and boto3", "empty Flask route on granian", "Ichidai, on SQLite"
_ABOUT = """\
Seconds from the command to the first answer, with one worker and with data, keys and byte code already there, and the
memory that all processes of a server hold then (PSS: what they share is counted once). Ours has three of them: the
main process, which imports the suite, and, on Linux forked from it, a worker and the process of the event streams.
The last column is what each further worker holds beyond that."""
_MORE = 2


def measure(bench: Bench) -> Finding:
    """Measure start and size."""
    settings = suite.settings_in(bench.folder)
    suite.started(settings, bench.folder / "first", workers=1).stop()
    numbers = itertools.count()

    def ours() -> Sample:
        return _started(lambda workers: suite.started(settings, bench.folder / f"o{next(numbers)}", workers))

    def empty() -> Sample:
        return _started(lambda workers: peers.empty(bench.folder / f"e{next(numbers)}", workers=workers))

    runs = {_UNIT: _imported, _EMPTY: empty, _OURS: ours}
    bench.begin("start and size", len(runs) * (bench.rounds + 1))
    measured = interleaved(runs, bench.rounds, bench.step)
    unit = measured[_UNIT]["seconds"].median
    rows = [
        (
            name,
            found["seconds"].written(".2f"),
            found["seconds"].over(unit).written(".2f"),
            *(found[name].written() if found[name].median else "" for name in ("megabytes", "worker")),
        )
        for name, found in measured.items()
    ]
    return Finding(
        "Start and size", _ABOUT, ("what", "seconds", "in imports", "memory, MB", "each further worker, MB"), rows
    )


def _imported() -> Sample:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import flask, boto3"], check=True)
    return {"seconds": time.perf_counter() - begun, "megabytes": 0, "worker": 0}


def _started(start: Callable[[int], Server]) -> Sample:
    """Start a server with one worker, and again with more."""
    begun = time.perf_counter()
    server = start(1)
    seconds, one = time.perf_counter() - begun, _held(server)
    more = _held(start(1 + _MORE))
    return {"seconds": seconds, "megabytes": one, "worker": (more - one) / _MORE}


def _held(server: Server) -> float:
    """Return the megabytes that a server holds, and end it."""
    try:
        server.settle()
        return server.memory() / 1e6
    finally:
        server.stop()
