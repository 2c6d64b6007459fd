"""This release beside a made-up later one on one store, in a storm: the limit holds, and nothing of either is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from common.clock import system_clock
from common.storage.port import Table
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL
from tests.proof.figures import figure, is_long
from tests.proof.storm import EVERYTHING, Fleet, books_differ, rage, violations
from tests.releases.later import MEMBER, lost
from tests.releases.test_releases import content_of
from tests.support.engines import ENGINES
from tests.support.servers import ROOT

HERE = Path(__file__).parent / "releases_beside"
MOODS = Table("MoodsTable", "user_uuid")
PEOPLE = 6
STORMS = 5
_NAMED = {table.name: table for table in ALL}
_AS_MADE = ("RevocationsTable", "AuditTable")
"""Their rows are written as the change made them, by any process."""


def release(kind: str, tells: Path) -> Mapping[str, str]:
    """Return the environment that makes a server another release."""
    path = os.pathsep.join((str(HERE), str(ROOT)))
    return {"PYTHONPATH": path, "ICHIDAI_TEST_RELEASE": kind, "ICHIDAI_TEST_RELEASE_TELLS": str(tells)}


def lost_of(fleet: Fleet, tells: Path) -> Iterator[str]:
    """Yield what the later release has stored and what is no longer there."""
    content = content_of(fleet.engine)
    for line in tells.read_text(encoding="utf-8").splitlines():
        name, (partition, sort), item = json.loads(line)
        lying = content.get((name, _NAMED[name].key(partition, sort)))
        yield from () if name in _AS_MADE else lost(item, lying, f"{name} {partition}")


def storm(folder: Path, seed: int, environments: Sequence[Mapping[str, str]]) -> tuple[int, list[str], list[str]]:
    """Let a mixed storm rage; return its calls, what the checker found, and what was lost of the later release."""
    engine, tells = ENGINES["sqlite"](folder), folder / "told"
    fleet = Fleet(folder, engine, 2, 1, environments=environments, MAX_CONCURRENT_DEVICES="2")
    calls = 20_000 if is_long() else 600
    try:
        run = rage(fleet, folder / "run", seed, calls=calls, people=PEOPLE, devices=3, weights=EVERYTHING, clients=4)
    finally:
        fleet.stop()
    with closing(engine.open()) as store:
        wrong = [*violations(run), *books_differ(store, run)]
    return len(run.calls), wrong, sorted(set(lost_of(fleet, tells)))


def test_a_storm_on_both(tmp_path: Path, chance: Random) -> None:
    """F27: the later one has members in each part and a table of its own."""
    calls, wrong, gone = storm(tmp_path, chance.getrandbits(32), [{}, release("later", tmp_path / "told")])
    figure(
        "F27", "this release beside a later one, mixed storm, sqlite", f"{calls:,} calls", len(wrong) + len(gone), ""
    )
    assert wrong == []
    assert gone == []
    assert MEMBER in (tmp_path / "told").read_text(encoding="utf-8")
    (file,) = tmp_path.glob("*.db")
    with closing(SqliteStore(file, (MOODS,), system_clock)) as store:
        assert sum(len(page) for page in store.pages(MOODS)) == PEOPLE


def test_a_release_that_forgets_is_found(tmp_path: Path, chance: Random) -> None:
    """It is planted beside the later one: the checker of the limit sees nothing, what was stored tells.

    In a short storm the later one may have written every book last: then another rages.
    """
    gone: list[str] = []
    for number in range(STORMS):
        folder = tmp_path / str(number)
        folder.mkdir()
        others = [release("forgetful", folder / "unused"), release("later", folder / "told")]
        _, _, gone = storm(folder, chance.getrandbits(32), others)
        if any(fault.startswith("SessionsTable") for fault in gone):
            return
    pytest.fail(f"nothing of a book was lost in {STORMS} storms, but {gone}")


@pytest.fixture
def chance() -> Random:
    """Return the run's chance."""
    return Random(os.environ.get("ICHIDAI_TEST_SEED", "17"))
