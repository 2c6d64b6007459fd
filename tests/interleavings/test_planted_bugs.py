"""Every mistake that we know is found by some order; without it the same orders break nothing."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.interleavings.bugs import (
    Caching,
    Forgetting,
    HistoryApart,
    LosingAnswers,
    Minting,
    NewRequestIds,
    TwoWrites,
    Unbinding,
    Unconditional,
    WithoutEpoch,
    by_count,
)
from tests.interleavings.judging import Found, Setting, crashing, violations
from tests.interleavings.operations import (
    answer,
    change_password,
    let_others_go_first,
    log_in,
    log_out,
    refresh,
    renew,
    take_over,
    unbind,
    verify,
)
from tests.interleavings.process import Bends, clock_at
from tests.interleavings.scheduler import Explored
from tests.interleavings.starts import STARTS
from tests.unit.making import T0


def rules_broken(found: Iterable[Found]) -> set[str]:
    """Return the invariants that some order breaks."""
    return {violation.rule for _, violation in found}


def orders(start: str, scripts: object, bends: Bends, explored: Explored, **more: object) -> set[str]:
    """Return what the clients' orders break with a bug, after seeing that they break nothing without it."""
    made = STARTS[start].make()
    assert rules_broken(violations(Setting(made, scripts, **more), explored, reduced=True)) == set()
    return rules_broken(violations(Setting(made, scripts, bends, **more), explored, reduced=True))


def deaths(start: str, scripts: object, bends: Bends, explored: Explored) -> set[str]:
    """Return the same where a client dies."""
    made = STARTS[start].make()
    assert rules_broken(crashing(Setting(made, scripts), explored)) == set()
    return rules_broken(crashing(Setting(made, scripts, bends), explored))


def test_count_then_create_is_found(explored: Explored) -> None:
    """Two logins at once to an empty book: both pass, and one's change is lost or both live."""
    scripts = [[log_in("A")], [log_in("B")]]
    assert orders("empty", scripts, Bends(store=Unconditional), explored) & {"I1", "I27"}


def test_a_consent_by_count_is_found(explored: Explored) -> None:
    """B agreed to end A's session; C is active by now, and is ended though never shown."""
    assert "I3" in orders("stale", [[take_over("B")]], Bends(decide=lambda _decide: by_count), explored)


def test_a_consent_by_count_is_found_in_a_race(explored: Explored) -> None:
    """A logs in anew while B's consent for its earlier session is under way."""
    bends = Bends(decide=lambda _decide: by_count)
    assert "I3" in orders("asked", [[take_over("B")], [log_in("A")]], bends, explored)


def test_a_cache_in_verification_is_found(explored: Explored) -> None:
    """A's session is used, taken over, and used again within five seconds."""
    bends = Bends(verifying=lambda keeper: Caching(keeper, clock_at(T0)))
    scripts = [[verify("A"), let_others_go_first, verify("A")], [take_over("B")]]
    assert "I2" in orders("asked", scripts, bends, explored)


def test_a_challenge_that_outlives_its_commit_is_found(explored: Explored) -> None:
    """B's signature is sent twice, and lets in twice."""
    assert "challenge" in orders("proving", [[answer("B")], [answer("B")]], Bends(store=Forgetting), explored)


def test_unbinding_in_two_writes_is_found(explored: Explored) -> None:
    """Somebody logs in between the two, or the process dies there."""
    scripts = [[unbind("A", "B")], [log_in("B")]]
    assert "I12" in deaths("two", scripts, Bends(store=TwoWrites), explored)


def test_a_grace_that_mints_is_found(explored: Explored) -> None:
    """The same refresh token twice gives two successors."""
    bends = Bends(refreshing=Minting)
    assert "I9" in orders("asked", [[refresh("A")], [refresh("A")]], bends, explored)


@pytest.mark.parametrize("act", [log_in("B"), log_in("A", force=True)], ids=["login", "forced login"])
def test_repeating_without_the_request_id_is_found(act: object, explored: Explored) -> None:
    """The answer of a login's commit is lost: sent again under another id it is done twice."""
    broken = orders("empty", [[act], [log_in("C")]], Bends(store=NewRequestIds), explored, wrap=LosingAnswers)
    assert broken & {"I27", "I5"}


def test_a_login_without_the_epoch_condition_is_found(explored: Explored) -> None:
    """The password is changed between the check of the old one and the login's commit."""
    bends = Bends(credentials=WithoutEpoch)
    scripts = [[log_in("A")], [change_password()]]
    assert "I14" in orders("asked", scripts, bends, explored)


def test_a_history_outside_the_commit_is_found(explored: Explored) -> None:
    """The process dies between what it did and its note of it."""
    scripts = [[log_out("A")], [log_in("B")]]
    assert "I27" in deaths("asked", scripts, Bends(store=HistoryApart), explored)


def test_a_renewal_in_two_writes_is_found(explored: Explored) -> None:
    """The process dies between the row and the book: the device has one certificate, the book another."""
    scripts = [[renew("B")], [log_in("B")]]
    assert "I12" in deaths("renewing", scripts, Bends(store=TwoWrites), explored)


def test_a_renewal_by_a_proof_that_outlives_it_is_found(explored: Explored) -> None:
    """B's signature is sent twice, and renews twice."""
    scripts = [[renew("B", telling=False)], [renew("B", telling=False)]]
    assert "challenge" in orders("renewing", scripts, Bends(store=Forgetting), explored)


def test_a_binding_that_a_refresh_loses_is_found(explored: Explored) -> None:
    """The session goes on as a bearer's."""
    assert "binding" in orders("bound", [[refresh("A")]], Bends(refreshing=Unbinding), explored)


def test_a_cached_certificate_is_found(explored: Explored) -> None:
    """A's certificate is renewed, and within five seconds somebody goes on with the one before."""
    bends = Bends(verifying=lambda keeper: Caching(keeper, clock_at(T0)))
    scripts = [[verify("A before"), let_others_go_first, verify("A before")], [renew("A")]]
    assert "binding" in orders("bound", scripts, bends, explored)
