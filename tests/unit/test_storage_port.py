"""The port's own values: keys of items, and the bounds of a commit."""

from __future__ import annotations

import pytest

from common.storage.port import MOST_WRITES, Delete, Key, Put, Table, check_commit

PEOPLE, THINGS = Table("People", "name"), Table("Things", "owner", "number", sort_is_number=True)


def test_a_table_knows_the_key_of_an_item() -> None:
    """With and without a sort key."""
    assert PEOPLE.key_of({"name": "anna", "age": 5}) == PEOPLE.key("anna") == Key(PEOPLE, "anna")
    assert THINGS.key_of({"owner": "anna", "number": 7}) == THINGS.key("anna", 7) == Key(THINGS, "anna", 7)


def test_a_put_goes_where_its_item_belongs() -> None:
    """The key is never told twice."""
    assert Put(PEOPLE, {"name": "anna"}).key == PEOPLE.key("anna")


def test_an_item_without_its_key_is_a_fault() -> None:
    """Of ours."""
    with pytest.raises(KeyError):
        THINGS.key_of({"owner": "anna"})


@pytest.mark.parametrize("item", [{"owner": 5, "number": 7}, {"owner": "anna", "number": ["x"]}])
def test_a_key_that_is_no_text_or_number_is_a_fault(item: dict[str, object]) -> None:
    """Of ours too."""
    with pytest.raises(TypeError, match="Things"):
        THINGS.key_of(item)  # type: ignore[arg-type]


def deletes(count: int) -> list[Delete]:
    """Return so many writes of different items."""
    return [Delete(PEOPLE.key(f"person {number}")) for number in range(count)]


@pytest.mark.parametrize("count", [1, MOST_WRITES])
def test_a_commit_of_one_to_ten_writes_will_do(count: int) -> None:
    """With a request id of 1 to 36 characters."""
    for request_id in ("x", "x" * 36):
        check_commit(deletes(count), request_id)


@pytest.mark.parametrize(("count", "request_id"), [(0, "x"), (MOST_WRITES + 1, "x"), (1, ""), (1, "x" * 37)])
def test_a_commit_beyond_its_bounds_is_a_fault(count: int, request_id: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=r"writes|36 characters"):
        check_commit(deletes(count), request_id)


def test_a_commit_touches_an_item_once() -> None:
    """Whether it is put or deleted."""
    with pytest.raises(ValueError, match="one item twice"):
        check_commit([Put(PEOPLE, {"name": "anna"}), Delete(PEOPLE.key("anna"))], "x")
