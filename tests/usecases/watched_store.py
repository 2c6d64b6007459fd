"""A real store whose calls a test can watch, hold up, refuse, or rob of their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from common.storage.port import Item, Key, OutcomeUnknown, Page, Sort, Store, StoreUnavailable, Table, Write


@dataclass(frozen=True, slots=True)
class StoreCall:
    """One call: its number (from 1), its verb, the tables it touches, and for a commit its content and request id."""

    number: int
    verb: str
    tables: tuple[str, ...]
    partition: str = ""
    writes: tuple[Write, ...] = ()
    request_id: str = ""


Watch = Callable[[StoreCall], None]


def _look_away(_call: StoreCall) -> None:
    pass


@dataclass
class WatchedStore:
    """A `Store` over another one. `before` may act or raise before a call reaches it, `after` when it was answered."""

    inner: Store
    before: Watch = _look_away
    after: Watch = _look_away
    calls: list[StoreCall] = field(default_factory=list)

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        call = self._begin("get", (key.table.name,), key.partition)
        item = self.inner.get(key)
        self.after(call)
        return item

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        call = self._begin("query", (table.name,), partition)
        page = self.inner.query(table, partition, after=after, limit=limit, descending=descending)
        self.after(call)
        return page

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """See `Store.commit`."""
        tables = tuple(write.key.table.name for write in writes)
        call = self._begin("commit", tables, writes[0].key.partition, tuple(writes), request_id)
        self.inner.commit(writes, request_id)
        self.after(call)

    def close(self) -> None:
        """See `Store.close`."""
        self.inner.close()

    def watch(self, before: Watch = _look_away, after: Watch = _look_away) -> None:
        """Begin anew: forget the calls so far and watch the next ones so."""
        self.calls.clear()
        self.before, self.after = before, after

    @property
    def commits(self) -> list[StoreCall]:
        """The commits among the calls."""
        return [call for call in self.calls if call.verb == "commit"]

    def _begin(
        self, verb: str, tables: tuple[str, ...], partition: str, writes: tuple[Write, ...] = (), request_id: str = ""
    ) -> StoreCall:
        call = StoreCall(len(self.calls) + 1, verb, tables, partition, writes, request_id)
        self.calls.append(call)
        self.before(call)
        return call


def away_at(number: int) -> Watch:
    """Refuse one call: the store did not get it."""

    def watch(call: StoreCall) -> None:
        if call.number == number:
            raise StoreUnavailable("away")

    return watch


def away_from(number: int) -> Watch:
    """Refuse this call and all that follow."""

    def watch(call: StoreCall) -> None:
        if call.number >= number:
            raise StoreUnavailable("away")

    return watch


def unknown_at(number: int) -> Watch:
    """Lose the answer of one call if it is a commit; as `before` the request too, as `after` it was done."""

    def watch(call: StoreCall) -> None:
        if call.number == number and call.verb == "commit":
            raise OutcomeUnknown("the answer was lost")

    return watch


def once(when: Callable[[StoreCall], bool], act: Callable[[], object]) -> Watch:
    """Act at the first call for which `when` holds; what the act does to the store itself is not watched."""
    done = False

    def watch(call: StoreCall) -> None:
        nonlocal done
        if not done and when(call):
            done = True
            act()

    return watch
