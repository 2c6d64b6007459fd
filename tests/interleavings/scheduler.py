"""Every order in which clients' store calls can come, each order run from the start.

A client is a greenlet that stops before every store call; a step lets one client make the call that it stands before
and run on to its next one, or to its end. `explore` goes depth-first through all choices of whose step is next.

With `reduced`, one order stands for all that are equal to it: see `reduction`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from greenlet import GreenletExit, greenlet

from common.storage.port import Condition, Item, Key, Page, Sort, Store, Table
from tests.interleavings.reduction import Choice, Step, find_races, still_asleep, turn_back

R = TypeVar("R")


class Crashed(BaseException):
    """The client's process died; nothing of it goes on."""


@dataclass(frozen=True, slots=True)
class Death:
    """A client dies after so many store calls, or commits."""

    after: int
    of_commits: bool = False


class Client:
    """Work that stops before each of its store calls; `death` tells after which of them it dies.

    `work` notes the beginning and the end of its calls by `begin` and `end`; the latter tells the moment.
    """

    def __init__(
        self, number: int, work: Callable[[Client], None], moments: Moments, death: Death | None = None
    ) -> None:
        self.number = number
        self.died = False
        self._moments = moments
        self._death = death
        self._left = 0 if death is None else death.after
        self._work = work
        self._pending: Step | None = None
        self._begins = self._ends = self._starting = False
        self._started = 0
        self._greenlet = greenlet(self._run)
        self._hub: greenlet | None = None

    @property
    def pending(self) -> Step | None:
        """The step that the client stands before; None once it is through."""
        return self._pending

    def start(self) -> None:
        """Run up to the first store call."""
        self._switch()

    def step(self) -> Step:
        """Make the pending call, and return what it was."""
        assert self._pending is not None
        step, self._begins, self._ends = self._pending, False, False
        self._switch()
        return step.noted(begins=self._begins, ends=self._ends)

    def abandon(self) -> None:
        """Give up what is left of the work; what it holds in its process is let go of."""
        self._greenlet.throw(GreenletExit)

    def begin(self) -> None:
        """Note that a call begins at the store call that comes next."""
        self._starting = True

    def end(self) -> int:
        """Note that a call is over, and return the moment. One that made no store call began just now."""
        self._stamp()
        self._ends = True
        return self._moments.next()

    def started(self) -> int:
        """Return when the current call began."""
        return self._started

    def pause(self, keys: Sequence[Key], *, whole: bool, writes: bool) -> None:
        """Wait for the client's turn. `whole`: of the keys all items of the partition are read."""
        places = frozenset((key.table.name, key.partition, key.sort) for key in keys)
        partitions = frozenset((key.table.name, key.partition) for key in keys)
        self._pending = Step(self.number, places, partitions, whole, writes)
        assert self._hub is not None
        self._hub.switch()
        self._pending = None
        self._stamp()

    def called(self, *, commit: bool) -> None:
        """Note that a store call was made; die if it was the last."""
        if self._death is not None and (commit or not self._death.of_commits):
            self._left -= 1
            self._die_if_due()

    def _stamp(self) -> None:
        if self._starting:
            self._starting, self._begins = False, True
            self._started = self._moments.next()

    def _die_if_due(self) -> None:
        if self._death is not None and self._left == 0:
            raise Crashed

    def _run(self) -> None:
        try:
            self._die_if_due()
            self._work(self)
        except Crashed:
            self.died = True
        self._pending = None

    def _switch(self) -> None:
        self._hub = greenlet.getcurrent()
        self._greenlet.switch()


@dataclass(slots=True)
class Moments:
    """A clock for the order of beginnings and ends: every look is later than the one before."""

    now: int = 0

    def next(self) -> int:
        """Return the next moment."""
        self.now += 1
        return self.now


@dataclass(slots=True)
class Turnstile:
    """A store at which a client waits for its turn before every call."""

    inner: Store
    client: Client | None = None

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._in_turn(lambda: self.inner.get(key), [key])

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        return self._in_turn(
            lambda: self.inner.query(table, partition, after=after, limit=limit, descending=descending),
            [Key(table, partition)],
            whole=True,
        )

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._in_turn(lambda: self.inner.put(table, item, when), [table.key_of(item)], writes=True)

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._in_turn(lambda: self.inner.delete(key, when), [key], writes=True)

    def close(self) -> None:
        """See `Store.close`."""

    def _in_turn(self, call: Callable[[], R], keys: Sequence[Key], *, whole: bool = False, writes: bool = False) -> R:
        if self.client is None:
            return call()
        self.client.pause(keys, whole=whole, writes=writes)
        try:
            return call()
        finally:
            self.client.called(commit=writes)


# -------------------------------------------------------------------------------------------------------- the schedules


@dataclass(slots=True)
class Explored:
    """What was run: full orders, and those cut short because another one stands for them."""

    schedules: int = 0
    cut: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One order that was run to its end: whose steps they were, and the clients with what they hold."""

    order: tuple[int, ...]
    clients: Sequence[Client] = field(repr=False)


def explore(make: Callable[[], Sequence[Client]], explored: Explored, *, reduced: bool = False) -> Iterator[Schedule]:
    """Run every order of the clients' steps, each with fresh clients from `make`, and yield it when it has run."""
    path: list[Choice] = []
    while True:
        clients = make()
        for client in clients:
            client.start()
        for choice in path:
            explored.steps += 1
            choice.step = clients[choice.chosen].step()
        if path and reduced:
            find_races(path)
        complete = _run_on(clients, path, explored, reduced=reduced)
        explored.schedules += complete
        explored.cut += not complete
        for client in clients:
            client.abandon()
        if complete:
            yield Schedule(tuple(choice.chosen for choice in path), clients)
        if not turn_back(path, reduced=reduced):
            return


def _run_on(clients: Sequence[Client], path: list[Choice], explored: Explored, *, reduced: bool) -> bool:
    """Go on from the end of the path with the first choice each time; say whether all clients came to their end."""
    while True:
        ready = [client.number for client in clients if client.pending is not None]
        if not ready:
            return True
        asleep = still_asleep(path[-1], [client.pending for client in clients]) if path and reduced else {}
        awake = [number for number in ready if number not in asleep]
        if not awake:
            return False
        choice = Choice([] if reduced else awake[1:], asleep, awake[0], {awake[0]})
        path.append(choice)
        explored.steps += 1
        choice.step = clients[choice.chosen].step()
        if reduced:
            find_races(path)


def sample(
    make: Callable[[], Sequence[Client]], chance: random.Random, explored: Explored, *, staying: float = 0
) -> Schedule:
    """Run one order drawn at random. `staying`: how probably a client goes on after its step without a draw."""
    clients, order = make(), []
    for client in clients:
        client.start()
    client = clients[0]
    while ready := [client for client in clients if client.pending is not None]:
        if client.pending is None or chance.random() >= staying:
            client = chance.choice(ready)
        client.step()
        order.append(client.number)
        explored.steps += 1
    explored.schedules += 1
    return Schedule(tuple(order), clients)
