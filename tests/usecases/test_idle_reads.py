"""What a process asks of the store by itself is what the bill counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.dynamodb_cost import PROCESS, STREAM, STREAMS, WORKER
from tests.usecases.in_process_suite import SECOND, InProcessSuite

TOGETHER = "policy and generation"
STANDING = {each.what: (each.reads, each.writes) for each in (*PROCESS, *WORKER, *STREAMS, *STREAM)}
STANDING[TOGETHER] = tuple(map(sum, zip(STANDING.pop("policy"), STANDING.pop("generation"), strict=True)))


def turns(suite: InProcessSuite) -> dict[str, Callable[[], object]]:
    """Return one turn of each thing that is done again and again."""
    process, anna = suite.suite, suite.register()
    process.heartbeat.start()
    login = suite.log_in(anna)
    return {
        "keys": process.key_provider.reread,
        TOGETHER: process.policies.reread,
        "readiness": process.readiness.refresh,
        "feed": process.events.hints,
        "heartbeats": process.events.has_untold_endings,
        "heartbeat": process.heartbeat.beat,
        "the account's book": lambda: process.events.poll(anna.uuid, login.session_id),
    }


@pytest.mark.parametrize("what", sorted(STANDING.keys() - {"the store's time"}))
def test_a_turn_asks_what_the_bill_counts(suite: InProcessSuite, what: str) -> None:
    """Each read of an item of up to 4 KB is one unit, and each query that finds little; a probe is a write of one."""
    suite.clock.move(30 * SECOND)  # at the turn of a minute the feed has two, and its first look reads more
    turn, counted = turns(suite)[what], STANDING[what]
    turn()
    suite.store.watch()
    turn()
    reads = [call for call in suite.store.calls if not call.is_write]
    assert (len(reads), len(suite.store.commits)) == counted
