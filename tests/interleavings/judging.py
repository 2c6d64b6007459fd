"""Running clients in every order from a start, and judging each order: the answers, the history and what lies there."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from common.book import Book
from common.storage.port import Store
from common.storage.tables import DEVICES, PAIRING_TOKENS, SESSIONS
from device_manager.revocation_db import RevocationDb
from tests.interleavings.operations import Act
from tests.interleavings.person import Alone, Facts, Person
from tests.interleavings.process import STRAIGHT, Bends, Desks, issuer_of_all
from tests.interleavings.scheduler import Client, Death, Explored, Moments, Schedule, Turnstile, explore, sample
from tests.interleavings.worlds import World
from tests.proof.checker import check_user
from tests.proof.recording import Call, Operation, whole_history
from tests.proof.timeline import Story, Violation, tell
from tests.unit.making import T0


@dataclass(frozen=True, slots=True)
class Setting:
    """A start, what each client does there, and the bug that is planted, if one is.

    `crash`: the client that dies, and when. `ahead`: by how much the clients' clocks are.
    """

    world: World
    scripts: Sequence[Sequence[Act]]
    bends: Bends = STRAIGHT
    crash: tuple[int, Death] | None = None
    ahead: timedelta = timedelta()
    wrap: Callable[[Store], Store] = lambda store: store


@dataclass(slots=True)
class Outcome:
    """What one order left behind."""

    store: Store
    facts: Facts
    calls: list[Call]
    moments: Moments


class Trial:
    """Makes the clients of a setting anew for every order, and keeps in `outcome` what the last of them left.

    Their processes stay the same, as servers do, unless a bug is planted that may keep something in one.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.outcome = Outcome(setting.world.store, setting.world.facts, [], Moments())
        self._turnstiles = [Turnstile(setting.world.store) for _ in setting.scripts]
        self._desks = [self._process(turnstile) for turnstile in self._turnstiles]
        self._last = Turnstile(setting.world.store)
        self._judge = Desks(self._last, setting.world.user, setting.world.rules, self._clock, STRAIGHT)

    def clients(self) -> list[Client]:
        """Return fresh clients over a fresh copy of the start."""
        world, setting = self.setting.world, self.setting
        store = world.store.copy()
        self.outcome = Outcome(store, world.facts.copy(), list(world.calls), Moments(world.now))
        if setting.bends is not STRAIGHT:
            self._desks = [self._process(turnstile) for turnstile in self._turnstiles]
        self._last.inner = store
        shared = setting.wrap(store)
        return [self._client(number, shared) for number in range(len(setting.scripts))]

    def judged(self) -> Iterator[Violation]:
        """Use every token that was granted once more, and yield all that is wrong with the order that was just run."""
        yield from judged(self.setting.world, self.outcome, self._judge)

    def _clock(self) -> datetime:
        return T0 + self.setting.ahead

    def _process(self, turnstile: Turnstile) -> Desks:
        world = self.setting.world
        return Desks(turnstile, world.user, world.rules, self._clock, self.setting.bends)

    def _client(self, number: int, store: Store) -> Client:
        setting, outcome, turnstile = self.setting, self.outcome, self._turnstiles[number]

        def work(client: Client) -> None:
            name, user = f"client {number}", setting.world.user
            person = Person(self._desks[number], outcome.facts, client, user, outcome.calls, name)
            for act in setting.scripts[number]:
                act(person)

        death = setting.crash[1] if setting.crash is not None and setting.crash[0] == number else None
        turnstile.inner, turnstile.client = store, Client(number, work, outcome.moments, death)
        return turnstile.client


Found = tuple[Schedule, Violation]


def violations(setting: Setting, explored: Explored, *, reduced: bool = False) -> Iterator[Found]:
    """Run every order and yield what each breaks."""
    trial = Trial(setting)
    for schedule in explore(trial.clients, explored, reduced=reduced):
        yield from ((schedule, violation) for violation in trial.judged())


def sampled(setting: Setting, explored: Explored, chance: random.Random, times: int) -> Iterator[Found]:
    """Run orders drawn at random and yield what each breaks."""
    trial = Trial(setting)
    for _ in range(times):
        schedule = sample(trial.clients, chance, explored)
        yield from ((schedule, violation) for violation in trial.judged())


def crashing(setting: Setting, explored: Explored, *, reduced: bool = False) -> Iterator[Found]:
    """Let each client die before its first store call and after each, run every order of the rest, yield violations.

    With `reduced` it dies after each commit only: one that dies after a read leaves what it left before the read.
    """
    for number in range(len(setting.scripts)):
        for after in itertools.count(int(reduced)):
            trial, dying = Trial(replace(setting, crash=(number, Death(after, of_commits=reduced)))), False
            for schedule in explore(trial.clients, explored, reduced=reduced):
                dying = dying or schedule.clients[number].died
                yield from ((schedule, violation) for violation in trial.judged())
            if not dying:
                break


def judged(world: World, outcome: Outcome, desks: Desks) -> Iterator[Violation]:
    """Use every token that was granted once more at a process that kept out of it; yield all that is wrong."""
    person = Person(desks, outcome.facts, Alone(outcome.moments), world.user, outcome.calls, "the end")
    for grant in outcome.facts.every_grant:
        facts = {"session_id": grant.session.session_id, "device_id": grant.session.device_id}
        use = person.bearing(grant.access_token, lambda caller: caller, touching=False)
        person.ask(Operation.VERIFY, use, **facts)
    history = whole_history(outcome.store, world.user)
    yield from check_user(world.rules.limit, str(world.rules.mode), outcome.calls, history)
    story = tell(history, world.rules.limit)
    yield from stored_wrongly(outcome.store, world.user, story)
    codes = {str(call.told["pairing"]) for call in outcome.calls if "pairing" in call.told}
    yield from used_up_for_nothing(outcome.store, codes, story)
    yield from signed_twice(outcome.calls)


def stored_wrongly(store: Store, user: str, story: Story) -> Iterator[Violation]:
    """Yield where the book, the devices' rows or the pairing tokens are not what the history tells (I19, I27)."""
    item = store.get(SESSIONS.key(user))
    assert item is not None
    book = Book.from_item(item)
    if book.change_no != story.last:
        yield Violation("I27", f"the book counts {book.change_no} changes and the history has {story.last}")
    if {*book.sessions} != {*story.live[-1]}:
        yield Violation("I19", f"the book has the sessions {[*book.sessions]} and the history {story.live[-1]}")
    good = {device for device in book.devices if book.standing(device)}
    if good != story.bound[-1]:
        yield Violation("I19", f"the book has the devices {good} and the history {story.bound[-1]}")
    rows = {str(row["device_id"]): row for row in store.query(DEVICES, user).items}
    standing = {device for device, row in rows.items() if row["revoked_at"] is None}
    if standing != good:
        yield Violation("I12", f"the certificates of {standing} stand and the book has the devices {good}")
    revoked = {entry.serial for entry in RevocationDb(store).of_issuer(issuer_of_all(), T0)}
    if revoked != {str(row["certificate"]["serial"]) for device, row in rows.items() if device not in standing}:  # type: ignore[call-overload, index]
        yield Violation("I12", f"the list of revoked certificates has {revoked} and {standing} stand")


def signed_twice(calls: Iterable[Call]) -> Iterator[Violation]:
    """Yield the challenges by which more than one login succeeded."""
    used = Counter(call.asked["challenge"] for call in calls if call.status == 200 and "challenge" in call.asked)
    for challenge_id, times in used.items():
        if times > 1:
            yield Violation("challenge", f"{challenge_id} logged in {times} times")


def used_up_for_nothing(store: Store, codes: Iterable[str], story: Story) -> Iterator[Violation]:
    """Yield the pairing tokens that are used up though no device joined by them (I11)."""
    for code in codes:
        item = store.get(PAIRING_TOKENS.key(code))
        if item is not None and item["state"] == "used" and item["used_by"] not in story.bound_at:
            yield Violation("I11", f"pairing token {code} is used up by {item['used_by']}, which never joined")
