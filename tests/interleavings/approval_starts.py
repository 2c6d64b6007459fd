"""The starts in which the users of active devices are asked, and what may be asked in each."""

from __future__ import annotations

from functools import cache

from tests.interleavings.approval_acts import (
    answer_approval,
    ask_for_approval,
    join_by_approval,
    one_after_the_other,
)
from tests.interleavings.operations import change_password, log_in, log_out, pair, register, show_code, take_over, touch
from tests.interleavings.process import Rules
from tests.interleavings.scenarios import Scenario, Start, scenario
from tests.proof.approval_users import REFUSES, WRONG

CALLED_IN = one_after_the_other(ask_for_approval("B"), take_over("B"))
"""B asks how its approval stands, and takes over if all have agreed."""


@cache
def _approving() -> Scenario:
    """Limit 1, active devices are asked: A is logged in; B has had its user asked, and waits."""
    start = (register("A"), pair("B", "A"), log_in("A"), log_in("B"))
    return scenario(Rules(1, asks_active=True), *start, ask_for_approval("B"))


@cache
def _approving_both() -> Scenario:
    """Limit 2, the same: A and C are logged in; B has had both users asked, and waits."""
    start = (register("A"), pair("B", "A"), show_code("A"), pair("C", "A"), log_in("A"), log_in("C"), log_in("B"))
    return scenario(Rules(2, asks_active=True), *start, ask_for_approval("B"))


@cache
def _joining() -> Scenario:
    """Limit 3: A is logged in; the browser D has asked to join, and A's user has typed the digits."""
    return scenario(Rules(3), register("A"), log_in("A"), join_by_approval("D"), answer_approval("A", "D"))


@cache
def _joining_in_its_place() -> Scenario:
    """Limit 1: the same, and D was asked whether it takes A's place, and holds a consent."""
    start = (register("A"), log_in("A"), join_by_approval("D"), answer_approval("A", "D"), join_by_approval("D"))
    return scenario(Rules(1), *start)


@cache
def _joining_both() -> Scenario:
    """Limit 3: A and C are logged in; the browser D has asked to join, and waits."""
    start = (register("A"), pair("C", "A"), log_in("A"), log_in("C"))
    return scenario(Rules(3), *start, join_by_approval("D"))


APPROVAL_STARTS = {
    "approving": Start(
        _approving,
        {
            "ask and take over": CALLED_IN,
            "agree": answer_approval("A", "B"),
            "refuse": answer_approval("A", "B", REFUSES),
            "wrong digits": answer_approval("A", "B", WRONG),
            "logout": log_out("A"),
            "touch": touch("A"),
        },
    ),
    "approving both": Start(
        _approving_both,
        {
            "ask and take over": CALLED_IN,
            "agree": answer_approval("A", "B"),
            "agree on the other": answer_approval("C", "B"),
            "refuse": answer_approval("C", "B", REFUSES),
            "logout": log_out("C"),
        },
    ),
    "joining": Start(
        _joining,
        {
            "join": join_by_approval("D"),
            "refuse": answer_approval("A", "D", REFUSES),
            "logout": log_out("A"),
            "password change": change_password("A"),
            "touch": touch("A"),
        },
    ),
    "joining in its place": Start(
        _joining_in_its_place,
        {
            "join": join_by_approval("D"),
            "refuse": answer_approval("A", "D", REFUSES),
            "login again": log_in("A"),
            "logout": log_out("A"),
            "password change": change_password("A"),
        },
    ),
    "joining both": Start(
        _joining_both,
        {
            "join": join_by_approval("D"),
            "agree": answer_approval("A", "D"),
            "agree on the other": answer_approval("C", "D"),
            "refuse": answer_approval("C", "D", REFUSES),
            "wrong digits": answer_approval("A", "D", WRONG),
            "logout": log_out("C"),
        },
    ),
}
