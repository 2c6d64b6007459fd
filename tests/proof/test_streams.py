"""F23: every stream of every evicted session is told within two seconds, while logins go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.figures import each_round, figure, rounds
from tests.proof.streams import IN_TIME, Figures, Size, allow_many_files, measure

SIZE = Size(accounts=100, tabs=3)


@pytest.mark.row("B20", "B33")
def test_evictions_are_told_in_time(tmp_path: Path) -> None:
    """All streams of all sessions; one in a hundred may take a moment longer, and none is left out."""
    allow_many_files(2000)
    found: list[Figures] = []
    for number in each_round("evictions", rounds(100)):
        found.append(measure(SIZE, tmp_path / str(number)))
        assert found[-1].opened == SIZE.streams
    lags = Figures(lags=[lag for figures in found for lag in figures.lags])
    untold = len(found) * SIZE.streams - len(lags.lags)
    numbers = f"p99 {lags.p99:.2f} s, longest {max(lags.lags):.2f} s"
    size = f"{len(found) * SIZE.accounts:,} evictions, {len(found) * SIZE.streams:,} streams"
    figure("F23", "eviction to notice, while others log in", size, untold + (lags.p99 >= IN_TIME), numbers)
    assert untold == 0
    assert lags.p99 < IN_TIME
    assert all(figures.logins for figures in found)
