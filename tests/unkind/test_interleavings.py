"""Orders of two clients over the unkind engine: answers are lost, calls refused, and queries tell of the state before.

Drawn at random, what the engine does as well: no two orders are alike. `test_planted_bugs.py` shows that mistakes are
found so.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable

import pytest

from common.storage.port import Store
from tests.interleavings.judging import Found, Setting, sampled
from tests.interleavings.process import clock_at
from tests.interleavings.scheduler import Explored
from tests.interleavings.starts import CENTRAL, SEED, STARTS
from tests.support.unkind_store import Unkindness, UnkindStore
from tests.unit.builders import SECOND, T0

PAIRS = [(start, *n) for start in ("asked", "two") for n in itertools.combinations_with_replacement(CENTRAL, 2)]
ORDERS, FEW_ORDERS = 12, 4
SELDOM = 61
"""Of so many calls one is refused where acts are long: what makes thirty calls comes to its end, too."""

OFTEN = 13
"""Of so many one is refused elsewhere. Where it is one of five, two clients are hardly ever both answered."""

HOW = {
    "losing": Unkindness(losing=True, at_once=True),
    "throttling": Unkindness(throttling=OFTEN, stale=True),
    "all at once": Unkindness(losing=True, throttling=OFTEN, stale=True, at_once=True),
}


def unkindly(how: Unkindness, chance: random.Random) -> Callable[[Store], Store]:
    """Return what puts an unkind engine, which acts by chance, before the store of an order."""
    return lambda store: UnkindStore(store, clock_at(T0), how, chance)  # type: ignore[arg-type]


def agreed(found: Iterable[Found]) -> bool:
    """Fail with the first order that breaks something."""
    for schedule, violation in found:
        pytest.fail(f"order {''.join(map(str, schedule.order))}: {violation}")
    return True


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("row", PAIRS, ids=" - ".join)
def test_two_clients(row: tuple[str, ...], how: Unkindness) -> None:
    """Whatever the engine does, each of some orders keeps every invariant."""
    start, *names = row
    about, chance = STARTS[start], random.Random(f"{SEED} {row} {how}")
    setting = Setting(
        about.make(),
        [[about.acts[name]] for name in names],
        wrap=unkindly(how, chance),
    )
    assert agreed(sampled(setting, Explored(), chance, ORDERS))


@pytest.mark.parametrize("start", STARTS)
def test_every_pair_of_acts(start: str) -> None:
    """Whatever two clients do, and whatever the engine does to them: a few orders of each pair keep every invariant."""
    about, how = STARTS[start], Unkindness(losing=True, throttling=SELDOM, stale=True, at_once=True)
    for names in itertools.combinations_with_replacement(about.acts, 2):
        chance = random.Random(f"{SEED} {start} {names}")
        setting = Setting(
            about.make(),
            [[about.acts[name]] for name in names],
            wrap=unkindly(how, chance),
            ahead=70 * SECOND if "touch" in names else 0 * SECOND,  # so that it is written down
        )
        for schedule, violation in sampled(setting, Explored(), chance, FEW_ORDERS):
            pytest.fail(f"{' - '.join(names)}, order {''.join(map(str, schedule.order))}: {violation}")
