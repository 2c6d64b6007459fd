"""A real store whose calls a test can watch, hold up, refuse, or rob of their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flask import has_request_context, request

from common.keys.generation_store import HasFile
from common.storage.clock_offset import ClockReading
from common.storage.eventual_reads import get_eventual
from common.storage.port import (
    Condition,
    Delete,
    Item,
    Key,
    OutcomeUnknown,
    Page,
    Put,
    Sort,
    Store,
    StoreUnavailable,
    Table,
    Write,
)
from common.storage.prompt import HasPromptReads, WouldWait
from common.storage.store_clock import HasClock
from ichidai.table_access import ACCESS
from ichidai.topology import DOMAINS, App


@dataclass(frozen=True, slots=True)
class StoreCall:
    """One call: its number (from 1), its verb, the tables it touches, and what it writes."""

    number: int
    verb: str
    tables: tuple[str, ...]
    partition: str = ""
    writes: tuple[Write, ...] = ()

    @property
    def is_write(self) -> bool:
        """Whether it writes."""
        return self.verb in ("put", "delete")


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

    def read_clock(self) -> ClockReading:
        """See `HasClock`."""
        assert isinstance(self.inner, HasClock)
        return self.inner.read_clock()

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        call = self._begin("get", (key.table.name,), key.partition)
        item = self.inner.get(key)
        self.after(call)
        return item

    def get_eventual(self, key: Key) -> Item | None:
        """See `HasEventualReads`. To whoever watches it is a `get`."""
        call = self._begin("get", (key.table.name,), key.partition)
        item = get_eventual(self.inner, key)
        self.after(call)
        return item

    def get_promptly(self, key: Key) -> Item | None:
        """See `HasPromptReads`."""
        call = self._begin("get", (key.table.name,), key.partition)
        if not isinstance(self.inner, HasPromptReads):
            raise WouldWait
        item = self.inner.get_promptly(key)
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

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._write("put", Put(table, item, when))

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._write("delete", Delete(key, when))

    def is_replaced(self) -> bool:
        """See `HasFile`."""
        return isinstance(self.inner, HasFile) and self.inner.is_replaced()

    def close(self) -> None:
        """See `Store.close`."""
        self.inner.close()

    def watch(self, before: Watch = _look_away, after: Watch = _look_away) -> None:
        """Begin anew: forget the calls so far and watch the next ones so."""
        self.calls.clear()
        self.before, self.after = before, after

    @property
    def commits(self) -> list[StoreCall]:
        """The writes among the calls."""
        return [call for call in self.calls if call.is_write]

    def _write(self, verb: str, write: Write) -> None:
        call = self._begin(verb, (write.key.table.name,), write.key.partition, (write,))
        if isinstance(write, Put):
            self.inner.put(write.table, write.item, write.when)
        else:
            self.inner.delete(write.key, write.when)
        self.after(call)

    def _begin(self, verb: str, tables: tuple[str, ...], partition: str, writes: tuple[Write, ...] = ()) -> StoreCall:
        call = StoreCall(len(self.calls) + 1, verb, tables, partition, writes)
        self.calls.append(call)
        _check_access(call)
        self.before(call)
        return call


def _check_access(call: StoreCall) -> None:
    """Check that the app whose route is answered may do this: by what its identity at AWS is granted."""
    app = request.path.split("/")[1] if has_request_context() and request.url_rule is not None else ""
    if app not in DOMAINS:
        return
    verbs = {"get": "GetItem", "query": "Query", "put": "PutItem", "delete": "DeleteItem"}
    for name in call.tables:
        access = next((access for table, access in ACCESS[App(app)].items() if table.name == name), None)
        action = verbs[call.verb]
        assert access is not None, f"the {app} app is granted nothing at {name}"
        assert action in access.value, f"the {app} app is not granted {action} at {name}"


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
    """Lose the answer of one call if it writes; as `before` the request too, as `after` it was done."""

    def watch(call: StoreCall) -> None:
        if call.number == number and call.is_write:
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
