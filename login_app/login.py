"""Logging in: password and device are proven, then the one way in decides; and the takeover, its second half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from common.admission import LimitReached, Newcomer, Proven
from common.book import Book, BoundDevice
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
from common.challenge import Signed, reading
from common.challenges import Challenges
from common.crypto.tokens import ForgedToken, MacTokens
from common.devices import HeldCertificate
from common.errors import Code, Refusal
from common.granting import Admitted, Welcome
from common.history import Origin
from common.ids import new_id
from common.possession import reading as reading_possession
from common.possession import used_up
from common.proofs import Proof, Purpose, token_digest
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
    proof: Proof | None = None
    held: HeldCertificate | None = None


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
    proof: Proof | None = None
    held: HeldCertificate | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
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

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, CERTIFICATE_MISMATCH, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED,
    PROOF_REQUIRED, PROOF_INVALID, CHALLENGE_SPENT, FORCE_DISABLED, DEVICE_ACTIVE (the question), BUSY;
    StoreUnavailable.
    """
    told_id = _device_id_of(desk, form.device_token)
    proven = desk.credentials.prove(
        form.name, form.password, form.origin, by_email=form.by_email, device_mark=form.fingerprint or told_id
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
        newcomer = arrival.nameless or Newcomer(device_id, proven.auth_time, thumbprint=key, certified=certified)
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
    return _welcome(desk, proven.user_uuid, proven.username, admitted, arrival.origin, mark)


def take_over(desk: Desk, form: TakeoverForm) -> LoggedIn:
    """Log in on a consent: end exactly the sessions that were shown, if nobody else is active now.

    Raises Refusal: TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, CERTIFICATE_EXPIRED, PROOF_REQUIRED,
    PROOF_INVALID, CHALLENGE_SPENT, INVALID_DPOP_PROOF, DEVICE_ACTIVE (the question anew, nobody was ended), BUSY;
    StoreUnavailable.
    """
    takeover = desk.entry.read(form.takeover_token)
    asker, consent, possession = takeover.asker, takeover.consent, form.origin.possession
    if asker.thumbprint not in (None, form.origin.thumbprint):
        raise Refusal(Code.DEVICE_MISMATCH, reason="another key")
    session_id = new_id()

    def returning(snapshot: Snapshot) -> BoundDevice | None:
        check_unspent(snapshot.book, consent, snapshot.now)
        device = None if asker.device_name else _same_device(snapshot.book, form.fingerprint, asker, snapshot.now)
        if asker.certified and not desk.entry.binds(device, form.held):
            raise Refusal(Code.DEVICE_MISMATCH, reason="without its certificate")
        return device

    def enter(snapshot: Snapshot, signed: Signed | None) -> Change[tuple[Admitted, str]]:
        device = returning(snapshot)
        spent = (*desk.challenges.spend(signed, device, snapshot, form.held), *used_up(possession, snapshot.items))
        bound_to = (form.origin.thumbprint, desk.entry.binds(device, form.held))
        newcomer = Newcomer(asker.subject, asker.auth_time, asker.device_name, *bound_to)
        admitted = desk.entry.admit(snapshot.draft, newcomer, consent, session_id, snapshot.now)
        return Change((admitted, device.fingerprint if device else asker.subject), admitted.draft, spent)

    try:
        signed = None
        if form.proof is not None:
            desk.bookkeeper.preview(asker.user_uuid, lambda snapshot: Change(returning(snapshot)))
            digest = token_digest(form.takeover_token)
            signed = desk.challenges.check(form.proof, Purpose.TAKEOVER, user_uuid=asker.user_uuid, token_hash=digest)
        admitted, mark = desk.bookkeeper.change(
            asker.user_uuid,
            lambda snapshot: enter(snapshot, signed),
            reading=(*reading_possession(possession), *reading(signed)),
            origin=form.origin,
        )
    except NoSuchUser:
        raise Refusal(Code.TAKEOVER_SPENT, reason="no book") from None
    except LimitReached as reached:
        raise desk.entry.question(asker, reached) from None
    return _welcome(desk, asker.user_uuid, asker.username, admitted, form.origin, mark)


def device_with(fingerprint: str, book: Book, now: datetime) -> BoundDevice:
    """Return the bound device with this certificate. Raises NoSuchDevice, Refusal(CERTIFICATE_EXPIRED)."""
    device = book.device_with(fingerprint)
    if device is None:
        raise NoSuchDevice(fingerprint)
    if device.not_after <= now:
        raise Refusal(Code.CERTIFICATE_EXPIRED)
    return device


def _unknown_certificate(desk: Desk, user_uuid: str, fingerprint: str | None) -> Refusal:
    revoked = fingerprint is not None and desk.is_revoked(user_uuid, fingerprint)
    return Refusal(Code.CERTIFICATE_REVOKED if revoked else Code.CERTIFICATE_MISMATCH)


def _check_account(book: Book, proven: Proven) -> None:
    if not book.accepts(proven.epoch):
        raise Refusal(Code.BAD_CREDENTIALS, reason="the password was changed meanwhile")


def _same_device(book: Book, fingerprint: str | None, asker: Asker, now: datetime) -> BoundDevice:
    """Return the device that asked, if it is the one that now answers."""
    try:
        device = device_with(fingerprint or _fingerprint_of(book, asker), book, now)
    except NoSuchDevice:
        raise Refusal(Code.DEVICE_MISMATCH, reason="no bound device") from None
    if device.device_id != asker.subject:
        raise Refusal(Code.DEVICE_MISMATCH, reason="another device")
    return device


def _fingerprint_of(book: Book, asker: Asker) -> str:
    """Return the asking device's fingerprint, for a takeover that needs the token alone."""
    device = book.standing(asker.subject)
    return "" if device is None else device.fingerprint


def _asker(user_uuid: str, username: str, reached: LimitReached) -> Asker:
    newcomer = reached.newcomer
    ids = (user_uuid, username, newcomer.device_id)
    return Asker(*ids, newcomer.auth_time, newcomer.device_name, newcomer.thumbprint, newcomer.certified)


def _welcome(
    desk: Desk, user_uuid: str, username: str, admitted: Admitted, origin: Origin, device_mark: str
) -> LoggedIn:
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
