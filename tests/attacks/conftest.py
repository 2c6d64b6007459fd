"""Two houses for all attacks of a module: people are made anew for each, keys and apps once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.usecases.house import HandClock, House

LOOSE = {"ICHIDAI_GUESSES_SOURCE": "1000000"}
"""All attacks come from one address."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the keys."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[House]:
    """Return a house with the default settings."""
    with closing(House(tmp_path_factory.mktemp("house"), keys, HandClock(), **LOOSE)) as built:
        yield built


@pytest.fixture(scope="module")
def proving_house(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[House]:
    """Return a house where every device must prove itself."""
    settings = {**LOOSE, "ICHIDAI_DEVICE_PROOF": "signature"}
    with closing(House(tmp_path_factory.mktemp("proving"), keys, HandClock(), **settings)) as built:
        yield built
