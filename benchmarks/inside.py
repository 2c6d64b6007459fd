"""The suite in this process, its commits timed: what an operation takes without HTTP and without Argon2id."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.population import PASSWORD, Person, Population, granted
from common.clock import system_clock
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.storage.opening import open_store
from common.storage.port import Condition, Item, Key, Page, Sort, Store, Table
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build


class TimedStore:
    """A store that keeps how many seconds each write took."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commits: list[float] = []

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        return self._store.get(key)

    def query(
        self, table: Table, partition: str, *, after: Sort | None = None, limit: int = 100, descending: bool = False
    ) -> Page:
        """See `Store.query`."""
        return self._store.query(table, partition, after=after, limit=limit, descending=descending)

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """See `Store.put`."""
        self._timed(lambda: self._store.put(table, item, when))

    def delete(self, key: Key, when: Condition = None) -> None:
        """See `Store.delete`."""
        self._timed(lambda: self._store.delete(key, when))

    def _timed(self, write: Callable[[], None]) -> None:
        begun = time.perf_counter()
        write()
        self.commits.append(time.perf_counter() - begun)

    def close(self) -> None:
        """See `Store.close`."""
        self._store.close()


class Inside:
    """A suite on a population's data. Its accounts must have been made with `CHEAP_FOR_TESTS`."""

    def __init__(self, people: Population, kept: int | None = None) -> None:
        self.people = replace(people, people=people.people[:kept])
        self._turns = itertools.cycle(self.people.people)
        settings = read_settings(people.settings)
        self.store = TimedStore(open_store(settings.store_url, system_clock))
        self._suite = build(settings, App.ALL, 8000, cost=CHEAP_FOR_TESTS, store=self.store)
        self._client = app_for(App.ALL, self._suite).test_client()

    def tokens(self, count: int) -> list[str]:
        """Return access tokens of so many people, others each time."""
        return [pair.access_token for pair in granted(self._suite, list(itertools.islice(self._turns, count)))]

    def question(self, person: Person, device: int) -> str:
        """Log in with a device while another is active; return the takeover token of the 409."""
        form = {"username": person.username, "password": PASSWORD, "client_cert_fp": person.fingerprints[device]}
        return str(self._answer("/login", 409, json=form)["takeover"]["token"])

    def take_over(self, person: Person, device: int, token: str) -> str:
        """Consent; return the access token."""
        form = {"takeover_token": token, "client_cert_fp": person.fingerprints[device]}
        return str(self._answer("/login/takeover", 200, json=form)["access_token"])

    def get(self, path: str, token: str) -> None:
        """Send a request as a signed-in user."""
        self._answer(path, 200, "GET", headers={"Authorization": f"Bearer {token}"})

    def close(self) -> None:
        """Close the suite."""
        self._suite.close()

    def _answer(self, path: str, status: int, method: str = "POST", **given: Any) -> Mapping[str, Any]:
        answer = self._client.open(path, method=method, **given)
        if answer.status_code != status:
            raise AssertionError(f"{path}: {answer.status_code} {answer.get_data(as_text=True)[:300]}")
        found: Mapping[str, Any] = answer.get_json()
        return found


class Takeovers:
    """Takes over, for another person each time: the device that is out asks, is shown who is in, and consents."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._people = itertools.cycle(inside.people.people)
        self._out: dict[str, int] = {}

    def run(self, count: int) -> tuple[list[float], list[float], list[float]]:
        """Take over so often; return the seconds of each, of its commit, and of the 409 before it."""
        asked, questions = [], []
        for person in itertools.islice(self._people, count):
            device = self._out.get(person.user_uuid, 0)
            self._out[person.user_uuid] = 1 - device
            begun = time.perf_counter()
            token = self._inside.question(person, device)
            questions.append(time.perf_counter() - begun)
            asked.append((person, device, token))
        whole, commits = [], []
        for person, device, token in asked:
            self._inside.store.commits.clear()
            whole.append(seconds_of(partial(self._inside.take_over, person, device, token)))
            commits.append(self._inside.store.commits[0])
        return whole, commits, questions


def seconds_of(run: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun
