"""Claims in the store: what a commit that fails leaves of them, and what is said of another's reservation."""

from __future__ import annotations

import pytest

from common.account.claim_store import ClaimStore
from common.account.claims import RESERVED_FOR, Claim
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock
from common.errors import Code, Refusal
from common.retry import DEADLINE_SECONDS
from common.storage.port import Conflict, OutcomeUnknown, StoreUnavailable
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.process import clock_at, few_tries
from tests.unit.builders import T0

ANNA = Claim("name#anna", "uuid-of-anna")
OTHER = Claim("name#anna", "uuid-of-another")


@pytest.fixture
def store() -> MemoryStore:
    """Return an empty store."""
    return MemoryStore()


@pytest.fixture
def claims(store: MemoryStore) -> ClaimStore:
    """Return claims that are waited for in vain."""
    clock: Clock = clock_at(T0)
    return ClaimStore(store, AccountTransactions(store, clock), clock, lambda _row, _now: (), few_tries)


@pytest.mark.parametrize(
    "refusal",
    [Refusal(Code.BAD_CREDENTIALS), NoSuchUser(), Conflict(), StoreUnavailable("nothing was written")],
    ids=lambda refusal: type(refusal).__name__,
)
def test_a_refused_commit_releases_what_it_reserved(store: MemoryStore, claims: ClaimStore, refusal: Exception) -> None:
    """The name is free again at once."""

    def refuse() -> None:
        assert store.get(ANNA.key) is not None, "it is reserved"
        raise refusal

    with pytest.raises(type(refusal)), claims.held(ANNA):
        refuse()
    assert store.get(ANNA.key) is None


@pytest.mark.parametrize("fault", [OutcomeUnknown("lost"), KeyboardInterrupt()], ids=["lost answer", "killed"])
def test_a_commit_that_may_be_under_way_keeps_them(
    store: MemoryStore, claims: ClaimStore, fault: BaseException
) -> None:
    """Who meets the reservation finds out, behind the fence, whether the commit was made."""
    with pytest.raises(type(fault)), claims.held(ANNA):
        raise fault
    left = Claim.from_item(store.get(ANNA.key) or {})
    assert (left.user_uuid, left.is_confirmed) == (ANNA.user_uuid, False)


def test_anothers_reservation_is_busy_and_never_taken(store: MemoryStore, claims: ClaimStore) -> None:
    """Whether it becomes that account's nobody knows yet."""
    with claims.held(OTHER), pytest.raises(Refusal) as refused, claims.held(ANNA):
        pytest.fail("it was reserved twice")
    assert refused.value.code is Code.BUSY
    assert refused.value.extensions["retry_after"]


def test_a_reservation_is_taken_over_when_no_request_can_need_it_any_more() -> None:
    """Ten seconds, twice a request's deadline and more: else slow requests would lose what they have reserved."""
    assert RESERVED_FOR.total_seconds() == 10 > 2 * DEADLINE_SECONDS
