"""What a host that has seen a store says of it later."""

from __future__ import annotations

import pytest

from common.keys.generation import MOST_MARKS, Generation, seen
from tests.unit.builders import SECOND, T0

FIRST = Generation.first()


def after(changes: int, found: Generation = FIRST) -> Generation:
    """Return a store that was marked so often."""
    for _ in range(changes):
        found = found.marked()
    return found


def test_an_item_says_it_all_and_keeps_what_it_does_not_know() -> None:
    """In one write unit, however long the store was served."""
    later = after(3 * MOST_MARKS).raised("kim@ops-1", "r" * 100, T0)
    item = {**later.to_item(), "new": [1]}
    assert Generation.from_item(item).to_item() == item
    assert len(str(item)) < 1024


@pytest.mark.parametrize("changes", [0, 1, MOST_MARKS, 2 * MOST_MARKS])
def test_a_store_that_went_on_is_the_one_that_was_seen(changes: int) -> None:
    """However far."""
    was = after(5)
    assert seen(was, 3).fault(after(changes, was), 3) is None


@pytest.mark.parametrize("back", [1, 5])
def test_a_store_that_went_back_is_told(back: int) -> None:
    """Also when it went on from there, to where it was or beyond."""
    was = after(5)
    witness = seen(after(back, was), 3)
    for further in range(MOST_MARKS):
        assert "restored from a backup" in str(witness.fault(after(further, was), 3)), further


def test_another_store_an_empty_one_and_an_older_list_of_keys_are_told() -> None:
    """Each by its sentence."""
    witness = seen(FIRST, 3)
    assert "not the one" in str(witness.fault(after(9, Generation.first()), 3))
    assert "empty" in str(witness.fault(None, 0))
    assert "older" in str(witness.fault(FIRST, 2))


def test_a_higher_generation_is_an_accepted_store() -> None:
    """Its number is a time, and rises also where the clock was set back."""
    accepted = FIRST.raised("kim", "why", T0)
    assert seen(after(9), 3).fault(accepted, 1) is None
    assert accepted.raised("kim", "why", T0 - 9 * SECOND).number == accepted.number + 1
    assert "older" in str(seen(accepted, 3).fault(after(99), 3))
