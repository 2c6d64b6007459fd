"""Several threads ask, one does it for all; whoever waits in vain, or is failed, is owed an answer all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from common.storage.sqlite.group_commit import Drain, GroupCommit, PendingCommit

SOON = 30.0


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    end = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.001)


class Counter:
    """Settles orders, and notes which of them it got at once. While `open` is not set it holds the turn."""

    def __init__(self) -> None:
        self.together: GroupCommit[str] = GroupCommit()
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.busy = threading.Event()

    def serve(self, take: Drain[str]) -> None:
        """Take what waits, and fault the orders that say so."""
        orders = take()
        self.busy.set()
        self.open.wait(SOON)
        self.batches.append([order.content for order in orders])
        for order in orders:
            order.fault = ValueError(order.content) if order.content.startswith("bad") else None

    def ask(self, content: str, seconds: float = SOON) -> tuple[threading.Thread, PendingCommit[str], list[bool]]:
        """Ask by a thread of its own."""
        order, answers = PendingCommit(content), []
        thread = threading.Thread(target=lambda: answers.append(self.together.submit(order, seconds, self.serve)))
        thread.start()
        return thread, order, answers


def test_several_orders_of_one_thread_are_settled_together() -> None:
    """With those of others that wait; and each has its own end."""
    counter = Counter()
    first, _, _ = counter.ask("first")
    counter.busy.wait(SOON)
    orders = [PendingCommit("a"), PendingCommit("bad b"), PendingCommit("c")]
    many = threading.Thread(target=lambda: counter.together.settle_all(orders, SOON, counter.serve))
    many.start()
    until(lambda: len(counter.together._waiting) == 3)
    other, alone, _ = counter.ask("d")
    until(lambda: len(counter.together._waiting) == 4)
    counter.open.set()
    for thread in (first, many, other):
        thread.join()
    assert counter.batches == [["first"], ["a", "bad b", "c", "d"]]
    assert [str(order.fault) for order in (*orders, alone)] == ["None", "bad b", "None", "None"]


def test_several_orders_that_get_no_turn_are_never_settled() -> None:
    """None of them."""
    counter = Counter()
    first, _, _ = counter.ask("first")
    counter.busy.wait(SOON)
    assert not counter.together.settle_all([PendingCommit("a"), PendingCommit("b")], 0.05, counter.serve)
    counter.open.set()
    first.join()
    assert counter.batches == [["first"]]


def test_who_is_alone_does_its_own() -> None:
    """Each order that nobody shares a turn with is a batch of one."""
    counter = Counter()
    counter.open.set()
    for content in ("a", "b"):
        order = PendingCommit(content)
        assert counter.together.submit(order, SOON, counter.serve)
        assert order.fault is None
    assert counter.batches == [["a"], ["b"]]


def test_all_that_wait_are_settled_at_once_and_each_for_itself() -> None:
    """What comes during a turn is one batch; a fault in it belongs to its own order alone."""
    counter = Counter()
    asked = [counter.ask("first")]
    counter.busy.wait(SOON)
    asked += [counter.ask(content) for content in ("a", "bad", "c")]
    until(lambda: len(counter.together._waiting) == 3)
    counter.open.set()
    for thread, _, _ in asked:
        thread.join(SOON)
    assert counter.batches[0] == ["first"]
    assert sorted(counter.batches[1]) == ["a", "bad", "c"]
    assert len(counter.batches) == 2
    assert [order.content for _, order, _ in asked if order.fault] == ["bad"]
    assert [answers for _, _, answers in asked] == [[True]] * 4


def test_who_waits_in_vain_is_never_settled() -> None:
    """An order whose time is over is taken back before it says so."""
    counter = Counter()
    first, _, _ = counter.ask("first")
    counter.busy.wait(SOON)
    late, _, answers = counter.ask("late", seconds=0.05)
    late.join(SOON)
    assert answers == [False]
    counter.open.set()
    first.join(SOON)
    assert counter.together.submit(PendingCommit("next"), SOON, counter.serve)
    assert counter.batches == [["first"], ["next"]]


def test_who_is_taken_waits_for_its_end() -> None:
    """An order that somebody is busy with is not taken back, however long it takes: its outcome is known."""
    counter, began = Counter(), threading.Event()
    gate = threading.Event()

    def slow(take: Drain[str]) -> None:
        began.set()
        gate.wait(SOON)
        counter.serve(take)

    first = threading.Thread(target=lambda: counter.together.submit(PendingCommit("first"), SOON, slow))
    first.start()
    began.wait(SOON)
    second, order, answers = counter.ask("bad", seconds=2.0)
    until(lambda: len(counter.together._waiting) == 2)
    gate.set()
    counter.busy.wait(SOON)
    time.sleep(2.2)
    assert answers == []
    counter.open.set()
    for thread in (first, second):
        thread.join(SOON)
    assert answers == [True]
    assert isinstance(order.fault, ValueError)
    assert [sorted(batch) for batch in counter.batches] == [["bad", "first"]]


def test_who_cannot_begin_fails_alone() -> None:
    """A thread that fails before it takes anything takes its own order back; the others have their turn."""
    together: GroupCommit[str] = GroupCommit()

    def fail(_: Drain[str]) -> None:
        raise OSError("locked")

    with pytest.raises(OSError, match="locked"):
        together.submit(PendingCommit("a"), SOON, fail)
    taken: list[str] = []
    assert together.submit(PendingCommit("b"), SOON, lambda take: taken.extend(order.content for order in take()))
    assert taken == ["b"]
