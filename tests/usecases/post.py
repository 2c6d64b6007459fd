"""A suite that sends mails to a real SMTP server, and what its user does with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werkzeug.test import TestResponse

from tests.support.mail_server import Mailbox
from tests.usecases.in_process_suite import Device, InProcessSuite, Person, as_enrolled

NEW = "an altogether new phrase of mine"


@dataclass(frozen=True)
class Post:
    """A suite that sends mails, and where they arrive."""

    suite: InProcessSuite
    mailbox: Mailbox

    def settle(self) -> None:
        """Wait for what happens after answers, and send what waits, as a worker does."""
        assert self.suite.suite.mailing.later.finish(20)
        self.suite.suite.mail_queue.send_due()

    def forgot(self, **name: str) -> TestResponse:
        """Ask for a link."""
        return self.suite.post("/registration/password/forgot", name)

    def confirmed(self, username: str = "anna") -> Person:
        """Register a person, who confirms the address by the link of the first mail."""
        person = self.suite.register(username)
        self.settle()
        answer = self.suite.post("/registration/email/confirm", {"token": self.mailbox.link("confirm")})
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return person

    def asked(self, person: Person) -> str:
        """Ask for a link for a new password; return its token."""
        assert self.forgot(username=person.username).status_code == 200
        self.settle()
        return self.mailbox.link("reset")

    def reset(self, token: str, **more: Any) -> TestResponse:
        """Choose a new password in an empty browser."""
        body = {"token": token, "new_password": NEW, "device_name": "New phone"}
        return self.suite.post("/registration/password/reset", {**body, **more})

    def chosen(self, person: Person, token: str, **more: Any) -> tuple[Person, Device]:
        """Choose a new password, which must succeed; return the person with it, and the new device."""
        return as_enrolled(person, self.reset(token, **more), NEW)
