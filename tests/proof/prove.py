"""`python3 dev.py prove`: runs the proof part by part and keeps what each measured in `docs/benchmarks.md`.

The page has two sections, one of the CI size and one of the long size. After each part its rows are replaced there, in
the section of its size; a run that was stopped goes on with `--only`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.proof.figures import FILE, LONG, SEED, Figure, seed
from tests.support.benchmarks_page import (
    PAGE,
    ROOT,
    Row,
    commit,
    machine,
    replace_section,
    rows_of,
    section,
    table,
    today,
)

STORMS, KILLS = "tests/proof/test_storms.py", "tests/proof/test_kills.py"
KILLS_WITH_MAILS = "tests/proof/test_kills_with_mails.py"
KILLS_WITH_APPROVALS = "tests/proof/test_kills_with_approvals.py"
KILLS_WITH_OBJECTIONS = "tests/proof/test_kills_with_objections.py"
STREAMS = "tests/proof/test_storm_with_streams.py"
OPERATORS = "tests/proof/test_storm_with_operator.py"
LOWERED = "tests/proof/test_lowered_policy.py"
HEAD = ("id", "what", "size", "violations", "measured", "run")

_BESIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")


@dataclass(frozen=True, slots=True)
class Part:
    """Tests that run together. `what` stands for those that tell no figure; `alone`: others would slow them down."""

    id: str
    tests: tuple[str, ...]
    what: str = ""
    alone: bool = False


PARTS = (
    Part(
        "F1",
        (f"{STORMS}::test_logins_and_takeovers_on_one_account", f"{STORMS}::test_tries_for_a_change"),
        alone=True,
    ),
    Part("F2", (f"{STORMS}::test_everything_on_fifty_accounts", STREAMS, OPERATORS, LOWERED), alone=True),
    Part("F28", ("tests/proof/test_check_store.py",), alone=True),
    Part("F3", (f"{STORMS}::test_an_evicted_token_is_refused_everywhere",), alone=True),
    Part("F5", (f"{STORMS}::test_refreshes",), alone=True),
    Part("F6", (f"{STORMS}::test_one_name_is_registered_once",), alone=True),
    Part("F7", (f"{STORMS}::test_one_pairing_token_makes_one_device",), alone=True),
    Part(
        "F9",
        (KILLS, KILLS_WITH_MAILS, KILLS_WITH_APPROVALS, KILLS_WITH_OBJECTIONS, "tests/proof/test_laying_down.py"),
        alone=True,
    ),
    Part(
        "F10",
        ("tests/proof/test_faults.py", "tests/usecases/test_store_failures.py"),
        "every fault at every store call of every operation",
    ),
    Part(
        "I20",
        ("tests/contract/test_dynamodb.py",),
        "between boto3 and DynamoDB, answers swallowed, cut, late or foreign: done once, told rightly",
    ),
    Part(
        "F11",
        ("tests/proof/test_store_unavailable.py", "tests/integration/test_store_unavailable.py"),
        "the store away: every route is answered 503 in time, nothing happens, and all goes on afterwards",
        alone=True,
    ),
    Part("F12", ("tests/proof/test_guessing.py",), alone=True),
    Part("F13", ("tests/proof/test_timing.py", "tests/proof/test_timing_of_links.py"), alone=True),
    Part("F18", (f"{STORMS}::test_clocks_of_the_processes_apart", "tests/proof/test_clocks.py"), alone=True),
    Part("F19", ("tests/proof/test_state_machine.py",)),
    Part("F23", ("tests/proof/test_streams.py", "tests/proof/test_killed_before_telling.py"), alone=True),
    Part(
        "F24",
        ("tests/proof/test_costs.py",),
        "store calls and capacity units of each operation are those of `costs.md`; verify: one read of one unit",
    ),
    Part(
        "F25",
        ("tests/interleavings/test_every_order.py", "tests/interleavings/test_approvals.py"),
        "every order of the store calls of two and of three clients, and of those who die",
    ),
    Part("F26", ("tests/proof/test_hostile.py",), alone=True),
    Part("I28", ("tests/browser/test_notice.py",), alone=True),
    Part(
        "claims",
        ("tests/interleavings/test_claims.py",),
        "every order of two who want the same name, mail or key, and of those who die; the mistakes found",
    ),
    Part(
        "regions",
        ("tests/interleavings/test_regions.py",),
        "clients in three regions, strongly consistent: no violation; eventually consistent: promises break",
    ),
    Part("F27", ("tests/releases/test_side_by_side.py",), alone=True),
    Part(
        "planted",
        ("tests/interleavings/test_planted_bugs.py", "tests/interleavings/test_planted_approvals.py"),
        "the mistakes that the orders must find, found",
    ),
    Part(
        "checker",
        (
            "tests/proof/test_checker.py",
            "tests/proof/test_recording.py",
            "tests/interleavings/test_memory_store.py",
            "tests/interleavings/test_scheduler.py",
        ),
        "the checker finds each violation in runs made up for it",
    ),
    Part("move", ("tests/integration/test_moving.py",), alone=True),
    Part("races", ("tests/races",), "eight logins at once; the classic mistake lets all eight in"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done: the value of `ICHIDAI_TEST_LONG`, the section of the page, its title, and the option."""

    asked: str
    section: str
    title: str
    option: str


CI = Size("", "proof-ci", "The proof, CI size", "")
LONGEST = Size("1", "proof-long", "The proof, long size", " --long")


def main(arguments: Sequence[str]) -> int:
    """Run the proof, print its table and write the page. Return 0 when nothing was violated and nothing failed."""
    parser = argparse.ArgumentParser(prog="python3 dev.py prove", description="Run the proof of the limit.")
    parser.add_argument(
        "--long", nargs="?", const=0, type=int, metavar="TIMES", help="the long size, or so many times the CI size"
    )
    parser.add_argument("--seed", type=int, help="of every random choice")
    parser.add_argument("--only", metavar="IDS", help=f"some parts: {','.join(part.id for part in PARTS)}")
    asked = parser.parse_args(arguments)
    size = _size(asked.long)
    parts = _chosen(parser, asked.only)
    os.environ[LONG] = size.asked
    if asked.seed is not None:
        os.environ[SEED] = str(asked.seed)
    command = f"python3 dev.py prove{size.option}{f' --only {asked.only}' if asked.only else ''} --seed {seed()}"
    print(command, flush=True)
    failed = _run_parts(parts, size, command)
    print(section(size.section), flush=True)
    print(f"Written to {PAGE.relative_to(ROOT)}; failed: {', '.join(failed) or 'nothing'}", flush=True)
    return int(bool(failed))


def _size(times: int | None) -> Size:
    if times is None:
        return CI
    if not times:
        return LONGEST
    return Size(str(times), LONGEST.section, LONGEST.title, f" --long {times}")


def _chosen(parser: argparse.ArgumentParser, only: str | None) -> Sequence[Part]:
    ids = only.split(",") if only else [part.id for part in PARTS]
    if unknown := set(ids) - {part.id for part in PARTS}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    return [part for part in PARTS if part.id in ids]


def _run_parts(parts: Sequence[Part], size: Size, command: str) -> list[str]:
    """Run one part after the other and write down each; return the ids of those in which something was wrong."""
    begun, failed = time.monotonic(), []
    for number, part in enumerate(parts, 1):
        minutes = (time.monotonic() - begun) / 60
        print(f"[{number} of {len(parts)}, {minutes:.1f} min] {part.id}", flush=True)
        code, figures = _run(part)
        write(figures, size, command, time.monotonic() - begun)
        if code or any(each.violations for each in figures):
            failed.append(part.id)
    return failed


def _run(part: Part) -> tuple[int, list[Figure]]:
    with tempfile.TemporaryDirectory() as scratch:
        report, told = Path(scratch) / "report.xml", Path(scratch) / "figures.jsonl"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--tb=short", "--capture=sys"]
        command += [f"--junit-xml={report}", *part.tests, *(() if part.alone else _BESIDE)]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, FILE: str(told)}, check=False)
        lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 - our own pytest's
    return done.returncode, gathered(part, [Figure(**json.loads(line)) for line in lines], cases)


def gathered(part: Part, figures: Sequence[Figure], cases: Sequence[ET.Element]) -> list[Figure]:
    """Return what a part told, or what its tests are where they told nothing. A test that failed is never left out."""
    bad = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    size = f"{len(cases):,} tests{f', {skipped} skipped' if skipped else ''}"
    counted = ", ".join(f"{value:,} {name}" for name, value in _counts(cases).items())
    if figures and (not bad or any(each.violations for each in figures)):
        return sorted(figures, key=lambda each: each.what)
    ours = Figure(part.id, part.what or "its tests", size, bad or int(not cases), counted)
    return [*figures, ours]


def _counts(cases: Sequence[ET.Element]) -> dict[str, int]:
    """Return the sums of what the tests counted: properties named `counted …`."""
    sums: dict[str, int] = {}
    for each in (found for case in cases for found in case.iter("property")):
        _, counted, name = each.get("name", "").partition("counted ")
        if counted:
            sums[name] = sums.get(name, 0) + int(each.get("value", "0"))
    return sums


def write(figures: Sequence[Figure], size: Size, command: str, seconds: float, page: Path = PAGE) -> None:
    """Replace the rows of these parts in the section of a size; the rows of other parts stay."""
    run = f"{today()} {commit()}"
    new = [(each.id, each.what, each.size, str(each.violations), each.numbers, run) for each in figures]
    ids = {row[0] for row in new}
    rows = sorted([*(row for row in rows_of(section(size.section, page)) if row[0] not in ids), *new], key=_place)
    body = f"""\
## {size.title}

`proof.md` says what the lines mean. A violation is an answer, a history or a row that the rules do not allow; a server
error (5xx) in a storm is one too. Passwords cost nothing in the storms (a setting of the tests' own), so that they meet
at the book and not at the hash; clients and servers share the cores.

- Last command: `{command}`, {seconds / 60:.1f} minutes
- Machine: {machine()}

{table(HEAD, rows)}
"""
    replace_section(size.section, body, page)


def _place(row: Row) -> tuple[int, str]:
    order = [part.id for part in PARTS]
    return order.index(row[0]) if row[0] in order else len(order), row[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
