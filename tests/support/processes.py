"""Several operating system processes that do something at once, started by `spawn` so that it runs everywhere."""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
import traceback
from collections.abc import Callable
from threading import Barrier
from typing import Any

_CONTEXT = multiprocessing.get_context("spawn")
_TIMEOUT_SECONDS = 300.0

Task = Callable[..., Any]
"""Called as task(number, gate, *arguments); `gate()` holds each process until all have come to it."""


def rounds(few: int) -> int:
    """Return how often a race is run: a few times, or fifty where `ICHIDAI_TEST_LONG=1` asks for it."""
    return 50 if os.environ.get("ICHIDAI_TEST_LONG") == "1" else few


def at_once(count: int, task: Task, *arguments: object) -> list[Any]:
    """Run a task of an importable module in `count` processes; return what each gave back, by number.

    RuntimeError with the traceback of the first that failed.
    """
    gate, answers = _CONTEXT.Barrier(count), _CONTEXT.Queue()
    processes = [
        _CONTEXT.Process(target=_run, args=(number, gate, answers, task, arguments), daemon=True)
        for number in range(count)
    ]
    for process in processes:
        process.start()
    try:
        results = dict(_answer(answers, processes) for _ in processes)
    finally:
        for process in processes:
            process.join(timeout=5)
            process.kill()
            process.join()
    return [results[number] for number in range(count)]


def _answer(answers: Any, processes: list[Any]) -> tuple[int, Any]:
    end = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < end:
        try:
            number, result, fault = answers.get(timeout=1)
        except queue.Empty:
            if any(process.exitcode for process in processes):
                raise RuntimeError("a process died") from None
            continue
        if fault is not None:
            raise RuntimeError(f"process {number} failed:\n{fault}")
        return number, result
    raise RuntimeError("the processes did not answer in time")


def _run(number: int, gate: Barrier, answers: Any, task: Task, arguments: tuple[object, ...]) -> None:
    try:
        answers.put((number, task(number, lambda: gate.wait(_TIMEOUT_SECONDS), *arguments), None))
    except BaseException:  # noqa: BLE001 - the parent is told whatever it was
        gate.abort()
        answers.put((number, None, traceback.format_exc()))
