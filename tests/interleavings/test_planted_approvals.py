"""Every mistake about approvals that we know is found by some order; without it the same orders break nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from common.account.admission import AuthenticatedUser
from common.account.approval import ANSWERED_WITHIN, Approval, ApprovalState
from common.storage.port import Condition, Item, Table
from common.storage.tables import THROTTLE
from login_app import approval
from registration import joining
from tests.interleavings.approval_acts import REFUSES, WRONG, answer_approval, join_by_approval
from tests.interleavings.approval_starts import CALLED_IN
from tests.interleavings.bugs import AnyEpoch, Around, Caching, Forgetting, Uncounted
from tests.interleavings.judging import Setting, violations
from tests.interleavings.operations import change_password, let_others_go_first, log_out, take_over, verify
from tests.interleavings.process import STRAIGHT, Bends, clock_at
from tests.interleavings.scheduler import Explored
from tests.interleavings.starts import STARTS
from tests.unit.builders import T0

AGREES = answer_approval("A", "B")
JOINS = join_by_approval("D")

Plant = Callable[[pytest.MonkeyPatch], Bends]


class LastAnswerWins(Around):
    """Approvals that are read, changed and written, whatever was written in between."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put approvals without the condition."""
        self.inner.put(table, item, None if table is THROTTLE else when)


def last_answer_wins(_patch: pytest.MonkeyPatch) -> Bends:
    """A refusal is lost where another answer comes at the same time."""
    return Bends(store=LastAnswerWins)


def one_is_enough(patch: pytest.MonkeyPatch) -> Bends:
    """One device agrees for all."""

    def judged(self: Approval, _in_the_way: object, now: Any) -> Approval:
        is_agreed = self.state is ApprovalState.WAITING and self.agreed
        return self.decided(ApprovalState.AGREED, now) if is_agreed else self

    patch.setattr(Approval, "judged", judged)
    patch.setattr(Approval, "judged_for_joining", judged)
    return Bends()


def any_digits(patch: pytest.MonkeyPatch) -> Bends:
    """The digits are not compared."""
    patch.setattr(approval, "hmac", SimpleNamespace(compare_digest=lambda _one, _other: True))
    return Bends()


def any_time(patch: pytest.MonkeyPatch) -> Bends:
    """An answer is taken after the 30 seconds."""
    patch.setattr(Approval, "is_open", lambda self, _now: self.state is ApprovalState.WAITING)
    return Bends()


def cached_sessions(_patch: pytest.MonkeyPatch) -> Bends:
    """A session is believed to live for five seconds after it was looked at."""
    return Bends(verifying=lambda keeper: Caching(keeper, clock_at(T0)))


def agreement_outlives_session(patch: pytest.MonkeyPatch) -> Bends:
    """Whether a session that agreed lives is asked before the commit and not in it."""
    live, seen = joining._live, list[str]()

    def once_live(snapshot: Any) -> list[str]:
        seen.extend(live(snapshot))
        return seen

    patch.setattr(joining, "_live", once_live)
    return Bends()


def reusable(_patch: pytest.MonkeyPatch) -> Bends:
    """The mark of an approval that was used is forgotten."""
    return Bends(store=Forgetting)


def uncounted(_patch: pytest.MonkeyPatch) -> Bends:
    """A consent that was agreed to is good however many were admitted since."""
    return Bends(takeovers=Uncounted)


def any_password(patch: pytest.MonkeyPatch) -> Bends:
    """An agreement holds under a new password, too."""

    def believed(user: str, name: str, version: int, at: Any, **more: Any) -> AuthenticatedUser:
        return AuthenticatedUser(user, name, AnyEpoch(version), at, **more)

    patch.setattr(joining, "AuthenticatedUser", believed)
    return Bends()


LATE = ANSWERED_WITHIN + timedelta(seconds=1)
LEAVES_AND_COMES_BACK = [AGREES, CALLED_IN, log_out("B"), take_over("B")]
LOOKS_AND_AGREES = [verify("A"), let_others_go_first, AGREES]

PLANTED = [
    ("approving", [[AGREES, CALLED_IN], [answer_approval("A", "B", REFUSES)]], last_answer_wins, "approval"),
    ("joining", [[JOINS], [answer_approval("A", "D", REFUSES)]], last_answer_wins, "approval"),
    ("approving both", [[AGREES], [CALLED_IN]], one_is_enough, "approval"),
    ("joining both", [[answer_approval("A", "D")], [JOINS]], one_is_enough, "approval"),
    ("approving", [[answer_approval("A", "B", WRONG)], [CALLED_IN]], any_digits, "approval"),
    ("joining both", [[answer_approval("A", "D", WRONG)], [JOINS]], any_digits, "approval"),
    ("approving", [LOOKS_AND_AGREES, [log_out("A")]], cached_sessions, "I10"),
    ("joining", [[JOINS], [log_out("A")]], agreement_outlives_session, "approval"),
    ("joining", [[JOINS], [JOINS]], reusable, "approval"),
    ("approving", [LEAVES_AND_COMES_BACK], uncounted, "approval"),
    ("joining", [[JOINS], [change_password("A")]], any_password, "I14"),
]


def rules_broken(setting: Setting, explored: Explored) -> set[str]:
    """Return the rules that some order breaks."""
    return {violation.rule for _, violation in violations(setting, explored, reduced=True)}


@pytest.mark.parametrize(
    ("start", "scripts", "plant", "rule"),
    PLANTED,
    ids=[f"{plant.__name__} - {start}" for start, _, plant, _ in PLANTED],
)
def test_a_planted_bug_is_found(
    start: str, scripts: Any, plant: Plant, rule: str, explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lets in by an approval a device that may not be."""
    made = STARTS[start].make()
    assert rules_broken(Setting(made, scripts), explored) == set()
    assert rule in rules_broken(Setting(made, scripts, plant(monkeypatch)), explored)


@pytest.mark.parametrize(("start", "of"), [("approving", "B"), ("joining both", "D")])
def test_an_answer_after_its_time_is_found(
    start: str, of: str, explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clocks are 31 seconds ahead."""
    made, scripts = STARTS[start].make(), [[answer_approval("A", of)], [JOINS if of == "D" else CALLED_IN]]
    assert rules_broken(Setting(made, scripts, STRAIGHT, ahead=LATE), explored) == set()
    assert "approval" in rules_broken(Setting(made, scripts, any_time(monkeypatch), ahead=LATE), explored)
