"""The whole suite in this process, over a real file, with a clock that a test moves and a store that it can trouble."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.account.book import Book
from common.account.history import HistoryRecord, Reason
from common.account.outbox import read_records
from common.clock import from_millis, to_millis
from common.crypto.passwords import CHEAP_FOR_TESTS, new_password_hash
from common.storage.port import Store
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, SESSIONS, THROTTLE, USERS
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import DEV_PORTS, App
from ichidai.wiring.build import build
from registration.account_model import Account
from tests.usecases.watched_store import WatchedStore

T0 = datetime(2036, 11, 21, 9, 0, tzinfo=UTC)  # in the future: DynamoDB deletes what expired by its own clock
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
IDLE = DAY + MINUTE
"""After so long without activity a session expires: the idle time, and what "last seen" may be late by."""
PASSWORD = "correct horse battery"

Content = Mapping[str, Sequence[Any]]


class HandClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = T0) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return where the hand stands, cut to milliseconds as every clock's time is."""
        return from_millis(to_millis(self.now))

    def move(self, by: timedelta) -> None:
        """Move the hand on."""
        self.now += by


@dataclass(frozen=True)
class Device:
    """A registered device: its certificate's fingerprint, and what the registration answered."""

    fingerprint: str
    device_id: str
    answer: dict[str, Any]


@dataclass(frozen=True)
class Person:
    """A registered person with the first device."""

    uuid: str
    username: str
    first: Device
    password: str = PASSWORD


@dataclass(frozen=True)
class Login:
    """A session as its device knows it."""

    access: str
    refresh: str
    session_id: str
    device_id: str
    answer: dict[str, Any]


class InProcessSuite:
    """One process of the suite. Several may stand on the same file, each with a clock and settings of its own."""

    def __init__(
        self,
        folder: Path,
        keys: Path,
        clock: HandClock,
        store: Store | None = None,
        wrap: Callable[[WatchedStore], Store] = lambda store: store,
        **settings: str,
    ) -> None:
        """`store`: one that stands in for the file; `wrap`: what the suite has before it, and the test has not."""
        self.file = folder / "store.db"
        self.clock = clock
        self.store = WatchedStore(store or SqliteStore(self.file, ALL, clock))
        witness = str(folder / "witness.json")  # the keys are shared by stores that have nothing in common
        read = read_settings({"ICHIDAI_KEYS_DIR": str(keys), "ICHIDAI_WITNESS_FILE": witness, **settings})
        suite = build(read, App.ALL, DEV_PORTS[App.ALL], clock=clock, cost=CHEAP_FOR_TESTS, store=wrap(self.store))
        self.suite = suite
        self.client = app_for(App.ALL, suite).test_client()
        self.store.watch()

    def close(self) -> None:
        """Do what is left to do after answers, and let go of the file."""
        self.suite.mailing.later.close()
        self.store.close()

    # What a client does.

    def post(self, path: str, body: Any = None, token: str | None = None, **headers: str) -> TestResponse:
        """Send a body, with an access token where one is given."""
        return self.client.post(path, json=body, headers=_headers(token, headers))

    def get(self, path: str, token: str | None = None, **query: object) -> TestResponse:
        """Ask for something."""
        return self.client.get(path, headers=_headers(token, {}), query_string=query)

    def register(self, username: str = "anna", device_name: str = "Phone") -> Person:
        """Register a person with a first device."""
        body = {
            "username": username,
            "email": f"{username}@example.test",
            "password": PASSWORD,
            "device_name": device_name,
        }
        answer = _good(self.post("/registration/", body))
        return Person(answer["uuid"], username, _device(answer))

    def qr_code(self, person: Person, device: Device | None = None) -> str:
        """Ask for a pairing token on a device of the person's."""
        body = {**_name(person), "client_cert_fp": (device or person.first).fingerprint}
        return str(_good(self.post("/registration/request_pairing_token", body))["qr_code"])

    def pair(self, person: Person, device_name: str = "Laptop") -> Device:
        """Register another device by QR code; it is not logged in."""
        body = {**_name(person), "qr_code": self.qr_code(person), "device_name": device_name}
        return _device(_good(self.post("/registration/", body)))

    def login(self, person: Person, device: Device | None = None, path: str = "/login", **more: Any) -> TestResponse:
        """Try to log in."""
        fingerprint = (device or person.first).fingerprint
        return self.post(path, {**_name(person), "client_cert_fp": fingerprint, **more})

    def log_in(self, person: Person, device: Device | None = None, **more: Any) -> Login:
        """Log in, which must succeed."""
        return as_login(self.login(person, device, **more))

    def take_over(self, question: TestResponse, device: Device, path: str = "/login/takeover") -> TestResponse:
        """Consent to a question on a device."""
        token = question.get_json()["takeover"]["token"]
        return self.post(path, {"takeover_token": token, "client_cert_fp": device.fingerprint})

    def verify(self, login: Login) -> TestResponse:
        """Use a session."""
        return self.get("/session/verify", login.access)

    def wait_a_second(self) -> None:
        """Let the background write what was noted, as it does once a second."""
        assert self.suite.last_seen.flush()

    def refresh(self, refresh_token: str) -> TestResponse:
        """Use a refresh token."""
        return self.post("/session/refresh", {"refresh_token": refresh_token})

    # What lies in the store.

    def book(self, person: Person) -> Book:
        """Return the person's book."""
        item = self.store.inner.get(SESSIONS.key(person.uuid))
        assert item is not None
        return Book.from_item(item)

    def put_book(self, book: Book) -> None:
        """Write a book by hand, as a part that is not built yet would."""
        self.store.inner.put(SESSIONS, replace(book, version=book.version + 1).to_item())

    def change_password(self, person: Person, password: str) -> Person:
        """Change a password by hand: hash and epoch together, all sessions out."""
        item, book = self.store.inner.get(USERS.key(person.uuid)), self.book(person)
        account = replace(
            Account.from_item(item),
            password=new_password_hash(password, CHEAP_FOR_TESTS),
            credential_version=book.credential_version + 1,
        )
        self.store.inner.put(USERS, account.to_item())
        self.put_book(replace(book, credential_version=book.credential_version + 1, sessions={}))
        return dataclasses.replace(person, password=password)

    def history(self, person: Person) -> list[HistoryRecord]:
        """Return the whole history, oldest first."""
        return list(reversed(read_records(self.store.inner, person.uuid, before=None, limit=1000)))

    def endings(self, person: Person) -> list[tuple[str | None, Reason | str | None, datetime]]:
        """Return which sessions ended why and when, in order."""
        events = [event for entry in self.history(person) for event in entry.events]
        return [(event.session_id, event.reason, event.at) for event in events if event.reason is not None]

    def content(self, *, failures: bool = False) -> Content:
        """Return all that lies in the store but the counters of guesses and, by default, the failed logins."""
        tables = [table for table in ALL if table is not THROTTLE]
        with closing(sqlite3.connect(self.file)) as connection:
            rows = {
                table.name: connection.execute(f'SELECT partition, sort, item FROM "{table.name}"').fetchall()  # noqa: S608
                for table in tables
            }
        return {
            name: sorted(row for row in found if failures or "#failures" not in row[0]) for name, found in rows.items()
        }


def as_login(answer: TestResponse) -> Login:
    """Return the session of an answer, which must be a success."""
    fields = _good(answer)
    return Login(fields["access_token"], fields["refresh_token"], fields["session_id"], fields["device_id"], fields)


def as_enrolled(person: Person, answer: TestResponse, password: str) -> tuple[Person, Device]:
    """Return the person with a new password, and the device of an answer, which must be a success."""
    fields = _good(answer)
    assert fields["uuid"] == person.uuid
    return dataclasses.replace(person, password=password), _device(fields)


def account(suite: InProcessSuite, session: Login) -> Any:
    """Return what the suite says of the caller's account."""
    return suite.get("/registration/account", session.access).get_json()


def code_of(answer: TestResponse) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status_code, answer.get_json()["code"]


def ended(answer: TestResponse) -> str:
    """Return why a session has ended, which must be what the answer tells."""
    assert code_of(answer) == (401, "session-ended")
    return str(answer.get_json()["reason"])


def _headers(token: str | None, headers: Mapping[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return named if token is None else {"Authorization": f"Bearer {token}", **named}


def _name(person: Person) -> dict[str, str]:
    return {"username": person.username, "password": person.password}


def _device(answer: dict[str, Any]) -> Device:
    return Device(answer["client_cert_fp"], answer["device_id"], answer)


def _good(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    fields: dict[str, Any] = answer.get_json()
    return fields
