"""Tells at the end how many schedules were run; with xdist too, for the counts travel with the reports."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.interleavings.scheduler import Explored

COUNTS = ("schedules", "cut", "steps")


@pytest.fixture
def is_long() -> bool:
    """Say whether the long size was asked for: no reduction, every order of everything."""
    return os.environ.get("ICHIDAI_TEST_LONG") == "1"


@pytest.fixture
def explored(record_property: Callable[[str, object], None]) -> object:
    """Return a count of what this test runs."""
    count = Explored()
    yield count
    for name in COUNTS:
        record_property(f"interleavings {name}", getattr(count, name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sums."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    ended = [report for report in reports if getattr(report, "when", "") == "teardown"]
    told = [value for report in ended for value in report.user_properties]
    schedules, cut, steps = (sum(n for name, n in told if name == f"interleavings {count}") for count in COUNTS)
    if schedules:
        terminalreporter.write_line(
            f"interleavings: {schedules} schedules, {steps} steps; {cut} others cut short as equal"
        )
