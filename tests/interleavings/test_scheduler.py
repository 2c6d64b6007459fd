"""The scheduler itself: what it leaves out with the reduction is equal to what it runs, and nothing is run twice."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from common.storage.port import Key
from common.storage.tables import DEVICES
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.scheduler import Client, Explored, Moments, Turnstile, explore

Act = tuple[str, str, str]
"""What is done with an item: `get`, `put`, `query` of its partition, or `call`, a call that reads it."""

VERBS = ("get", "put", "put", "query", "call")


def scripts_of(chance: random.Random) -> list[list[Act]]:
    """Return what two or three clients do, seven steps at most."""
    lengths = chance.choice([(3, 3), (2, 2, 2), (3, 2, 2), (4, 3), (1, 3, 2)])
    return [
        [(chance.choice(VERBS), chance.choice("ab"), chance.choice("xy")) for _ in range(length)] for length in lengths
    ]


class Scene:
    """Clients that do what scripts say, made anew for each order, and what the last ones of them saw."""

    def __init__(self, scripts: Sequence[Sequence[Act]]) -> None:
        self._scripts = scripts
        self._store, self._moments = MemoryStore(), Moments()
        self._read: dict[tuple[int, int], object] = {}
        self._calls: dict[tuple[int, int], tuple[int, int]] = {}

    def clients(self) -> list[Client]:
        """Return fresh clients of an empty store."""
        self._store, self._moments = MemoryStore(), Moments()
        self._read, self._calls = {}, {}
        return [self._client(number, script) for number, script in enumerate(self._scripts)]

    def shown(self) -> object:
        """Return all that was read, which calls were over before which began, and what lies there at the end."""
        calls = self._calls.items()
        before = {(one, other) for one, (_, end) in calls for other, (begun, _) in calls if end < begun}
        return str(sorted(map(str, self._store.everything()))), str(sorted(self._read.items())), frozenset(before)

    def _client(self, number: int, script: Sequence[Act]) -> Client:
        turnstile = Turnstile(self._store)

        def work(client: Client) -> None:
            for place, act in enumerate(script):
                self._do(client, turnstile, (number, place), act)

        turnstile.client = Client(number, work, self._moments)
        return turnstile.client

    def _do(self, client: Client, store: Turnstile, place: tuple[int, int], act: Act) -> None:
        verb, user, device = act
        if verb == "put":
            store.put(DEVICES, {"user_uuid": user, "device_id": device, "by": str(place)})
        elif verb == "query":
            self._read[place] = store.query(DEVICES, user).items
        elif verb == "get":
            self._read[place] = store.get(Key(DEVICES, user, device))
        else:
            client.begin()
            self._read[place] = store.get(Key(DEVICES, user, device))
            self._calls[place] = (client.started(), client.end())


def seen(scripts: Sequence[Sequence[Act]], explored: Explored, *, reduced: bool) -> set[object]:
    """Return what the orders show."""
    scene = Scene(scripts)
    return {scene.shown() for _ in explore(scene.clients, explored, reduced=reduced)}


@pytest.mark.parametrize("seed", range(30))
def test_the_reduction_runs_one_order_of_each_kind(seed: int) -> None:
    """Two or three clients with acts by chance: all that any order can show is shown, and by few orders."""
    scripts = scripts_of(random.Random(seed))
    whole, reduced = Explored(), Explored()
    every, some = seen(scripts, whole, reduced=False), seen(scripts, reduced, reduced=True)
    assert some == every
    assert reduced.schedules <= whole.schedules
    assert reduced.cut <= reduced.schedules


def test_who_do_not_touch_each_other_are_run_once() -> None:
    """Three clients at items of their own: every order is equal; with a query of the partition they are not."""
    apart = [[("put", "a", name), ("get", "a", name)] for name in "xyz"]
    explored = Explored()
    seen(apart, explored, reduced=True)
    assert (explored.schedules, explored.cut) == (1, 0)
    seen([*apart[:2], [("query", "a", "x")]], explored, reduced=True)
    assert explored.schedules == 1 + 4
