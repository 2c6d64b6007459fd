"""What a process counts, what the parent makes of it, and that the page tells every metric."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.metrics import SECONDS, Kind, Metric, Totals, counter, gauge, histogram
from ichidai.server import metrics_endpoint

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
PACKAGES = ("common", "device_manager", "ichidai", "login_app", "registration", "session_manager")


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a name that no metric has; what is declared under it is gone afterwards."""
    monkeypatch.setattr(Metric, "all", dict(Metric.all))
    return f"test_{uuid.uuid4().hex}_total"


def test_labels_are_what_was_declared_or_other(name: str) -> None:
    """So nothing that a client wrote becomes a label, and there is no end of series."""
    metric = counter(name, "A test.", code=("good", "bad"))
    for code in ("good", "good", "bad", "x' OR 1=1", "canary"):
        metric.add(code)
    assert metric.snapshot() == {("good",): (2,), ("bad",): (1,), ("other",): (2,)}
    with pytest.raises(ValueError, match="code"):
        metric.add("good", "more")


def test_open_labels_have_a_bound(name: str) -> None:
    """A route is written in this program; were it not, the series would still end somewhere."""
    metric = counter(name, "A test.", route=())
    for number in range(3000):
        metric.add(f"/{number}")
    assert len(metric.snapshot()) == 2001
    assert metric.snapshot()["other",] == (1000,)


def test_threads_lose_no_step_and_a_tally_is_added(name: str) -> None:
    """A counter under eight threads, beside what an event loop counts for itself."""
    metric = counter(name, "A test.", of=("a",))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [metric.add("a") for _ in range(2000)], range(8)))
    metric.tally("a").add(0.5)
    assert metric.tally("a") is metric.tally("a")
    assert metric.snapshot() == {("a",): (16_001,)}
    metric.reset()
    assert metric.snapshot() == {}


def test_a_histogram_counts_each_in_its_bucket(name: str) -> None:
    """A bound belongs to the bucket below it; what is beyond all bounds is in the last one."""
    metric = histogram(name, "A test.")
    for seconds in (0.0, SECONDS[0], SECONDS[1], 99.0):
        metric.observe(seconds)
    numbers = metric.snapshot()[()]
    assert (numbers[0], numbers[1], numbers[-2]) == (2, 1, 1)
    assert numbers[-1] == pytest.approx(99 + SECONDS[0] + SECONDS[1])


def test_counters_of_a_process_that_is_gone_stay_and_its_gauges_go(name: str) -> None:
    """The parent adds up counters for ever, and makes of gauges what was declared."""
    counted = counter(name, "A test.", of=("a", "b"))
    gauges = [gauge(f"{name}_{kind.name}", kind, "A test.") for kind in (Kind.SUM, Kind.LEAST, Kind.MOST)]
    totals, own = Totals(), {counted.name: {("a",): (1,)}}
    for process, number in (("first", 3), ("second", 5)):
        totals.told(process, {counted.name: {("a",): (99,)}})
        totals.told(process, {counted.name: {("a",): (number,)}, **{each.name: {(): (number,)} for each in gauges}})
    assert totals.together(own)[counted.name] == {("a",): (9,)}
    assert [totals.together(own)[each.name][()] for each in gauges] == [(8,), (3,), (5,)]
    totals.ended("second")
    assert totals.together(own)[counted.name] == {("a",): (9,)}
    assert [totals.together(own)[each.name][()] for each in gauges] == [(3,), (3,), (3,)]
    totals.ended("first")
    assert totals.together({}) == {counted.name: {("a",): (8,)}}


def test_the_parent_knows_every_metric_that_a_worker_may_send() -> None:
    """The endpoint imports whatever module declares one; and none is declared under two names."""
    declared = re.compile(r"^\w+ = (?:counter|gauge|histogram)\(", re.MULTILINE)
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    written = sum(len(declared.findall(path.read_text(encoding="utf-8"))) for path in files)
    asked = "import ichidai.server.metrics_endpoint, common.metrics as m; print(len(m.Metric.all))"
    told = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True, cwd=ROOT)
    assert int(told.stdout) == written > 20


def row_of(metric: Metric) -> str:
    """Return a metric's row on the page."""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels or '–'} | {metric.text} |"


def test_the_page_tells_every_metric() -> None:
    """By the very words that Prometheus is told."""
    assert metrics_endpoint.DECLARING
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `ichidai_")]
    assert rows == [row_of(metric) for name, metric in sorted(Metric.all.items()) if name.startswith("ichidai_")]
