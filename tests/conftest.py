"""What every test stands on: the markers, and the promise that nothing was skipped where everything must run.

`ICHIDAI_TEST_REQUIRE=all` makes a session fail when a test was skipped because a part (Java, Node, Chromium …) is
missing. Only a test that says it runs on another system alone ("only on Windows") may be skipped then.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from common import request_context

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")  # a busy machine is no fault of the code

REQUIRE = "ICHIDAI_TEST_REQUIRE"
EXCUSED = "only on "


@pytest.fixture(autouse=True)
def _one_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every request of this process the same name, so that answers can be compared byte by byte."""
    monkeypatch.setattr(request_context, "new_request_id", lambda: "5eed5eed-0000-4000-8000-000000000000")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers by which tests name rows of `requirements_rows.txt`; `rows.py` reads them."""
    config.addinivalue_line("markers", "requirement(*ids): shows these rows of what was asked for")
    config.addinivalue_line("markers", "regression(*ids): would have caught these mistakes of earlier attempts")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that had to run everything and did not."""
    if session.exitstatus == pytest.ExitCode.OK and missing_parts(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was missing, a line for each part."""
    for reason, tests in sorted(missing_parts(terminalreporter.config).items()):
        terminalreporter.write_line(f"{REQUIRE}=all, but {tests} skipped: {reason}", red=True)


def missing_parts(config: pytest.Config) -> Counter[str]:
    """Return how many tests were skipped for each reason, if none may be."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(REQUIRE) != "all" or reporter is None:
        return Counter()
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])]
    return Counter(reason for reason in reasons if not reason.startswith(EXCUSED))
