"""One signed challenge is sent by eight processes at the same moment: it logs in once.

A challenge that is looked at first and deleted later lets in everybody who looked before the first deletion. Here its
end is a write of the very commit that lets its device in, and holds only while it is there as it was read.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.races import proofs
from tests.support.engines import Engine
from tests.support.processes import at_once, rounds
from tests.support.signing import p256_keys

EIGHT = 8


@pytest.mark.requirement("R73")
@pytest.mark.regression("X63")
def test_exactly_one_gets_in(engine: Engine) -> None:
    """All others find it spent, and the book has seen one login; each time with a fresh challenge."""
    store, keys = engine.open(), p256_keys()
    cases = [proofs.prepared(store, keys) for _ in range(rounds(8))]
    answers = at_once(EIGHT, proofs.careful, engine, cases)
    for number, case in enumerate(cases):
        assert Counter(each[number] for each in answers) == {"in": 1, "challenge-spent": EIGHT - 1}
        assert proofs.logins(store, case.user) == 1
    store.close()


def test_to_look_and_then_delete_would_be_caught(engine: Engine) -> None:
    """The same race with the mistake in it: all eight get in."""
    store, keys = engine.open(), p256_keys()
    cases = [proofs.prepared(store, keys) for _ in range(2)]
    answers = at_once(EIGHT, proofs.careless, engine, cases)
    for number, case in enumerate(cases):
        assert Counter(each[number] for each in answers) == {"in": EIGHT}
        assert proofs.logins(store, case.user) == EIGHT
    store.close()


def test_eight_wrong_signatures_at_once_are_five_and_then_it_is_spent(engine: Engine) -> None:
    """None is lost in the counting."""
    store, keys = engine.open(), p256_keys()
    cases = [proofs.prepared(store, keys, right=False) for _ in range(rounds(4))]
    answers = at_once(EIGHT, proofs.guessing, engine, cases)
    for number, _ in enumerate(cases):
        assert Counter(each[number] for each in answers) == {"proof-invalid": 5, "challenge-spent": EIGHT - 5}
    store.close()
