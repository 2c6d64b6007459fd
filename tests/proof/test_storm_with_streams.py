"""A storm while every session has a stream open: each is told of its own end, once and with the right reason."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import pytest
import requests

from tests.proof.conftest import engine_in
from tests.proof.figures import each_round, figure, rounds
from tests.proof.listening import heard, told_wrongly
from tests.proof.storm import EVERYTHING, Fleet, judged, rage
from tests.support.ports import free_port
from tests.support.servers import until


@pytest.mark.requirement("B20")
def test_a_storm_with_streams_open(tmp_path: Path, chance: Random) -> None:
    """F2 with streams: two servers of two workers and a process of streams each; the streams hear what happened."""
    what = "mixed storm with a stream for each session, N = 2, sqlite"
    ports = (free_port(), free_port())
    environments = [{"ICHIDAI_EVENTS_PORT": str(port)} for port in ports]
    fleet = Fleet(tmp_path, engine_in(tmp_path, "sqlite"), 2, 2, environments=environments, MAX_CONCURRENT_DEVICES="2")
    wrong, streams, ended = list[str](), 0, 0
    try:
        for port in ports:
            until(partial(_answers, f"http://127.0.0.1:{port}/ready"), "the streams answer")
        addresses = [f"http://127.0.0.1:{port}/session/events" for port in ports]
        for number in each_round(what, rounds(10)):
            folder, seed = tmp_path / str(number), chance.getrandbits(32)
            run = rage(fleet, folder, seed, calls=480, people=12, devices=3, weights=EVERYTHING, streams=addresses)
            told = heard(folder)
            wrong += [*judged(fleet, run), *told_wrongly(run, told)]
            streams, ended = streams + len(told), ended + sum(map(len, told.values()))
        wrong += [line for server in fleet.suite.servers for line in server.output.splitlines() if "[error" in line]
    finally:
        fleet.stop()
    figure("F2", what, f"{streams:,} streams, {ended:,} told of an end", len(wrong))
    assert wrong == []
    assert ended > 20 * rounds(10)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
