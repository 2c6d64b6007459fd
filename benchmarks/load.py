"""The load: wrk, one thread in C that drives 32 connections, so that what sends is never what is measured.

See https://github.com/wg/wrk. It shares the machine with the servers, as it does for every case alike.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring import Sample
from benchmarks.servers import Server

CONNECTIONS = 32


class NoLoadGenerator(Exception):
    """wrk is not installed; the text says how to get it."""


class LoadFailed(Exception):
    """Some answers were not what the case is about; the text says how many."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


def require_wrk() -> str:
    """Return where wrk is. Raises NoLoadGenerator."""
    found = shutil.which("wrk")
    if found is None:
        raise NoLoadGenerator(
            "The benchmarks need wrk. On Debian or Ubuntu: apt-get install wrk; on macOS: brew install wrk."
        )
    return found


def load(
    server: Server, asks: Sequence[Ask], seconds: int, connections: int = CONNECTIONS, expected: int | None = None
) -> Sample:
    """Send the requests in turn on every connection for so long, and return what it took.

    `cpu`: microseconds of the server's processors for each good request; `rate`: good requests a second; `p50`, `p99`:
    milliseconds. Good is what has the `expected` status, or else any that is no error. `busy`: 503 for each good one;
    with `expected` that is an answer, and who got it comes back after a tenth of a second. Raises LoadFailed if there
    was any other answer.
    """
    server.settle()
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "asks.lua"
        script.write_text(_script(asks, expected), encoding="utf-8")
        command = [require_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script)]
        before = server.processor_seconds()
        done = subprocess.run([*command, server.base], capture_output=True, text=True, check=True)
        used = server.processor_seconds() - before
    told = json.loads(done.stdout.rsplit("measured ", 1)[1])
    if told["errors"] or not told["good"]:
        raise LoadFailed(f"{told['errors']} of {told['count']} answers of {asks[0].path} were errors")
    return {
        "cpu": used / told["good"] * 1e6,
        "rate": told["good"] / told["micros"] * 1e6,
        "busy": told["busy"] / told["good"],
        "p50": told["p50"] / 1000,
        "p99": told["p99"] / 1000,
    }


def _script(asks: Sequence[Ask], expected: int | None = None) -> str:
    lines = "\n".join(_line(ask) for ask in asks)
    return f"""local asks, turn = {{}}, 0
{_PLAIN if expected is None else _JUDGED % expected}
local function add(method, path, headers, body) asks[#asks + 1] = wrk.format(method, path, headers, body) end
function init(arguments)
{lines}
end
function request() turn = turn % #asks + 1; return asks[turn] end
function done(summary, latency, requests)
  local e = summary.errors
  local lost, good, busy, wrong = e.connect + e.read + e.write + e.timeout, judged(summary)
  io.write(string.format(
    'measured {{"count": %d, "micros": %d, "errors": %d, "good": %d, "busy": %d, "p50": %d, "p99": %d}}\\n',
    summary.requests, summary.duration, lost + wrong, good, busy, latency:percentile(50), latency:percentile(99)))
end
"""


_PLAIN = """\
local function judged(summary) return summary.requests, 0, summary.errors.status end
"""
_JUDGED = """\
good, busy, wrong, pause = 0, 0, 0, 0
local threads = {}
function setup(thread) threads[#threads + 1] = thread end
function response(status)
  if status == %d then good = good + 1 elseif status == 503 then busy = busy + 1 pause = 100 else wrong = wrong + 1 end
end
function delay() local now = pause; pause = 0; return now end
local function judged(summary)
  return threads[1]:get("good"), threads[1]:get("busy"), threads[1]:get("wrong")
end
"""
"""Without a `response` wrk need not read the answers, which would slow it where millions come."""


def _line(ask: Ask) -> str:
    headers = ", ".join(f"[{json.dumps(name)}]={json.dumps(value)}" for name, value in ask.headers.items())
    body = "nil" if ask.body is None else json.dumps(ask.body)
    return f"  add({json.dumps(ask.method)}, {json.dumps(ask.path)}, {{{headers}}}, {body})"
