"""F13: a name that nobody has and a wrong password are answered alike: the same words, the same work, the same time.

The long size measures with the real hash until Welch's t-test could tell a difference; the CI size counts the work and
bounds the times generously, for it may run on a busy machine.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from werkzeug.test import TestResponse

from common.crypto.passwords import OWASP_MINIMUM, PasswordHash
from registration.account_model import Account
from registration.credentials import CredentialCheck
from tests.proof.figures import each_round, figure, rounds
from tests.usecases import house as usecases
from tests.usecases.house import HandClock, House

GENEROUS = {
    "ICHIDAI_GUESSES_ACCOUNT_SOURCE": "1000000",
    "ICHIDAI_GUESSES_ACCOUNT": "1000000",
    "ICHIDAI_GUESSES_SOURCE": "1000000",
}
CI_SIZE, LONG_ROUNDS = 60, 50
TELLING = 4.5
"""The |t| from which two samples differ beyond doubt (Goodwill et al., A testing methodology for side-channel
resistance validation, 2011)."""

Ask = Callable[[], TestResponse]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Return a house whose passwords cost what people's do."""
    monkeypatch.setattr(usecases, "CHEAP_FOR_TESTS", OWASP_MINIMUM)
    with closing(House(tmp_path, tmp_path, HandClock(), **GENEROUS)) as house:
        yield house


@pytest.fixture
def asks(house: House) -> tuple[Ask, Ask]:
    """Return a login under a name that nobody has, and one with a wrong password."""
    house.register("somebody")

    def ask(username: str) -> Ask:
        body = {"username": username, "password": "not the password", "client_cert_fp": "0" * 64}
        return lambda: house.post("/login", body)

    return ask("nobody-1"), ask("somebody")


def interleaved(asks: tuple[Ask, Ask], count: int, rng: Random, what: str = "") -> tuple[list[float], list[float]]:
    """Return how many seconds each took: in pairs, either first by chance, so that a busy moment strikes both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in each_round(what, count):
        for which in rng.sample((0, 1), 2):
            begun = time.perf_counter()
            asks[which]()
            taken[which].append(time.perf_counter() - begun)
    return taken


def welch(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Welch's t of two samples, without the slowest tenth of each: what the machine did, not we."""
    kept = [sorted(sample)[: len(sample) * 9 // 10] for sample in (one, other)]
    spread = math.sqrt(sum(statistics.variance(sample) / len(sample) for sample in kept))
    return (statistics.fmean(kept[0]) - statistics.fmean(kept[1])) / spread


def test_the_answers_are_the_same(asks: tuple[Ask, Ask]) -> None:
    """I24: status, headers and body, byte by byte."""
    unknown, wrong = (ask() for ask in asks)
    assert unknown.status_code == wrong.status_code == 401
    assert list(unknown.headers) == list(wrong.headers)
    assert unknown.get_data() == wrong.get_data()


def test_the_work_is_the_same(house: House, asks: tuple[Ask, Ask], monkeypatch: pytest.MonkeyPatch) -> None:
    """I24: the same calls of the store in the same order, and one hash of the same cost."""
    costs, real = [], PasswordHash.matches
    monkeypatch.setattr(PasswordHash, "matches", lambda ours, password: costs.append(ours.cost) or real(ours, password))
    seen = []
    for ask in asks:
        house.store.watch()
        costs.clear()
        ask()
        seen.append(([(call.verb, call.tables) for call in house.store.calls], list(costs)))
    assert seen[0] == seen[1]
    assert seen[0][1] == [OWASP_MINIMUM]


def test_the_time_is_the_same(asks: tuple[Ask, Ask], chance: Random) -> None:
    """I24: nobody learns from the time whether a name exists."""
    count = CI_SIZE * rounds(LONG_ROUNDS)
    unknown, wrong = interleaved(asks, count, chance, "logins")
    t, middles = welch(unknown, wrong), [statistics.median(sample) for sample in (unknown, wrong)]
    is_telling = abs(t) >= TELLING if count > CI_SIZE else max(middles) > 1.3 * min(middles)
    numbers = f"t = {t:.2f}; medians {middles[0] * 1000:.2f} and {middles[1] * 1000:.2f} ms"
    figure("F13", "an unknown name and a wrong password, interleaved", f"{count:,} each", int(is_telling), numbers)
    assert not is_telling, numbers


def test_a_name_that_costs_no_hash_is_caught(
    asks: tuple[Ask, Ask], chance: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classic mistake: who is not there is refused at once. Few tries show it."""
    real = CredentialCheck._is_right

    def hasty(check: CredentialCheck, account: Account | None, password: str) -> bool:
        return account is not None and real(check, account, password)

    monkeypatch.setattr(CredentialCheck, "_is_right", hasty)
    unknown, wrong = interleaved(asks, CI_SIZE, chance)
    assert abs(welch(unknown, wrong)) >= TELLING
    assert statistics.median(wrong) > 1.3 * statistics.median(unknown)
