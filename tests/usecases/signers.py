"""People's devices that sign, in a suite of the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.test import TestResponse

from tests.support.signing import Keys, digest, given_keys
from tests.usecases.in_process_suite import Content, Device, InProcessSuite, Person


@dataclass(frozen=True)
class Signer:
    """A device of a person's with its keys."""

    suite: InProcessSuite
    person: Person
    device: Device
    keys: Keys

    def ask(self, purpose: str, **more: object) -> TestResponse:
        """Ask for a challenge."""
        body = {"username": self.person.username, "password": self.person.password}
        body |= {"client_cert_fp": self.device.fingerprint, "purpose": purpose}
        return self.suite.post("/login/challenge", {**body, **more})

    def asked(self, purpose: str) -> Any:
        """Ask for a challenge and be given one."""
        answer = self.ask(purpose)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()

    def proof(self, asked: Mapping[str, Any], purpose: str, token: str | None = None) -> dict[str, str]:
        """Sign a challenge."""
        acted_on = "-" if token is None else digest(token)
        return self.keys.proof(asked, purpose, self.person.uuid, self.device.device_id, acted_on)

    def prove(self, purpose: str) -> dict[str, str]:
        """Ask for a challenge and sign it."""
        return self.proof(self.asked(purpose), purpose)

    def login(self, path: str = "/login", **more: object) -> TestResponse:
        """Log in, proven as the path demands."""
        purpose = "force" if path == "/login/force" else "login"
        return self.suite.login(self.person, self.device, path, **{"proof": self.prove(purpose), **more})


def first_of(suite: InProcessSuite, username: str) -> Signer:
    """Register somebody; the server makes the keys."""
    person = suite.register(username)
    return Signer(suite, person, person.first, given_keys(person.first.answer))


def content(suite: InProcessSuite) -> Content:
    """Return all that lies in the store but challenges, counters and failures."""
    return {name: rows for name, rows in suite.content().items() if name != "ChallengesTable"}
