"""The distributed engine: DynamoDB by boto3, one client for each process.

Every commit is one TransactWriteItems with the request id as its token: when an answer is lost the same request can be
sent again, and DynamoDB does it once. boto3 itself never repeats anything; its repetitions would turn a lost answer
into a failed condition. Reads are strongly consistent. Only an answer that names its consumed capacity counts as one:
boto3 takes a truncated page of a proxy for an empty answer, and "there is no such item" must never be a guess. A `get`
goes past the client where it can (`dynamodb_reads`), with the same answers.

Once a call has given up because nobody answered, all others give up for a moment without asking (`rest`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError
from msgspec import Struct

from common.patience import Patience, is_time_up
from common.storage.bounds import can_hold, can_query, check_writes
from common.storage.dynamodb_faults import CREDENTIALS, Kind, Verdict, judge
from common.storage.dynamodb_reads import LeanReads, lean_reads
from common.storage.dynamodb_values import Wire, item_from_wire, key_to_wire, query_to_wire, write_to_wire
from common.storage.port import (
    Conflict,
    Item,
    Key,
    OutcomeUnknown,
    Page,
    Sort,
    StoreUnavailable,
    Table,
    Write,
)
from common.storage.rest import Rest

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_READ: Wire = {"ConsistentRead": True, "ReturnConsumedCapacity": "TOTAL"}


class Place(Struct, frozen=True):
    """Where the tables lie: a region, what stands before each table's name, another endpoint than Amazon's or None."""

    region: str
    prefix: str = ""
    endpoint: str | None = None


class Limits(Struct, frozen=True):
    """Seconds: to connect, for an answer, `wait`, after which no further try is begun, and `rest` after silence."""

    connect: float = 0.5
    answer: float = 1.0
    wait: float = 1.5
    rest: float = 1.0


_LIMITS = Limits()


class DynamoStore:
    """A `Store` in DynamoDB. Credentials come by boto3's own chain. Nothing is opened before the first call."""

    def __init__(self, place: Place, limits: Limits = _LIMITS) -> None:
        self._prefix = place.prefix
        self._wait = limits.wait
        self._rest = Rest(limits.rest)
        self._clients = _Clients(lambda: _opened(place, limits))

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        if not can_hold(key):
            return None
        request: Wire = {"TableName": self._prefix + key.table.name, "Key": key_to_wire(key), **_READ}
        answer = self._ask("get_item", request, StoreUnavailable)
        return item_from_wire(key.table, answer["Item"]) if "Item" in answer else None

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`. One item more than asked for is read, to know whether others follow."""
        if not can_query(table, partition, after, limit):
            return Page((), more=False)
        request: Wire = {
            "TableName": self._prefix + table.name,
            **query_to_wire(table, partition, after, descending=descending),
            **_READ,
        }
        found = self._collect(request, limit + 1)
        return Page(tuple(item_from_wire(table, wire) for wire in found[:limit]), more=len(found) > limit)

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """See `Store.commit`."""
        check_writes(writes, request_id)
        request: Wire = {
            "TransactItems": [write_to_wire(write, self._prefix) for write in writes],
            "ClientRequestToken": request_id,
            "ReturnConsumedCapacity": "TOTAL",
        }
        self._ask("transact_write_items", request, OutcomeUnknown)

    def close(self) -> None:
        """See `Store.close`."""
        self._clients.close()

    def _collect(self, request: Wire, count: int) -> list[Wire]:
        """Return up to `count` items; one answer of DynamoDB holds at most a megabyte."""
        found: list[Wire] = []
        while True:
            page = self._ask("query", {**request, "Limit": count - len(found)}, StoreUnavailable)
            found += page["Items"]
            if len(found) >= count or "LastEvaluatedKey" not in page:
                return found
            request = {**request, "ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _ask(self, verb: str, request: Wire, lost: type[StoreUnavailable]) -> Any:
        """Send until there is an answer or the wait is over. `lost` is raised if what was sent may have been done."""
        patience, unknown = Patience(self._wait), False
        if self._rest.is_on() or is_time_up():
            raise StoreUnavailable("DynamoDB: it did not answer a moment ago")
        while True:
            try:
                answer = self._clients.answer(verb, request)
            except _Failed as failed:
                verdict = failed.verdict
                unknown = unknown or verdict.kind is Kind.LOST
                if self._is_final(verdict, patience):
                    raise _fault(verdict, lost if unknown else StoreUnavailable) from failed
            else:
                self._rest.end()
                return answer

    def _is_final(self, verdict: Verdict, patience: Patience) -> bool:
        """Say whether to try no more; if not, the pause before the next try is over."""
        if verdict.kind in (Kind.CONFLICT, Kind.OURS, Kind.REFUSED):
            return True
        if not self._rest.is_on() and patience.wait():
            return False
        if verdict.silent:
            self._rest.begin()
        return True


def _fault(verdict: Verdict, unavailable: type[StoreUnavailable]) -> Exception:
    """Return what the port says of a verdict."""
    match verdict.kind:
        case Kind.CONFLICT:
            return Conflict(verdict.failed)
        case Kind.OURS:
            return ValueError(verdict.text)
        case Kind.LATER | Kind.LOST | Kind.REFUSED:
            return unavailable(verdict.text)


class _Failed(Exception):
    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict


class _Opened(Struct, frozen=True):
    """A client, and what reads items in its place, where that can be."""

    client: DynamoDBClient
    reads: LeanReads | None

    def send(self, verb: str, request: Wire) -> Any:
        """Send once. Raises _FAULTS."""
        answer = self.reads.get(request) if verb == "get_item" and self.reads is not None else None
        return getattr(self.client, verb)(**request) if answer is None else answer

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        if self.reads is not None:
            self.reads.close()


class _Clients:
    """This process' client, made at its first use. A forked child makes its own: a connection has one owner."""

    def __init__(self, make: Callable[[], _Opened]) -> None:
        self._make = make
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._opened: _Opened | None = None

    def answer(self, verb: str, request: Wire) -> Any:
        """Send once. Raises _Failed."""
        try:
            answer = self._mine().send(verb, request)
        except _FAULTS as error:
            raise _Failed(_verdict(error)) from error
        if "ConsumedCapacity" not in answer:
            raise _Failed(Verdict(Kind.LOST, "DynamoDB: an answer that is none of DynamoDB's"))
        return answer

    def close(self) -> None:
        """Close the connections; the next use makes a client anew."""
        self._leave_parent()
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _mine(self) -> _Opened:
        self._leave_parent()
        with self._lock:
            if self._opened is None:
                self._opened = self._make()
            return self._opened

    def _leave_parent(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = threading.Lock()  # another thread of the parent may have held the old one
            self._opened = None


@contextmanager
def as_unavailable() -> Iterator[None]:
    """Turn what boto3 raises into StoreUnavailable, for calls that are not ours to repeat."""
    try:
        yield
    except _FAULTS as error:
        raise StoreUnavailable(_verdict(error).text) from error


def make_client(place: Place, limits: Limits = _LIMITS, tries: int = 1) -> DynamoDBClient:
    """Return a client of its own session. `tries` 1: boto3 repeats nothing."""
    return _client_of(boto3.session.Session(region_name=place.region), place, limits, tries)


def _opened(place: Place, limits: Limits) -> _Opened:
    session = boto3.session.Session(region_name=place.region)
    client = _client_of(session, place, limits, tries=1)
    return _Opened(client, lean_reads(session, client, limits.connect, limits.answer))


def _client_of(session: boto3.session.Session, place: Place, limits: Limits, tries: int) -> DynamoDBClient:
    # The legacy mode is the one that compares an answer with its checksum even when nothing is repeated.
    config = Config(
        connect_timeout=limits.connect,
        read_timeout=limits.answer,
        retries={"mode": "legacy", "total_max_attempts": tries},
        max_pool_connections=64,
        tcp_keepalive=True,
    )
    return session.client("dynamodb", endpoint_url=place.endpoint, config=config)


_FAULTS = (boto.ClientError, boto.BotoCoreError, ResponseParserError)
_UNSENT = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.NoAuthTokenError,
    boto.ProfileNotFound,
    boto.ConfigParseError,
)


def _verdict(error: Exception) -> Verdict:
    """Judge what boto3 raised. What is not known to have stayed here may have arrived."""
    if isinstance(error, boto.ClientError):
        answer: Any = error.response
        fault = answer.get("Error", {})
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return judge(fault.get("Code", ""), status, fault.get("Message", ""), answer.get("CancellationReasons", ()))
    text = f"DynamoDB: {error}"
    if isinstance(error, _UNSENT):
        return Verdict(Kind.LATER, text, silent=True)
    if isinstance(error, _NO_CREDENTIALS):
        return Verdict(Kind.REFUSED, f"{text}: {CREDENTIALS}")
    if isinstance(error, boto.ParamValidationError):
        return Verdict(Kind.OURS, text)
    return Verdict(Kind.LOST, text, silent=isinstance(error, boto.HTTPClientError))
