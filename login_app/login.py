"""Logging in: password and device are proven, then the one way in decides; and the takeover, its second half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from common.admission import LimitReached, Newcomer, Proven
from common.book import Book
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
from common.crypto.tokens import ForgedToken, MacTokens
from common.errors import Code, Refusal
from common.granting import Admitted, Welcome
from common.history import Origin
from common.ids import new_id
from login_app.entry import Entry, check_unspent
from login_app.takeover import Asker


class CredentialCheck(Protocol):
    """The one check of passwords, from the registration room."""

    def prove(
        self, name: str, password: str, origin: Origin, *, by_email: bool = False, device_mark: str | None = None
    ) -> Proven:
        """Check a name's password."""

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """Note that a device logged in from here."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the use cases work with. `is_revoked(user_uuid, fingerprint)`: was this certificate the user's once?"""

    bookkeeper: Bookkeeper
    credentials: CredentialCheck
    entry: Entry
    device_tokens: MacTokens
    is_revoked: Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class LoginForm:
    """A login. `fingerprint` None only where no device proof is asked; `device_name` is for such a device."""

    name: str
    by_email: bool
    password: str
    fingerprint: str | None
    device_token: str | None
    device_name: str
    force: bool
    origin: Origin


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The welcome, and for a device without a certificate the token that makes it the same device next time."""

    welcome: Welcome
    device_token: str | None


@dataclass(frozen=True, slots=True)
class TakeoverForm:
    """A person's consent, sent by the device that asked. `fingerprint` as in `LoginForm`."""

    takeover_token: str
    fingerprint: str | None
    origin: Origin


def log_in(desk: Desk, form: LoginForm) -> LoggedIn:
    """Log a person in on a device.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, CERTIFICATE_MISMATCH, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED,
    FORCE_DISABLED, DEVICE_ACTIVE (the question), BUSY; StoreUnavailable.
    """
    told_id = _device_id_of(desk, form.device_token)
    proven = desk.credentials.prove(
        form.name, form.password, form.origin, by_email=form.by_email, device_mark=form.fingerprint or told_id
    )
    nameless = None if form.fingerprint else Newcomer(told_id or new_id(), proven.auth_time, form.device_name)
    session_id = new_id()

    def enter(snapshot: Snapshot) -> Change[Admitted]:
        if not snapshot.book.accepts(proven.epoch):
            raise Refusal(Code.BAD_CREDENTIALS, reason="the password was changed meanwhile")
        newcomer = nameless or _newcomer(snapshot.book, form.fingerprint, proven.auth_time, snapshot.now)
        consent = desk.entry.consent(proven.user_uuid, newcomer.device_id, force=form.force, takeover_token=None)
        admitted = desk.entry.admit(snapshot.draft, newcomer, consent, session_id, snapshot.now)
        return Change(admitted, admitted.draft)

    try:
        admitted = desk.bookkeeper.change(proven.user_uuid, enter, origin=form.origin)
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    except _NoSuchDevice:
        raise _unknown_certificate(desk, proven.user_uuid, form.fingerprint) from None
    except LimitReached as reached:
        raise desk.entry.question(_asker(proven.user_uuid, proven.username, reached), reached) from None
    return _welcome(desk, proven.user_uuid, proven.username, admitted, form.origin, form.fingerprint)


def take_over(desk: Desk, form: TakeoverForm) -> LoggedIn:
    """Log in on a consent: end exactly the sessions that were shown, if nobody else is active now.

    Raises Refusal: TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, CERTIFICATE_EXPIRED, DEVICE_ACTIVE (the question
    anew, nobody was ended), BUSY; StoreUnavailable.
    """
    takeover = desk.entry.read(form.takeover_token)
    asker, consent = takeover.asker, takeover.consent
    session_id = new_id()

    def enter(snapshot: Snapshot) -> Change[Admitted]:
        check_unspent(snapshot.book, consent, snapshot.now)
        newcomer = _same_device(snapshot.book, form.fingerprint, asker, snapshot.now)
        admitted = desk.entry.admit(snapshot.draft, newcomer, consent, session_id, snapshot.now)
        return Change(admitted, admitted.draft)

    try:
        admitted = desk.bookkeeper.change(asker.user_uuid, enter, origin=form.origin)
    except NoSuchUser:
        raise Refusal(Code.TAKEOVER_SPENT, reason="no book") from None
    except LimitReached as reached:
        raise desk.entry.question(asker, reached) from None
    return _welcome(desk, asker.user_uuid, asker.username, admitted, form.origin, form.fingerprint)


class _NoSuchDevice(Exception):
    """The fingerprint is that of no bound device."""


def _newcomer(book: Book, fingerprint: str | None, auth_time: datetime, now: datetime) -> Newcomer:
    """Return the bound device with this certificate as a newcomer."""
    device = book.device_with(fingerprint or "")
    if device is None:
        raise _NoSuchDevice
    if device.not_after <= now:
        raise Refusal(Code.CERTIFICATE_EXPIRED)
    return Newcomer(device.device_id, auth_time)


def _same_device(book: Book, fingerprint: str | None, asker: Asker, now: datetime) -> Newcomer:
    """Return the device that asked as a newcomer, if it is the one that now answers."""
    if asker.device_name is not None:
        return Newcomer(asker.subject, asker.auth_time, asker.device_name)
    try:
        newcomer = _newcomer(book, fingerprint or _fingerprint_of(book, asker), asker.auth_time, now)
    except _NoSuchDevice:
        raise Refusal(Code.DEVICE_MISMATCH, reason="no bound device") from None
    if newcomer.device_id != asker.subject:
        raise Refusal(Code.DEVICE_MISMATCH, reason="another device")
    return newcomer


def _fingerprint_of(book: Book, asker: Asker) -> str:
    """Return the asking device's fingerprint, for a takeover that needs the token alone."""
    device = book.devices.get(asker.subject)
    return "" if device is None else device.fingerprint


def _unknown_certificate(desk: Desk, user_uuid: str, fingerprint: str | None) -> Refusal:
    revoked = fingerprint is not None and desk.is_revoked(user_uuid, fingerprint)
    return Refusal(Code.CERTIFICATE_REVOKED if revoked else Code.CERTIFICATE_MISMATCH)


def _asker(user_uuid: str, username: str, reached: LimitReached) -> Asker:
    newcomer = reached.newcomer
    return Asker(user_uuid, username, newcomer.device_id, newcomer.auth_time, newcomer.device_name)


def _welcome(
    desk: Desk, user_uuid: str, username: str, admitted: Admitted, origin: Origin, fingerprint: str | None
) -> LoggedIn:
    device_id = admitted.session.device_id
    desk.credentials.remember(user_uuid, fingerprint or device_id, origin)
    welcome = desk.entry.welcome(user_uuid, username, admitted)
    nameless = admitted.session.device_name is not None
    return LoggedIn(welcome, desk.device_tokens.seal([device_id]) if nameless else None)


def _device_id_of(desk: Desk, device_token: str | None) -> str | None:
    """Return the device that a device token names; a token that is none of ours names no device."""
    if device_token is None:
        return None
    try:
        (device_id,) = desk.device_tokens.open(device_token)
    except ForgedToken:
        return None
    return str(device_id)
