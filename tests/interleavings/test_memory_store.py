"""The engine in memory keeps the port's contract, as far as it is one caller's: the same tests as the real ones."""

from __future__ import annotations

from uuid import uuid4

import pytest

from common.storage.tables import USERS
from tests.contract.test_store import TestConditions, TestGet, TestOneItem, TestQuery, TestValues
from tests.interleavings.memory_store import MemoryStore

__all__ = ["TestConditions", "TestGet", "TestOneItem", "TestQuery", "TestValues"]


class MemoryEngine:
    """The one store, however often it is opened."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    def open(self) -> MemoryStore:
        """Return it."""
        return self.store


@pytest.fixture
def engine() -> MemoryEngine:
    """Return a fresh engine."""
    return MemoryEngine()


@pytest.fixture
def store(engine: MemoryEngine) -> MemoryStore:
    """Return its store."""
    return engine.store


@pytest.fixture
def own() -> str:
    """Return a key that no other test uses."""
    return uuid4().hex


def test_a_copy_goes_its_own_way() -> None:
    """What is written to a copy is not in the original."""
    original = MemoryStore()
    copy = original.copy()
    copy.put(USERS, {"uuid": "anna"})
    assert original.get(USERS.key("anna")) is None
    original.put(USERS, {"uuid": "anna", "name": "Anna"})
    assert copy.get(USERS.key("anna")) == {"uuid": "anna"}
