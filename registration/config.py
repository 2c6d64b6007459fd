"""Settings of registration."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from common.config import SettingsReader
from common.rate_limit import Quota

_TOPIC = r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}"

_MAIL_ADDRESS = r"[\x21-\x3f\x41-\x7e]+@[A-Za-z0-9.-]+"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class RegistrationMode(StrEnum):
    """Who may register an account: every client, every client with a proof of work, or none."""

    OPEN = "open"
    WORK = "work"
    CLOSED = "closed"


class MailServer(Struct, frozen=True):
    """Where mails are handed in, as whom, and their sender. One that is not on this machine is spoken to over TLS."""

    host: str
    port: int
    user: str
    password: str
    sender: str
    is_loopback: bool


class RegistrationSettings(Struct, frozen=True):
    """How often a password and a code may be guessed, how many accounts may be registered, and where notices go.

    Passwords by account and source, by account, and by source; codes by account; accounts by source and in all (None:
    any number). `otp_issuer`: under which name an authenticator app lists our accounts. `closed_kept`: how long a
    closed account can be reopened before its data goes. `join_by_approval`: whether a browser may join without the
    password, if the active devices' users approve it.
    """

    registration: RegistrationMode
    registrations_source: Quota
    registrations: Quota | None

    login_attempts_account_source: Quota
    login_attempts_account: Quota
    login_attempts_source: Quota
    login_attempts_otp: Quota
    otp_issuer: str
    aws_region: str
    sns_topic_arn: str
    mail: MailServer | None
    closed_kept: timedelta
    join_by_approval: bool


def read_settings(reader: SettingsReader) -> RegistrationSettings:
    """Read them; faults stay with the reader."""
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    otp_issuer = reader.text("ICHIDAI_OTP_ISSUER", "Ichidai")
    if ":" in otp_issuer:
        reader.fault("ICHIDAI_OTP_ISSUER must not hold a colon: apps end the name there")
    return RegistrationSettings(
        registration=RegistrationMode(
            reader.choice("ICHIDAI_REGISTRATION", RegistrationMode.OPEN, tuple(RegistrationMode))
        ),
        registrations_source=Quota(reader.integer("ICHIDAI_REGISTRATIONS_SOURCE", 200, 1, 1_000_000), 30 * second),
        registrations=_in_all(reader),
        login_attempts_account_source=Quota(
            reader.integer("ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE", 10, 1, 1_000_000), minute
        ),
        login_attempts_account=Quota(reader.integer("ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT", 50, 1, 1_000_000), minute),
        login_attempts_source=Quota(reader.integer("ICHIDAI_LOGIN_ATTEMPTS_SOURCE", 100, 1, 1_000_000), second),
        login_attempts_otp=Quota(reader.integer("ICHIDAI_LOGIN_ATTEMPTS_OTP", 10, 1, 1_000_000), 15 * minute),
        otp_issuer=otp_issuer,
        aws_region=reader.text("AWS_REGION", ""),
        sns_topic_arn=_topic(reader),
        mail=_mail(reader),
        closed_kept=timedelta(days=reader.integer("ICHIDAI_CLOSE_DAYS", 14, 1, 3650)),
        join_by_approval=reader.boolean("ICHIDAI_JOIN_BY_APPROVAL", default=False),
    )


def _in_all(reader: SettingsReader) -> Quota | None:
    if reader.text("ICHIDAI_REGISTRATIONS", "off") == "off":
        return None
    an_hour = reader.integer("ICHIDAI_REGISTRATIONS", 1, 1, 1_000_000)
    return Quota(an_hour, timedelta(hours=1) / an_hour)


def _mail(reader: SettingsReader) -> MailServer | None:
    """Read where mails go. What is wrong is told without quoting the address: a password may be in it."""
    address, sender = reader.text("ICHIDAI_MAIL", "off"), reader.text("ICHIDAI_MAIL_FROM", "")
    if sender and not re.fullmatch(_MAIL_ADDRESS, sender):
        reader.fault(f"ICHIDAI_MAIL_FROM must be a mail address, not {sender!r}")
    if address == "off":
        return None
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or 0
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme != "smtp" or not host or not port or parts.path.strip("/") or parts.query or parts.fragment:
        reader.fault("ICHIDAI_MAIL must be off or smtp://[user:password@]host:port")
        return None
    is_loopback = host in _LOOPBACK
    if not sender and not is_loopback:
        reader.fault("ICHIDAI_MAIL_FROM is needed where the mail server is on another machine")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(host, port, user, password, sender or "ichidai@localhost", is_loopback)


def _topic(reader: SettingsReader) -> str:
    topic = reader.text("SNS_TOPIC_ARN", "dummy")
    if topic != "dummy" and not re.fullmatch(_TOPIC, topic):
        example = "arn:aws:sns:eu-central-1:123456789012:devices"
        reader.fault(f"SNS_TOPIC_ARN must be dummy or a topic such as {example}, not {topic!r}")
    return topic
