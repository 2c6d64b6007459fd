"""Every mistake that we know is found by some order; without it the same orders break nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from common.account.book import Book, Session
from common.account.draft import Draft
from common.background import at_once
from device_manager import device_service
from registration import closing, password_reset
from session_manager import session_service
from tests.interleavings.bugs import (
    Caching,
    ChangeIdForgotten,
    Forgetting,
    LaidDownTwice,
    LeftOpen,
    LosingAnswers,
    Minting,
    OutboxDropped,
    QueuedLater,
    RowsFirst,
    Unbinding,
    Unconditional,
    Uncounted,
    WithoutEpoch,
    by_count,
)
from tests.interleavings.judging import Found, Setting, crashing, violations
from tests.interleavings.operations import (
    answer,
    change_password,
    close,
    let_others_go_first,
    log_in,
    log_out,
    refresh,
    rename,
    renew,
    revoke,
    take_over,
    unbind,
    verify,
)
from tests.interleavings.process import Bends, clock_at
from tests.interleavings.scheduler import Explored
from tests.interleavings.starts import STARTS
from tests.unit.builders import T0


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
    assert rules_broken(crashing(Setting(made, scripts), explored, reduced=True)) == set()
    return rules_broken(crashing(Setting(made, scripts, bends), explored, reduced=True))


def test_count_then_create_is_found(explored: Explored) -> None:
    """Two logins at once to an empty book: both pass, and one's change is lost or both live."""
    scripts = [[log_in("A")], [log_in("B")]]
    assert orders("empty", scripts, Bends(store=Unconditional), explored) & {"I1", "I27"}


def test_a_consent_by_count_is_found(explored: Explored) -> None:
    """B agreed to end A's session; C is active by now, and is ended though never shown.

    Here and in a race the number of admissions would hold it back too, so that is not compared either.
    """
    bends = Bends(decide=lambda _decide: by_count, takeovers=Uncounted)
    assert "I3" in orders("stale", [[take_over("B")]], bends, explored)


def test_a_consent_by_count_is_found_in_a_race(explored: Explored) -> None:
    """A logs in anew while B's consent for its earlier session is under way."""
    bends = Bends(decide=lambda _decide: by_count, takeovers=Uncounted)
    assert "I3" in orders("asked", [[take_over("B")], [log_in("A")]], bends, explored)


def test_a_consent_whose_number_is_not_compared_is_found(explored: Explored) -> None:
    """A logs in anew and leaves while B's consent is under way: B was never asked about that."""
    scripts = [[take_over("B")], [log_in("A"), log_out("A")]]
    assert "I7" in orders("asked", scripts, Bends(takeovers=Uncounted), explored)


def test_a_cache_in_verification_is_found(explored: Explored) -> None:
    """A's session is used, taken over, and used again within five seconds."""
    bends = Bends(verifying=lambda keeper: Caching(keeper, clock_at(T0)))
    scripts = [[verify("A"), let_others_go_first, verify("A")], [take_over("B")]]
    assert "I2" in orders("asked", scripts, bends, explored)


def test_a_challenge_that_outlives_its_commit_is_found(explored: Explored) -> None:
    """B's signature is sent twice, and lets in twice."""
    assert "challenge" in orders("proving", [[answer("B")], [answer("B")]], Bends(store=Forgetting), explored)


@pytest.mark.regression("Z10")
@pytest.mark.parametrize(
    ("act", "part", "rule"),
    [
        (revoke("A", "B"), session_service, "I10"),
        (rename("A", "B"), device_service, "I10"),
        (close("A"), closing, "I4"),
    ],
)
def test_a_change_by_whoever_left_meanwhile_is_found(
    act: object, part: object, rule: str, explored: Explored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A's token is looked at, A logs out, and then A acts on B: nobody asks again whether A is there."""
    scripts, made = [[act], [log_out("A")]], STARTS["two"].make()
    assert rules_broken(violations(Setting(made, scripts), explored)) == set()

    def believed(book: Book, session_id: str, *_: object) -> Session:
        return book.sessions.get(session_id) or next(iter(book.sessions.values()))

    monkeypatch.setattr(part, "require_live", believed)
    assert rule in rules_broken(violations(Setting(made, scripts), explored))


def test_unbinding_in_two_writes_is_found(explored: Explored) -> None:
    """Somebody logs in between the row's write and the book's, or the process dies there."""
    scripts = [[unbind("A", "B")], [log_in("B")]]
    assert "I12" in deaths("two", scripts, Bends(store=RowsFirst), explored)


def test_a_grace_that_mints_is_found(explored: Explored) -> None:
    """The same refresh token twice gives two successors."""
    bends = Bends(refreshing=Minting)
    assert "I9" in orders("asked", [[refresh("A")], [refresh("A")]], bends, explored)


@pytest.mark.parametrize("act", [log_in("B"), log_in("A", force=True)], ids=["login", "forced login"])
def test_a_book_that_forgets_whose_change_it_was_is_found(act: object, explored: Explored) -> None:
    """The answer of a login's commit is lost: taken for another's, it is done twice."""
    broken = orders("empty", [[act], [log_in("C")]], Bends(store=ChangeIdForgotten), explored, wrap=LosingAnswers)
    assert broken & {"I27", "I5"}


def test_a_login_without_the_epoch_condition_is_found(explored: Explored) -> None:
    """The password is changed between the check of the old one and the login's commit."""
    bends = Bends(credentials=WithoutEpoch)
    scripts = [[log_in("A")], [change_password("A")]]
    assert "I14" in orders("asked", scripts, bends, explored)


def test_a_closing_that_leaves_the_account_open_is_found(explored: Explored) -> None:
    """B, which knows the password, is let in afterwards."""
    scripts = [[close("A")], [log_in("B", later=1)]]
    assert "I14" in orders("closing", scripts, Bends(store=LeftOpen), explored)


def test_a_closing_whose_days_are_noted_too_late_is_found(explored: Explored) -> None:
    """The process dies between the book and the note: the account is closed for ever."""
    assert "closing" in deaths("closing", [[close("A")], [refresh("A")]], Bends(store=QueuedLater), explored)


@pytest.mark.parametrize(
    ("acts", "part", "name", "bend", "rule"),
    [
        (("reset", "password change"), password_reset, "_may_be_reset", lambda _: lambda *_: True, "I14"),
        (("reset that keeps devices", "refresh"), Draft, "all_ended", lambda _: lambda draft, *_, **__: draft, "I14"),
        (
            ("reset", "login afterwards"),
            password_reset,
            "_all_ended",
            lambda ended: lambda *of: ended(*of[:2], ()),
            "I12",
        ),
    ],
    ids=["link not judged in the commit", "sessions left", "devices left"],
)
def test_a_reset_that_does_half_is_found(
    acts: tuple[str, str],
    part: object,
    name: str,
    bend: Any,
    rule: str,
    explored: Explored,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The password is another; what was to go with the one before is there still."""
    start = STARTS["forgotten"]
    setting = Setting(start.make(), [[start.acts[act]] for act in acts])
    assert rules_broken(violations(setting, explored, reduced=True)) == set()
    monkeypatch.setattr(part, name, bend(getattr(part, name)))
    assert rule in rules_broken(violations(setting, explored, reduced=True))


def test_an_outbox_that_is_dropped_is_found(explored: Explored) -> None:
    """Every process dies before it has laid anything down, and what it did is nowhere."""
    scripts = [[log_out("A")], [log_in("B")]]
    assert "I27" in orders("asked", scripts, Bends(store=OutboxDropped), explored)


def test_an_entry_that_is_laid_down_twice_is_found(explored: Explored) -> None:
    """The process that wrote an entry and one that read it both lay it down, and it is there once."""
    scripts = [[log_out("A")], [verify("A")]]
    laying = Bends(in_background=at_once)
    made = STARTS["asked"].make()
    assert rules_broken(violations(Setting(made, scripts, laying), explored)) == set()
    twice = Bends(store=LaidDownTwice, in_background=at_once)
    assert "I27" in rules_broken(violations(Setting(made, scripts, twice), explored))


@pytest.mark.parametrize("scripts", [[[log_out("A")], [verify("A")]], [[log_in("A")], [refresh("A")]]])
def test_laying_down_beside_others_and_dying_in_it_loses_nothing(scripts: object, explored: Explored) -> None:
    """Whatever the process has laid down when it dies, the others read all of it, once and in order."""
    made, laying = STARTS["asked"].make(), Bends(in_background=at_once)
    assert rules_broken(violations(Setting(made, scripts, laying), explored, reduced=True)) == set()
    assert rules_broken(crashing(Setting(made, scripts, laying), explored, reduced=True)) == set()


def test_two_passwords_at_once_are_one(explored: Explored) -> None:
    """The winner's is in force; a row that was overwritten before its book's put is the loser's."""
    scripts = [[change_password("A")], [change_password("A")]]
    assert orders("asked", scripts, Bends(store=RowsFirst), explored) & {"I14", "I19"}


def test_a_renewal_in_two_writes_is_found(explored: Explored) -> None:
    """The process dies between the row and the book: the device has one certificate, the book another."""
    scripts = [[renew("B")], [log_in("B")]]
    assert "I12" in deaths("renewing", scripts, Bends(store=RowsFirst), explored)


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
