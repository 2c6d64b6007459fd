"""Over the unkind engine: claims, in use cases, and in orders of two clients that are drawn at random."""

from __future__ import annotations

import random

import pytest

from tests.interleavings.claiming import sampled
from tests.interleavings.scheduler import Explored
from tests.interleavings.starts import SEED
from tests.interleavings.test_claims import TRIALS
from tests.support.unkind_store import Unkindness
from tests.unkind.test_interleavings import HOW, unkindly

ORDERS = 10


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("name", TRIALS)
def test_two_clients_that_want_the_same(name: str, how: Unkindness) -> None:
    """Whatever the engine does, no claim is two accounts', and none is lost for ever."""
    trial, chance = TRIALS[name](), random.Random(f"{SEED} {name} {how}")
    trial.wrap = unkindly(how, chance)
    for schedule, violation in sampled(trial, Explored(), chance, ORDERS):
        pytest.fail(f"order {''.join(map(str, schedule.order))}: {violation}")
