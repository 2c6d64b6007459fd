"""Looking whether mails would be taken: by the way that they are sent, up to the mail itself. None is sent."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence

from registration.config import MailServer
from registration.mail_queue import connected

_ANSWER_SECONDS = 5.0
_TAKEN = 250


def mail_fault(server: MailServer) -> str | None:
    """Return what keeps a server from taking mails, with its remedy; None for a good one. It quotes no password."""
    here = f"{server.host}:{server.port}"
    try:
        with connected(server, _ANSWER_SECONDS) as connection:
            connection.ehlo_or_helo_if_needed()
            code, _ = connection.mail(server.sender)
            connection.rset()
    except (OSError, smtplib.SMTPException) as error:
        return f"No mail will be sent: {_told(error, here)}"
    if code != _TAKEN:
        return f"No mail will be sent: {here} refuses the sender {server.sender} ({code}): set ICHIDAI_MAIL_FROM."
    return None


def _told(error: OSError | smtplib.SMTPException, here: str) -> str:
    """Return what went wrong and what to do."""
    known = next((text for kind, text in _REMEDIES if isinstance(error, kind)), _OTHERWISE)
    if isinstance(error, smtplib.SMTPNotSupportedError) and "STARTTLS" in str(error):
        known = _NO_TLS
    detail = getattr(error, "verify_message", "") or getattr(error, "smtp_code", "") or type(error).__name__
    return known.format(here=here, detail=detail)


_NO_TLS = "{here} offers no TLS (STARTTLS): switch it on there, or name the port that has it, often 587."
_OTHERWISE = "{here} cannot be spoken to ({detail}): check ICHIDAI_MAIL."
_REMEDIES: Sequence[tuple[type[Exception], str]] = (
    (socket.gaierror, "{here} has no address: check the host in ICHIDAI_MAIL, and the DNS of this machine."),
    (
        ConnectionRefusedError,
        "nothing listens at {here}: check host and port in ICHIDAI_MAIL, and that the mail server runs.",
    ),
    (TimeoutError, "{here} does not answer: check the port in ICHIDAI_MAIL, and the firewalls between."),
    (
        ssl.SSLCertVerificationError,
        "the certificate of {here} is not good ({detail}): name the server as its certificate does, or renew it.",
    ),
    (
        smtplib.SMTPAuthenticationError,
        "{here} refuses the user or the password ({detail}): check those in ICHIDAI_MAIL.",
    ),
    (
        smtplib.SMTPNotSupportedError,
        "{here} takes no logins: leave user and password out of ICHIDAI_MAIL, or name another port.",
    ),
    (
        smtplib.SMTPServerDisconnected,
        "{here} hangs up: name the port that speaks in clear first and has STARTTLS, often 587; not 465.",
    ),
)
