"""A verification costs less than an empty Flask route: a brief look with a wide margin; `dev.py bench` measures it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from benchmarks import peers, population, suite
from benchmarks.load import Ask, load
from benchmarks.measuring import interleaved

WIDE = 0.9
"""Measured 0.5; through Flask it would be 4 and more. Shared cores move either number by a quarter."""


def test_a_verification_costs_less_than_an_empty_flask_route(tmp_path: Path) -> None:
    """Both with two processes and 32 connections, another session at each, in turns."""
    if shutil.which("wrk") is None:
        pytest.skip("missing part: wrk, for a load that does not share the bottleneck")
    people = population.load(suite.settings_in(tmp_path), 1000)
    ours, empty = suite.started(people.settings, tmp_path), peers.empty(tmp_path / "empty")
    try:
        asks = [Ask("/session/verify", headers=suite.bearer(token)) for token in people.tokens(32)]
        runs = {"ours": partial(load, ours, asks, 1), "empty": partial(load, empty, [Ask("/empty")], 1)}
        measured = interleaved(runs, 3, lambda _told: None)
    finally:
        ours.stop()
        empty.stop()
    assert measured["ours"]["cpu"].median < WIDE * measured["empty"]["cpu"].median, measured
