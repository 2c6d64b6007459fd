"""What one strong read of an account's book costs on DynamoDB, beside boto3's own client."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3

from benchmarks.bench import Bench
from benchmarks.chart import Bar, Chart
from benchmarks.measuring import Sample, interleaved
from benchmarks.report import Finding
from common.book import Book, BoundDevice, Session
from common.bookkeeping import Bookkeeper
from common.clock import system_clock
from common.ids import new_id
from common.storage.dynamodb import make_client
from common.storage.opening import _place
from common.storage.port import Put, Store
from common.storage.tables import SESSIONS
from tests import dynamodb_local
from tests.engines import dynamodb_engine

_CALLS = 200
_UNIT, _TUNED, _OURS, _BOOK = "boto3, GetItem", "boto3, GetItem, our limits", "Ichidai, get", "Ichidai, the book read"
_ABOUT = f"""\
Processor time of one strong read of one account's book (half a kilobyte, one read unit), in one thread, on DynamoDB
Local; {_CALLS} calls a round. Ours takes boto3's credentials, region, endpoint and certificates, and asks boto3's
client whenever an answer is anything but a plain 200. The times include the engine's own, which is most of them."""


def measure(bench: Bench) -> Finding:
    """Measure what a strong read costs."""
    os.environ.update(dynamodb_local.ENVIRONMENT)
    engine = dynamodb_engine(Path())
    store, book = engine.open(), _book()
    store.commit([Put(SESSIONS, book.to_item())], new_id())
    place = _place(engine.url, engine.region)
    plain = boto3.client("dynamodb", region_name=place.region, endpoint_url=place.endpoint)
    tuned = make_client(place)
    request: Any = {
        "TableName": place.prefix + SESSIONS.name,
        "Key": {"user_uuid": {"S": book.user_uuid}},
        "ConsistentRead": True,
    }
    runs = {
        _UNIT: lambda: _timed(lambda: plain.get_item(**request)),
        _TUNED: lambda: _timed(lambda: tuned.get_item(**request)),
        _OURS: lambda: _timed(lambda: store.get(SESSIONS.key(book.user_uuid))),
        _BOOK: lambda: _timed(_reading(store, book)),
    }
    bench.begin("a read of DynamoDB", len(runs) * (bench.rounds + 1))
    measured = interleaved(runs, bench.rounds, bench.step)
    unit = measured[_UNIT]["cpu"].median
    rows = [
        (
            name,
            numbers["cpu"].over(unit).written(".2f"),
            numbers["cpu"].written(),
            numbers["p50"].written(".2f"),
            numbers["p99"].written(".2f"),
        )
        for name, numbers in measured.items()
    ]
    bars = [Bar(name, numbers["cpu"].median / unit, name in (_OURS, _BOOK)) for name, numbers in measured.items()]
    about = "Processor time of one strong read; 1 = boto3's client. Shorter is better."
    chart = Chart("dynamodb.svg", "What a read of DynamoDB costs", about, bars, unit=1)
    head = ("what", "CPU, in boto3's GetItem", "CPU, µs", "p50, ms", "p99, ms")
    return Finding("A read of DynamoDB", _ABOUT, head, rows, charts=[chart])


def _reading(store: Store, book: Book) -> Callable[[], object]:
    bookkeeper = Bookkeeper(store, system_clock)
    return lambda: bookkeeper.read(book.user_uuid)


def _timed(call: Callable[[], object]) -> Sample:
    times, begun = [], time.process_time()
    for _ in range(_CALLS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    used = time.process_time() - begun
    percentiles = statistics.quantiles(times, n=100)
    return {"cpu": used / _CALLS * 1e6, "p50": percentiles[49], "p99": percentiles[98]}


def _book() -> Book:
    """Return the book of somebody with two devices, one of them logged in."""
    now, book = system_clock(), Book(new_id(), version=3, change_no=3)
    for _ in range(2):
        book = book.bound(BoundDevice(new_id(), new_id().replace("-", "") * 2, now + timedelta(days=365)))
    device = next(iter(book.devices))
    return book.opened(Session(new_id(), device, 3, now, now, now, now + timedelta(days=30)))
