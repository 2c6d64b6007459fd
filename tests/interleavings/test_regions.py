"""Clients in different regions: strongly consistent tables keep every promise, eventually consistent ones do not.

`docs/regions.md` says what follows from it. What needs a transaction of several items is not tried: there are none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.interleavings.judging import Found, Setting, violations
from tests.interleavings.regions import EventualRegion, StrongRegion, regions
from tests.interleavings.scheduler import Explored
from tests.interleavings.starts import STARTS

ONE_PUT = {
    "asked": ("login", "takeover", "refresh", "logout", "force_logout", "login again", "forced login", "revoke"),
    "two": ("login", "takeover", "refresh", "logout", "force_logout", "revoke"),
    "stolen": ("theft", "refresh", "takeover", "logout"),
}
"""The starts, and the operations there that are one put of the account's book."""

PAIRS = [
    (start, *names) for start, acts in ONE_PUT.items() for names in itertools.combinations_with_replacement(acts, 2)
]


def orders(row: tuple[str, ...], kind: type[StrongRegion | EventualRegion], explored: Explored) -> Iterator[Found]:
    """Yield what the orders of some clients break, each of them in a region of its own."""
    start, *names = row
    about = STARTS[start]
    setting = Setting(about.make(), [[about.acts[name]] for name in names], regions=regions(kind))
    return violations(setting, explored, reduced=True)


@pytest.mark.parametrize("row", PAIRS, ids=" - ".join)
def test_two_clients_in_two_strongly_consistent_regions(row: tuple[str, ...]) -> None:
    """Every order of their calls keeps every invariant, whichever region lags."""
    explored = Explored()
    for schedule, violation in orders(row, StrongRegion, explored):
        pytest.fail(f"order {''.join(map(str, schedule.order))}: {violation}")
    assert explored.schedules > 0


def test_three_clients_in_three_strongly_consistent_regions() -> None:
    """Two devices log in and a third takes over."""
    explored = Explored()
    row = ("two", "takeover", "logout", "refresh")
    assert not list(orders(row, StrongRegion, explored))
    assert explored.schedules > 10


@pytest.mark.parametrize(
    ("row", "broken"),
    [
        (("empty", "login", "another login"), "I1"),
        (("asked", "logout", "refresh"), "I10"),
        (("asked", "takeover", "refresh"), "I5"),
    ],
    ids=lambda value: value if isinstance(value, str) else " - ".join(value),
)
def test_eventually_consistent_regions_break_promises(row: tuple[str, ...], broken: str) -> None:
    """The negative control, and why such tables are refused: two logins in two regions are both answered 200."""
    assert broken in {violation.rule for _, violation in orders(row, EventualRegion, Explored())}
