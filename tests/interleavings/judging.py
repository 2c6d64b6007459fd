"""Running clients in every order from a start, and judging each order: the answers, the history and what lies there."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from common.account.book import Book
from common.account.history import EventKind
from common.account.rows import NUMBER, NUMBERED
from common.storage.port import Store
from common.storage.tables import DEVICES, SESSIONS
from device_manager.device_model import Device
from device_manager.revocation_db import RevocationDb
from registration.closing import due_closings
from tests.interleavings.approval_judging import approvals_wrong
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.operations import Act
from tests.interleavings.owners_judging import account_wrong
from tests.interleavings.person import Alone, Facts, Person
from tests.interleavings.process import CLOSED_FOR, STRAIGHT, Bends, UseCases, issuer_of_all
from tests.interleavings.regions import Replicas
from tests.interleavings.scenarios import Scenario
from tests.interleavings.scheduler import Client, Death, Explored, Moments, Schedule, Turnstile, explore, sample
from tests.proof.checker import check_user
from tests.proof.recording import Call, Operation, whole_history
from tests.proof.timeline import Story, Violation, half_taken_back, place, tell
from tests.unit.builders import T0


@dataclass(frozen=True, slots=True)
class Setting:
    """A start, what each client does there, and the bug that is planted, if one is.

    `crash`: the client that dies, and when. `ahead`: by how much the clients' clocks are.
    `regions`: each client is at a region of its own.
    """

    world: Scenario
    scripts: Sequence[Sequence[Act]]
    bends: Bends = STRAIGHT
    crash: tuple[int, Death] | None = None
    ahead: timedelta = timedelta()
    wrap: Callable[[Store], Store] = lambda store: store
    regions: Callable[[MemoryStore], tuple[Iterator[Store], Replicas]] | None = None


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
        self._processes = [self._process(turnstile) for turnstile in self._turnstiles]
        self._last = Turnstile(setting.world.store)
        self._judge = UseCases(self._last, setting.world.user, setting.world.rules, self._clock, STRAIGHT)

    def clients(self) -> list[Client]:
        """Return fresh clients over a fresh copy of the start."""
        world, setting = self.setting.world, self.setting
        store = world.store.copy()
        self.outcome = Outcome(store, world.facts.copy(), list(world.calls), Moments(world.now))
        if setting.bends is not STRAIGHT:
            self._processes = [self._process(turnstile) for turnstile in self._turnstiles]
        for process in self._processes:
            process.forget()
        self._last.inner = store
        self._settle = lambda: None
        stores = itertools.repeat(setting.wrap(store))
        if setting.regions is not None:
            stores, replicas = setting.regions(store)
            self._settle = replicas.settle
        return [self._client(number, next(stores)) for number in range(len(setting.scripts))]

    def judged(self) -> Iterator[Violation]:
        """Use every token that was granted once more, and yield all that is wrong with the order that was just run."""
        self._settle()
        yield from judged(self.setting.world, self.outcome, self._judge)

    def _clock(self) -> datetime:
        return T0 + self.setting.ahead

    def _process(self, turnstile: Turnstile) -> UseCases:
        world = self.setting.world
        return UseCases(turnstile, world.user, world.rules, self._clock, self.setting.bends)

    def _client(self, number: int, store: Store) -> Client:
        setting, outcome, turnstile = self.setting, self.outcome, self._turnstiles[number]

        def work(client: Client) -> None:
            name, user = f"client {number}", setting.world.user
            person = Person(self._processes[number], outcome.facts, client, user, outcome.calls, name)
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


def sampled(
    setting: Setting, explored: Explored, chance: random.Random, times: int, *, staying: float = 0
) -> Iterator[Found]:
    """Run orders drawn at random and yield what each breaks. `staying`: how probably a client goes on by itself."""
    trial = Trial(setting)
    for _ in range(times):
        schedule = sample(trial.clients, chance, explored, staying=staying)
        yield from ((schedule, violation) for violation in trial.judged())


def crashing(setting: Setting, explored: Explored, *, reduced: bool = False) -> Iterator[Found]:
    """Let each client die before its first store call and after each, run every order of the rest, yield violations.

    With `reduced` it dies after each commit only: one that dies after a read leaves what it left before the read.
    Orders in which it comes to its end before are judged by `violations`.
    """
    for number in range(len(setting.scripts)):
        for after in itertools.count(int(reduced)):
            trial, dying = Trial(replace(setting, crash=(number, Death(after, of_commits=reduced)))), False
            for schedule in explore(trial.clients, explored, reduced=reduced):
                if schedule.clients[number].died:
                    dying = True
                    yield from ((schedule, violation) for violation in trial.judged())
            if not dying:
                break


def sampled_crashing(setting: Setting, explored: Explored, chance: random.Random, times: int) -> Iterator[Found]:
    """Let each client die before its first store call and after each commit, and yield what drawn orders break."""
    for number in range(len(setting.scripts)):
        for after in itertools.count():
            trial = Trial(replace(setting, crash=(number, Death(after, of_commits=after > 0))))
            died = False
            for _ in range(times):
                schedule = sample(trial.clients, chance, explored)
                died = died or schedule.clients[number].died
                yield from ((schedule, violation) for violation in trial.judged())
            if not died:
                break


def judged(world: Scenario, outcome: Outcome, use_cases: UseCases) -> Iterator[Violation]:
    """Use every token that was granted once more at a process that kept out of it; yield all that is wrong."""
    person = Person(use_cases, outcome.facts, Alone(outcome.moments), world.user, outcome.calls, "the end")
    for grant in outcome.facts.every_grant:
        facts = {"session_id": grant.session.session_id, "device_id": grant.session.device_id}
        for shown in outcome.facts.certificates[facts["device_id"]] if world.rules.bound else [None]:
            use = person.bearing(grant.access_token, lambda caller: caller, certificate=shown, touching=False)
            person.ask(Operation.VERIFY, use, **facts, **({} if shown is None else {"fingerprint": shown}))
    history = whole_history(outcome.store, world.user)
    yield from check_user(world.rules.limit, str(world.rules.mode), outcome.calls, history)
    story = tell(history, world.rules.limit)
    yield from overwritten(outcome.store, world.user)
    use_cases.lay_down(world.user)
    yield from stored_wrongly(outcome.store, world.user, story)
    yield from used_up_for_nothing(outcome.store, world.user, story)
    yield from signed_twice(outcome.calls)
    yield from certificates_wrong(outcome, world.user, story)
    yield from closed_for_ever(outcome.store, world.user)
    yield from account_wrong(outcome.store, world.user, outcome.calls, story)
    yield from approvals_wrong(outcome.calls, story)
    if world.rules.bound:
        yield from bound_wrongly(outcome, world.user, story)


def stored_wrongly(store: Store, user: str, story: Story) -> Iterator[Violation]:
    """Yield where the book, the devices' rows or the pairing tokens are not what the history tells (I19, I27)."""
    item = store.get(SESSIONS.key(user))
    assert item is not None
    book = Book.from_item(item)
    if book.change_no != story.last:
        yield Violation("I27", f"the book counts {book.change_no} changes and the history has {story.last}")
    if {*book.sessions} != {*story.live[-1]}:
        yield Violation("I19", f"the book has the sessions {[*book.sessions]} and the history {story.live[-1]}")
    good = {device for device in book.devices if book.active_device(device)}
    out = story.bound[-1] & half_taken_back(book, story)
    if good != story.bound[-1] - out:
        yield Violation("I19", f"the book has the devices {good} and the history {story.bound[-1]}")
    rows = {str(row["device_id"]): row for row in store.query(DEVICES, user).items}
    standing = {device for device, row in rows.items() if row["revoked_at"] is None}
    if standing != good | out:
        yield Violation("I12", f"the certificates of {standing} stand and the book has the devices {good}")


def overwritten(store: Store, user: str) -> Iterator[Violation]:
    """Yield the rows that are of a change which the book made, and say something else than it (I19)."""
    for row in Book.from_item(store.get(SESSIONS.key(user)) or {}).rows:
        lying = store.get(row.key)
        if row.table in NUMBERED and lying is not None and lying[NUMBER] == row.version and lying != row.item:
            yield Violation("I19", f"what lies at {row.key} is not what version {row.version} of the book made of it")


def closed_for_ever(store: Store, user: str) -> Iterator[Violation]:
    """Yield where an account is closed and nothing says when its days are over: then nobody would erase it."""
    book = Book.from_item(store.get(SESSIONS.key(user)) or {})
    due = [(closing.user_uuid, closing.until) for closing in due_closings(store, T0 + 2 * CLOSED_FOR, 10)]
    if book.closed_until is not None and (user, book.closed_until) not in due:
        yield Violation("closing", f"the account is closed until {book.closed_until}, and {due} are due")


def certificates_wrong(outcome: Outcome, user: str, story: Story) -> Iterator[Violation]:
    """Yield where more than one certificate of a device stands, or one that does not still opens (I12)."""
    rows = {str(row["device_id"]): Device.from_item(row) for row in outcome.store.query(DEVICES, user).items}
    book = Book.from_item(outcome.store.get(SESSIONS.key(user)) or {})
    renewals = [
        event.device_id for events in story.events for event in events if event.kind is EventKind.CERTIFICATE_RENEWED
    ]
    revoked = {entry.serial for entry in RevocationDb(outcome.store).of_issuer(issuer_of_all(), T0)}
    standing = {row.serial for device, row in rows.items() if row.revoked_at is None}
    if revoked & standing or len(revoked) != len(renewals) + len(rows) - len(standing):
        told = f"{len(renewals)} were renewed and {len(rows) - len(standing)} revoked"
        yield Violation("I12", f"the list of revoked certificates has {revoked}, {told}, and {standing} stand")
    for device_id, bound in book.devices.items():
        row = rows[device_id]
        if (row.fingerprint, row.not_after) != (bound.fingerprint, bound.not_after):
            yield Violation("I12", f"the book has certificate {bound.fingerprint} of {device_id}, the row another")
        given = outcome.facts.certificates.get(device_id, [])
        if renewals.count(device_id) < len({*given}) - 1:
            yield Violation(
                "I27", f"{device_id} was given {len(given)} certificates, renewed {renewals.count(device_id)}"
            )
    yield from opened_by_an_old_one(outcome.calls, outcome.facts, story)


def opened_by_an_old_one(calls: Iterable[Call], facts: Facts, story: Story) -> Iterator[Violation]:
    """Yield the logins by a device's first certificate after another had taken its place."""
    for call in calls:
        device, shown = call.asked.get("device_id", ""), call.asked.get("fingerprint")
        if call.operation not in (Operation.LOGIN, Operation.TAKEOVER) or call.status != 200 or shown is None:
            continue
        born = story.born.get(call.told["session_id"], 0)
        if shown == facts.certificates[device][0] and story.renewed_at.get(device, born) < born:
            yield Violation("I12", f"call {call.number} logged in by a certificate that was renewed before")


def bound_wrongly(outcome: Outcome, user: str, story: Story) -> Iterator[Violation]:
    """Yield the sessions that are not bound, and the uses beside a certificate that another had replaced (binding)."""
    book = Book.from_item(outcome.store.get(SESSIONS.key(user)) or {})
    present = {device.fingerprint for device in book.devices.values()}
    for session in book.sessions.values():
        if not session.certified:
            yield Violation("binding", f"session {session.session_id} is not bound")
    for item in place(story, outcome.calls)[0]:
        call, shown = item.call, item.call.asked.get("fingerprint")
        if call.operation is not Operation.VERIFY or call.status != 200 or shown in present:
            continue
        if story.renewed_at.get(call.asked["device_id"], item.first + 1) <= item.first:
            yield Violation("binding", f"call {call.number} used a session beside a certificate that was renewed")


def signed_twice(calls: Iterable[Call]) -> Iterator[Violation]:
    """Yield the challenges and recovery codes by which more than one call succeeded, and what was taken back twice."""
    done = [call for call in calls if call.status == 200]
    used = Counter(call.asked[name] for call in done for name in ("challenge", "recovery_code") if name in call.asked)
    objections = (Operation.OBJECT, Operation.OBJECT_BY_LINK)
    used.update(f"objection to {call.asked['target']}" for call in done if call.operation in objections)
    for challenge_id, times in used.items():
        if times > 1:
            yield Violation("challenge", f"{challenge_id} worked {times} times")


def used_up_for_nothing(store: Store, user: str, story: Story) -> Iterator[Violation]:
    """Yield where more pairing tokens are used up than devices joined (I11)."""
    used = [name for name in Book.from_item(store.get(SESSIONS.key(user)) or {}).marks if name.startswith("p")]
    if len(used) > len(story.bound_at):
        yield Violation("I11", f"{len(used)} pairing tokens are used up, and {len(story.bound_at)} devices joined")
