"""A real SMTP server on this machine, and the mails that it was handed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.ports import free_port

WAIT_SECONDS = 60


class Mailbox:
    """What arrived. `refuse`: the server takes nothing, as one that is overloaded."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuse = False
        self.tries = 0
        self._arrived = threading.Condition()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Take a mail, or refuse it for now."""
        with self._arrived:
            self.tries += 1
            if not self.refuse:
                content = envelope.content
                assert isinstance(content, bytes)
                self.mails.append(message_from_bytes(content, policy=policy.default))
            self._arrived.notify_all()
        return "451 later" if self.refuse else "250 taken"

    def wait(self, count: int) -> list[EmailMessage]:
        """Wait until so many have arrived, and return them."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.mails) >= count, WAIT_SECONDS), len(self.mails)
            return list(self.mails)

    def link(self, kind: str) -> str:
        """Return the token of the newest link of a kind."""
        for mail in reversed(self.mails):
            found = re.search(rf"#{kind}=(\S+)", text_of(mail))
            if found:
                return found[1]
        raise AssertionError(f"no {kind} link among {len(self.mails)} mails")


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(mail: EmailMessage) -> str:
    """Return the HTML of a mail."""
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


@contextmanager
def serving_mail() -> Iterator[tuple[str, Mailbox]]:
    """Serve SMTP on a free port of this machine; yield the address as `ICHIDAI_MAIL` has it, and what arrives."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{controller.port}", mailbox
    finally:
        controller.stop()
