"""Two suites for all attacks of a module: people are made anew for each, keys and apps once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.usecases.in_process_suite import HandClock, InProcessSuite

LOOSE = {"ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "1000000", "ICHIDAI_REGISTRATIONS_SOURCE": "1000000"}
"""All attacks come from one address."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the keys."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[InProcessSuite]:
    """Return a suite with the default settings."""
    with closing(InProcessSuite(tmp_path_factory.mktemp("suite"), keys, HandClock(), **LOOSE)) as built:
        yield built


@pytest.fixture(scope="module")
def proving_suite(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[InProcessSuite]:
    """Return a suite where every device must prove itself."""
    settings = {**LOOSE, "ICHIDAI_DEVICE_PROOF": "signature"}
    with closing(InProcessSuite(tmp_path_factory.mktemp("proving"), keys, HandClock(), **settings)) as built:
        yield built
