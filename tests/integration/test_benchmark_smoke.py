"""A brief look, with wide margins, at what `dev.py bench` measures: a busy machine is not seen, a regression is.

Processor time of this process alone, medians of rounds in turns. How often the store is asked is exact elsewhere:
`tests/proof/test_costs.py` for every operation, `tests/usecases/test_fast_path.py` for the way that verifications take.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from benchmarks import bare, population, suite
from benchmarks.inside import Inside, Takeovers
from benchmarks.measuring import Sample, interleaved
from common.crypto.certificates import KeyKind
from common.crypto.passwords import CHEAP_FOR_TESTS, OWASP_MINIMUM, new_password_hash
from ichidai.apps import app_for
from ichidai.client.keys import DeviceKeys
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build

ROUNDS, CALLS = 5, 3


def cost(run: Callable[[], object], calls: int = CALLS) -> Sample:
    """Return the milliseconds of processor that a call takes."""
    begun = time.process_time()
    for _ in range(calls):
        run()
    return {"cpu": (time.process_time() - begun) / calls * 1000}


def test_a_login_and_a_registration_cost_little_more_than_the_hash(tmp_path: Path) -> None:
    """Measured 1.2 and 1.3 hashes; a picture drawn by qrcode would add 1.2. A refresh takes 0.05."""
    people = population.load(suite.settings_in(tmp_path), 50)
    joined = build(read_settings(people.settings), App.ALL, 8000)
    client, numbers = app_for(App.ALL, joined).test_client(), itertools.count()
    persons = itertools.cycle(people.people)
    tokens = iter(people.granted(people.people))

    def post(path: str, body: object) -> None:
        answer = client.post(path, data=json.dumps(body), content_type="application/json")
        assert answer.status_code == 200, answer.get_data(as_text=True)

    def login() -> None:
        person = next(persons)
        proof = {"username": person.username, "password": population.PASSWORD}
        post("/login", {**proof, "client_cert_fp": person.fingerprints[0]})

    def register() -> None:
        name = f"newcomer-{next(numbers)}"
        own = DeviceKeys.make(KeyKind.CLASSICAL).enrolment(joined.addresses.issuer, name, None)
        post(
            "/registration/",
            {"username": name, "email": f"{name}@example.test", "password": population.PASSWORD, **own},
        )

    def refresh() -> None:
        post("/session/refresh", {"refresh_token": next(tokens).refresh_token})

    cases = {
        "hash": partial(cost, lambda: new_password_hash(population.PASSWORD, OWASP_MINIMUM)),
        "login": partial(cost, login),
        "register": partial(cost, register),
    }
    refreshed = interleaved({"refresh": partial(cost, refresh)}, ROUNDS, lambda _told: None)  # before a login ends one
    measured = {**refreshed, **interleaved(cases, ROUNDS, lambda _told: None)}
    joined.close()
    of_hash = {name: found["cpu"].median / measured["hash"]["cpu"].median for name, found in measured.items()}
    assert of_hash["login"] < 1.6, of_hash
    assert of_hash["register"] < 1.8, of_hash
    assert of_hash["refresh"] < 0.3, of_hash


def test_twenty_times_the_accounts_change_nothing(tmp_path: Path) -> None:
    """Verification, lists and takeover cost the same; a search through all accounts would take twenty times."""
    few, many = (
        Inside(population.load(suite.settings_in(tmp_path / str(count)), count, 2, cost=CHEAP_FOR_TESTS))
        for count in (300, 6_000)
    )
    paths = ("/session/verify", "/device/list", "/session/history")
    cases = {}
    for name, inside in (("few", few), ("many", many)):
        for path in paths:
            cases[name, path] = partial(_asked, inside, path)
        cases[name, "takeover"] = partial(cost, partial(Takeovers(inside).run, 1), 8)
    measured = interleaved({" ".join(case): run for case, run in cases.items()}, ROUNDS, lambda _told: None)
    few.close()
    many.close()
    for what in (*paths, "takeover"):
        grown = measured[f"many {what}"]["cpu"].median / measured[f"few {what}"]["cpu"].median
        assert grown < 1.8, (what, grown)


def _asked(inside: Inside, path: str) -> Sample:
    tokens = iter(inside.tokens(15))
    return cost(lambda: inside.get(path, next(tokens)), 15)


def test_the_bare_write_is_conditional(tmp_path: Path) -> None:
    """The unit that a takeover's commit is measured by counts each row's changes, and fails where it lost one."""
    write = bare.durable_write(tmp_path / "bare.sqlite", 10)
    for _ in range(20):
        write()
    with closing(sqlite3.connect(tmp_path / "bare.sqlite")) as connection:
        assert connection.execute("SELECT sum(version) FROM book").fetchone() == (20,)
        connection.execute("UPDATE book SET version = 9")
        connection.commit()
    with pytest.raises(AssertionError):
        write()
