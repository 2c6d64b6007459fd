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
from functools import partial
from pathlib import Path
from random import Random

import pytest
from werkzeug.test import TestResponse

from common.crypto.jws import to_base64url
from common.crypto.passwords import OWASP_MINIMUM, PasswordHash
from common.ids import new_id
from registration.account_model import Account
from registration.credentials import CredentialCheck
from tests.proof.figures import each_round, figure, rounds
from tests.support.passkeys import Passkey, made_for
from tests.usecases import in_process_suite as usecases
from tests.usecases.in_process_suite import HandClock, InProcessSuite

GENEROUS = {
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "1000000",
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": "1000000",
    "ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "1000000",
    "ICHIDAI_REGISTRATIONS_SOURCE": "1000000",
}
CI_SIZE, LONG_ROUNDS = 60, 50
TELLING = 4.5
"""The |t| from which two samples differ beyond doubt (Goodwill et al., A testing methodology for side-channel
resistance validation, 2011)."""

Ask = Callable[[], TestResponse]

NAMES = ("nobody-1", "somebody")


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcessSuite]:
    """Return a suite whose passwords cost what people's do."""
    monkeypatch.setattr(usecases, "CHEAP_FOR_TESTS", OWASP_MINIMUM)
    with closing(InProcessSuite(tmp_path, tmp_path, HandClock(), **GENEROUS)) as suite:
        yield suite


@pytest.fixture
def logins(suite: InProcessSuite) -> tuple[Ask, Ask]:
    """Return a login under a name that nobody has, and one with a wrong password."""
    suite.register("somebody")
    one, other = (partial(suite.post, "/login", {**_named(name), "client_cert_fp": "0" * 64}) for name in NAMES)
    return one, other


def _named(username: str) -> dict[str, str]:
    return {"username": username, "password": "not the password"}


def _recovering(suite: InProcessSuite) -> tuple[Ask, Ask]:
    """Return a recovery under a name that nobody has, and one with a wrong password and code."""
    suite.register("somebody")
    lost = {"recovery_code": "AAAA-BBBB-CCCC", "new_password": "an altogether new phrase"}
    one, other = (partial(suite.post, "/registration/recover", {**_named(name), **lost}) for name in NAMES)
    return one, other


def _with_passkeys(suite: InProcessSuite) -> tuple[Ask, Ask]:
    """Return a login by a passkey of an account that is not there, and one by a passkey that is not the account's."""
    owner = suite.register("somebody")
    session = suite.log_in(owner)
    begun = suite.post("/registration/passkeys/begin", {"password": owner.password}, session.access)
    options = begun.get_json()["options"]
    made = {"passkey": made_for(options).attestation(options)}
    assert suite.post("/registration/passkeys/finish", made, session.access).status_code == 200
    asked = suite.post("/login/passkey/begin").get_json()["options"]

    def ask(user_uuid: str) -> Ask:
        shown = Passkey(to_base64url(user_uuid.encode())).assertion(asked)
        return partial(suite.post, "/login/passkey/finish", {"passkey": shown, "client_cert_fp": "0" * 64})

    return ask(new_id()), ask(owner.uuid)


@pytest.fixture(params=["login", "recovery", "passkey"])
def asks(request: pytest.FixtureRequest, suite: InProcessSuite) -> tuple[Ask, Ask]:
    """Return what is asked for an account that is not there and for one that is, in each of the ways in."""
    if request.param == "login":
        found: tuple[Ask, Ask] = request.getfixturevalue("logins")
        return found
    return (_recovering if request.param == "recovery" else _with_passkeys)(suite)


def interleaved(
    asks: tuple[Ask, Ask],
    count: int,
    rng: Random,
    what: str = "",
    between: Callable[[], None] = lambda: None,
    before: tuple[Callable[[], object], Callable[[], object]] = (lambda: None, lambda: None),
) -> tuple[list[float], list[float]]:
    """Return how many seconds each took: in pairs, either first by chance, so that a busy moment strikes both.

    Unmeasured are `between`, done after each, and what is done `before` one and before the other.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in each_round(what, count):
        for which in rng.sample((0, 1), 2):
            before[which]()
            begun = time.perf_counter()
            asks[which]()
            taken[which].append(time.perf_counter() - begun)
            between()
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


def test_the_work_is_the_same(suite: InProcessSuite, asks: tuple[Ask, Ask], monkeypatch: pytest.MonkeyPatch) -> None:
    """I24: the same calls of the store in the same order, and one hash of the same cost."""
    costs, real = [], PasswordHash.matches
    monkeypatch.setattr(PasswordHash, "matches", lambda ours, password: costs.append(ours.cost) or real(ours, password))
    seen = []
    for ask in asks:
        suite.store.watch()
        costs.clear()
        ask()
        seen.append(([(call.verb, call.tables) for call in suite.store.calls], list(costs)))
    assert seen[0] == seen[1]
    assert seen[0][1] in ([OWASP_MINIMUM], [])  # a passkey costs none


def test_the_time_is_the_same(logins: tuple[Ask, Ask], chance: Random) -> None:
    """I24: nobody learns from the time whether a name exists."""
    count = CI_SIZE * rounds(LONG_ROUNDS)
    unknown, wrong = interleaved(logins, count, chance, "logins")
    t, middles = welch(unknown, wrong), [statistics.median(sample) for sample in (unknown, wrong)]
    is_telling = abs(t) >= TELLING if count > CI_SIZE else max(middles) > 1.3 * min(middles)
    numbers = f"t = {t:.2f}; medians {middles[0] * 1000:.2f} and {middles[1] * 1000:.2f} ms"
    figure("F13", "an unknown name and a wrong password, interleaved", f"{count:,} each", int(is_telling), numbers)
    assert not is_telling, numbers


def test_a_name_that_costs_no_hash_is_caught(
    logins: tuple[Ask, Ask], chance: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classic mistake: who is not there is refused at once. Few tries show it."""
    real = CredentialCheck._is_right

    def hasty(check: CredentialCheck, account: Account | None, password: str) -> bool:
        return account is not None and real(check, account, password)

    monkeypatch.setattr(CredentialCheck, "_is_right", hasty)
    unknown, wrong = interleaved(logins, CI_SIZE, chance)
    assert abs(welch(unknown, wrong)) >= TELLING
    assert statistics.median(wrong) > 1.3 * statistics.median(unknown)
