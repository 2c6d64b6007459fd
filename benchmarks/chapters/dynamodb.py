"""What one strong read of an account's book costs on DynamoDB, beside boto3's own client."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.bench import Bench
from benchmarks.chart import Bar, Chart
from benchmarks.measuring import Sample, interleaved
from benchmarks.report import Finding
from common.account.book import Book, BoundDevice, Session
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.ids import new_id
from common.storage.dynamodb.client import make_client
from common.storage.opening import _location
from common.storage.port import Store
from common.storage.tables import SESSIONS
from tests.support import dynamodb_local
from tests.support.engines import dynamodb_engine

_CALLS = 200
_TARGET = "DynamoDB_20120810.GetItem"
_REST_SECONDS = 0.005
"""Before each call: asked again at once, DynamoDB Local often took a millisecond longer, and met quick callers so."""
_CREDENTIALS = [dynamodb_local.ENVIRONMENT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
_UNIT, _TUNED, _OURS, _BOOK = "boto3, GetItem", "boto3, GetItem, our limits", "Ichidai, get", "Ichidai, the book read"
_ENGINE = "the engine alone"
_ABOUT = f"""\
Processor time of one strong read of one account's book (half a kilobyte, one read unit), in one thread, on DynamoDB
Local; {_CALLS} calls a round. Ours takes boto3's credentials, region, endpoint and certificates, and asks boto3's
client whenever an answer is anything but a plain 200. The engine alone is sent one signed request again and again
over a bare socket, its answer not read but to its end: what a read takes above that, in milliseconds, is the caller's
own. The cases take turns call by call, each after a moment of rest."""


def measure(bench: Bench) -> Finding:
    """Measure what a strong read costs."""
    os.environ.update(dynamodb_local.ENVIRONMENT)
    engine = dynamodb_engine(Path())
    store, book = engine.open(), _book()
    store.put(SESSIONS, book.to_item())
    place = _location(engine.url, engine.region)
    plain = boto3.client("dynamodb", region_name=place.region, endpoint_url=place.endpoint)
    tuned = make_client(place)
    request: Any = {
        "TableName": place.prefix + SESSIONS.name,
        "Key": {"user_uuid": {"S": book.user_uuid}},
        "ConsistentRead": True,
    }
    with closing(_Bare(plain, request)) as bare:
        calls = {
            _ENGINE: bare.ask,
            _UNIT: lambda: plain.get_item(**request),
            _TUNED: lambda: tuned.get_item(**request),
            _OURS: lambda: store.get(SESSIONS.key(book.user_uuid)),
            _BOOK: _reading(store, book),
        }
        taken: dict[str, Sample] = {}
        runs = {name: partial(_round, calls, name, taken) for name in calls}
        bench.begin("a read of DynamoDB", len(runs) * (bench.rounds + 1))
        measured = interleaved(runs, bench.rounds, bench.step)
    unit, engines = measured[_UNIT]["cpu"].median, measured[_ENGINE]
    rows = [
        (
            name,
            numbers["cpu"].over(unit).written(".2f"),
            numbers["cpu"].written(),
            numbers["p50"].written(".2f"),
            numbers["p99"].written(".2f"),
            *(_above(numbers[name].median, engines[name].median) for name in ("p50", "p99")),
        )
        for name, numbers in measured.items()
    ]
    bars = [
        Bar(name, numbers["cpu"].median / unit, name in (_OURS, _BOOK))
        for name, numbers in measured.items()
        if name != _ENGINE
    ]
    about = "Processor time of one strong read; 1 = boto3's client. Shorter is better."
    chart = Chart("dynamodb.svg", "What a read of DynamoDB costs", about, bars, unit=1)
    head = (
        "what",
        "CPU, in boto3's GetItem",
        "CPU, µs",
        "p50, ms",
        "p99, ms",
        "p50 above the engine's",
        "p99 above the engine's",
    )
    return Finding("A read of DynamoDB", _ABOUT, head, rows, charts=[chart])


def _reading(store: Store, book: Book) -> Callable[[], object]:
    transactions = AccountTransactions(store, system_clock)
    return lambda: transactions.get_book(book.user_uuid)


def _round(calls: Mapping[str, Callable[[], object]], name: str, taken: dict[str, Sample]) -> Sample:
    """Return what one case took in this round; the first of them runs all, in turns."""
    if name == next(iter(calls)):
        taken.update(_timed(calls))
    return taken[name]


def _timed(calls: Mapping[str, Callable[[], object]]) -> dict[str, Sample]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    used = dict.fromkeys(calls, 0.0)
    for _ in range(_CALLS):
        for name, call in calls.items():
            time.sleep(_REST_SECONDS)
            begun, start = time.process_time(), time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1000)
            used[name] += time.process_time() - begun
    percentiles = {name: statistics.quantiles(taken, n=100) for name, taken in times.items()}
    return {
        name: {"cpu": used[name] / _CALLS * 1e6, "p50": found[49], "p99": found[98]}
        for name, found in percentiles.items()
    }


def _above(ours: float, engines: float) -> str:
    return f"{ours - engines:.2f}" if ours != engines else ""


class _Bare:
    """The engine, asked the same over one socket by a request that was signed once."""

    def __init__(self, client: Any, request: Mapping[str, object]) -> None:
        url, body = client.meta.endpoint_url, json.dumps(request).encode()
        parts = urlsplit(url)
        headers = {"Host": parts.netloc, "X-Amz-Target": _TARGET, "Content-Type": "application/x-amz-json-1.0"}
        signed = AWSRequest("POST", url, data=body, headers=headers)
        SigV4Auth(Credentials(*_CREDENTIALS), "dynamodb", client.meta.region_name).add_auth(signed)
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())
        self._message = f"POST / HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        self._socket = socket.create_connection((str(parts.hostname), parts.port or 80), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._length = self._first()

    def ask(self) -> None:
        """Send the request, and take as many bytes as the first answer had."""
        self._socket.sendall(self._message)
        left = self._length
        while left > 0:
            left -= len(self._socket.recv(65536))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _first(self) -> int:
        """Return how long an answer is, head and body. All are of one length: only the date in them differs."""
        self._socket.sendall(self._message)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(65536)
        head = answer.partition(b"\r\n\r\n")[0]
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        whole = len(head) + 4 + int(length.partition(b":")[2])
        while len(answer) < whole:
            answer += self._socket.recv(65536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode(errors="replace"))
        return whole


def _book() -> Book:
    """Return the book of a user with two devices, one of them logged in."""
    now, book = system_clock(), Book(new_id(), version=3, change_no=3)
    for _ in range(2):
        book = book.bound(BoundDevice(new_id(), new_id().replace("-", "") * 2, now + timedelta(days=365)))
    device = next(iter(book.devices))
    return book.opened(Session(new_id(), device, 3, now, now, now, now + timedelta(days=30)))
