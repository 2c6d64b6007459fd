"""The boto3 client of DynamoDB: made for each process at its first use; what it raises becomes a `Failure`.

boto3 repeats nothing by itself. An answer that does not name its consumed capacity is none of DynamoDB's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from botocore.parsers import ResponseParserError
from msgspec import Struct

from common.storage.dynamodb.codec import DynamoJson
from common.storage.dynamodb.errors import CREDENTIALS, Failure, FailureKind, classify
from common.storage.dynamodb.fast_get import FastGetItem, fast_get_item
from common.storage.port import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class TableLocation(Struct, frozen=True):
    """Where the tables lie: a region, what stands before each table's name, another endpoint than Amazon's or None."""

    region: str
    prefix: str = ""
    endpoint: str | None = None


class Limits(Struct, frozen=True):
    """Seconds: to connect, for an answer, `wait`, after which no further try is begun, and `cooldown` after silence."""

    connect: float = 0.5
    answer: float = 1.0
    wait: float = 1.5
    cooldown: float = 1.0


DEFAULT_LIMITS = Limits()


class RequestFailed(Exception):
    """A request had no good answer; `failure` says what that means."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class OpenedClient(Struct, frozen=True):
    """A client, and what reads items in its place, where that can be."""

    client: DynamoDBClient
    fast_get: FastGetItem | None

    def send(self, verb: str, request: DynamoJson) -> Any:
        """Send once. Raises _FAULTS."""
        consistent = request.get("ConsistentRead", False)  # of other reads more than the content is wanted
        lean = self.fast_get if verb == "get_item" and consistent else None
        answer = None if lean is None else lean.get(request)
        return getattr(self.client, verb)(**request) if answer is None else answer

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        if self.fast_get is not None:
            self.fast_get.close()


class Clients:
    """This process' client, made at its first use. A forked child makes its own: a connection has one owner."""

    def __init__(self, make: Callable[[], OpenedClient]) -> None:
        self._make = make
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._opened: OpenedClient | None = None

    def answer(self, verb: str, request: DynamoJson) -> Any:
        """Send once. Raises RequestFailed."""
        try:
            answer = self._mine().send(verb, request)
        except _FAULTS as error:
            raise RequestFailed(_failure_of(error)) from error
        if "ConsumedCapacity" not in answer:
            raise RequestFailed(Failure(FailureKind.UNKNOWN_OUTCOME, "DynamoDB: an answer that is none of DynamoDB's"))
        return answer

    def close(self) -> None:
        """Close the connections; the next use makes a client anew."""
        self._leave_parent()
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _mine(self) -> OpenedClient:
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
        raise StoreUnavailable(_failure_of(error).text) from error


def make_client(location: TableLocation, limits: Limits = DEFAULT_LIMITS, tries: int = 1) -> DynamoDBClient:
    """Return a client of its own session. `tries` 1: boto3 repeats nothing."""
    return _client_of(boto3.session.Session(region_name=location.region), location, limits, tries)


def open_client(location: TableLocation, limits: Limits) -> OpenedClient:
    """Return a client with what reads items in its place."""
    session = boto3.session.Session(region_name=location.region)
    client = _client_of(session, location, limits, tries=1)
    return OpenedClient(client, fast_get_item(session, client, limits.connect, limits.answer))


def _client_of(session: boto3.session.Session, location: TableLocation, limits: Limits, tries: int) -> DynamoDBClient:
    # The legacy mode is the one that compares an answer with its checksum even when nothing is repeated.
    config = Config(
        connect_timeout=limits.connect,
        read_timeout=limits.answer,
        retries={"mode": "legacy", "total_max_attempts": tries},
        max_pool_connections=64,
        tcp_keepalive=True,
    )
    return session.client("dynamodb", endpoint_url=location.endpoint, config=config)


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


def _failure_of(error: Exception) -> Failure:
    """Judge what boto3 raised. What is not known to have stayed here may have arrived."""
    if isinstance(error, boto.ClientError):
        answer: Any = error.response
        fault = answer.get("Error", {})
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return classify(fault.get("Code", ""), status, fault.get("Message", ""))
    text = f"DynamoDB: {error}"
    if isinstance(error, _UNSENT):
        return Failure(FailureKind.RETRYABLE, text, silent=True)
    if isinstance(error, _NO_CREDENTIALS):
        return Failure(FailureKind.REFUSED, f"{text}: {CREDENTIALS}")
    if isinstance(error, boto.ParamValidationError):
        return Failure(FailureKind.BUG, text)
    return Failure(FailureKind.UNKNOWN_OUTCOME, text, silent=isinstance(error, boto.HTTPClientError))
