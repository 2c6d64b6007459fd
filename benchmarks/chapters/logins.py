"""What logging in, registering, refreshing and taking over cost beside the bare limits, and whom they keep waiting."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from benchmarks import bare, peers, population, suite
from benchmarks.bench import Bench
from benchmarks.chart import Bar, Chart
from benchmarks.environments import CannotInstall
from benchmarks.inside import Inside, Takeovers, seconds_of
from benchmarks.load import Ask, LoadFailed, load
from benchmarks.measuring import Case, Measured, Sample, interleaved
from benchmarks.population import Person
from benchmarks.probe import waits
from benchmarks.report import Finding
from benchmarks.servers import Server, ServerFailed
from common.crypto.certificates import KeyKind
from common.crypto.device_keys import new_signing_key
from common.crypto.kem import KemKeyPair, new_kem_key_pair
from common.crypto.passwords import CHEAP_FOR_TESTS
from device_manager.key_pool import SIZE
from ichidai.client.keys import DeviceKeys
from tests.proof.hostile import HALF_SENT, IDLE, TOGETHER

ACCOUNTS = 20_000
_CONNECTIONS, _CROWD = 8, 16
_REFRESHED, _REGISTERED = 2_500, 120
"""Of each second of load: refresh tokens and bodies of registrations that are made for it, more than it can use."""
_ROOT = Path(__file__).parents[2]
_ISSUER = "https://accounts.example.com"
_TAKEOVERS = 200
_REST_SECONDS = 12
"""In which two processes on two cores fill their pools of keys: 64 pairs each (`device_manager/key_pool.py`)."""
_LEAD_SECONDS = 3
"""Many clients are a flood after two seconds (`registration/hashing_pool.py`)."""
_HASH, _WRITE, _THEIR_REFRESH, _IDLE = (
    "Argon2id alone, on all cores",
    "SQLite alone, a durable conditional write",
    "Flask-JWT-Extended, refresh (writes nothing)",
    "Ichidai, verify, while nobody logs in",
)
_ROWS = "SQLite alone, the three rows of a takeover"
_FULL = f"Ichidai, verify, while {_CROWD} connections log in without pause"
_HELD = f"Ichidai, verify, beside {HALF_SENT:,} half-sent bodies and {IDLE:,} idle connections"
_ABOUT = f"""\
Logins and registrations beside the raw rate of Argon2id (19 MiB, t = 2, p = 1) on the same cores; a refresh, which
writes, beside one that does not; the commit of a takeover (book, history, feed) beside a bare durable
write of one row, and the same rows written bare. {_CONNECTIONS} connections, every server has two processes, ours has
{ACCOUNTS:,} accounts. "In units" compares rates; the p50 of writes, each after some other request; the p99 of `verify`,
the time that a request every 5 ms takes.
"Busy" counts answers 503 with `Retry-After` for each good one. A device that brings no keys has them made by the
server, which costs about as much as a hash: ahead, while nobody waits for one, {SIZE} pairs in each process. So a burst
of registrations after {_REST_SECONDS} seconds of rest costs the hashes, and one without a rest makes keys as well."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the table: what it is measured by (itself: a unit), and by which number."""

    case: Case
    unit: str
    by: str = "rate"


def measure(bench: Bench) -> Finding:
    """Measure what logging in costs, and whom it keeps waiting."""
    absent: list[str] = []
    with ExitStack() as stack:
        lines = _bare(bench, stack) | _ours(bench, stack) | _peer(bench, stack, absent) | _commits(bench, stack)
        bench.begin("logins", len(lines) * (bench.rounds + 1))
        measured = interleaved({name: line.case for name, line in lines.items()}, bench.rounds, bench.step)
    return _finding(measured, lines, absent)


def _bare(bench: Bench, stack: ExitStack) -> dict[str, _Line]:
    hashers = bare.Hashers()
    stack.callback(hashers.stop)
    return {_HASH: _Line(lambda: hashers.run(bench.seconds), _HASH)}


def _ours(bench: Bench, stack: ExitStack) -> dict[str, _Line]:
    folder = bench.folder / "ichidai"
    bench.begin(f"loading {ACCOUNTS:,} accounts", 0)
    people = population.load(suite.settings_in(folder, ICHIDAI_ISSUER=_ISSUER), ACCOUNTS, devices=2)
    server = suite.started(people.settings, folder)
    stack.callback(server.stop)
    headers = [suite.bearer(token) for token in people.tokens(32)]
    logins = [_login(person, 1) for person in people.people[100:2100]]
    asked = [_login(person, 0) for person in people.people[2100:4100]]
    fresh, numbers = _Slices(people.people[4100:]), itertools.count()

    def sent(asks: Sequence[Ask], expected: int = 200) -> Sample:
        return load(server, asks, bench.seconds, _CONNECTIONS, expected)

    def registered(kind: KeyKind | None) -> Sample:
        return sent([_registration(next(numbers), kind) for _ in range(_REGISTERED * bench.seconds)])

    def rested() -> Sample:
        time.sleep(_REST_SECONDS)
        return registered(None)

    def refreshed() -> Sample:
        return sent([_refresh(pair.refresh_token) for pair in people.granted(fresh.next(_REFRESHED * bench.seconds))])

    verify = partial(waits, server, "/session/verify", headers, bench.seconds)
    return {
        "Ichidai, log in": _Line(lambda: sent(logins), _HASH),
        "Ichidai, log in, asked: 409": _Line(lambda: sent(asked, 409), _HASH),
        "Ichidai, register, ML-DSA keys of the device": _Line(lambda: registered(KeyKind.POST_QUANTUM), _HASH),
        "Ichidai, register, a P-256 key of the device": _Line(lambda: registered(KeyKind.CLASSICAL), _HASH),
        "Ichidai, register, keys made by the server": _Line(rested, _HASH),
        "Ichidai, register, keys made by the server, without a rest": _Line(lambda: registered(None), _HASH),
        "Ichidai, refresh": _Line(refreshed, _THEIR_REFRESH),
        _IDLE: _Line(verify, _IDLE, by="p99"),
        _FULL: _Line(lambda: _crowded(server, logins, bench.seconds, verify), _IDLE, by="p99"),
        _HELD: _Line(lambda: _beside_hostile(server, verify), _IDLE, by="p99"),
    }


class _Slices:
    """Deals out users, each once before any twice: a refresh token is used once."""

    def __init__(self, people: Sequence[Person]) -> None:
        self._people, self._at = people, 0

    def next(self, count: int) -> Sequence[Person]:
        """Return the next so many."""
        if self._at + count > len(self._people):
            self._at = 0
        self._at += count
        return self._people[self._at - count : self._at]


def _crowded(server: Server, asks: Sequence[Ask], seconds: int, measured: Case) -> Sample:
    """Measure while many connections send the requests without pause."""
    failed: list[Exception] = []

    def send() -> None:
        try:
            load(server, asks, seconds + _LEAD_SECONDS + 1, _CROWD, 200)
        except LoadFailed as error:
            failed.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(_LEAD_SECONDS)
    try:
        return measured()
    finally:
        sender.join()
        if failed:
            raise failed[0]


def _beside_hostile(server: Server, measured: Case) -> Sample:
    """Measure while hostile clients hold connections open."""
    command, pipe = [sys.executable, "-m", "tests.proof.hostile", str(server.port), TOGETHER], subprocess.PIPE
    with subprocess.Popen(command, cwd=_ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as hostile:
        if hostile.stdout is None or hostile.stdin is None or hostile.stdout.readline() != b"ready\n":
            raise LoadFailed("the hostile clients did not get ready")
        try:
            return measured()
        finally:
            hostile.stdin.close()


def _peer(bench: Bench, stack: ExitStack, absent: list[str]) -> dict[str, _Line]:
    """Start Flask-JWT-Extended, whose hash is as dear as ours."""
    peer = peers.PEERS[0]
    if not bench.peers:
        return {}
    bench.begin(f"setting up {peer.name}", 0)
    try:
        server = peer.started(bench.folder / "peer")
        stack.callback(server.stop)
        signed_in = [peers.sign_in_to_refresh(server.base) for _ in range(_CONNECTIONS)]
    except (CannotInstall, ServerFailed) as error:
        absent.append(f"**Not measured: {peer.name}**: {str(error).splitlines()[-1]}")
        return {}
    logins, refreshes = [each[0] for each in signed_in], [each[1] for each in signed_in]

    def sent(asks: Sequence[Ask]) -> Sample:
        return load(server, asks, bench.seconds, _CONNECTIONS, 200)

    return {
        "Flask-JWT-Extended, log in": _Line(lambda: sent(logins), _HASH),
        _THEIR_REFRESH: _Line(lambda: sent(refreshes), _THEIR_REFRESH),
    }


def _commits(bench: Bench, stack: ExitStack) -> dict[str, _Line]:
    """Prepare takeovers in this process, with cheap hashes, and the bare writes beside them."""
    people = population.load(suite.settings_in(bench.folder / "inside"), ACCOUNTS, devices=2, cost=CHEAP_FOR_TESTS)
    inside = Inside(people)
    stack.callback(inside.close)
    write = bare.durable_write(bench.folder / "bare.sqlite", ACCOUNTS)
    change = bare.durable_change(bench.folder / "rows.sqlite")
    takeovers = Takeovers(inside)

    def bare_writes(run: Callable[[], None]) -> Sample:
        """Write after a request each, which is not counted: a takeover's commit does not find warm caches either."""
        times = []
        for token in inside.tokens(_TAKEOVERS):
            inside.get("/session/list", token)
            times.append(seconds_of(run))
        return _sample(times)

    return {
        _WRITE: _Line(partial(bare_writes, write), _WRITE, by="p50"),
        _ROWS: _Line(partial(bare_writes, change), _WRITE, by="p50"),
        "Ichidai, a takeover's commit": _Line(lambda: _sample(takeovers.run(_TAKEOVERS)[1]), _WRITE, by="p50"),
    }


def _sample(seconds: Sequence[float]) -> Sample:
    """Return what so many runs in a row tell."""
    ordered = sorted(seconds)
    return {
        "rate": len(ordered) / sum(ordered),
        "cpu": 0,
        "p50": ordered[len(ordered) // 2] * 1000,
        "p99": ordered[int(len(ordered) * 0.99)] * 1000,
        "busy": 0,
    }


def _post(path: str, body: Mapping[str, object]) -> Ask:
    return Ask(path, "POST", {"Content-Type": "application/json"}, json.dumps(body))


def _login(person: Person, device: int) -> Ask:
    proof = {"username": person.username, "password": population.PASSWORD}
    return _post("/login", {**proof, "client_cert_fp": person.fingerprints[device]})


def _refresh(refresh_token: str) -> Ask:
    return _post("/session/refresh", {"refresh_token": refresh_token})


@cache
def _kem() -> KemKeyPair:
    """Return a key that opens sealed challenges: to make one for each device takes longer than to register it."""
    return new_kem_key_pair()


def _registration(number: int, kind: KeyKind | None) -> Ask:
    name = f"candidate-{number:09d}"
    own: Mapping[str, object] = {}
    if kind is KeyKind.POST_QUANTUM:
        own = DeviceKeys(new_signing_key(), _kem()).enrolment(_ISSUER, name, None)
    elif kind is not None:
        own = DeviceKeys.make(kind).enrolment(_ISSUER, name, None)
    form = {"username": name, "email": f"{name}@example.test", "password": population.PASSWORD}
    return _post("/registration/", {**form, **own})


def _finding(measured: Measured, lines: Mapping[str, _Line], absent: Sequence[str]) -> Finding:
    def ratio(name: str) -> float:
        by, unit = lines[name].by, lines[name].unit
        return measured[name][by].median / measured[unit][by].median if unit in measured else 0.0

    rows = [
        (
            name,
            f"{ratio(name):.2f}" if lines[name].unit in measured else "",
            found["rate"].written() if found["rate"].median >= 100 else found["rate"].written(".1f"),
            f"{found['cpu'].median / 1000:.2f}" if found["cpu"].median else "",
            found["p50"].written(".2f"),
            found["p99"].written(".2f"),
            f"{found['busy'].median:.2f}",
        )
        for name, found in measured.items()
    ]
    bars = [
        Bar(name, ratio(name), name.startswith("Ichidai"))
        for name, line in lines.items()
        if line.by == "rate" and line.unit in measured
    ]
    return Finding(
        title="Logins, registrations, refreshes, takeovers",
        about=_ABOUT,
        head=("what", "in units", "a second", "CPU, ms", "p50, ms", "p99, ms", "busy"),
        rows=rows,
        remarks=[_UNITS, *absent],
        charts=[
            Chart(
                "logins.svg",
                "Logins, registrations, refreshes",
                "Rate; 1 = Argon2id alone, or a refresh that writes nothing. Longer is better.",
                bars,
                unit=1,
            )
        ],
    )


_UNITS = (
    f"Units: logins and registrations in *{_HASH}*, refreshes in *{_THEIR_REFRESH}*, "
    f"the commit in *{_WRITE}*, verifications in *{_IDLE}*."
)
