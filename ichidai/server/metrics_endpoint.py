"""`GET /metrics` on a port of its own, in the text format of Prometheus: all processes of this server added up."""

from __future__ import annotations

import itertools
import math
import socket
import threading
from collections.abc import Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from common.metrics import SECONDS, Kind, Labels, Metric, Numbers
from common.storage import store_metrics
from common.web import request_metrics
from ichidai import gauges
from ichidai.server import supervisor
from ichidai.server.metrics_pipe import MetricsCollector
from login_app import login_metrics
from session_manager import event_hub

PATH = "/metrics"

DECLARING = (store_metrics, request_metrics, gauges, supervisor, login_metrics, event_hub)
"""With them, and what they import, every module is loaded that declares a metric: others send them, too."""

_MOST_ZEROS = 100
"""A counter with so few series shows all of them from the start: else the first step of each would be lost."""
_ANSWER_SECONDS = 10

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def serve_metrics(host: str, port: int, collector: MetricsCollector) -> WSGIServer:
    """Answer on an address, in threads of this process, until the server is shut down. Raises OSError."""
    page = make_wsgi_app(_registry(collector), disable_compression=True)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            answer: Iterable[bytes] = page(environ, start_response)
            return answer
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [f"The metrics are at GET {PATH}.\n".encode()]

    server = make_server(host, port, app, _V6Server if ":" in host else _Server, _Quiet)
    threading.Thread(target=server.serve_forever, name="metrics-endpoint", daemon=True).start()
    return server


def shown(collector: MetricsCollector) -> str:
    """Return the numbers as they would be answered."""
    return generate_latest(_registry(collector)).decode()


def _registry(collector: MetricsCollector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Shown(collector))
    return registry


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _V6Server(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    timeout = _ANSWER_SECONDS

    def log_message(self, *_: object) -> None:  # type: ignore[explicit-override] # Python 3.11 has no such mark
        """Say nothing: it is asked all the time."""


class _Shown(Collector):
    """The numbers as the library writes them."""

    def __init__(self, collector: MetricsCollector) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Family]:  # type: ignore[explicit-override] # as above
        """Give every metric with its series."""
        numbers = self._collector.numbers()
        for name, metric in sorted(Metric.all.items()):
            yield _family(metric, {**_zeros(metric), **numbers.get(name, {})})


def _zeros(metric: Metric) -> dict[Labels, Numbers]:
    """Return the series of a counter that are known beforehand, where they are few."""
    values = [sorted(allowed) for allowed in metric.labels.values()]
    if metric.kind is not Kind.COUNTER or math.prod(map(len, values)) > _MOST_ZEROS:
        return {}
    return dict.fromkeys(itertools.product(*values), (0,))


def _family(metric: Metric, series: dict[Labels, Numbers]) -> Family:
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.text, labels=list(metric.labels))
        for labels, numbers in sorted(series.items()):
            histogram.add_metric(labels, _buckets(numbers), numbers[-1])
        return histogram
    family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    shown: CounterMetricFamily | GaugeMetricFamily = family(metric.name, metric.text, labels=list(metric.labels))
    for labels, numbers in sorted(series.items()):
        shown.add_metric(labels, numbers[0])
    return shown


def _buckets(numbers: Numbers) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Return the buckets as Prometheus has them: each counts all that are below its bound."""
    bounds = [*(f"{bound:g}" for bound in SECONDS), "+Inf"]
    return list(zip(bounds, itertools.accumulate(numbers[:-1]), strict=True))
