"""How soon a server is ready, and how much memory it holds, beside what its libraries cost by themselves."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import peers, suite
from benchmarks.bench import Bench
from benchmarks.measuring import Sample, interleaved
from benchmarks.report import Finding
from benchmarks.servers import Server

_UNIT, _EMPTY, _OURS = "import of Flask and boto3", "empty Flask route on granian", "Ichidai, on SQLite"
_ABOUT = """\
Seconds from the command to the first answer, with one worker and with data and keys already there, and the memory that
all processes of a server hold then (PSS: what they share is counted once). Ours has three of them, the main process, a
worker, and the one of the event streams, and each imports the suite."""


def measure(bench: Bench) -> Finding:
    """Measure start and size."""
    settings = suite.settings_in(bench.folder)
    suite.started(settings, bench.folder / "first", workers=1).stop()
    numbers = itertools.count()

    def ours() -> Sample:
        return _started(lambda folder: suite.started(settings, folder, workers=1), bench.folder / f"o{next(numbers)}")

    def empty() -> Sample:
        return _started(lambda folder: peers.empty(folder, workers=1), bench.folder / f"e{next(numbers)}")

    runs = {_UNIT: _imported, _EMPTY: empty, _OURS: ours}
    bench.begin("start and size", len(runs) * (bench.rounds + 1))
    measured = interleaved(runs, bench.rounds, bench.step)
    unit = measured[_UNIT]["seconds"].median
    rows = [
        (
            name,
            found["seconds"].written(".2f"),
            found["seconds"].over(unit).written(".2f"),
            found["megabytes"].written() if found["megabytes"].median else "",
        )
        for name, found in measured.items()
    ]
    return Finding("Start and size", _ABOUT, ("what", "seconds", "in imports", "memory, MB"), rows)


def _imported() -> Sample:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import flask, boto3"], check=True)
    return {"seconds": time.perf_counter() - begun, "megabytes": 0}


def _started(start: Callable[[Path], Server], folder: Path) -> Sample:
    begun = time.perf_counter()
    server = start(folder)
    seconds = time.perf_counter() - begun
    try:
        server.settle()
        return {"seconds": seconds, "megabytes": server.memory() / 1e6}
    finally:
        server.stop()
