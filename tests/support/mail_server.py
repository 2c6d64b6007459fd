"""A real SMTP server on this machine, and the mails that it was handed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.ports import free_port

WAIT_SECONDS = 60


class Mailbox:
    """What arrived, and under which ids it was tried. `refuse`: the server takes nothing, as one that is overloaded."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuse = False
        self.ids: list[str] = []
        self._arrived = threading.Condition()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Take a mail, or refuse it for now."""
        with self._arrived:
            content = envelope.content
            assert isinstance(content, bytes)
            mail = message_from_bytes(content, policy=policy.default)
            self.ids.append(mail["Message-ID"])
            if not self.refuse:
                self.mails.append(mail)
            self._arrived.notify_all()
        return "451 later" if self.refuse else "250 taken"

    @property
    def tries(self) -> int:
        """How often a mail was handed over."""
        return len(self.ids)

    def wait(self, count: int) -> list[EmailMessage]:
        """Wait until so many have arrived, and return them."""
        self.wait_for(lambda: len(self.mails) >= count)
        return list(self.mails)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Wait until what has arrived fulfils a condition."""
        with self._arrived:
            assert self._arrived.wait_for(is_so, WAIT_SECONDS), len(self.mails)

    def link(self, kind: str) -> str:
        """Return the token of the newest link of a kind."""
        for mail in reversed(self.mails):
            found = link_in(mail, kind)
            if found:
                return found
        raise AssertionError(f"no {kind} link among {len(self.mails)} mails")


def link_in(mail: EmailMessage, kind: str) -> str:
    """Return the token of a mail's link of a kind ("": it has none)."""
    found = re.search(rf"#{kind}=(\S+)", text_of(mail))
    return found[1] if found else ""


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
