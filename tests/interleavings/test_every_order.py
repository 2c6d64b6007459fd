"""Every order of the store calls of two clients, of three for the central six, and of those whose process dies.

The operations are the real use cases. After every order all tokens are used once more, and the answers, the history,
the book and the rows are judged by `tests.proof.checker`: its rules are the invariants of `proof.md`.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterable

import pytest

from tests.interleavings.approval_starts import APPROVAL_STARTS
from tests.interleavings.bugs import LosingAnswers
from tests.interleavings.judging import Found, Setting, Trial, crashing, sampled, sampled_crashing, violations
from tests.interleavings.operations import Act, keep_first, log_in, log_out, rename, revoke, revoke_certificate, unbind
from tests.interleavings.owners_starts import OWNERS_STARTS
from tests.interleavings.scheduler import Explored, explore
from tests.interleavings.starts import CENTRAL, SEED, STARTS
from tests.unit.builders import SECOND

HERE = {start: about for start, about in STARTS.items() if start not in {**OWNERS_STARTS, **APPROVAL_STARTS}}
"""Of the others those of approvals are gone through in `test_approvals`."""

PAIRS = [
    (start, *names) for start, about in HERE.items() for names in itertools.combinations_with_replacement(about.acts, 2)
]
ELSEWHERE = {name for about in HERE.values() for name in about.acts}
OWNERS_PAIRS = [
    (start, *names)
    for start, about in OWNERS_STARTS.items()
    for names in itertools.combinations_with_replacement(about.acts, 2)
    if not ELSEWHERE.issuperset(names)
]
"""Those make many store calls: all their orders are run in the long size only, and some that are drawn in the short."""

TRIPLES = [(start, *n) for start in ("asked", "two") for n in itertools.combinations_with_replacement(CENTRAL, 3)]
UNSURE = ("asked", "stolen", "evicting", "full")
"""Starts from which answers of the store are lost too."""

LONG_SAMPLE = 2000
"""How many unreduced orders of each three clients the long size draws, after the reduced ones."""


DRAWN, DRAWN_WHERE_ONE_DIES = 6, 1
"""How many orders of two acts of an owner the short size draws; and how many for each commit after which one dies."""


def setting_of(start: str, *names: str) -> Setting:
    """Return clients that each do one act; where one is a touch, the clocks are ahead so that it is written down."""
    about = STARTS[start]
    ahead = 70 * SECOND if "touch" in names else 0 * SECOND
    return Setting(about.make(), [[about.acts[name]] for name in names], ahead=ahead)


def agreed(found: Iterable[Found]) -> bool:
    """Fail with the first order that breaks something."""
    for schedule, violation in found:
        pytest.fail(f"order {''.join(map(str, schedule.order))}: {violation}")
    return True


@pytest.mark.parametrize("row", PAIRS, ids=" - ".join)
def test_two_clients(row: tuple[str, ...], explored: Explored, is_long: bool) -> None:  # noqa: FBT001 - a fixture
    """Every order of two clients keeps every invariant."""
    assert agreed(violations(setting_of(*row), explored, reduced=not is_long))


@pytest.mark.parametrize("row", PAIRS, ids=" - ".join)
def test_one_of_two_dies(row: tuple[str, ...], explored: Explored, is_long: bool) -> None:  # noqa: FBT001 - a fixture
    """So does every order in which one of them dies before its first store call, or after any."""
    assert agreed(crashing(setting_of(*row), explored, reduced=not is_long))


@pytest.mark.parametrize("row", [row for row in PAIRS if row[0] in UNSURE], ids=" - ".join)
def test_an_answer_is_lost(row: tuple[str, ...], explored: Explored, is_long: bool) -> None:  # noqa: FBT001 - a fixture
    """So does every order of two clients when the store does the first change and its answer is lost."""
    setting = dataclasses.replace(setting_of(*row), wrap=LosingAnswers)
    assert agreed(violations(setting, explored, reduced=not is_long))


@pytest.mark.parametrize("row", TRIPLES, ids=" - ".join)
def test_three_clients(row: tuple[str, ...], explored: Explored, is_long: bool) -> None:  # noqa: FBT001 - a fixture
    """So does every order of three clients."""
    if is_long:
        assert agreed(sampled(setting_of(*row), explored, random.Random(SEED), LONG_SAMPLE))
    assert agreed(violations(setting_of(*row), explored, reduced=True))


@pytest.mark.parametrize("row", OWNERS_PAIRS, ids=" - ".join)
def test_two_acts_of_an_owner(row: tuple[str, ...], explored: Explored, is_long: bool) -> None:  # noqa: FBT001 - a fixture
    """Orders of what an owner does with the account keep every invariant, whoever dies in the middle."""
    setting, chance = setting_of(*row), random.Random(f"{SEED} {row}")
    if is_long:
        assert agreed(violations(setting, explored, reduced=True))
        assert agreed(crashing(setting, explored, reduced=True))
    for staying in (0, 0.9):  # by turns; and one nearly through before the other
        assert agreed(sampled(setting, explored, chance, DRAWN, staying=staying))
    assert agreed(sampled_crashing(setting, explored, chance, DRAWN_WHERE_ONE_DIES))


IN_FLIGHT = {
    "revoke": revoke("A", "B"),
    "rename": rename("A", "B"),
    "unbind": unbind("A", "B"),
    "revoke certificate": revoke_certificate("A", "B"),
    "force_logout": keep_first("A"),
}


@pytest.mark.regression("Z10")
@pytest.mark.parametrize("act", IN_FLIGHT.values(), ids=IN_FLIGHT)
@pytest.mark.parametrize("end", [log_out("A"), log_in("C", force=True)], ids=["logout", "forced login"])
def test_what_is_in_flight_does_no_harm_once_its_caller_has_left(end: Act, act: Act, explored: Explored) -> None:
    """A's session ends, by itself or by C's login, while A is about to act on B."""
    assert agreed(violations(Setting(STARTS["two"].make(), [[act], [end]]), explored))


@pytest.mark.parametrize("limit", [1, 2])
def test_of_three_logins_at_once_as_many_succeed_as_may(limit: int, explored: Explored) -> None:
    """I8: of three logins to an empty book the limit's number succeed in every order, the others are asked."""
    start = STARTS["empty"].make()
    start = dataclasses.replace(start, rules=dataclasses.replace(start.rules, limit=limit))
    trial = Trial(Setting(start, [[log_in(letter)] for letter in "ABC"]))
    for schedule in explore(trial.clients, explored, reduced=True):
        statuses = [call.status for call in trial.outcome.calls[len(start.calls) :]]
        assert sorted(map(str, statuses)) == ["200"] * limit + ["409"] * (3 - limit), schedule
        assert [*trial.judged()] == []


@pytest.mark.parametrize("names", [("takeover", "login again"), ("refresh", "logout"), ("unbind", "takeover")])
def test_the_reduction_leaves_no_outcome_out(names: tuple[str, ...], explored: Explored) -> None:
    """What clients are told, and in what order the calls stand, is the same set with and without the reduction."""

    def outcomes(*, reduced: bool) -> set[tuple[object, ...]]:
        trial = Trial(setting_of("asked", *names))
        return {_seen_from_outside(trial) for _ in explore(trial.clients, explored, reduced=reduced)}

    whole, reduced = outcomes(reduced=False), outcomes(reduced=True)
    assert reduced == whole


def _seen_from_outside(trial: Trial) -> tuple[object, ...]:
    """Return each client's answer, and which of them had it before another began."""
    calls = sorted(trial.outcome.calls[len(trial.setting.world.calls) :], key=lambda call: call.client)
    answers = tuple((call.client, call.status, call.told.get("code"), call.told.get("reason")) for call in calls)
    before = tuple((one.end or 0) < other.start for one in calls for other in calls)
    return answers, before
