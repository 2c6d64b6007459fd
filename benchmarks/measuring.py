"""Measuring side by side: every case once a round, round after round, so that what slows the machine slows them all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Sample = Mapping[str, float]
"""What one run of a case gave, each number by its name."""

Case = Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers of all rounds: their median, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """Return the spread of at least one number."""
        return cls(statistics.median(numbers), min(numbers), max(numbers))

    def over(self, unit: float) -> Spread:
        """Return the spread as multiples of a unit."""
        return Spread(self.median / unit, self.least / unit, self.most / unit)

    def written(self, form: str = ",.0f") -> str:
        """Return the median with the range of the rounds behind it."""
        return f"{self.median:{form}} ({self.least:{form}}–{self.most:{form}})"  # noqa: RUF001 - a range is written so


Measured = Mapping[str, Mapping[str, Spread]]
"""For each case, by its name, the spread of each of its numbers."""


def interleaved(cases: Mapping[str, Case], rounds: int, step: Callable[[str], None]) -> Measured:
    """Run every case once a round; a first round that warms up is thrown away. `step` is told what comes next."""
    samples: dict[str, list[Sample]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            step(f"round {number} of {rounds}: {name}" if number else f"warming up: {name}")
            sample = case()
            if number:
                samples[name].append(sample)
    return {
        name: {number: Spread.of([sample[number] for sample in taken]) for number in taken[0]}
        for name, taken in samples.items()
    }
