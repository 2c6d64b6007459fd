"""The use cases once more, over an engine that does the worst that DynamoDB's documents allow, all of it at once.

It loses answers, refuses a call of each request (whose client sends it again), deletes what has expired in the same
millisecond, and its queries tell of the state before. That what has expired lies there for ever is what the use cases
meet over SQLite, which keeps it for hours. A module here takes the tests of one there; `exceptions.py` says of each
other one why it has none, and what is spared which test.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any

import pytest
from flask.testing import FlaskClient

from common import retry
from common.clock import system_clock
from common.storage.clock_offset import ClockReading
from common.storage.opening import open_for_maintenance
from common.storage.port import Store
from common.storage.store_clock import HasClock
from ichidai.cli import operating
from tests.support.unkind_store import Unkindness, UnkindStore
from tests.unkind.exceptions import COUNTING, LEFT_OUT, LISTED, SENT_ONCE
from tests.usecases.conftest import Build, anna, build_post, build_suite, clock, keys, laptop, post, suite
from tests.usecases.in_process_suite import HandClock, InProcessSuite
from tests.usecases.watched_store import WatchedStore

HERE = Path(__file__).parent

__all__ = ["anna", "build_post", "build_suite", "clock", "keys", "laptop", "post", "suite"]

MANY_TRIES = {f"ICHIDAI_LOGIN_ATTEMPTS_{name}": "1000000" for name in ("ACCOUNT", "ACCOUNT_SOURCE", "SOURCE", "OTP")}
"""A take whose answer was lost is made again and counts twice; that is tested where tries are."""


class _SlowTime:
    """The time by which retries end, and that a busy machine cannot use up: answers are lost all the time here."""

    @staticmethod
    def monotonic() -> float:
        """Return a time that goes by at a quarter of the pace."""
        return time.monotonic() / 4


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each try come soon after the one before, and the last of them late."""
    monkeypatch.setattr(retry, "time", _SlowTime)
    monkeypatch.setattr(retry, "_LONGEST_PAUSE", 0.002)


class _OpenedByCommand(UnkindStore):
    """A store that tells the time, as those do that commands open."""

    def read_clock(self) -> ClockReading:
        """See `HasClock`."""
        assert isinstance(self.inner, HasClock)
        return self.inner.read_clock()


@pytest.fixture(autouse=True)
def _commands_meet_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands for operators open a store that loses answers."""

    def open_unkindly(*args: Any) -> UnkindStore:
        return _OpenedByCommand(open_for_maintenance(*args), system_clock, Unkindness(losing=True))

    monkeypatch.setattr(operating, "open_for_maintenance", open_unkindly)


def repeat_what_is_refused(client: FlaskClient, store: UnkindStore, chance: Random) -> None:
    """Refuse one call of each request, and let the client send the request again that is answered 503 for it."""
    send = client.open

    def open_(*args: Any, **options: Any) -> Any:
        with store.refuse_once(chance.randrange(8)):
            answer = send(*args, **options)
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            return answer
        return send(*args, **options)

    client.open = open_  # type: ignore[method-assign]


@pytest.fixture
def new_suite(request: pytest.FixtureRequest) -> Build:
    """Return what makes a suite that has the unkind engine before its store."""
    names = {request.path.stem, getattr(request.node, "originalname", "")}
    is_losing, is_refusing = COUNTING.isdisjoint(names), (COUNTING | SENT_ONCE).isdisjoint(names)
    how = Unkindness(losing=is_losing, at_once=True, stale=LISTED.isdisjoint(names))

    def make(
        folder: Path, its_keys: Path, its_clock: HandClock, store: Store | None = None, **settings: Any
    ) -> InProcessSuite:
        engines: list[UnkindStore] = []

        def wrap(inner: WatchedStore) -> UnkindStore:
            engines.append(UnkindStore(inner, its_clock, how))
            return engines[0]

        tries = MANY_TRIES if is_losing else {}
        suite = InProcessSuite(folder, its_keys, its_clock, store, wrap, **{**tries, **settings})
        if is_refusing:
            repeat_what_is_refused(suite.client, engines[0], Random(request.node.nodeid))
        return suite

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave tests out, and what would run over DynamoDB Local: the unkind engine stands for it, in less time."""
    items[:] = [item for item in items if item.path.parent != HERE or not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    called_with = getattr(item, "callspec", None)
    given = [] if called_with is None else list(called_with.params.values())
    return getattr(item, "originalname", item.name) in LEFT_OUT or "dynamodb" in given
