"""Every order of those who ask for an approval, answer it and come in by it; of three, and of those who die, too.

The operations are the real use cases; see `test_every_order`, whose judges look at these orders, too.
"""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from tests.interleavings.approval_starts import APPROVAL_STARTS
from tests.interleavings.bugs import LosingAnswers
from tests.interleavings.judging import crashing, violations
from tests.interleavings.scheduler import Explored
from tests.interleavings.test_every_order import agreed, setting_of

PAIRS = [
    (start, *names)
    for start, about in APPROVAL_STARTS.items()
    for names in itertools.combinations_with_replacement(about.acts, 2)
]
ENTERING = ("ask and take over", "join")
TRIPLES = [
    (start, entering, *names)
    for start in ("approving", "approving both", "joining both")
    for entering, *others in [APPROVAL_STARTS[start].acts]
    for names in itertools.combinations(others, 2)
]
"""One who asks, and two who do something about it."""


@pytest.mark.parametrize("row", PAIRS, ids=" - ".join)
def test_two_clients(row: tuple[str, ...], explored: Explored) -> None:
    """Every order of two clients keeps every invariant, whoever dies in the middle."""
    setting = setting_of(*row)
    assert agreed(violations(setting, explored, reduced=True))
    assert agreed(crashing(setting, explored, reduced=True))


@pytest.mark.parametrize("row", [row for row in PAIRS if row[1] in ENTERING], ids=" - ".join)
def test_an_answer_is_lost(row: tuple[str, ...], explored: Explored) -> None:
    """So does every order when the store does the account's first change and its answer is lost."""
    setting = dataclasses.replace(setting_of(*row), wrap=LosingAnswers)
    assert agreed(violations(setting, explored, reduced=True))


@pytest.mark.parametrize("row", TRIPLES, ids=" - ".join)
def test_three_clients(row: tuple[str, ...], explored: Explored) -> None:
    """So does every order of three clients."""
    assert agreed(violations(setting_of(*row), explored, reduced=True))
