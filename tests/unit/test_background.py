"""Work in the background: one task after another, and again what was not done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from common import background
from common.background import BackgroundThread
from tests.support.servers import until


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundThread]:
    """Return a thread that works, and tries again soon."""
    monkeypatch.setattr(background, "_AGAIN_SECONDS", 0.02)
    thread = BackgroundThread()
    thread.start()
    yield thread
    thread.close()


def succeeding_after(failures: int, told: list[str], name: str) -> Callable[[], bool]:
    """Return a task that tells its name each time, and is done once it has failed so often."""

    def task() -> bool:
        told.append(name)
        return told.count(name) > failures

    return task


def test_before_it_starts_the_caller_does_it() -> None:
    """A command has no thread."""
    done: list[int] = []
    BackgroundThread()(lambda: done.append(1))
    assert done == [1]


def test_what_is_not_done_is_tried_again_though_nothing_else_comes(thread: BackgroundThread) -> None:
    """And only until it is done; meanwhile it counts as waiting, since it was handed in."""
    tries, may_succeed = list[bool](), threading.Event()

    def task() -> bool:
        tries.append(may_succeed.is_set())
        return tries[-1]

    thread(task)
    until(lambda: len(tries) > 2, "tried again")
    until(lambda: thread.waiting()[0] == 1, "it waits")
    may_succeed.set()
    until(lambda: thread.waiting() == (0, 0.0), "nothing waits")
    after = threading.Event()
    thread(after.set)
    assert after.wait(60)
    assert tries.count(True) == 1


def test_what_is_not_done_is_tried_again_while_others_come(thread: BackgroundThread) -> None:
    """Tasks that come all the time do not hold it up."""
    told: list[str] = []
    ended = threading.Event()

    def another() -> None:
        if not ended.is_set():
            thread(another)

    thread(succeeding_after(2, told, "a"))
    thread(another)
    until(lambda: len(told) == 3, "done")
    ended.set()


def test_one_that_fails_keeps_no_other_from_its_turn(thread: BackgroundThread) -> None:
    """Each has its try, in turn."""
    told: list[str] = []
    for name in "abc":
        thread(succeeding_after(5 if name == "a" else 1, told, name))
    until(lambda: {told.count(name) for name in "bc"} == {2}, "the others are done")
    until(lambda: told.count("a") == 6, "and it")


def test_what_raises_is_logged_and_not_tried_again(thread: BackgroundThread, caplog: pytest.LogCaptureFixture) -> None:
    """It is a defect, which another try would not mend."""
    after = threading.Event()
    thread(lambda: 1 // 0)
    thread(after.set)
    assert after.wait(60)
    until(lambda: thread.waiting() == (0, 0.0), "nothing waits")
    assert caplog.text.count("ZeroDivisionError") == 1
    assert thread.given_up == 1


def test_what_finds_no_place_is_counted(thread: BackgroundThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many wait for their turn, or for another try."""
    monkeypatch.setattr(background, "_MOST_WAITING", 1)
    thread._tasks.maxsize = 1
    may_end = threading.Event()
    thread(lambda: False)
    until(lambda: len(thread._undone) == 1, "it waits for another try")
    thread(lambda: may_end.wait(60) and False)
    until(thread._tasks.empty, "it is being done")
    thread(lambda: None)
    assert thread.given_up == 0
    thread(lambda: None)
    assert thread.given_up == 1, "the queue is full"
    may_end.set()
    until(lambda: thread.given_up == 2, "what is to be tried again, too")


def test_without_a_thread_what_is_not_done_is_given_up() -> None:
    """Also where it is interrupted; what is done is not."""
    alone = BackgroundThread()
    alone(lambda: True)
    alone(lambda: None)
    assert alone.given_up == 0
    alone(lambda: False)
    assert alone.given_up == 1
    with pytest.raises(ZeroDivisionError):
        alone(lambda: 1 // 0)
    assert alone.given_up == 2
