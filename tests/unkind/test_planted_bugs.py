"""Mistakes that are planted are found over the unkind engine: so it says something that orders break no rule there.

Once it refused every fifth call. Two clients of one order were then hardly ever both answered, and most of these
mistakes passed; now it acts by chance, and refuses fewer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from common.background import at_once
from tests.interleavings.bugs import (
    ChangeIdForgotten,
    Forgetting,
    LaidDownTwice,
    LeftOpen,
    Minting,
    OutboxDropped,
    RowsFirst,
    Unbinding,
    Unconditional,
    Uncounted,
    WithoutEpoch,
    by_count,
)
from tests.interleavings.judging import Setting, sampled
from tests.interleavings.operations import (
    Act,
    answer,
    change_password,
    close,
    log_in,
    log_out,
    refresh,
    renew,
    take_over,
    verify,
)
from tests.interleavings.process import Bends
from tests.interleavings.scheduler import Explored
from tests.interleavings.starts import SEED, STARTS
from tests.unkind.test_interleavings import HOW, unkindly

MOST_ORDERS = 600


@dataclass(frozen=True, slots=True)
class Planted:
    """A mistake: where it goes in, the clients that may meet it, and the rules that it breaks, one of them at least.

    `staying`: how probably a client goes on by itself, where one's act must come before the other's.
    """

    start: str
    scripts: Sequence[Sequence[Act]]
    bends: Bends
    rules: frozenset[str]
    staying: float = 0


BUGS = {
    "count, then create": Planted(
        "empty", [[log_in("A")], [log_in("B")]], Bends(store=Unconditional), frozenset({"I1", "I27"})
    ),
    "consent by count": Planted(
        "asked",
        [[take_over("B")], [log_in("A")]],
        Bends(decide=lambda _decide: by_count, takeovers=Uncounted),
        frozenset({"I3"}),
    ),
    "forgotten mark at a login": Planted(
        "proving", [[answer("B")], [answer("B")]], Bends(store=Forgetting), frozenset({"challenge"})
    ),
    "forgotten mark at a renewal": Planted(
        "renewing",
        [[renew("B", telling=False)], [renew("B", telling=False)]],
        Bends(store=Forgetting),
        frozenset({"challenge"}),
    ),
    "grace that mints": Planted(
        "asked", [[refresh("A")], [refresh("A")]], Bends(refreshing=Minting), frozenset({"I9"})
    ),
    "forgotten change id": Planted(
        "empty", [[log_in("B")], [log_in("C")]], Bends(store=ChangeIdForgotten), frozenset({"I5", "I27"})
    ),
    "no credential version": Planted(
        "asked", [[log_in("A")], [change_password("A")]], Bends(credentials=WithoutEpoch), frozenset({"I14"})
    ),
    "account left open": Planted(
        "closing", [[close("A")], [log_in("B", later=1)]], Bends(store=LeftOpen), frozenset({"I14"}), staying=0.9
    ),
    "no outbox": Planted("asked", [[log_out("A")], [log_in("B")]], Bends(store=OutboxDropped), frozenset({"I27"})),
    "laid down twice": Planted(
        "asked",
        [[log_out("A")], [verify("A")]],
        Bends(store=LaidDownTwice, in_background=at_once),
        frozenset({"I5", "I27"}),
    ),
    "rows before the book": Planted(
        "asked", [[change_password("A")], [change_password("A")]], Bends(store=RowsFirst), frozenset({"I14", "I19"})
    ),
    "lost binding": Planted("bound", [[refresh("A")]], Bends(refreshing=Unbinding), frozenset({"binding"})),
}

NEEDS_LOST_ANSWERS = {"forgotten change id"}
"""Where every answer arrives no process has to know its change again."""


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, how: str) -> None:
    """By one order of some hundreds at the latest, mostly of some ten."""
    bug, chance = BUGS[name], random.Random(f"{SEED} {name} {how}")
    setting = Setting(STARTS[bug.start].make(), bug.scripts, bug.bends, wrap=unkindly(HOW[how], chance))
    found = sampled(setting, Explored(), chance, MOST_ORDERS, staying=bug.staying)
    is_found = any(violation.rule in bug.rules for _, violation in found)
    assert is_found == (HOW[how].losing or name not in NEEDS_LOST_ANSWERS)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", BUGS)
def test_without_it_the_same_orders_break_nothing(name: str, how: str) -> None:
    """Else it would not be the mistake that is found."""
    bug, chance = BUGS[name], random.Random(f"{SEED} {name} {how}")
    straight = Bends(in_background=bug.bends.in_background)
    setting = Setting(STARTS[bug.start].make(), bug.scripts, straight, wrap=unkindly(HOW[how], chance))
    assert [violation for _, violation in sampled(setting, Explored(), chance, 40, staying=bug.staying)] == []
