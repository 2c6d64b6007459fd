"""One code of an authenticator app, or one recovery code, is used by eight processes at the same moment: one is in."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.races import codes
from tests.support.engines import Engine
from tests.support.processes import at_once, rounds

EIGHT = 8


@pytest.mark.requirement("R72")
@pytest.mark.parametrize("task", [codes.with_code, codes.with_recovery_code])
def test_exactly_one_gets_in(engine: Engine, task: object) -> None:
    """All others find it used; the row was written once; each time with a fresh account."""
    store = engine.open()
    cases = [codes.prepared(store) for _ in range(rounds(6))]
    answers = at_once(EIGHT, task, engine, cases)  # type: ignore[arg-type]
    for number, case in enumerate(cases):
        assert Counter(each[number] for each in answers) == {"in": 1, "otp-invalid": EIGHT - 1}
        assert codes.state(store, case) == (1, 9 if task is codes.with_recovery_code else 10)
    store.close()


def test_to_look_and_then_write_would_be_caught(engine: Engine) -> None:
    """The same race with the mistake in it: all eight get in."""
    store = engine.open()
    cases = [codes.prepared(store) for _ in range(2)]
    answers = at_once(EIGHT, codes.careless, engine, cases)
    for number, _ in enumerate(cases):
        assert Counter(each[number] for each in answers) == {"in": EIGHT}
    store.close()
