"""What goes to DynamoDB's interface names no attribute by itself: a reserved word would break the request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from common.storage.dynamodb.codec import query_to_wire, write_to_wire
from common.storage.port import Absent, Delete, Equals, Put, Table
from common.storage.tables import ALL

KEYWORDS = {"AND", "attribute_not_exists"}


def item_of(table: Table) -> dict[str, Any]:
    """Return an item with the table's key, and names that are reserved there."""
    key: dict[str, Any] = {table.partition: "p"}
    if table.sort is not None:
        key[table.sort] = 1 if table.sort_is_number else "s"
    return key | {"uuid": "u", "name": "n", "state": "open", "token": "t", "version": 1}


def requests_of(table: Table) -> Iterator[dict[str, Any]]:
    """Return all that the engine writes of conditions on a table."""
    item = item_of(table)
    for condition in (Absent(), Equals("version", 1), Equals("state", "open"), Equals("token", "t")):
        yield write_to_wire(Put(table, item, condition), "p-")
    key = table.key(item[table.partition], item[table.sort]) if table.sort else table.key(item[table.partition])
    yield write_to_wire(Delete(key, Equals("name", "n")), "p-")
    if table.sort is not None:
        for descending in (False, True):
            yield query_to_wire(table, "p", item[table.sort], descending=descending)
    yield query_to_wire(table, "p", None, descending=False)


@pytest.mark.requirement("R36")
@pytest.mark.regression("X69")
@pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)
def test_every_attribute_is_named_through_an_alias(table: Table) -> None:
    """Each expression holds aliases alone, each alias stands for something, and none is left over."""
    for request in requests_of(table):
        expressions = [text for name, text in request.items() if name.endswith("Expression")]
        assert expressions
        words = {word for text in expressions for word in re.findall(r"[#:]?\w+", text)} - KEYWORDS
        named = {**request["ExpressionAttributeNames"], **request.get("ExpressionAttributeValues", {})}
        assert words == named.keys()
