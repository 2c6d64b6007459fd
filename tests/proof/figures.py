"""What the tests of the proof share: the seed, how much to do, and telling what was measured and how far they are.

`tests/proof/prove.py` gathers what is told here. Without it the tests do their CI size and tell nobody.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

FILE, LONG, SEED = "ICHIDAI_TEST_FIGURES", "ICHIDAI_TEST_LONG", "ICHIDAI_TEST_SEED"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: its id, what was done how often, what was wrong, and what it took."""

    id: str
    what: str
    size: str
    violations: int
    numbers: str = ""


def figure(name: str, what: str, size: str, violations: int, numbers: str = "") -> None:
    """Tell a figure to whoever gathers them; nobody may be there."""
    if path := os.environ.get(FILE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(Figure(name, what, size, violations, numbers))) + "\n")


def is_long() -> bool:
    """Say whether the long size was asked for."""
    return os.environ.get(LONG) == "1"


def rounds(long: int) -> int:
    """Return how many times its CI size a test is to do: 1; in the long size `long`; or the number that was given."""
    asked = os.environ.get(LONG, "")
    return 1 if not asked else long if asked == "1" else int(asked)


def each_round(what: str, count: int) -> Iterator[int]:
    """Yield 0, 1, 2 … and tell after each that takes its time how far it is. Nothing is told where nobody gathers."""
    begun = told = time.monotonic()
    for number in range(count):
        yield number
        now = time.monotonic()
        if os.environ.get(FILE) and count > 1 and (now - told > _SILENCE_SECONDS or number == count - 1):
            told = now
            _say(f"    {what}: {number + 1:,} of {count:,}, {(now - begun) / 60:.1f} min")


def seed() -> int:
    """Return the seed of the run: `ICHIDAI_TEST_SEED`, or a new one."""
    return int(os.environ.setdefault(SEED, str(random.randrange(10**9))))


_SILENCE_SECONDS = 15.0


def _say(line: str) -> None:
    """Print past pytest, which keeps what a test prints."""
    print(line, file=sys.__stderr__, flush=True)
