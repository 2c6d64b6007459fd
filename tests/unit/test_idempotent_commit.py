"""Writing until the outcome is known: lost answers are neither conflicts nor losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.retry import RetryBudget
from common.storage.idempotent_commit import put_each_known
from common.storage.port import Absent, Conflict, OutcomeUnknown, Put, StoreUnavailable
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, USERS
from tests.unit.builders import T0
from tests.usecases.watched_store import Watch, WatchedStore, away_at, away_from, unknown_at

PUTS = tuple(Put(USERS, {"uuid": uuid, "name": uuid}, Absent()) for uuid in ("anna", "bert", "cleo"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    """Return a watched store over a real file."""
    watched = WatchedStore(SqliteStore(tmp_path / "store.db", ALL, lambda: T0))
    yield watched
    watched.close()


def put_all(store: WatchedStore, before: Watch | None = None, after: Watch | None = None) -> None:
    """Put all three; pauses take no time."""
    store.watch(*(watch or (lambda _call: None) for watch in (before, after)))
    put_each_known(store, PUTS, RetryBudget(4.0, lambda _seconds: None))


def there(store: WatchedStore) -> list[bool]:
    """Say which of them lie there."""
    return [store.inner.get(put.key) == put.item for put in PUTS]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("lost", ["the request", "the answer"])
def test_one_lost_answer_is_made_good(store: WatchedStore, number: int, lost: str) -> None:
    """Whether its item was written or not, and those that were not tried after it are written too."""
    watch = {"before" if lost == "the request" else "after": unknown_at(number)}
    put_all(store, **watch)
    assert there(store) == [True, True, True]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_another_wrote_is_a_conflict(store: WatchedStore, number: int) -> None:
    """Also where the answer was lost: it is not taken for ours."""
    put = PUTS[number - 1]
    store.inner.put(USERS, {**put.item, "name": "another's"})
    with pytest.raises(Conflict):
        put_all(store, before=unknown_at(number))
    with pytest.raises(Conflict):
        put_all(store)
    assert not there(store)[number - 1]


@pytest.mark.parametrize("refuse", [away_at, away_from])
def test_a_store_that_is_away_is_not_asked_again(store: WatchedStore, refuse: Callable[[int], Watch]) -> None:
    """The first that finds it away ends it."""
    with pytest.raises(StoreUnavailable) as caught:
        put_all(store, before=refuse(2))
    assert not isinstance(caught.value, OutcomeUnknown)
    assert there(store) == [True, False, False]
    assert len(store.calls) == 2


def test_what_was_sent_and_may_have_been_done_is_unknown(store: WatchedStore) -> None:
    """Where the store is away from the moment at which an answer was lost."""

    def lost_then_away(call: object) -> None:
        if len(store.calls) == 2:
            raise OutcomeUnknown("the answer was lost")
        if len(store.calls) > 2:
            raise StoreUnavailable("away")

    with pytest.raises(OutcomeUnknown):
        put_all(store, before=lost_then_away)


def test_the_engine_takes_them_in_one_transaction(store: WatchedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite flushes its log once for all of them."""
    begun: list[object] = []
    transaction = SqliteStore._transaction
    monkeypatch.setattr(
        SqliteStore, "_transaction", lambda *given: (begun.append(given), transaction(*given))[1], raising=True
    )
    put_each_known(store.inner, PUTS, RetryBudget())
    assert there(store) == [True, True, True]
    assert len(begun) == 1
