"""The figures of the proof: what each test measured, as a table on the terminal and in `docs/figures.md`.

A test calls `figure`. Run by `python3 dev.py prove`, this file runs the tests, gathers what they told, and writes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "figures.md"
FOLDERS = ("tests/proof", "tests/interleavings", "tests/races")
LONG = 100
"""How many CI sizes a long size is, unless a number is given."""

_BESIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")
_NOTHING_SELECTED = 5
_FILE, _LONG, _SEED = "ICHIDAI_TEST_FIGURES", "ICHIDAI_TEST_LONG", "ICHIDAI_TEST_SEED"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: the id of `docs/proof.md`, what was done how often, what was wrong, and what it took."""

    id: str
    what: str
    size: str
    violations: int
    numbers: str = ""


def figure(name: str, what: str, size: str, violations: int, numbers: str = "") -> None:
    """Tell a figure to whoever gathers them; nobody may be there."""
    if path := os.environ.get(_FILE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(Figure(name, what, size, violations, numbers))) + "\n")


def rounds() -> int:
    """Return how many times its CI size a test is to do: 1, or what `ICHIDAI_TEST_LONG` says (`1`: the long size)."""
    asked = os.environ.get(_LONG, "")
    return 1 if not asked else LONG if asked == "1" else int(asked)


def seed() -> int:
    """Return the seed of the run: `ICHIDAI_TEST_SEED`, or a new one."""
    return int(os.environ.setdefault(_SEED, str(random.randrange(10**9))))


def main(arguments: Sequence[str]) -> int:
    """Run the proof; print its table and write the page. Return 0 when nothing was violated."""
    parser = argparse.ArgumentParser(prog="python3 dev.py prove", description="Run the proof of the limit.")
    parser.add_argument("--long", nargs="?", const=LONG, type=int, metavar="TIMES", help=f"CI sizes (bare: {LONG})")
    parser.add_argument("--seed", type=int, help="of every random choice")
    parser.add_argument("--only", metavar="EXPRESSION", help="as pytest's -k; the page is left as it is then")
    asked = parser.parse_args(arguments)
    os.environ[_LONG] = str(asked.long) if asked.long and asked.long != LONG else "1" if asked.long else ""
    if asked.seed is not None:
        os.environ[_SEED] = str(asked.seed)
    print(f"Seed {seed()}, {rounds()} times the CI size", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        code = _run_tests(Path(scratch), asked.only)
        figures = _gathered(Path(scratch))
    print(_table(figures), flush=True)
    if not asked.only:
        PAGE.write_text(_page(figures, time.monotonic() - begun), encoding="utf-8")
        print(f"Written to {PAGE.relative_to(ROOT)}", flush=True)
    return code or int(any(each.violations for each in figures))


def _run_tests(scratch: Path, only: str | None) -> int:
    """Run the storms one after another, as they would slow each other down; all the rest side by side."""
    alone, *others = FOLDERS
    codes = {_run_folders(scratch / "1.xml", only, alone), _run_folders(scratch / "2.xml", only, *others, *_BESIDE)}
    return max(codes - {_NOTHING_SELECTED}, default=0)


def _run_folders(report: Path, only: str | None, *arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:randomly", "--tb=short", f"--junit-xml={report}"]
    command += [*arguments, *(["-k", only] if only else [])]
    environment = {**os.environ, _FILE: str(report.with_name("figures.jsonl"))}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _gathered(scratch: Path) -> list[Figure]:
    told = scratch / "figures.jsonl"
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    figures = [Figure(**json.loads(line)) for line in lines]
    reports = [ET.parse(path) for path in scratch.glob("*.xml")]  # noqa: S314 - our own pytest's
    cases = [case for report in reports for case in report.iter("testcase")]
    figures += [_orders(_within(cases, "tests/interleavings"))]
    figures.sort(key=lambda each: int(each.id.strip("F")))
    return [*figures, *(_folder(folder, _within(cases, folder)) for folder in FOLDERS)]


def _within(cases: Sequence[ET.Element], folder: str) -> list[ET.Element]:
    return [case for case in cases if case.get("classname", "").startswith(folder.replace("/", "."))]


def _orders(cases: Sequence[ET.Element]) -> Figure:
    """Return the line of the schedules that were explored, as `tests/interleavings` counts them."""
    told = [each for case in cases for each in case.iter("property")]
    schedules, steps = (
        sum(int(each.get("value", "0")) for each in told if each.get("name") == f"interleavings {name}")
        for name in ("schedules", "steps")
    )
    what = "every order of the store calls of two and of three clients, and of those who die"
    return Figure("F25", what, f"{schedules:,} schedules, {steps:,} steps", _failed(cases))


def _folder(folder: str, cases: Sequence[ET.Element]) -> Figure:
    """Return the line of a folder: how many tests it has, and how many failed."""
    skipped = sum(case.find("skipped") is not None for case in cases)
    return Figure("", f"all of `{folder}`", f"{len(cases)} tests, {skipped} skipped", _failed(cases))


def _failed(cases: Sequence[ET.Element]) -> int:
    return sum(case.find("failure") is not None or case.find("error") is not None for case in cases)


def _table(figures: Sequence[Figure]) -> str:
    rows = ["| id | what | size | violations | measured |", "|---|---|---|---|---|"]
    rows += [f"| {each.id} | {each.what} | {each.size} | {each.violations} | {each.numbers} |" for each in figures]
    return "\n".join(rows)


def _page(figures: Sequence[Figure], seconds: float) -> str:
    times = "the CI size" if rounds() == 1 else f"{rounds()} times the CI size"
    command = f"python3 dev.py prove{'' if rounds() == 1 else f' --long {rounds()}'} --seed {seed()}"
    return f"""# Figures

The last run of the proof ({times}); `proof.md` says what the lines mean. A violation is an answer, a history or a row
that the rules do not allow; a server error (5xx) in a storm is one too.

- Command: `{command}`, {seconds / 60:.1f} minutes, {datetime.now(UTC):%Y-%m-%d}
- Commit: {_commit()}
- Machine: {os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}

Passwords cost nothing in the storms (a setting of the tests' own), so that they meet at the book and not at the hash;
clients and servers share the cores.

{_table(figures)}
"""


def _commit() -> str:
    def said(*command: str) -> str:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with changes not committed yet" if said("git", "status", "--porcelain") else ""
    return f"`{said('git', 'rev-parse', '--short', 'HEAD')}`{changed}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
