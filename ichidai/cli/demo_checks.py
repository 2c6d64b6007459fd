"""How the demo checks what it tells: each step must go just as the story says, or the story has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ichidai.client import Device, Problem, SessionEnded

Step = Callable[[str, str], None]
"""Tells a step, in English and Japanese."""


class StoryFailed(Exception):
    """A step did not go as told; the text tells what must have been, and what was answered."""


def expect(condition: object, what: str) -> None:
    """Check something. Raises StoryFailed with `what` must have been."""
    if not condition:
        raise StoryFailed(what)


@contextmanager
def refused(what: str, status: int, code: str) -> Iterator[None]:
    """Check that what is done inside is refused by the server, in just this way. Raises StoryFailed."""
    must = f"{what} must be answered {status} {code}, and was"
    try:
        yield
    except Problem as problem:
        expect((problem.status, problem.code) == (status, code), f"{must} {problem.status} {problem.code}: {problem}")
    else:
        raise StoryFailed(f"{must} let in")


def expect_ended(device: Device, reason: str, whose: str) -> None:
    """Check that a device's session has ended, and why. Raises StoryFailed."""
    try:
        device.verify()
    except SessionEnded as ended:
        expect(ended.reason == reason, f"the reason must be {reason}, and was {ended.reason}")
    else:
        raise StoryFailed(f"{whose} session must have ended, and lives")
