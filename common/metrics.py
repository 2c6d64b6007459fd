"""Metrics: what this process counts and measures, under names and labels that are declared beside what they count.

Plain numbers of this process, without a library: a server's worker sends a snapshot of them to its parent once a
second, and the parent adds all workers up and shows them (`ichidai/server/metrics_endpoint.py`). A label has one of the
values that are declared for it, or `other`: what a client wrote never becomes one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from msgspec import Struct

Labels: TypeAlias = tuple[str, ...]
Numbers: TypeAlias = Sequence[float]
"""The value of a counter or a gauge; of a histogram the counts of its buckets (not added up), the last one open, and
the sum of what was observed."""

Snapshot: TypeAlias = Mapping[str, Mapping[Labels, Numbers]]
"""All numbers of a process, by the name of the metric and by the values of its labels."""

WRITTEN_HERE: Collection[str] = ()
"""For a label whose values are written in this program, such as routes: any, but only so many of them."""

SECONDS = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The upper bounds of the buckets of every histogram; one more is open."""

_MOST_SERIES = 2000
_OTHER = "other"


class Kind(StrEnum):
    """What a metric is; of a gauge also what the numbers of several processes make together."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUM = "gauge, the sum of all processes"
    LEAST = "gauge, the least of all processes"
    MOST = "gauge, the most of all processes"

    @property
    def is_gauge(self) -> bool:
        """Whether it goes up and down."""
        return self in (Kind.SUM, Kind.LEAST, Kind.MOST)


class Tally:
    """Counts for one thread alone, such as an event loop, without a lock: what it adds up is in the snapshot."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.buckets)


class Metric:
    """A metric of this process. `labels`: the values that each label may have. Any thread may call it."""

    all: ClassVar[dict[str, Metric]] = {}

    def __init__(self, name: str, kind: Kind, text: str, /, **labels: Collection[str]) -> None:
        if name in Metric.all:
            raise ValueError(f"{name} is declared twice")
        self.name, self.kind, self.text = name, kind, text
        self.labels: Mapping[str, frozenset[str]] = {label: frozenset(map(str, all_)) for label, all_ in labels.items()}
        self._values: dict[Labels, list[float]] = {}
        self._tallies: dict[Labels, Tally] = {}
        self._lock = threading.Lock()
        Metric.all[name] = self

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count one more of a counter."""
        with self._lock:
            self._value(labels)[0] += amount

    def observe(self, seconds: float, *labels: str) -> None:
        """Note in a histogram that something took so long."""
        with self._lock:
            numbers = self._value(labels)
            numbers[bisect_left(SECONDS, seconds)] += 1
            numbers[-1] += seconds

    def set(self, value: float, *labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._value(labels)[0] = value

    def tally(self, *labels: str, of: Tally | None = None) -> Tally:
        """Return what one thread counts for itself; the same one at every call until `reset`.

        `of`: what it counts for another metric already, to be counted here too.
        """
        with self._lock:
            return self._tallies.setdefault(self._closed(labels), of or Tally())

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._values.clear()
            self._tallies.clear()

    def snapshot(self) -> Mapping[Labels, Numbers]:
        """Return the numbers as they are now."""
        with self._lock:
            found: dict[Labels, Numbers] = {labels: tuple(numbers) for labels, numbers in self._values.items()}
            tallies = dict(self._tallies)
        for labels, tally in tallies.items():
            own = (*tally.buckets, tally.sum) if self.kind is Kind.HISTOGRAM else (tally.count,)
            found[labels] = added(found.get(labels), own)
        return found

    def _value(self, labels: Labels) -> list[float]:
        known = self._values.get(labels)
        if known is None:
            size = len(SECONDS) + 2 if self.kind is Kind.HISTOGRAM else 1
            known = self._values.setdefault(self._closed(labels), [0] * size)
        return known

    def _closed(self, values: Labels) -> Labels:
        """Return values that are declared; those that are not are all one."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {', '.join(self.labels) or '(none)'}")
        allowed = zip(values, self.labels.values(), strict=True)
        closed = tuple(value if not known or value in known else _OTHER for value, known in allowed)
        is_new = closed not in self._values
        return (_OTHER,) * len(closed) if is_new and len(self._values) >= _MOST_SERIES else closed


def counter(name: str, text: str, /, **labels: Collection[str]) -> Metric:
    """Declare a counter. `text`: a sentence for operators."""
    return Metric(name, Kind.COUNTER, text, **labels)


def histogram(name: str, text: str, /, **labels: Collection[str]) -> Metric:
    """Declare a histogram of seconds."""
    return Metric(name, Kind.HISTOGRAM, text, **labels)


def gauge(name: str, kind: Kind, text: str, /, **labels: Collection[str]) -> Metric:
    """Declare a gauge. `kind`: what the processes' numbers make together."""
    return Metric(name, kind, text, **labels)


def snapshot() -> Snapshot:
    """Return all numbers of this process."""
    return {metric.name: metric.snapshot() for metric in Metric.all.values()}


def reset() -> None:
    """Begin anew: what a parent counted before it forked is not its child's."""
    for metric in Metric.all.values():
        metric.reset()


def added(left: Numbers | None, right: Numbers) -> Numbers:
    """Return the sums of two processes' numbers."""
    return tuple(right) if left is None else tuple(a + b for a, b in zip(left, right, strict=True))


class Totals(Struct):
    """What several processes counted: the last numbers of each that lives, and the sum of those that are gone."""

    living: dict[Any, Snapshot] = {}
    gone: Snapshot = {}

    def told(self, process: object, numbers: Snapshot) -> None:
        """Take a process's numbers in the place of its last ones."""
        self.living[process] = numbers

    def ended(self, process: object) -> None:
        """Keep the counters of a process that has ended; its gauges went with it."""
        last = self.living.pop(process, {})
        counted = {name: series for name, series in last.items() if not Metric.all[name].kind.is_gauge}
        self.gone = together([self.gone, counted])

    def together(self, own: Snapshot) -> Snapshot:
        """Return the numbers of all processes; `own`: those of this one."""
        return together([self.gone, *list(self.living.values()), own])


def together(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return what the numbers of several processes make together."""
    found: dict[str, dict[Labels, Numbers]] = {}
    for numbers in snapshots:
        for name, series in numbers.items():
            into, kind = found.setdefault(name, {}), Metric.all[name].kind
            for labels, values in series.items():
                into[labels] = _joined(kind, into.get(labels), values)
    return found


def _joined(kind: Kind, left: Numbers | None, right: Numbers) -> Numbers:
    if left is None or kind not in (Kind.LEAST, Kind.MOST):
        return added(left, right)
    return (min(left[0], right[0]),) if kind is Kind.LEAST else (max(left[0], right[0]),)
