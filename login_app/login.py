"""Logging in: password and device are proven, then the one way in decides. `takeover` has its second half."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

from msgspec import Struct

from common.admission import LimitReached, Newcomer, Proven
from common.book import Book, BoundDevice
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
from common.challenge import Signed, reading
from common.challenges import Challenges
from common.crypto.tokens import ForgedToken, MacTokens
from common.devices import HeldCertificate, is_shown_by_tls
from common.errors import Code, Refusal
from common.granting import Admitted, Welcome
from common.history import Origin
from common.ids import new_id
from common.proofs import Proof, Purpose
from login_app.entry import Entry
from login_app.takeover_token import Asker


class CredentialCheck(Protocol):
    """The one check of passwords, from the registration room."""

    def prove(
        self,
        name: str,
        password: str,
        origin: Origin,
        *,
        by_email: bool = False,
        device_mark: str | None = None,
        otp: str | None = None,
        factor_shown: bool = False,
    ) -> Proven:
        """Check a name's password and second factor."""

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """Note that a device logged in from here."""


class Desk(Struct, frozen=True):
    """What the use cases work with.

    `is_revoked(user_uuid, fingerprint)`: was this certificate the user's once? `successor_of`, of the same: the device
    whose present certificate took its place.
    """

    bookkeeper: Bookkeeper
    credentials: CredentialCheck
    entry: Entry
    device_tokens: MacTokens
    is_revoked: Callable[[str, str], bool]
    successor_of: Callable[[str, str], str | None]
    challenges: Challenges


class LoginForm(Struct, frozen=True):
    """A login. `fingerprint` None only where no device proof is asked; `device_name` is for such a device."""

    name: str
    by_email: bool
    password: str
    fingerprint: str | None
    device_token: str | None
    device_name: str
    force: bool
    origin: Origin
    proof: Proof | None = None
    held: HeldCertificate | None = None
    otp: str | None = None


class LoggedIn(Struct, frozen=True):
    """The welcome, and for a device without a certificate the token that makes it the same device next time."""

    welcome: Welcome
    device_token: str | None


class Arrival(Struct, frozen=True):
    """Somebody whose password was right, with what shows the device: `device_in` finds it in the book.

    `device_in` may raise NoSuchDevice or Refusal. `nameless` takes its place where no certificate was shown.
    """

    proven: Proven
    device_in: Callable[[Book, datetime], BoundDevice]
    signed: Signed | None
    force: bool
    origin: Origin
    nameless: Newcomer | None = None
    held: HeldCertificate | None = None


class NoSuchDevice(Exception):
    """What was shown belongs to no bound device. `fingerprint` is what was shown, if it was one."""

    def __init__(self, fingerprint: str | None = None) -> None:
        super().__init__("no bound device")
        self.fingerprint = fingerprint


def log_in(desk: Desk, form: LoginForm) -> LoggedIn:
    """Log a person in on a device.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, CERTIFICATE_MISMATCH,
    CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED, PROOF_REQUIRED, PROOF_INVALID, CHALLENGE_SPENT, FORCE_DISABLED,
    DEVICE_ACTIVE (the question), BUSY; StoreUnavailable.
    """
    told_id = _device_id_of(desk, form.device_token)
    proven = desk.credentials.prove(
        form.name,
        form.password,
        form.origin,
        by_email=form.by_email,
        device_mark=form.fingerprint or told_id,
        otp=form.otp,
        factor_shown=form.proof is not None,  # a challenge was given for it; a proof that is not good is refused below
    )
    find, signed = partial(device_with, form.fingerprint or ""), None
    if form.proof is not None:
        look_at(desk, proven, find)
        purpose = Purpose.FORCE if form.force else Purpose.LOGIN
        signed = desk.challenges.check(form.proof, purpose, user_uuid=proven.user_uuid)
    key = form.origin.thumbprint
    nameless = None if form.fingerprint else Newcomer(told_id or new_id(), proven.auth_time, form.device_name, key)
    return arrive(desk, Arrival(proven, find, signed, form.force, form.origin, nameless, form.held))


def look_at(desk: Desk, proven: Proven, device_in: Callable[[Book, datetime], BoundDevice]) -> BoundDevice:
    """Return the device that was shown, as the book has it now: a wrong certificate is told before a wrong proof.

    Raises Refusal: BAD_CREDENTIALS, CERTIFICATE_MISMATCH, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED; StoreUnavailable.
    """

    def look(snapshot: Snapshot) -> Change[BoundDevice]:
        _check_account(snapshot.book, proven)
        return Change(device_in(snapshot.book, snapshot.now))

    try:
        return desk.bookkeeper.preview(proven.user_uuid, look)
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    except NoSuchDevice as nobody:
        raise _unknown_certificate(desk, proven.user_uuid, nobody.fingerprint) from None


def arrive(desk: Desk, arrival: Arrival) -> LoggedIn:
    """Let in somebody whose password, and signature if there is one, were right; a challenge is used up by that commit.

    Raises Refusal as `log_in`, StoreUnavailable.
    """
    proven, session_id = arrival.proven, new_id()

    def enter(snapshot: Snapshot) -> Change[tuple[Admitted, str]]:
        _check_account(snapshot.book, proven)
        device = None if arrival.nameless else arrival.device_in(snapshot.book, snapshot.now)
        spent = desk.challenges.spend(arrival.signed, device, snapshot, arrival.held)
        device_id, key = device.device_id if device else "", arrival.origin.thumbprint
        certified = desk.entry.binds(device, arrival.held)
        shown = has_proven(arrival.signed, device, arrival.held)
        newcomer = arrival.nameless or Newcomer(
            device_id, proven.auth_time, thumbprint=key, certified=certified, proven=shown
        )
        consent = desk.entry.consent(proven.user_uuid, newcomer.device_id, force=arrival.force, takeover_token=None)
        admitted = desk.entry.admit(snapshot.draft, newcomer, consent, session_id, snapshot.now)
        return Change((admitted, device.fingerprint if device else newcomer.device_id), admitted.draft, spent)

    try:
        admitted, mark = desk.bookkeeper.change(
            proven.user_uuid, enter, reading=reading(arrival.signed), origin=arrival.origin
        )
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    except NoSuchDevice as nobody:
        raise _unknown_certificate(desk, proven.user_uuid, nobody.fingerprint) from None
    except LimitReached as reached:
        raise desk.entry.question(_asker(proven.user_uuid, proven.username, reached), reached) from None
    return welcome(desk, proven.user_uuid, proven.username, admitted, arrival.origin, mark)


def device_with(fingerprint: str, book: Book, now: datetime) -> BoundDevice:
    """Return the bound device with this certificate. Raises NoSuchDevice, Refusal(CERTIFICATE_EXPIRED)."""
    device = book.device_with(fingerprint)
    if device is None:
        raise NoSuchDevice(fingerprint)
    if device.not_after <= now:
        raise Refusal(Code.CERTIFICATE_EXPIRED)
    return device


def has_proven(signed: Signed | None, device: BoundDevice | None, held: HeldCertificate | None) -> bool:
    """Say whether a device has shown its key in this call: by a signature, or TLS did it."""
    return signed is not None or is_shown_by_tls(device, held)


def _unknown_certificate(desk: Desk, user_uuid: str, fingerprint: str | None) -> Refusal:
    revoked = fingerprint is not None and desk.is_revoked(user_uuid, fingerprint)
    return Refusal(Code.CERTIFICATE_REVOKED if revoked else Code.CERTIFICATE_MISMATCH)


def _check_account(book: Book, proven: Proven) -> None:
    if not book.accepts(proven.epoch):
        raise Refusal(Code.BAD_CREDENTIALS, reason="the password was changed meanwhile")


def _asker(user_uuid: str, username: str, reached: LimitReached) -> Asker:
    newcomer = reached.newcomer
    ids = (user_uuid, username, newcomer.device_id)
    return Asker(*ids, newcomer.auth_time, newcomer.device_name, newcomer.thumbprint, newcomer.certified)


def welcome(
    desk: Desk, user_uuid: str, username: str, admitted: Admitted, origin: Origin, device_mark: str
) -> LoggedIn:
    """Return what whoever was let in is told; where it came from is remembered."""
    desk.credentials.remember(user_uuid, device_mark, origin)
    welcome = desk.entry.welcome(user_uuid, username, admitted)
    session = admitted.session
    token = None if session.device_name is None else desk.device_tokens.seal([session.device_id])
    return LoggedIn(welcome, token)


def _device_id_of(desk: Desk, device_token: str | None) -> str | None:
    """Return the device that a device token names; a token that is none of ours names no device."""
    if device_token is None:
        return None
    try:
        (device_id,) = desk.device_tokens.open(device_token)
    except ForgedToken:
        return None
    return str(device_id)
