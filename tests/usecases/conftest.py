"""A house of its own for each test; the keys are made once, because they take longest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.usecases.house import Device, HandClock, House, Person

Build = Callable[..., House]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the keys of all houses."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def build_house(tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[Build]:
    """Return what builds a house on the test's one file: with settings, and by default with the test's clock."""
    with ExitStack() as houses:

        def build(its_clock: HandClock = clock, **settings: str) -> House:
            return houses.enter_context(closing(House(tmp_path, keys, its_clock, **settings)))

        yield build


@pytest.fixture
def house(build_house: Build) -> House:
    """Return a house with the default settings: one device active, and the person is asked."""
    return build_house()


@pytest.fixture
def anna(house: House) -> Person:
    """Return a registered person."""
    return house.register()


@pytest.fixture
def laptop(house: House, anna: Person) -> Device:
    """Return her second device."""
    return house.pair(anna, "Laptop")
