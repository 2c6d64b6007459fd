"""A mail server of the demo's own: on a free port of this machine, it keeps the mails that it is handed.

It speaks as much of SMTP as a client needs that sends one mail after another (RFC 5321), and passes nothing on.
"""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from typing_extensions import override

from ichidai.cli.demo_checks import StoryFailed
from ichidai.client.http_transport import HttpTransport

_HOST = "127.0.0.1"
_WAIT_SECONDS = 30.0
_LONGEST_LINE = 4096


class Mailbox:
    """The mails that have arrived, for any address. `url`: the server, as the setting `ICHIDAI_MAIL` has it."""

    def __init__(self, port: int) -> None:
        self.url = f"smtp://{_HOST}:{port}"
        self._mails: list[EmailMessage] = []
        self._arrived = threading.Condition()

    def take(self, content: bytes) -> None:
        """Keep a mail."""
        with self._arrived:
            self._mails.append(message_from_bytes(content, policy=policy.default))
            self._arrived.notify_all()

    def link(self, kind: str, address: str) -> str:
        """Wait for a mail to an address that has a link of a kind, and return the newest one's token.

        Raises StoryFailed when none comes.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._links(kind, address), _WAIT_SECONDS):
                raise StoryFailed(f"{address} must be sent a link of the kind {kind}, and was sent none")
            return self._links(kind, address)[-1]

    def confirm(self, base: str, address: str) -> None:
        """Wait for the link that confirms an address, and follow it. Raises StoryFailed, ClientError."""
        HttpTransport(base).call("POST", "/registration/email/confirm", {"token": self.link("confirm", address)})

    def _links(self, kind: str, address: str) -> list[str]:
        texts = [_text_of(mail) for mail in self._mails if mail["To"] == address]
        return [found[1] for text in texts if (found := re.search(rf"#{kind}=(\S+)", text))]


@contextmanager
def own_mailbox() -> Iterator[Mailbox]:
    """Serve SMTP meanwhile, and yield what arrives."""
    with _Server((_HOST, 0), _Receiver) as server:
        serving = threading.Thread(target=server.serve_forever, name="mail", daemon=True)
        serving.start()
        try:
            yield server.mailbox
        finally:
            server.shutdown()
            serving.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    @override
    def server_activate(self) -> None:
        super().server_activate()
        self.mailbox = Mailbox(self.server_address[1])


class _Receiver(socketserver.StreamRequestHandler):
    """One connection of a client."""

    server: _Server

    @override
    def handle(self) -> None:
        self._answer("220 ready")
        while line := self.rfile.readline(_LONGEST_LINE):
            match line[:4].upper():
                case b"DATA":
                    self._answer("354 go on")
                    self.server.mailbox.take(self._content())
                    self._answer("250 taken")
                case b"QUIT":
                    self._answer("221 bye")
                    return
                case _:
                    self._answer("250 ok")

    def _content(self) -> bytes:
        """Return the lines up to the one with a dot alone, without the dots that were put before others."""
        lines = []
        while (line := self.rfile.readline(_LONGEST_LINE)) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines)

    def _answer(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def _text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return "" if body is None else str(body.get_content())
