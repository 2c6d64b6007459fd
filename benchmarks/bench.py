"""What every chapter is given: how many rounds, how long, where to work, and whom to tell how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Finding


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. `seconds`: of load in each round. `long`: the sizes that take their time."""

    folder: Path
    rounds: int
    seconds: int
    long: bool
    peers: bool
    begin: Callable[[str, int], None]
    step: Callable[[str], None]


Chapter = Callable[[Bench], Finding]
"""Measures one question. The first line of its docstring says which."""
