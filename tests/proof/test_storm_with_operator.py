"""Operators act in the middle of storms: nothing of the proof breaks, and each act leaves line, entry and event."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import jwt
import pytest
import requests

from common.account.audit import read_audit
from common.account.history import EventKind
from common.clock import system_clock
from session_manager.event_receivers import digest_of
from session_manager.security_event import SESSION_REVOKED
from tests.proof.checker import check
from tests.proof.conftest import engine_in
from tests.proof.figures import figure, rounds
from tests.proof.operating import ACTOR, WHY, take_part_or_operate
from tests.proof.recording import Operation, Run
from tests.proof.storm import EVERYTHING, Fleet, Storm, judged, read
from tests.support.client import bearer
from tests.support.engines import ENGINES
from tests.support.processes import at_once
from tests.support.servers import until

KEY = "the key of the machine that asks for events"
SIZES = {"sqlite": (6, 480, 30, 0.05), "dynamodb": (3, 120, 10, 0.3)}
"""Clients, their calls together, the acts beside them, and the seconds between those. DynamoDB Local is slow."""

Told = Counter[tuple[str, str, str, str | None]]


@pytest.mark.parametrize("kind", ENGINES)
def test_operators_act_in_a_storm(tmp_path: Path, chance: Random, kind: str) -> None:
    """Disabled, signed out, unbound, with a password set: 0 violations, and the checker would have found one."""
    engine = engine_in(tmp_path, kind)
    settings = {"ICHIDAI_EVENT_RECEIVERS": f"machine=poll:{digest_of(KEY)}", "MAX_CONCURRENT_DEVICES": "2"}
    fleet = Fleet(tmp_path, engine, 2, 1, **settings)
    clients, calls, acts, pause = SIZES[kind]
    folder = tmp_path / "storm"
    folder.mkdir()
    storm = Storm(fleet.ports, folder, chance.getrandbits(32), calls, 8, 3, EVERYTHING, clients)
    operators = {**engine.settings, **settings, "ICHIDAI_TEST_CHEAP_HASH": "true", "ICHIDAI_DATA_DIR": str(folder)}
    try:
        at_once(clients + 1, take_part_or_operate, storm, operators, acts * rounds(4), pause)
        run = read(fleet, folder)
        wrong = judged(fleet, run)
        store = fleet.engine.open()
        lines = Counter(
            (line.user_uuid, line.kind)
            for line in read_audit(store, system_clock() - timedelta(hours=1), system_clock() + timedelta(minutes=1))
            if (line.actor, line.reason) == (ACTOR, WHY)
        )
        store.close()
        events: Told = Counter()
        until(lambda: _drained(fleet, events) == _endings(run), "each ending has its event")
    finally:
        fleet.stop()
    done = [call for call in run.calls if call.operation is Operation.OPERATE and call.told["changed"]]
    figure("F2", f"operators act in a mixed storm, {kind}", f"{len(run.calls):,} calls, {len(done)} acts", len(wrong))
    assert wrong == []
    assert {call.asked["act"].rpartition(" ")[0] for call in done} >= {"disable", "enable", "set-password"}
    assert lines == Counter((call.user, f"operator-{call.asked['act'].rpartition(' ')[0]}") for call in done)
    assert sum(call.told["ended"] for call in done) > 0
    _the_checker_would_have_found_it(run)


def _endings(run: Run) -> Told:
    """Return what the histories tell of ended sessions: account, session, reason, act."""
    return Counter(
        (user, event.session_id or "", str(event.reason), event.act and str(event.act))
        for user, entries in run.histories.items()
        for entry in entries
        for event in entry.events
        if event.kind is EventKind.SESSION_ENDED
    )


def _drained(fleet: Fleet, events: Told) -> Told:
    """Ask for what waits, add it to what was told, and return that; each event is taken once."""
    url, taken = f"http://127.0.0.1:{fleet.ports[0]}/session/security-events", list[str]()
    while True:
        asked: dict[str, Any] = {"returnImmediately": True, "ack": taken}
        answer = requests.post(url, json=asked, headers=bearer(KEY), timeout=30)
        assert answer.status_code == 200, answer.text
        if not (sets := answer.json()["sets"]):
            return events
        taken = list(sets)
        for token in sets.values():
            claims = jwt.decode(token, options={"verify_signature": False})
            user, event = claims["sub_id"]["user"]["sub"], claims["events"][SESSION_REVOKED]
            events[user, claims["sub_id"]["session"]["id"], event["reason"], event.get("act")] += 1


def _the_checker_would_have_found_it(run: Run) -> None:
    """Check that runs in which one thing is otherwise are found wrong."""
    quiet = replace(run, calls=tuple(call for call in run.calls if call.operation is not Operation.OPERATE))
    assert any("no call can have made change" in each.sentence for each in check(quiet)), "an act that nobody did"
    act = next(call for call in run.calls if call.operation is Operation.OPERATE and call.told.get("ended"))
    missing = {**act.asked, "act": "end-sessions 999"}
    unrecorded = replace(run, calls=tuple(replace(c, asked=missing) if c is act else c for c in run.calls))
    assert any(each.rule == "I27" for each in check(unrecorded)), "an act without its entry"
    ended = [
        event.session_id
        for entries in run.histories.values()
        for entry in entries
        for event in entry.events
        if event.kind is EventKind.SESSION_ENDED and event.act is not None
    ]
    template = next(call for call in run.calls if call.operation is Operation.VERIFY)
    owner = {e.session_id: user for user, entries in run.histories.items() for entry in entries for e in entry.events}
    late = max(call.end for call in run.calls if call.end is not None) + 1
    used = replace(
        template,
        user=owner[ended[0]],
        start=late,
        end=late + 1,
        status=200,
        asked={"session_id": ended[0]},
        told={"session_id": ended[0]},
    )
    assert any(each.rule in ("I10", "I14", "I12") for each in check(replace(run, calls=(*run.calls, used))))
