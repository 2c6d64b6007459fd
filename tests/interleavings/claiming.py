"""People who want the same name, mail or key, in every order of their store calls; and what must be true after each."""

from __future__ import annotations

import itertools
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from unittest import mock

from greenlet import getcurrent, greenlet

from common.account.admission import Caller, IssuedTokens
from common.account.claim_store import ClaimStore
from common.account.history import ClientInfo
from common.account.tombstone import is_tombstone
from common.errors import Code, Refusal
from common.storage.port import Store, StoreUnavailable
from common.storage.tables import SESSIONS, USERS
from login_app import login
from registration import registration, renaming, trusted
from registration.account_db import names_in
from registration.forms import Registered, Registration, SecondDevice
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.process import HERE, STRAIGHT, Bends, Rules, UseCases, clock_at, own_keys
from tests.interleavings.scheduler import Client, Death, Explored, Moments, Schedule, Turnstile, explore, sample
from tests.unit.builders import DAY, MINUTE, T0

PASSWORD = "a long enough phrase"
TAKEN = (Code.USERNAME_TAKEN, Code.EMAIL_TAKEN, Code.KEY_IN_USE)

Answer = Registered | IssuedTokens | Refusal | StoreUnavailable | None


@dataclass(frozen=True, slots=True)
class Wish:
    """A registration; where there is `joining`, a further device of that account instead, always by the one own key.

    Where there is `owner`, a user who wants that account to be called `username`. `later`: by how much the client's
    clock is ahead. `retry`: the idempotency key under which it is sent twice.
    """

    username: str = "anna"
    email: str = ""
    own_key: bool = False
    later: timedelta = timedelta()
    retry: str | None = None
    joining: str | None = None
    owner: Caller | None = None

    def act(self, use_cases: UseCases) -> Registered | IssuedTokens:
        """Send it."""
        if self.owner is not None:
            wanted = renaming.RenamingForm(self.username, "0", None, ClientInfo())
            return renaming.rename(use_cases.renaming, self.owner, wanted)
        keys, client = own_keys() if self.own_key or self.joining else None, ClientInfo()
        if self.joining is not None:
            owner = trusted._owner(use_cases.registration, self.joining)
            form = SecondDevice("", owner.username, "", "B", client, keys)
            return registration.join(use_cases.registration, owner, form, None)
        email = self.email or f"{self.username}@example.test"
        return registration.register_user(
            use_cases.registration,
            Registration(self.username, email, PASSWORD, "A", client, self.retry, keys),
        )


class NumberedIds:
    """Ids that each client counts: the same ones in every order, so that orders can be told to be equal."""

    def __init__(self) -> None:
        self._clients: dict[greenlet, int] = {}
        self._given: Counter[int] = Counter()

    def count_for(self, client: int) -> None:
        """Let whoever runs now be this client."""
        self._clients[getcurrent()] = client

    def __call__(self) -> uuid.UUID:
        """Return the next one, as `uuid.uuid4` would."""
        client = self._clients.get(getcurrent(), 0)
        self._given[client] += 1
        return uuid.UUID(int=(client << 64) + self._given[client], version=4)


@dataclass
class Trial:
    """The clients of some wishes, made anew for every order; `answers` and `store` are what the last order left."""

    wishes: Sequence[Wish]
    bends: Bends = STRAIGHT
    start: MemoryStore = field(default_factory=MemoryStore)
    crash: tuple[int, Death] | None = None
    wrap: Callable[[Store], Store] = lambda store: store
    answers: list[Answer] = field(default_factory=list)
    ids: NumberedIds = field(default_factory=NumberedIds)

    def clients(self) -> list[Client]:
        """Return fresh clients, each at a process of its own, over a fresh copy of the start."""
        self.store: MemoryStore = self.start.copy()
        self.ids = NumberedIds()
        self.answers = [None for _ in self.wishes]
        shared = self.wrap(self.store)
        return [self._client(number, wish, shared) for number, wish in enumerate(self.wishes)]

    @contextmanager
    def numbered_ids(self) -> Iterator[None]:
        """Let the ids of every order be the same."""
        with mock.patch("uuid.uuid4", self._next_id):
            yield

    def _next_id(self) -> uuid.UUID:
        return self.ids()

    def _client(self, number: int, wish: Wish, store: Store) -> Client:
        turnstile = Turnstile(store)
        use_cases = UseCases(turnstile, "", Rules(), clock_at(T0 + wish.later), self.bends)

        def work(client: Client) -> None:
            self.ids.count_for(number + 1)
            client.begin()
            self.answers[number] = answered(wish, use_cases)
            client.end()

        death = self.crash[1] if self.crash is not None and self.crash[0] == number else None
        turnstile.client = Client(number, work, Moments(), death)
        return turnstile.client

    def judged(self) -> Iterator[str]:
        """Yield what is wrong with the order that was just run; then everybody comes once more, ten minutes later."""
        yield from _shared(self.store, self.answers)
        yield from _refused_for_nothing(self.store, self.answers)
        after = UseCases(self.store, "", Rules(), clock_at(T0 + 10 * MINUTE), STRAIGHT)
        yield from _not_held(after.claims, self.answers)
        for wish in self.wishes:
            answer = None if wish.owner else answered(replace(wish, retry=None), after)
            if isinstance(answer, Refusal) and answer.code not in TAKEN:
                yield f"I36: {wish} is refused for ever: {answer.code}"
        yield from _shared(self.store, self.answers)


def answered(wish: Wish, use_cases: UseCases) -> Answer:
    """Return how a wish is answered; None where its process died."""
    try:
        return wish.act(use_cases)
    except (Refusal, StoreUnavailable) as refusal:
        return refusal


def given_up() -> tuple[MemoryStore, Caller]:
    """Return an account that was called anna, which nobody else is for one minute more, and its user."""
    store = MemoryStore()

    def at(days: int, user: str = "") -> UseCases:
        return UseCases(store, user, Rules(), clock_at(T0 + MINUTE - days * DAY), STRAIGHT)

    made = Wish().act(at(31))
    assert isinstance(made, Registered)

    def logged_in(use_cases: UseCases) -> Caller:
        fingerprint = made.device.bound.fingerprint
        form = login.LoginForm("", False, "0", fingerprint, None, "A", False, HERE)  # noqa: FBT003
        login.log_in(use_cases.logins, form)
        book = use_cases.keeper.get_book(made.user_uuid)
        assert book is not None
        (session,) = book.in_order()
        return Caller(book.user_uuid, "anna", session, T0 + DAY)

    then = at(30, made.user_uuid)
    Wish("anne", owner=logged_in(then)).act(then)
    return store, logged_in(UseCases(store, made.user_uuid, Rules(), clock_at(T0), STRAIGHT))


def _accounts(store: MemoryStore) -> Mapping[str, Mapping[str, Any]]:
    """Return the user rows of the accounts that there are."""
    everything = store.everything()
    books = {item["user_uuid"] for table, item in everything if table == SESSIONS.name and not is_tombstone(item)}
    return {item["uuid"]: item for table, item in everything if table == USERS.name and item["uuid"] in books}


def _shared(store: MemoryStore, answers: Sequence[Answer]) -> Iterator[str]:
    held = Counter(name for row in _accounts(store).values() for name in names_in(row, T0 + 2 * MINUTE))
    keys = Counter(answer.device.claim.name for answer in answers if isinstance(answer, Registered))
    devices = {a.device.bound.device_id for a in answers if isinstance(a, Registered)}
    if len({(a.user_uuid) for a in answers if isinstance(a, Registered)}) < len(devices):
        keys.clear()  # a repetition: one account's device in the place of its lost one
    for name, times in (held + keys).items():
        if times > 1:
            yield f"I17: {times} accounts have {name}"


def _refused_for_nothing(store: MemoryStore, answers: Sequence[Answer]) -> Iterator[str]:
    """Yield who was told that something is taken though nobody has it, the dead and those of before excepted."""
    for answer in answers:
        if isinstance(answer, Refusal) and answer.code in TAKEN and not _accounts(store):
            yield f"I17: {answer.code}, and there is no account"


def _not_held(claims: ClaimStore, answers: Sequence[Answer]) -> Iterator[str]:
    """Yield what was registered and is not claimed by its owner."""
    for answer in answers:
        if isinstance(answer, Registered):
            claim = claims.find(answer.device.claim.name)
            if claim is None or claim.user_uuid != answer.user_uuid:
                yield f"I36: {answer.device.claim.name} is {claim}"


Found = tuple[Schedule, str]


STAYING = (0.5, 0.8, 0.95)
"""Most mistakes need few changes from one client to the other, at the right places."""


def violations(trial: Trial, explored: Explored, orders: int | None = None) -> Iterator[Found]:
    """Run every order and yield what each breaks; or `orders` that are drawn at random, the same ones each time."""
    with trial.numbered_ids():
        for schedule in _orders(trial, explored, orders):
            yield from ((schedule, violation) for violation in trial.judged())


def crashing(trial: Trial, number: int, explored: Explored, orders: int | None = None) -> Iterator[Found]:
    """Let a client die after each of its writes, and before the first; of the rest run every order, or some."""
    for after in itertools.count():
        trial.crash, dying = (number, Death(after, of_commits=True)), False
        with trial.numbered_ids():
            for schedule in _orders(trial, explored, orders):
                dying = dying or schedule.clients[number].died
                yield from ((schedule, violation) for violation in trial.judged())
        if not dying:
            return


def _orders(trial: Trial, explored: Explored, orders: int | None) -> Iterator[Schedule]:
    if orders is None:
        yield from explore(trial.clients, explored, reduced=True)
        return
    chance = random.Random(f"{trial.wishes} {trial.crash}")
    for number in range(orders):
        yield sample(trial.clients, chance, explored, staying=STAYING[number % len(STAYING)])


def sampled(trial: Trial, explored: Explored, chance: random.Random, times: int) -> Iterator[Found]:
    """Run orders drawn at random and yield what each breaks."""
    with trial.numbered_ids():
        for _ in range(times):
            schedule = sample(trial.clients, chance, explored)
            yield from ((schedule, violation) for violation in trial.judged())
