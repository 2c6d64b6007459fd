"""The unkind engine does what it says, so that what passes over it has met all of it."""

from __future__ import annotations

import random
import threading

import pytest

from common.clock import to_millis
from common.storage.port import Absent, Conflict, OutcomeUnknown, StoreUnavailable
from common.storage.tables import LOGIN_HISTORY, PAIRING_TOKENS, SESSIONS, USERS
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.process import clock_at
from tests.support.unkind_store import LARGEST, Unkindness, UnkindStore
from tests.unit.builders import SECOND, T0


def unkind(**how: object) -> UnkindStore:
    """Return one over an empty store."""
    return UnkindStore(MemoryStore(), clock_at(T0), Unkindness(**how))  # type: ignore[arg-type]


def test_of_three_writes_one_is_done_and_one_is_not_and_neither_is_told() -> None:
    """Whoever sends a write again until it is answered finds it done, or its condition failed because it was."""
    store, item = unkind(losing=True), {"uuid": "anna"}
    with pytest.raises(OutcomeUnknown):
        store.put(USERS, item, Absent())
    assert store.get(USERS.key("anna")) == item
    store.delete(USERS.key("anna"))
    with pytest.raises(OutcomeUnknown):
        store.put(USERS, item, Absent())
    assert store.get(USERS.key("anna")) is None
    with pytest.raises(OutcomeUnknown):
        store.put(USERS, item, Absent())
    with pytest.raises(Conflict):
        store.put(USERS, item, Absent())


@pytest.mark.parametrize("at_once", [True, False])
def test_what_has_expired_is_gone_at_once_or_lies_there_for_ever(*, at_once: bool) -> None:
    """Its place is free then, or is not."""
    store, item = unkind(at_once=at_once), {"token_hash": "t", "expires_at": to_millis(T0)}
    store.put(PAIRING_TOKENS, item)
    store.put(PAIRING_TOKENS, {"token_hash": "u", "expires_at": to_millis(T0 + SECOND)})
    assert store.get(PAIRING_TOKENS.key("u")) is not None
    assert store.get(PAIRING_TOKENS.key("t")) == (None if at_once else item)
    if at_once:
        store.put(PAIRING_TOKENS, item, Absent())
    else:
        with pytest.raises(Conflict):
            store.put(PAIRING_TOKENS, item, Absent())


def test_a_query_tells_of_the_state_before() -> None:
    """A read of the item itself does not."""
    store = unkind(stale=True)
    for number, kind in ((1, "a"), (1, "b"), (2, "c")):
        store.put(LOGIN_HISTORY, {"user_uuid": "anna", "change_no": number, "kind": kind})
    assert [item["kind"] for item in store.query(LOGIN_HISTORY, "anna").items] == ["a"]
    assert store.get(LOGIN_HISTORY.key("anna", 1)) == {"user_uuid": "anna", "change_no": 1, "kind": "b"}


def test_one_call_of_so_many_is_refused_and_a_large_item_always() -> None:
    """Nothing was done by either."""
    store = unkind(throttling=2)
    store.put(USERS, {"uuid": "anna"})
    with pytest.raises(StoreUnavailable, match="throttled"):
        store.delete(USERS.key("anna"))
    assert store.get(USERS.key("anna")) is not None
    with pytest.raises(ValueError, match="too large"):
        unkind().put(USERS, {"uuid": "anna", "name": "x" * LARGEST})


def test_a_request_is_refused_once_before_its_book_is_put_and_not_after() -> None:
    """So its client may send it again; what other threads do meanwhile is not refused."""
    store, book = unkind(), {"user_uuid": "anna", "version": 1}
    with store.refuse_once(1):
        assert store.get(USERS.key("anna")) is None
        with pytest.raises(StoreUnavailable, match="throttled"):
            store.put(USERS, {"uuid": "anna"})
        store.put(USERS, {"uuid": "anna"})
    with store.refuse_once(1):
        store.put(SESSIONS, book)
        assert store.get(SESSIONS.key("anna")) == book
    with store.refuse_once(0):
        other = threading.Thread(target=store.put, args=(USERS, {"uuid": "bert"}))
        other.start()
        other.join()
    assert store.get(USERS.key("bert")) is not None


def test_by_chance_each_call_may_be_refused_and_each_write_lost() -> None:
    """About as often as in turn, and never in the same rhythm."""
    store = UnkindStore(MemoryStore(), clock_at(T0), Unkindness(losing=True, throttling=4), random.Random(1))
    fates = "".join(fate_of(store, number) for number in range(400))
    assert all(80 <= fates.count(fate) <= 120 for fate in "atrd")
    assert len({fates[start : start + 12] for start in range(0, 396, 12)}) == 33


def fate_of(store: UnkindStore, number: int) -> str:
    """Put an item: it is answered, refused because of too many calls, or lost, rather than done, without an answer."""
    try:
        store.put(USERS, {"uuid": str(number)}, Absent())
    except OutcomeUnknown:
        return "d" if store.inner.get(USERS.key(str(number))) else "r"
    except StoreUnavailable:
        return "t"
    return "a"
