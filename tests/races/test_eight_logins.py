"""Eight devices of one account log in at the same moment, and the limit is one.

Two earlier suites counted the sessions, found none, and created theirs: each login was right by what it had seen, and
two people were in. Here eight operating system processes hold one bound device each. They come to a gate; when it
opens all log in. Whoever's write meets the book as it was read is in; everybody else's write fails its condition,
reads again, finds the winner and is refused with the winner's name. Nobody gets an error, and the history counts on
without a gap.
"""

from __future__ import annotations

import pytest

from tests.races import logins
from tests.support.engines import Engine
from tests.support.processes import at_once, rounds

EIGHT = 8


@pytest.mark.requirement("B01", "B02", "D40", "D47")
@pytest.mark.regression("X05", "Y07")
def test_exactly_one_gets_in(engine: Engine) -> None:
    """One is let in, seven are refused and shown the one; each time with a fresh account."""
    store = engine.open()
    users = [logins.registered(store, EIGHT) for _ in range(rounds(8))]
    answers = at_once(EIGHT, logins.careful, engine, users)
    for number, user in enumerate(users):
        assert list(logins.violations([each[number] for each in answers], store, user)) == []
    store.close()


def test_count_then_create_would_be_caught(engine: Engine) -> None:
    """The same race with the mistake in it: all eight get in, and each thing that is wrong with that is found."""
    store = engine.open()
    users = [logins.registered(store, EIGHT) for _ in range(3)]
    answers = at_once(EIGHT, logins.careless, engine, users)
    for number, user in enumerate(users):
        found = list(logins.violations([each[number] for each in answers], store, user))
        assert found == [
            "8 logins were let in",
            "1 sessions are in the book, 7 that were let in are not",
            "the history tells of 1 logins",
        ]
    store.close()
