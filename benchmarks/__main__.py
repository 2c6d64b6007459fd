"""`python3 dev.py bench`: run the chapters, print the results, write `docs/benchmarks.md` and `docs/charts/`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.bench import Bench, Chapter
from benchmarks.chapters import commits, dynamodb, growth, logins, proofs, starting, verification
from benchmarks.load import NoLoadGenerator, require_wrk
from benchmarks.report import Finding

CHAPTERS: Mapping[str, Chapter] = {
    "verification": verification.measure,
    "logins": logins.measure,
    "growth": growth.measure,
    "dynamodb": dynamodb.measure,
    "commits": commits.measure,
    "start": starting.measure,
    "proofs": proofs.measure,
}
_NARROWEST = 150
"""Columns that a table of numbers needs to be read; a pipe has any number of them."""


def main(arguments: Sequence[str]) -> int:
    """Run the chapters that are asked for, one after another; a chapter that was run has its part written anew."""
    asked = _asked(arguments)
    console = Console()
    console = console if console.is_terminal else Console(width=_NARROWEST)
    try:
        require_wrk()
    except NoLoadGenerator as missing:
        console.print(str(missing))
        return 2
    for name in asked.only or CHAPTERS:
        finding = _run(CHAPTERS[name], asked, console)
        finding.show(console)
        if not asked.dry and asked.peers:
            finding.write(
                name, f"`python3 dev.py bench --only {name}{' --long' if asked.long else ''}`, {asked.rounds} rounds"
            )
    return 0


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 dev.py bench", description="Measure the suite beside its peers.")
    parser.add_argument("--only", nargs="+", choices=CHAPTERS, metavar="CHAPTER", help=", ".join(CHAPTERS))
    parser.add_argument("--long", action="store_true", help="the sizes that take their time: a million accounts")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave the peers out; implies --dry")
    parser.add_argument("--dry", action="store_true", help="print alone; the pages stay as they are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of load in each round")
    return parser.parse_args(arguments)


def _run(chapter: Chapter, asked: argparse.Namespace, console: Console) -> Finding:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with (
        tempfile.TemporaryDirectory(prefix="ichidai-bench") as scratch,
        Progress(*columns, console=console) as progress,
    ):
        task = progress.add_task("")

        def begin(what: str, steps: int) -> None:
            progress.reset(task, description=what, total=steps or None)

        def step(what: str) -> None:
            progress.update(task, advance=1, description=what)

        return chapter(Bench(Path(scratch), asked.rounds, asked.seconds, asked.long, asked.peers, begin, step))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
