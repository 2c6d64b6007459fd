"""Starts: an account brought somewhere by calls, to be gone on from in every order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.operations import Act
from tests.interleavings.person import Alone, Facts, Person
from tests.interleavings.process import STRAIGHT, Desks, Rules, clock_at
from tests.interleavings.scheduler import Moments
from tests.proof.recording import Call
from tests.unit.making import T0


@dataclass(frozen=True, slots=True)
class World:
    """A start: what lies in the store, what people know, and the calls that led there."""

    rules: Rules
    store: MemoryStore
    user: str
    facts: Facts
    calls: tuple[Call, ...]
    now: int


def world(rules: Rules, *acts: Act) -> World:
    """Make a start by calls, one after the other; the first registers the account."""
    store, moments, calls, facts = MemoryStore(), Moments(), list[Call](), Facts()
    turn = Alone(moments)
    person = Person(Desks(store, "", rules, clock_at(T0), STRAIGHT), facts, turn, "", calls)
    first, *others = acts
    user = first(person).user_uuid
    calls[:] = [replace(call, user=user) for call in calls]
    person = Person(Desks(store, user, rules, clock_at(T0), STRAIGHT), facts, turn, user, calls)
    for act in others:
        act(person)
    return World(rules, store, user, facts, tuple(calls), moments.now)
