"""What the commit of a takeover takes on DynamoDB, beside one conditional PutItem by boto3."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.measuring import Sample, interleaved
from benchmarks.report import Finding
from common.storage.dynamodb.client import make_client
from common.storage.opening import _location
from common.storage.port import Item, Store
from common.storage.tables import SESSIONS
from tests.support import dynamodb_local
from tests.support.engines import dynamodb_engine
from tests.usecases.in_process_suite import MINUTE, HandClock, InProcessSuite
from tests.usecases.watched_store import StoreCall

_CALLS = 100
_REST_SECONDS = 0.02
"""Before each call: what is laid down after a takeover is not to meet the next one."""
_UNIT, _COMMIT = "boto3, one conditional PutItem", "Ichidai, the commit of a takeover"
_ABOUT = f"""\
A takeover's one write before its answer, the conditional put of the account's book, as the whole suite does it in this
process, on DynamoDB Local; beside it one conditional PutItem of boto3's client with an item of the same size
(1 KB). {_CALLS} of each a round, in turns, each after a moment of rest."""


def measure(bench: Bench) -> Finding:
    """Measure what a takeover's commit takes."""
    os.environ.update(dynamodb_local.ENVIRONMENT)
    engine = dynamodb_engine(Path())
    place = _location(engine.url, engine.region)
    with tempfile.TemporaryDirectory() as folder:
        clock = HandClock()
        scene = _Scene(Path(folder), clock, engine.open(clock))
        with closing(scene.suite):
            client = make_client(place)
            calls = {_UNIT: _putting(client, place.prefix + SESSIONS.name), _COMMIT: scene.take_over}
            taken: dict[str, Sample] = {}
            runs = {name: partial(_round, calls, name, taken) for name in calls}
            bench.begin("commits", len(runs) * (bench.rounds + 1))
            measured = interleaved(runs, bench.rounds, bench.step)
    unit = measured[_UNIT]["p50"].median
    rows = [
        (name, numbers["p50"].over(unit).written(".2f"), *(numbers[at].written(".2f") for at in ("p50", "p99")))
        for name, numbers in measured.items()
    ]
    return Finding("A takeover's commit", _ABOUT, ("what", "p50, in PutItem's", "p50, ms", "p99, ms"), rows)


class _Scene:
    """An account whose two devices end each other's session, again and again."""

    def __init__(self, folder: Path, clock: HandClock, store: Store) -> None:
        self.suite = InProcessSuite(folder, folder, clock, store)
        self._clock = clock
        self._anna = self.suite.register()
        self._devices = [self._anna.first, self.suite.pair(self._anna)]
        self.suite.log_in(self._anna)

    def take_over(self) -> float:
        """Let the device that is out take over; return the milliseconds in which its book was put."""
        self._clock.move(5 * MINUTE)  # three in ten minutes would need a signature
        self._devices.reverse()
        question = self.suite.login(self._anna, self._devices[0])
        begun: list[float] = []
        ended: list[float] = []

        def note(times: list[float], call: StoreCall) -> None:
            if call.is_write and call.tables == (SESSIONS.name,):
                times.append(time.perf_counter())

        time.sleep(_REST_SECONDS)
        self.suite.store.watch(before=partial(note, begun), after=partial(note, ended))
        answer = self.suite.take_over(question, self._devices[0])
        if answer.status_code != 200 or len(begun) != 1:
            raise RuntimeError(answer.get_data(as_text=True))
        return (ended[0] - begun[0]) * 1000


def _putting(client: Any, table: str) -> Callable[[], float]:
    """Return what puts an item of a book's size on condition of its version, and returns the milliseconds."""
    version = 0

    def put() -> float:
        nonlocal version
        names, values = {"#version": "version"}, {":before": {"N": str(version)}}
        condition = "attribute_not_exists(#version) OR #version = :before"
        version += 1
        item: Item = {"user_uuid": {"S": "bench"}, "version": {"N": str(version)}, "book": {"S": "x" * 950}}
        time.sleep(_REST_SECONDS)
        start = time.perf_counter()
        client.put_item(
            TableName=table,
            Item=item,
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )
        return (time.perf_counter() - start) * 1000

    return put


def _round(calls: Mapping[str, Callable[[], float]], name: str, taken: dict[str, Sample]) -> Sample:
    """Return what one case took in this round; the first of them runs all, in turns."""
    if name == next(iter(calls)):
        times: dict[str, list[float]] = {each: [] for each in calls}
        for _ in range(_CALLS):
            for each, call in calls.items():
                times[each].append(call())
        found = {each: statistics.quantiles(some, n=100) for each, some in times.items()}
        taken.update({each: {"p50": some[49], "p99": some[98]} for each, some in found.items()})
    return taken[name]
