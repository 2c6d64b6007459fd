"""Items and writes in the words of DynamoDB's interface. Pure; every attribute is named through an alias.

A name such as `uuid`, `name`, `state` or `token` is reserved there and works only through an alias.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from common.storage.engine_rules import end_of
from common.storage.port import Absent, Condition, Delete, Item, Key, Sort, Table, Value, Write

DynamoJson: TypeAlias = dict[str, Any]
"""A piece of a request or an answer as boto3's low-level client takes and gives it."""

TTL_ATTRIBUTE = "ttl"
"""Where DynamoDB looks for an item's end: whole seconds since 1970. Ours is `expires_at`, in milliseconds."""

_EMPTY_TEXT = b"\0"
"""How an empty text is kept, as binary, of which the port has none: engines before May 2020 refuse empty texts."""


def to_wire(value: Value) -> DynamoJson:
    """Write a value. A bool is asked for before an int, since it is one in Python."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(int(value))}
    if isinstance(value, str):
        return {"S": str(value)} if value else {"B": _EMPTY_TEXT}
    if isinstance(value, Mapping):
        return {"M": {name: to_wire(inner) for name, inner in value.items()}}
    return {"L": [to_wire(inner) for inner in value]}


def from_wire(wire: Mapping[str, Any]) -> Value:
    """Read a value. Numbers are whole: ValueError for another, as for a kind that we never write."""
    ((kind, content),) = wire.items()
    if kind in ("S", "BOOL"):
        return content  # type: ignore[no-any-return]
    if kind == "N":
        return int(content)
    if kind == "M":
        return {name: from_wire(inner) for name, inner in content.items()}
    if kind == "L":
        return [from_wire(inner) for inner in content]
    if kind == "NULL":
        return None
    if kind == "B" and content == _EMPTY_TEXT:
        return ""
    raise ValueError(f"an attribute of kind {kind} is none of ours")


def with_bytes(answer: Any) -> Any:
    """Return an answer as boto3 gives it, from one read as JSON: what is binary is base64 there."""
    if isinstance(answer, list):
        return [with_bytes(inner) for inner in answer]
    if not isinstance(answer, dict):
        return answer
    if answer.keys() == {"B"} and isinstance(answer["B"], str):
        return {"B": base64.b64decode(answer["B"])}
    return {name: with_bytes(inner) for name, inner in answer.items()}


def item_to_wire(table: Table, item: Item) -> DynamoJson:
    """Write an item, with the second at which DynamoDB may delete it: never before `expires_at`."""
    wire = {name: to_wire(value) for name, value in item.items()}
    end = end_of(table, item)
    if TTL_ATTRIBUTE in wire and table.expires:
        raise ValueError(f"{TTL_ATTRIBUTE} is DynamoDB's own attribute in {table.name}")
    if end is not None:
        wire[TTL_ATTRIBUTE] = {"N": str(-(-end // 1000))}
    return wire


def item_from_wire(table: Table, wire: Mapping[str, Any]) -> Item:
    """Read an item that `item_to_wire` wrote."""
    hidden = TTL_ATTRIBUTE if table.expires else None
    return {name: from_wire(value) for name, value in wire.items() if name != hidden}


def key_to_wire(key: Key) -> DynamoJson:
    """Write a key: one attribute or two."""
    wire = {key.table.partition: to_wire(key.partition)}
    return wire if key.table.sort is None else {**wire, key.table.sort: to_wire(key.sort)}


def write_to_wire(write: Write, prefix: str) -> DynamoJson:
    """Write a PutItem or a DeleteItem. `prefix` stands before the table's name."""
    table = write.key.table
    content = (
        {"Key": key_to_wire(write.key)} if isinstance(write, Delete) else {"Item": item_to_wire(table, write.item)}
    )
    return {"TableName": prefix + table.name, **content, **_condition_to_wire(table, write.when)}


def bulk_to_wire(writes: Sequence[Write], prefix: str) -> DynamoJson:
    """Write the `RequestItems` of a BatchWriteItem: up to 25 writes without conditions, by their tables."""
    requests: DynamoJson = {}
    for write in writes:
        table = write.key.table
        request = (
            {"DeleteRequest": {"Key": key_to_wire(write.key)}}
            if isinstance(write, Delete)
            else {"PutRequest": {"Item": item_to_wire(table, write.item)}}
        )
        requests.setdefault(prefix + table.name, []).append(request)
    return requests


def query_to_wire(table: Table, partition: str, after: Sort | None, *, descending: bool) -> DynamoJson:
    """Write the part of a Query that says which items, in which order."""
    condition, names, values = "#p = :p", {"#p": table.partition}, {":p": to_wire(partition)}
    if after is not None and table.sort is not None:
        condition += " AND #s < :s" if descending else " AND #s > :s"
        names["#s"], values[":s"] = table.sort, to_wire(after)
    return {
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": not descending,
    }


def _condition_to_wire(table: Table, condition: Condition) -> DynamoJson:
    if condition is None:
        return {}
    if isinstance(condition, Absent):
        names = {"#a": table.partition}
        return {"ConditionExpression": "attribute_not_exists(#a)", "ExpressionAttributeNames": names}
    return {
        "ConditionExpression": "#a = :v",
        "ExpressionAttributeNames": {"#a": condition.attribute},
        "ExpressionAttributeValues": {":v": to_wire(condition.value)},
    }
