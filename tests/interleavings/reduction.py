"""Which orders are run: all choices depth-first, or with the reduction one order of those that cannot be told apart.

Orders that differ only in neighbouring steps that do not touch each other are equal. Another client is tried only where
a step was seen to touch a later one of it (source sets: P. Abdulla and others, Optimal Dynamic Partial Order Reduction,
2014), and not if it would lead to an order that was run (sleep sets: P. Godefroid, Partial-Order Methods for the
Verification of Concurrent Systems, 1996, chapter 5). Two steps touch each other if one writes an item that the other
reads or writes, a query being a read of all items of its partition; or if one ends a call and the other begins one:
which of two calls was over before the other began is part of what is checked, so no such order is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.storage.port import Sort

Partition = tuple[str, str]
Place = tuple[str, str, Sort | None]
"""An item's table, partition and sort key."""


@dataclass(frozen=True, slots=True)
class Step:
    """One client's store call: the items that it touches, and whether it begins or ends one of its calls.

    `whole`: it reads all items of its partition.
    """

    client: int
    places: frozenset[Place]
    partitions: frozenset[Partition]
    whole: bool
    writes: bool
    begins: bool = False
    ends: bool = False

    def noted(self, *, begins: bool, ends: bool) -> Step:
        """Return the step with what was seen when it was made."""
        return Step(self.client, self.places, self.partitions, self.whole, self.writes, begins, ends)

    def touches(self, other: Step) -> bool:
        """Say whether it matters which of the two comes first."""
        in_time = (self.ends and other.begins) or (self.begins and other.ends)
        if in_time or not (self.writes or other.writes):
            return in_time
        if self.whole or other.whole:
            return not self.partitions.isdisjoint(other.partitions)
        return not self.places.isdisjoint(other.places)


@dataclass(slots=True)
class Choice:
    """A point at which several clients may go on: whom to try still, who is asleep, and who was chosen.

    `tried`: all who were or will be chosen here. `clock`: of each client the latest step that comes before the chosen
    one in every order that is equal to this one, by its place on the path; its own, too.
    """

    left: list[int]
    asleep: dict[int, Step]
    chosen: int
    tried: set[int]
    step: Step | None = None
    clock: dict[int, int] = field(default_factory=dict)

    def comes_after(self, place: int, client: int) -> bool:
        """Say whether that step of that client comes before the chosen one whatever the order."""
        return self.clock.get(client, -1) >= place


def still_asleep(choice: Choice, pending: Sequence[Step | None]) -> dict[int, Step]:
    """Return who sleeps on after a step; the places of their steps are named as in this run: ids are new in each."""
    step = choice.step
    assert step is not None
    asleep = {}
    for number, slept in choice.asleep.items():
        own = pending[number]
        assert own is not None, "a client remembers something of another order"
        other = own.noted(begins=slept.begins, ends=slept.ends)
        if not other.touches(step):
            asleep[number] = other
    return asleep


def find_races(path: list[Choice]) -> None:
    """Find the steps that the last one of the path touches and could have come before: let it, or what leads to it."""
    last, place = path[-1], len(path) - 1
    assert last.step is not None
    clock = {last.chosen: place}
    races = []
    for earlier in range(place - 1, -1, -1):
        other = path[earlier]
        assert other.step is not None
        if clock.get(other.chosen, -1) >= earlier and other.chosen != last.chosen:
            continue  # by way of a step between them
        is_own = other.chosen == last.chosen
        if is_own or other.step.touches(last.step):
            if not is_own:
                races.append(earlier)
            for client, latest in other.clock.items():
                clock[client] = max(clock.get(client, -1), latest)
    last.clock = clock
    for earlier in races:
        _let_others_first(path, earlier)


def _let_others_first(path: list[Choice], place: int) -> None:
    """See to it that at this place somebody is tried who leads to the last step without the step that was made there.

    Whoever is tried here already and may come first of what leads to it will do.
    """
    choice = path[place]
    apart: list[int] = []
    first: dict[int, bool] = {}
    for later in range(place + 1, len(path)):
        is_last = later == len(path) - 1
        if not is_last and path[later].comes_after(place, choice.chosen):
            continue
        begins = not any(path[later].comes_after(before, path[before].chosen) for before in apart)
        first.setdefault(path[later].chosen, begins)
        apart.append(later)
    initials = [client for client, begins in first.items() if begins]
    if choice.tried.isdisjoint(initials):
        choice.tried.add(initials[0])
        if initials[0] not in choice.asleep:
            choice.left.append(initials[0])


def turn_back(path: list[Choice], *, reduced: bool) -> bool:
    """Take the next choice that is left, the latest first; say whether there was one."""
    while path:
        choice = path[-1]
        if choice.left:
            if reduced and choice.step is not None:
                choice.asleep[choice.chosen] = choice.step
            choice.chosen = choice.left.pop(0)
            return True
        path.pop()
    return False
