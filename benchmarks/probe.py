"""How long an occasional request takes, whatever else the server does."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Mapping, Sequence

from benchmarks.measuring import Sample
from benchmarks.servers import Server

_CONNECTIONS = 4
_PAUSE_SECONDS = 0.005


def waits(server: Server, path: str, headers: Sequence[Mapping[str, str]], seconds: float) -> Sample:
    """Ask every 5 ms, on several connections in turn, one question at a time; return the milliseconds of waiting."""
    lines = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(_CONNECTIONS)]
    times: list[float] = []
    end = time.perf_counter() + seconds
    try:
        while time.perf_counter() < end:
            turn, begun = len(times), time.perf_counter()
            line = lines[turn % len(lines)]
            line.request("GET", path, headers=dict(headers[turn % len(headers)]))
            answer = line.getresponse()
            answer.read()
            times.append((time.perf_counter() - begun) * 1000)
            if answer.status != 200:
                raise AssertionError(f"{path}: {answer.status}")
            time.sleep(_PAUSE_SECONDS)
    finally:
        for line in lines:
            line.close()
    percentiles = statistics.quantiles(times, n=100)
    return {"rate": len(times) / seconds, "cpu": 0, "p50": percentiles[49], "p99": percentiles[98], "busy": 0}
