"""Tells at the end how many schedules were run; with xdist too, for the counts travel with the reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.account import laying_down
from common.retry import RetryBudget
from tests.interleavings.scheduler import Explored
from tests.proof import figures

A_DAY_SECONDS = 86_400.0

COUNTS = {"schedules": "schedules", "cut": "cut short as equal", "steps": "steps"}
"""What is counted, and how the page of figures calls it."""


@pytest.fixture(autouse=True)
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a client try again at once, and do the same in each run of an order, however slow the machine is."""
    monkeypatch.setattr(RetryBudget.__init__, "__defaults__", (A_DAY_SECONDS, lambda _seconds: None))
    monkeypatch.setattr(laying_down, "_AGAIN_SECONDS", A_DAY_SECONDS)


@pytest.fixture
def is_long() -> bool:
    """Say whether the long size was asked for: no reduction, every order of everything."""
    return figures.is_long()


@pytest.fixture
def explored(record_property: Callable[[str, object], None]) -> object:
    """Return a count of what this test runs."""
    count = Explored()
    yield count
    for name, called in COUNTS.items():
        record_property(f"counted {called}", getattr(count, name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sums."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    ended = [report for report in reports if getattr(report, "when", "") == "teardown"]
    told = [value for report in ended for value in report.user_properties]
    schedules, cut, steps = (sum(n for name, n in told if name == f"counted {called}") for called in COUNTS.values())
    if schedules:
        terminalreporter.write_line(
            f"interleavings: {schedules} schedules, {steps} steps; {cut} others cut short as equal"
        )
