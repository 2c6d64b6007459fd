"""The port's own values: keys of items; and its verbs."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.storage.port import Key, Put, Store, Table

ROOT = Path(__file__).resolve().parents[2]
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


def test_a_write_is_of_one_item() -> None:
    """The port has no transaction, and no engine offers one beside it."""
    verbs = {name for name in vars(Store) if not name.startswith("_")}
    assert verbs == {"get", "query", "put", "delete", "close"}
    engines = (ROOT / "common" / "storage").rglob("*.py")
    assert not [path for path in engines if "transact_write" in path.read_text(encoding="utf-8")]
