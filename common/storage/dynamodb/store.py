"""The distributed engine: DynamoDB by boto3, one client for each process.

A write is one PutItem or DeleteItem. When its answer is lost it is sent again, for its condition lets it happen once;
but a condition that fails then tells nothing, and the outcome is unknown. boto3 itself never repeats anything: it would
report that as a failed condition. Reads are strongly consistent, but for those that say so. Only an answer that names
its consumed capacity counts as one: boto3 takes a truncated page of a proxy for an empty answer, and "there is no such
item" must never be a guess. A `get` goes past the client where it can (`fast_get`), with the same answers.

Once a call has given up because nobody answered, all others give up for a moment without asking (`rest`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from common.clock import system_clock, to_millis
from common.retry import RetryBudget, deadline_exceeded
from common.storage.circuit_breaker import CircuitBreaker
from common.storage.clock_offset import ClockReading
from common.storage.dynamodb.client import DEFAULT_LIMITS, Clients, Limits, RequestFailed, TableLocation, open_client
from common.storage.dynamodb.codec import (
    DynamoJson,
    bulk_to_wire,
    item_from_wire,
    key_to_wire,
    query_to_wire,
    write_to_wire,
)
from common.storage.dynamodb.errors import Failure, FailureKind
from common.storage.engine_rules import check_unconditional, check_write, is_valid_key, is_valid_query
from common.storage.port import (
    Condition,
    Conflict,
    Delete,
    Item,
    Key,
    OutcomeUnknown,
    Page,
    Put,
    Sort,
    StoreUnavailable,
    Table,
    Write,
)
from common.storage.store_metrics import THROTTLED, UNITS, measured
from common.storage.tables import KEY_RING
from common.storage.write_guard import MayWrite, always

_GLANCE: DynamoJson = {"ConsistentRead": False, "ReturnConsumedCapacity": "TOTAL"}
_CLOCK_KEY = "clock"
_READS = frozenset({"get_item", "query", "scan"})
_DATE_SECONDS = 1.0
_MOST_IN_A_BATCH = 25
"""What a BatchWriteItem takes."""

_READ: DynamoJson = {"ConsistentRead": True, "ReturnConsumedCapacity": "TOTAL"}


class DynamoStore:
    """A `Store` in DynamoDB. Credentials come by boto3's own chain. Nothing is opened before the first call."""

    def __init__(self, location: TableLocation, limits: Limits = DEFAULT_LIMITS) -> None:
        self._prefix = location.prefix
        self._is_elsewhere = location.endpoint is not None
        self._wait = limits.wait
        self._circuit = CircuitBreaker(limits.cooldown)
        self._may_write: MayWrite = always
        self._clients = Clients(lambda: open_client(location, limits))

    @measured("get")
    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._get(key, _READ)

    @measured("get")
    def get_eventual(self, key: Key) -> Item | None:
        """See `HasEventualReads`."""
        return self._get(key, _GLANCE)

    @measured("query")
    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`. One item more than asked for is read, to know whether others follow."""
        if not is_valid_query(table, partition, after, limit):
            return Page((), more=False)
        request: DynamoJson = {
            "TableName": self._prefix + table.name,
            **query_to_wire(table, partition, after, descending=descending),
            **_READ,
        }
        found = self._collect(request, limit + 1)
        return Page(tuple(item_from_wire(table, wire) for wire in found[:limit]), more=len(found) > limit)

    @measured("put")
    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._write("put_item", Put(table, item, when))

    @measured("delete")
    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._write("delete_item", Delete(key, when))

    @measured("batch")
    def write_bulk(self, writes: Sequence[Write]) -> None:
        """See `BulkStore.write_bulk`. Without conditions nothing is harmed by sending twice."""
        check_unconditional(writes)
        for write in writes:
            check_write(write)
        for start in range(0, len(writes), _MOST_IN_A_BATCH):
            self._write_batch(bulk_to_wire(writes[start : start + _MOST_IN_A_BATCH], self._prefix))

    def pages(
        self, table: Table, limit: int = 1000, after: Key | None = None, *, consistent: bool = False
    ) -> Iterator[Sequence[Item]]:
        """See `EnumerableStore.pages`."""
        request: DynamoJson = {
            "TableName": self._prefix + table.name,
            "Limit": limit,
            **(_READ if consistent else _GLANCE),
            **({} if after is None else {"ExclusiveStartKey": key_to_wire(after)}),
        }
        while True:
            page = self._request("scan", request, StoreUnavailable)
            yield [item_from_wire(table, wire) for wire in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return
            request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"]}

    @measured("clock")
    def read_clock(self) -> ClockReading:
        """See `HasClock`: the `Date` of an answer, which is cut to seconds. Half a read unit.

        Amazon tells it always. DynamoDB Local does not: at an endpoint of one's own this host's clock is taken then.
        """
        key = key_to_wire(KEY_RING.key(_CLOCK_KEY))
        request: DynamoJson = {"TableName": self._prefix + KEY_RING.name, "Key": key, **_GLANCE}
        answer = self._request("get_item", request, StoreUnavailable)
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if told is None and self._is_elsewhere:
            return ClockReading(to_millis(system_clock()) / 1000, _DATE_SECONDS)
        try:
            return ClockReading(parsedate_to_datetime(told).timestamp(), _DATE_SECONDS)
        except (TypeError, ValueError):
            raise StoreUnavailable(f"DynamoDB: an answer without its time: {told!r}") from None

    def guard_writes(self, may_write: MayWrite) -> None:
        """See `HasWriteGuard`."""
        self._may_write = may_write

    def close(self) -> None:
        """See `Store.close`."""
        self._clients.close()

    def _get(self, key: Key, how: DynamoJson) -> Item | None:
        if not is_valid_key(key):
            return None
        request: DynamoJson = {"TableName": self._prefix + key.table.name, "Key": key_to_wire(key), **how}
        answer = self._request("get_item", request, StoreUnavailable)
        return item_from_wire(key.table, answer["Item"]) if "Item" in answer else None

    def _write(self, verb: str, write: Write) -> None:
        check_write(write)
        self._may_write()
        request = {**write_to_wire(write, self._prefix), "ReturnConsumedCapacity": "TOTAL"}
        self._request(verb, request, OutcomeUnknown)

    def _write_batch(self, left: DynamoJson) -> None:
        """Send what is left of a batch, again and again, until nothing is, or none of it is done for the wait."""
        budget = RetryBudget(self._wait)
        while True:
            self._may_write()
            request = {"RequestItems": left, "ReturnConsumedCapacity": "TOTAL"}
            before, left = left, self._request("batch_write_item", request, OutcomeUnknown)["UnprocessedItems"]
            if not left:
                return
            THROTTLED.add()
            if _count_of(left) < _count_of(before):
                budget = RetryBudget(self._wait)
            if not budget.wait():
                raise OutcomeUnknown("DynamoDB: it takes no more of a batch for now")

    def _collect(self, request: DynamoJson, count: int) -> list[DynamoJson]:
        """Return up to `count` items; one answer of DynamoDB holds at most a megabyte."""
        found: list[DynamoJson] = []
        while True:
            page = self._request("query", {**request, "Limit": count - len(found)}, StoreUnavailable)
            found += page["Items"]
            if len(found) >= count or "LastEvaluatedKey" not in page:
                return found
            request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _request(self, verb: str, request: DynamoJson, if_unknown: type[StoreUnavailable]) -> Any:
        """Send until there is an answer or the wait is over.

        `if_unknown` is raised if what was sent may have been done. A condition that fails after a lost answer may have
        failed because of the first sending.
        """
        budget, unknown = RetryBudget(self._wait), False
        if self._circuit.is_open() or deadline_exceeded():
            raise StoreUnavailable("DynamoDB: it did not answer a moment ago")
        while True:
            try:
                answer = self._clients.answer(verb, request)
            except RequestFailed as failed:
                failure = failed.failure
                if unknown and failure.kind is FailureKind.CONFLICT:
                    raise if_unknown(f"an answer was lost, then {failure.text}") from failed
                if failure.throttled:
                    THROTTLED.add()
                unknown = unknown or failure.kind is FailureKind.UNKNOWN_OUTCOME
                if self._is_final(failure, budget):
                    raise _fault(failure, if_unknown if unknown else StoreUnavailable) from failed
            else:
                self._circuit.close()
                _count_units(verb, answer["ConsumedCapacity"])
                return answer

    def _is_final(self, failure: Failure, budget: RetryBudget) -> bool:
        """Say whether to try no more; if not, the pause before the next try is over."""
        if failure.kind in (FailureKind.CONFLICT, FailureKind.BUG, FailureKind.REFUSED):
            return True
        if not self._circuit.is_open() and budget.wait():
            return False
        if failure.silent:
            self._circuit.open()
        return True


def _count_units(verb: str, consumed: Any) -> None:
    """Count what DynamoDB says an answer has cost; it says so table by table of a batch."""
    units = sum(each.get("CapacityUnits", 0) for each in (consumed if isinstance(consumed, list) else [consumed]))
    UNITS.add("read" if verb in _READS else "write", amount=units)


def _count_of(requests: DynamoJson) -> int:
    return sum(len(of_table) for of_table in requests.values())


def _fault(failure: Failure, unavailable: type[StoreUnavailable]) -> Exception:
    """Return what the port says of a verdict."""
    match failure.kind:
        case FailureKind.CONFLICT:
            return Conflict(failure.text)
        case FailureKind.BUG:
            return ValueError(failure.text)
        case FailureKind.RETRYABLE | FailureKind.UNKNOWN_OUTCOME | FailureKind.REFUSED:
            return unavailable(failure.text)
