"""What must be unique across accounts stays so in every order, whoever dies or stands still for two minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from common.account.claim_store import ClaimStore
from common.account.claims import Claim
from tests.interleavings.bugs import LosingAnswers
from tests.interleavings.claiming import Found, Trial, Wish, crashing, given_up, violations
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.process import Bends, Rules, UseCases, clock_at
from tests.interleavings.scheduler import Explored
from tests.unit.builders import MINUTE, T0

ORDERS, ORDERS_OF_A_DEATH, ORDERS_OF_A_BUG = 150, 12, 400
"""How many orders are drawn; the long size runs them all. A device that joins has few, and one of them is rare."""

STOPPED = 2 * MINUTE
"""The second client's clock is so far ahead: to it the first one has stood still since."""


def joining() -> tuple[MemoryStore, Wish]:
    """Return an account, and the wish of a further device of it."""
    store = MemoryStore()
    made = Wish("berta").act(UseCases(store, "", Rules(), clock_at(T0 - MINUTE), Bends()))
    return store, Wish(joining=made.user_uuid)


def at_once(*wishes: Wish) -> Trial:
    """Return a trial over an empty store."""
    return Trial(wishes)


def with_a_device(*wishes: Wish) -> Trial:
    """Return a trial in which a device joins an account first."""
    start, device = joining()
    return Trial((device, *wishes), start=start)


def taking_back() -> Trial:
    """Return a trial in which a name's owner has it back while to a stranger's clock the time for that is over."""
    start, owner = given_up()
    return Trial((Wish(owner=owner), Wish(email="b@example.test", later=STOPPED)), start=start)


TRIALS = {
    "name": lambda: at_once(Wish(), Wish(email="b@example.test")),
    "name after a stop": lambda: at_once(Wish(), Wish(email="b@example.test", later=STOPPED)),
    "mail after a stop": lambda: at_once(Wish(email="a@b.test"), Wish("berta", "a@b.test", later=STOPPED)),
    "name and mail crosswise": lambda: at_once(Wish("a", "x@b.test"), Wish("b", "x@b.test", later=STOPPED)),
    "key after a stop": lambda: at_once(Wish(own_key=True), Wish("berta", own_key=True, later=STOPPED)),
    "a device's key": lambda: with_a_device(Wish(own_key=True)),
    "a device's key after a stop": lambda: with_a_device(Wish(own_key=True, later=STOPPED)),
    "a name that is taken back": taking_back,
    "the same after a stop": lambda: at_once(Wish(retry="k" * 20), Wish(retry="k" * 20, later=STOPPED)),
}


def agreed(found: Iterable[Found]) -> bool:
    """Fail with the first order that breaks something."""
    for schedule, violation in found:
        pytest.fail(f"order {''.join(map(str, schedule.order))}: {violation}")
    return True


@pytest.mark.parametrize("name", TRIALS)
def test_two_who_want_the_same(name: str, explored: Explored, *, is_long: bool) -> None:
    """One has it in every order, and whoever is told that it is taken is told the truth."""
    assert agreed(violations(TRIALS[name](), explored, None if is_long or "device" in name else ORDERS))


@pytest.mark.parametrize("number", [0, 1], ids=["the first", "the second"])
@pytest.mark.parametrize("name", [name for name in TRIALS if not name.startswith("the same")])
def test_one_of_them_dies(name: str, number: int, explored: Explored, *, is_long: bool) -> None:
    """Whatever one leaves behind between any two writes, the claim is somebody's for good or free for the next."""
    assert agreed(crashing(TRIALS[name](), number, explored, None if is_long else ORDERS_OF_A_DEATH))


@pytest.mark.parametrize("name", ["name after a stop", "a device's key after a stop"])
def test_an_answer_is_lost(name: str, explored: Explored, *, is_long: bool) -> None:
    """A commit whose answer was lost keeps its claims: it may have been done."""
    trial = TRIALS[name]()
    trial.wrap = LosingAnswers
    assert agreed(violations(trial, explored, None if is_long else ORDERS))


class WithoutFence(ClaimStore):
    """Takes an old reservation over without letting its owner's commit fail."""

    def _fenced(self, claim: Claim) -> bool:
        return self._known(claim) is None


class WithoutContest(ClaimStore):
    """Fences the owner and takes the claim, which the owner's next try still believes to be its own."""

    def _took_over(self, found: Claim, mine: Claim) -> bool:
        return self._fenced(found) and self._write(_over(found, mine))


class Hasty(ClaimStore):
    """Believes that an old reservation is nobody's, whatever its owner's book knows."""

    def _known(self, claim: Claim) -> None:
        return None

    def _fenced(self, claim: Claim) -> bool:
        super()._fenced(claim)
        return True


def _over(found: Claim, mine: Claim) -> object:
    from common.account import claim_store  # noqa: PLC0415 - what is private there is bent here

    return claim_store._put_over(found, mine)


def bent(kind: type[ClaimStore]) -> Bends:
    """Return bends under which claims are kept by another kind of store."""
    return Bends(claims=lambda real: kind(real._store, real._transactions, real._clock, real._names_of, real._budget))


PLANTED: Sequence[tuple[str, type[ClaimStore]]] = [
    ("name after a stop", WithoutFence),
    ("key after a stop", WithoutFence),
    ("a device's key after a stop", WithoutFence),
    ("a device's key after a stop", WithoutContest),
    ("a name that is taken back", WithoutFence),
    ("a name that is taken back", WithoutContest),
    ("name after a stop", Hasty),
    ("a device's key after a stop", Hasty),
]


@pytest.mark.parametrize(("name", "kind"), PLANTED)
def test_a_planted_bug_is_found(name: str, kind: type[ClaimStore], explored: Explored) -> None:
    """Each of these lets two have one claim in one of the orders that are run."""
    orders = None if "device" in name else ORDERS_OF_A_BUG
    trial = TRIALS[name]()
    trial.bends = bent(kind)
    assert any(violation[:3] in ("I17", "I36") for _, violation in violations(trial, explored, orders))
