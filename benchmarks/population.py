"""Many accounts at once: one registers and logs in through the suite's own routes, the others are its copies.

A copy has ids, names and fingerprints of its own and otherwise the same rows: its size, its password and its way
through the code are those of a real account, only Argon2id and the certificates are not paid a million times. The rows
go into SQLite's file directly, while no server runs on it. `python3 dev.py load` runs this.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from flask.testing import FlaskClient

from common.account.admission import IssuedTokens
from common.clock import Clock, system_clock
from common.crypto.passwords import OWASP_MINIMUM, Argon2Cost
from ichidai.apps import app_for
from ichidai.settings import FILE_NAME, read_settings
from ichidai.topology import App
from ichidai.wiring.build import build
from ichidai.wiring.services import Services, SessionAuthenticator
from session_manager.session_service import issue_tokens

PASSWORD = "correct horse 42 battery"  # noqa: S105 - of nobody
_NAME, _MAIL = "bench-{:09d}", "bench-{:09d}@example.test"
_KEY_CLAIM = "key#"
_BATCH = 1000
_TABLES = ("UsersTable", "NamesTable", "SessionsTable", "DevicesTable", "DeviceKeysTable", "LoginHistory")
_KEPT_IDS = 20_000
_QUICK = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-524288; PRAGMA temp_store=MEMORY;"

Row = tuple[str, str, str | int, bytes, int | None]
"""Of which table, and what SQLite keeps there: partition, sort, item, expires_at."""


@dataclass(frozen=True, slots=True)
class Original:
    """The account that the others are copies of: its rows, and what in them is its own.

    `digests`: the fingerprints of its devices' certificates, then the names that their keys are claimed by.
    """

    rows: Sequence[Row]
    ids: Sequence[str]
    digests: Sequence[str]
    devices: int


@dataclass(frozen=True, slots=True)
class Person:
    """One of the accounts: its number, its id, and the fingerprints of its devices' certificates."""

    number: int
    user_uuid: str
    fingerprints: Sequence[str]

    @property
    def username(self) -> str:
        """Its name; its password is PASSWORD."""
        return _NAME.format(self.number)


@dataclass(frozen=True, slots=True)
class Population:
    """A loaded data folder, and some of the people in it, drawn from all."""

    settings: Mapping[str, str]
    accounts: int
    people: Sequence[Person]
    bytes: int

    def tokens(self, count: int) -> list[str]:
        """Return an access token of the newest session of so many people, each of another account."""
        return [pair.access_token for pair in self.granted(self.people[:count])]

    def granted(self, people: Sequence[Person]) -> list[IssuedTokens]:
        """Return new tokens of the newest session of each."""
        suite = _suite(self.settings)
        try:
            return granted(suite, people)
        finally:
            suite.close()


def load(
    settings: Mapping[str, str],
    accounts: int,
    devices: int = 1,
    step: Callable[[int], None] = lambda _made: None,
    cost: Argon2Cost = OWASP_MINIMUM,
) -> Population:
    """Fill a new data folder with accounts, every device of theirs logged in as far as the limit lets it."""
    original = _original(settings, devices, cost)
    path = Path(settings["ICHIDAI_DATA_DIR"]) / FILE_NAME
    chance = random.Random(accounts)
    kept, every = [], max(1, accounts // _KEPT_IDS)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(_QUICK)
        for begin in range(1, accounts, _BATCH):
            people = [_person(original, number, chance) for number in range(begin, min(accounts, begin + _BATCH))]
            _insert(connection, original, people)
            kept += [person for person in people if person.number % every == 0]
            step(begin + len(people))
        connection.executescript("PRAGMA optimize; PRAGMA journal_mode=WAL;")
    chance.shuffle(kept)
    return Population(settings, accounts, kept, path.stat().st_size)


def _original(settings: Mapping[str, str], devices: int, cost: Argon2Cost) -> Original:
    """Register the account number 0 with its devices, log them in, and read what the store has of it an hour later.

    What a book carries of its last changes is laid down by then, as it is with most accounts at most times.
    """
    suite = _suite(settings, cost, lambda: system_clock() - timedelta(hours=1))
    client = app_for(App.ALL, suite).test_client()
    proof = {"username": _NAME.format(0), "password": PASSWORD}
    answers = [_posted(client, "/registration/", {**proof, "email": _MAIL.format(0)})]
    while len(answers) < devices:
        answers.append(_posted(client, "/registration/", {**proof, "qr_code": answers[-1]["qr_code"]}))
    fingerprints = [answer["client_cert_fp"] for answer in answers]
    logins = [_posted(client, "/login", {**proof, "client_cert_fp": each, "force": True}) for each in fingerprints]
    suite.close()
    _refresh(settings, logins[-1]["refresh_token"])
    own = [logins[0]["user_uuid"], *(a["device_id"] for a in answers), *(a["session_id"] for a in logins)]
    path = Path(settings["ICHIDAI_DATA_DIR"]) / FILE_NAME
    with closing(sqlite3.connect(path)) as connection:
        rows = list(_rows(connection))
    claims = [partition.removeprefix(_KEY_CLAIM) for _, partition, *_ in rows if partition.startswith(_KEY_CLAIM)]
    return Original(rows, own, [*fingerprints, *claims], devices)


def _rows(connection: sqlite3.Connection) -> Iterator[Row]:
    for table in _TABLES:
        for row in connection.execute(f'SELECT partition, sort, item, expires_at FROM "{table}"'):  # noqa: S608 - a name of ours
            yield (table, *row)


def _person(original: Original, number: int, chance: random.Random) -> Person:
    fingerprints = [f"{chance.getrandbits(256):064x}" for _ in range(original.devices)]
    return Person(number, str(UUID(int=chance.getrandbits(128), version=4)), fingerprints)


def _insert(connection: sqlite3.Connection, original: Original, people: Sequence[Person]) -> None:
    connection.execute("BEGIN")
    changes = [_changes(original, person) for person in people]
    for table, *row in original.rows:
        own = [_own_of(original, cell) for cell in row]
        rows = [
            tuple(_changed(cell, change, which) for cell, which in zip(row, own, strict=True)) for change in changes
        ]
        connection.executemany(f'INSERT INTO "{table}" (partition, sort, item, expires_at) VALUES (?, ?, ?, ?)', rows)  # noqa: S608
    connection.execute("COMMIT")


def _changes(original: Original, person: Person) -> Sequence[tuple[str, str]]:
    """Return what stands in the copy in place of what. Ids of sessions and devices follow from the person's."""
    chance = random.Random(person.user_uuid)
    others = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in original.ids[1:]]
    claims = [f"{chance.getrandbits(256):064x}" for _ in original.digests[original.devices :]]
    return [
        *zip(original.ids, (person.user_uuid, *others), strict=True),
        *zip(original.digests, (*person.fingerprints, *claims), strict=True),
        (_NAME.format(0), _NAME.format(person.number)),
    ]


def _own_of(original: Original, cell: Any) -> Sequence[int]:
    """Return which of the changes a cell of the original needs: most rows name a few of its ids."""
    text = cell.decode() if isinstance(cell, bytes) else cell
    own = (*original.ids, *original.digests, _NAME.format(0))
    return [number for number, old in enumerate(own) if old in text] if isinstance(text, str) else []


def _changed(cell: Any, changes: Sequence[tuple[str, str]], which: Sequence[int]) -> Any:
    for old, new in (changes[number] for number in which):
        cell = cell.replace(old.encode(), new.encode()) if isinstance(cell, bytes) else cell.replace(old, new)
    return cell


def _posted(client: FlaskClient, path: str, body: Mapping[str, object]) -> Any:
    answer = client.post(path, json=body)
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.get_data(as_text=True)}")
    return answer.get_json()


def _refresh(settings: Mapping[str, str], refresh_token: str) -> None:
    """Refresh a session and use it, now."""
    suite = _suite(settings)
    client = app_for(App.ALL, suite).test_client()
    token = _posted(client, "/session/refresh", {"refresh_token": refresh_token})["access_token"]
    client.get("/session/verify", headers={"Authorization": f"Bearer {token}"})
    suite.last_seen.flush()
    suite.close()


def _suite(settings: Mapping[str, str], cost: Argon2Cost = OWASP_MINIMUM, clock: Clock | None = None) -> Services:
    return build(read_settings(settings), App.ALL, 8000, cost=cost, clock=clock)


def granted(suite: Services, people: Sequence[Person]) -> list[IssuedTokens]:
    """Return new tokens of the newest session of each."""
    return [_granted(suite, person.user_uuid) for person in people]


def _granted(suite: Services, user_uuid: str) -> IssuedTokens:
    authenticator = suite.context.authenticator
    if not isinstance(authenticator, SessionAuthenticator):
        raise TypeError(type(authenticator).__name__)
    book = authenticator.dependencies.transactions.get_book(user_uuid)
    if book is None:
        raise KeyError(user_uuid)
    return issue_tokens(authenticator.dependencies, book, "bench", book.in_order()[-1])


def main(arguments: Sequence[str]) -> int:
    """Load a folder and tell one token, to try it with."""
    parser = argparse.ArgumentParser(prog="python3 dev.py load", description="Fill a new data folder with accounts.")
    parser.add_argument("folder", type=Path, help="the data folder (ICHIDAI_DATA_DIR); it must not be there yet")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--devices", type=int, default=1, help="of each account, all logged in (1 to 10)")
    asked = parser.parse_args(arguments)
    if asked.folder.exists():
        parser.error(f"{asked.folder} is there already")
    settings = {"ICHIDAI_DATA_DIR": str(asked.folder), "MAX_CONCURRENT_DEVICES": str(asked.devices)}
    loaded = load(settings, asked.accounts, asked.devices, lambda made: print(f"\r{made:,}", end="", flush=True))
    print(f"\r{asked.accounts:,} accounts, {loaded.bytes / asked.accounts:,.0f} bytes each, names {_NAME.format(0)} …")
    print(f"password {PASSWORD!r}; a token, good for ten minutes:")
    print(next(iter(loaded.tokens(1)), ""))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
