"""The lock files: what they name is enough for `pip install --require-hashes`, an older pip and later releases too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
_PINNED = re.compile(r"^[a-z0-9][\w.-]*(\[[^\]]*\])?==[^\s;]+", re.IGNORECASE)


def pinned(name: str) -> dict[str, Requirement]:
    """Return what a lock file names, by distribution."""
    lines = (_ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.split(";")[0].rstrip("\\ ")) for line in lines if _PINNED.match(line)]
    return {canonicalize_name(each.name): each for each in found}


def needed_by(requirement: Requirement) -> Iterator[Requirement]:
    """Yield what an installed distribution needs here, with the extras that were asked for."""
    for line in distribution(requirement.name).requires or ():
        needed = Requirement(line)
        environments = [{"extra": extra} for extra in ("", *requirement.extras)]
        if needed.marker is None or any(needed.marker.evaluate(each) for each in environments):
            yield needed


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_extras_stand_beside_their_versions(name: str) -> None:
    """Without them pip 23 tries the newest release of `coverage[toml]` first, finds no hash for it, and gives up."""
    lock = pinned(name)
    installed = [each for each in lock.values() if each.marker is None or each.marker.evaluate()]
    missing = []
    for each in installed:
        try:
            needs = list(needed_by(each))
        except ModuleNotFoundError:
            continue  # for another system or Python
        missing += [
            f"{each.name} needs {need}" for need in needs if need.extras - lock[canonicalize_name(need.name)].extras
        ]
    assert len(installed) > 10
    assert not missing
