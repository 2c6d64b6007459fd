"""A password is changed while twenty log in with the old one, and by two at once: nothing of the old one survives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.engines import Engine
from tests.support.processes import rounds
from tests.support.servers import GENEROUS
from tests.usecases.in_process_suite import PASSWORD, HandClock, InProcessSuite

TWENTY, ATTEMPTS = 20, 10
NEW = "a phrase of round {} and hand {}"

pytestmark = pytest.mark.requirement("R72")


@pytest.fixture
def suite(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSuite]:
    """Return a suite in which any number of browsers may be active, and none must be registered."""
    folder, clock = tmp_path_factory.getbasetemp() / f"keys of {engine.name}", HandClock()
    settings: dict[str, Any] = {**GENEROUS, "MAX_CONCURRENT_DEVICES": "0", "ICHIDAI_DEVICE_PROOF": "none"}
    with closing(InProcessSuite(folder, folder, clock, store=engine.open(clock), **settings)) as built:
        yield built


def together(calls: Sequence[Callable[[], TestResponse]]) -> list[TestResponse]:
    """Make calls at the same moment, each in a thread of its own."""
    gate = Barrier(len(calls))

    def call(one: Callable[[], TestResponse]) -> TestResponse:
        gate.wait()
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def posting(suite: InProcessSuite, path: str, body: object, token: str | None = None) -> Callable[[], TestResponse]:
    """Return a call by a client of its own."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return partial(suite.client.application.test_client().post, path, json=body, headers=headers)


class Busy(Exception):
    """A busy machine did not answer in time, and 503 tells nothing of what was asked."""


def answered(answer: TestResponse) -> TestResponse:
    """Return an answer. Raises Busy."""
    if answer.status_code == 503:
        raise Busy
    return answer


def login_of(suite: InProcessSuite, username: str) -> dict[str, str]:
    """Register a new account, and return what it logs in with. Raises Busy."""
    name = {"username": username, "password": PASSWORD}
    made = answered(suite.post("/registration/", {**name, "email": f"{username}@example.test"}))
    assert made.status_code == 200, made.get_json()
    return name


def play(one_round: Callable[[str, int], None], name: str) -> None:
    """Play some rounds; one that was not answered again, by another account and with fewer others at once."""
    for number in range(rounds(3)):
        for attempt in range(ATTEMPTS):
            with suppress(Busy):
                one_round(f"{name}{number}-{attempt}", TWENTY // (attempt + 1))
                break
            time.sleep(1)
        else:
            pytest.fail(f"of {ATTEMPTS} rounds none was answered")


def test_no_login_with_the_old_password_survives(suite: InProcessSuite) -> None:
    """Each was before the change, and has ended, or is refused; the session that changed it goes on."""

    def one_round(username: str, others: int) -> None:
        name = login_of(suite, username)
        own = answered(suite.post("/login", name)).get_json()["access_token"]
        change = {"password": PASSWORD, "new_password": NEW.format(username, "own")}
        changing = posting(suite, "/registration/password", change, own)
        *logins, changed = together([*(posting(suite, "/login", name) for _ in range(others)), changing])
        assert answered(changed).status_code == 200, changed.get_json()
        assert {answer.status_code for answer in logins} <= {200, 401, 503}  # 503: too busy within the time
        opened = [answer.get_json()["access_token"] for answer in logins if answer.status_code == 200]
        assert {answered(suite.get("/session/verify", token)).status_code for token in opened} <= {401}
        kept = answered(suite.get("/session/verify", changed.get_json()["access_token"]))
        assert kept.status_code == 200
        assert answered(suite.post("/login", name)).status_code == 401

    play(one_round, "anna")


def test_of_two_changes_at_once_one_is_made(suite: InProcessSuite) -> None:
    """The password in force is the winner's; the loser is told that the old one is wrong by now, or is signed out."""

    def one_round(username: str, _others: int) -> None:
        name = login_of(suite, username)
        hands = [answered(suite.post("/login", name)).get_json()["access_token"] for _ in range(2)]
        news = [NEW.format(username, hand) for hand in range(2)]
        answers = together(
            [
                posting(suite, "/registration/password", {"password": PASSWORD, "new_password": new}, token)
                for new, token in zip(news, hands, strict=True)
            ]
        )
        assert sorted(answered(answer).status_code for answer in answers) == [200, 401]
        for answer, new in zip(answers, news, strict=True):
            assert answered(suite.post("/login", {**name, "password": new})).status_code == answer.status_code

    play(one_round, "bert")
