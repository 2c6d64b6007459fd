"""Mails that wait in the store, and the thread of each process that sends what is due.

A mail is taken by one worker at a time: taking it is a conditional write that makes it due again later, so a worker
that dies costs a pause and no mail. It is sent at least once, for 24 hours; then it is given up.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from itertools import islice

from msgspec.structs import replace

from common.clock import Clock
from common.ids import new_id
from common.metrics import Kind, gauge
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.paging import all_items
from common.storage.port import Conflict, Delete, Item, Store, StoreUnavailable
from common.storage.tables import MAILS
from registration.config import MailServer
from registration.email_sender import NOTICES
from registration.mail_model import KEPT, QUEUE, MailKind, QueuedMail
from registration.mail_texts import UnsendableMail, composed

POLL_SECONDS = 5.0
"""How often each process looks for mails that are due: of other processes, and those to be tried again."""

_AT_ONCE = 20
_MOST_COUNTED = 1000
_SMTP_SECONDS = 15

MAILS_WAITING = gauge("ichidai_mails_waiting", Kind.MOST, "Mails that wait to be sent; 1000 stands for more.")
MAILS_SECONDS = gauge("ichidai_mails_oldest_seconds", Kind.MOST, "How long the oldest of them has waited.")

_log = logging.getLogger(__name__)


class MailQueue:
    """Takes mails and sends them in the background; without a `server` it takes none. Any thread may call it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        server: MailServer | None,
        send: Callable[[MailServer, EmailMessage], None] | None = None,
        notice_link: Callable[[str, int], str] | None = None,
    ) -> None:
        """`notice_link`: makes the link that takes a change of an account back; what sends needs it."""
        self._store = store
        self._clock = clock
        self._server = server
        self._send = send or send_by_smtp
        self._notice_link = notice_link
        self._wanted = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._is_started = False

    @property
    def is_on(self) -> bool:
        """Whether mails are sent at all."""
        return self._server is not None

    @property
    def is_sending(self) -> bool:
        """Whether this process sends them."""
        return self.is_on and self._is_started

    def add(self, kind: MailKind, *, to: str, username: str, language: str, link: str, aside: str = "") -> None:
        """Let a mail wait to be sent. Raises StoreUnavailable."""
        now = self._clock()
        self.enqueue(QueuedMail(new_id(), kind, to, username, language, link, due=now, until=now + KEPT, aside=aside))

    def enqueue(self, mail: QueuedMail) -> None:
        """Let a mail wait; one that waits already waits once. Raises StoreUnavailable."""
        with suppress(Conflict):
            write_known(self._store, mail.put(), RetryBudget())
        self._run_in_background()
        self._wanted.set()

    def send_due(self) -> int:
        """Send what is due; return how many were sent. Raises StoreUnavailable."""
        server, now = self._server, self._clock()
        if server is None:
            return 0
        mails = _known(all_items(self._store, MAILS, QUEUE))
        due = islice((mail for mail in mails if mail.due <= now < mail.until), _AT_ONCE)
        return sum(self._sent(server, mail) for mail in list(due))

    def waiting(self) -> tuple[int, float]:
        """Return how many mails wait, up to a thousand, and for how many seconds the oldest has.

        Raises StoreUnavailable.
        """
        if self._server is None:
            return 0, 0.0
        now, page = self._clock(), self._store.query(MAILS, QUEUE, limit=_MOST_COUNTED)
        mails = [mail for mail in _known(page.items) if mail.until > now]
        oldest = min((mail.until for mail in mails), default=now + KEPT) - KEPT
        return len(mails), (now - oldest).total_seconds()

    def start(self) -> None:
        """Send from now on what is due, until `close`."""
        self._is_started = True
        self._run_in_background()

    def close(self) -> None:
        """End the thread; what waits is sent by others, or after the next start."""
        self._closed = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _sent(self, server: MailServer, mail: QueuedMail) -> bool:
        later, write = mail.taken(self._clock())
        try:
            write_known(self._store, write, RetryBudget())
        except Conflict:  # another worker has it
            return False
        try:
            self._send(server, composed(self._with_link(mail), server.sender))
        except UnsendableMail:
            NOTICES.add("mail", "dropped")
            _log.warning("mail %s is given up: no mail can have its address", mail.mail_id)
        except (OSError, smtplib.SMTPException) as error:
            NOTICES.add("mail", "failed")
            _log.warning("mail %s was not sent, try %d: %s", mail.mail_id, later.attempts, type(error).__name__)
            return False
        else:
            NOTICES.add("mail", "sent")
        write_known(self._store, Delete(later.key), RetryBudget())
        return True

    def _with_link(self, mail: QueuedMail) -> QueuedMail:
        """Return a notice with the link that takes its change back, and every other mail as it is."""
        if not mail.user_uuid or self._notice_link is None:
            return mail
        return replace(mail, link=self._notice_link(mail.user_uuid, mail.change_no))

    def _run_in_background(self) -> None:
        """Have a thread in this very process: a server may have forked since `start`, and threads stay behind."""
        with self._starting:
            is_running = self._thread is not None and self._thread.is_alive()
            if self._is_started and self.is_on and not is_running and not self._closed:
                self._thread = threading.Thread(target=self._run, name="mail", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            self._wanted.wait(POLL_SECONDS)
            self._wanted.clear()
            try:
                while not self._closed and self.send_due():
                    pass
            except StoreUnavailable as error:
                _log.warning("mails wait while the store is unavailable: %s", error)
            except Exception:  # noqa: BLE001 - the thread must outlive what nobody thought of
                _log.exception("mails could not be sent")


def send_by_smtp(server: MailServer, message: EmailMessage) -> None:
    """Hand a mail to the server. Raises OSError, SMTPException."""
    with connected(server) as connection:
        connection.send_message(message)


@contextmanager
def connected(server: MailServer, seconds: float = _SMTP_SECONDS) -> Iterator[smtplib.SMTP]:
    """Connect with the server, over TLS unless it is on this machine, and log in. Raises OSError, SMTPException."""
    with smtplib.SMTP(server.host, server.port, timeout=seconds) as connection:
        if not server.is_loopback:
            connection.starttls(context=ssl.create_default_context())
        if server.user:
            connection.login(server.user, server.password)
        yield connection


def _known(items: Iterable[Item]) -> Iterator[QueuedMail]:
    """Give the mails that this release can send."""
    return (mail for item in items if (mail := QueuedMail.from_item(item)) is not None)
