"""Work after the answer: one piece after another, when it is due, and none is lost at an end in good order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from common.errors import Code, Refusal
from registration import later
from registration.later import Later


@pytest.fixture
def work() -> Iterator[Later]:
    """Return a thread for work that ends with the test."""
    thread = Later()
    yield thread
    thread.close()


def test_it_runs_soon(work: Later) -> None:
    """And not in the caller."""
    found: list[str] = []
    work.run(lambda: found.append(threading.current_thread().name))
    assert work.finish(20)
    assert found == ["mailing"]


def test_it_waits_for_its_moment(work: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due sooner comes first; nothing comes before it is due."""
    monkeypatch.setattr(later, "jitter", lambda seconds: seconds)
    done = threading.Event()
    order: list[str] = []
    begun = time.monotonic()
    work.run(lambda: order.append(f"after {time.monotonic() - begun >= 0.2}"), within=0.2)
    work.run(lambda: order.append("never in this test") or done.set(), within=3600.0)
    work.run(lambda: order.append("at once"))
    assert not done.wait(0.4)
    assert order == ["at once", "after True"]


def test_nothing_is_lost_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not due yet is done before the process ends."""
    monkeypatch.setattr(later, "jitter", lambda seconds: seconds)
    work, done = Later(), threading.Event()
    work.run(done.set, within=3600.0)
    work.close()
    assert done.is_set()


def test_what_fails_hinders_nothing(work: Later) -> None:
    """A refusal and a defect are logged; the next piece is done."""
    done = threading.Event()

    def refuse() -> None:
        raise Refusal(Code.BUSY)

    def break_down() -> None:
        raise ZeroDivisionError

    for each in (refuse, break_down, done.set):
        work.run(each)
    assert done.wait(20)


def test_it_is_bounded(work: Later, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too much waits the newest is dropped."""
    monkeypatch.setattr(later, "MOST_WAITING", 1)
    gate, done = threading.Event(), list[int]()
    work.run(lambda: gate.wait(20) and None, within=0)
    while work.finish(0.01):
        pass
    for number in range(3):
        work.run(lambda number=number: done.append(number))  # type: ignore[misc]
    gate.set()
    assert work.finish(20)
    assert done == [0]
