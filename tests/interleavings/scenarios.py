"""Starts: an account brought somewhere by calls, to be gone on from in every order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from common.account.outbox import outbox_from_items
from common.background import at_once
from common.storage.tables import LOGIN_HISTORY, SESSIONS
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.operations import Act
from tests.interleavings.person import Alone, Facts, Person
from tests.interleavings.process import Bends, Rules, UseCases, clock_at
from tests.interleavings.scheduler import Moments
from tests.proof.recording import Call
from tests.unit.builders import T0

_LAYING = Bends(in_background=at_once)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A start: what lies in the store, what people know, and the calls that led there."""

    rules: Rules
    store: MemoryStore
    user: str
    facts: Facts
    calls: tuple[Call, ...]
    now: int


@dataclass(frozen=True, slots=True)
class Start:
    """A world, made when it is first needed, and the acts that its clients choose from, by name."""

    make: Callable[[], Scenario]
    acts: Mapping[str, Act]


def scenario(rules: Rules, *acts: Act) -> Scenario:
    """Make a start by calls, one after the other; the first registers the account. All that happened is laid down."""
    store, moments, calls, facts = MemoryStore(), Moments(), list[Call](), Facts()
    turn = Alone(moments)
    person = Person(UseCases(store, "", rules, clock_at(T0), _LAYING), facts, turn, "", calls)
    first, *others = acts
    user = first(person).user_uuid
    calls[:] = [replace(call, user=user) for call in calls]
    person = Person(UseCases(store, user, rules, clock_at(T0), _LAYING), facts, turn, user, calls)
    for act in others:
        act(person)
    _empty_outbox(store, user)
    return Scenario(rules, store, user, facts, tuple(calls), moments.now)


def _empty_outbox(store: MemoryStore, user: str) -> None:
    """Take out of the book what lies in the history, as its next change would."""
    book: Any = store.get(SESSIONS.key(user))
    for record in outbox_from_items(book.get("outbox", ())):
        assert store.get(LOGIN_HISTORY.key(user, record.change_no))
    store.put(SESSIONS, {name: value for name, value in book.items() if name != "outbox"})
