"""What the storms and crashes share: the seed, and servers that several tests use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.proof.figures import seed
from tests.proof.storm import Fleet
from tests.support.engines import ENGINES, Engine

FleetOf = Callable[..., Fleet]


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> Random:
    """Return the chance of one test; what it starts from is printed with a failure."""
    start = f"{seed()} {request.node.name}"
    print(f"ICHIDAI_TEST_SEED={seed()} makes the same choices")  # noqa: T201 - shown with a failure
    return Random(start)


@pytest.fixture(scope="session")
def fleet_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetOf]:
    """Return a function that gives running servers on an engine with a limit; alike ones are one."""
    running: dict[tuple[str, int], Fleet] = {}

    def of(kind: str, limit: int) -> Fleet:
        if (kind, limit) not in running:
            folder = tmp_path_factory.mktemp("fleet")
            servers = 4 if kind == "sqlite" else 2
            running[kind, limit] = Fleet(folder, engine_in(folder, kind), servers, 2, MAX_CONCURRENT_DEVICES=str(limit))
        return running[kind, limit]

    yield of
    for fleet in running.values():
        fleet.stop()


def engine_in(folder: Path, kind: str) -> Engine:
    """Return an engine; SQLite's file lies where a suite in this folder looks for it."""
    if kind != "sqlite":
        return ENGINES[kind](folder)
    (folder / "data").mkdir()
    return Engine("sqlite", f"sqlite:///{folder / 'data' / 'ichidai.sqlite'}")
