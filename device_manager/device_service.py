"""The use cases of a device's life: registered and logged in, listed, renamed, the others logged out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from common.admission import Consent, LimitReached, Newcomer, Proven
from common.book import Book, Session
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
from common.challenges import Challenges
from common.clock import Clock
from common.devices import NewDevice, OwnKeys, PairingTicket
from common.draft import Draft
from common.errors import Code, Refusal
from common.granting import Admitted, Caller, Welcome
from common.history import Event, Kind, Origin, Reason
from common.ids import new_id
from common.liveness import SessionRules, require_live
from common.storage.port import Item, Put, StoreUnavailable
from device_manager.device_db import DeviceDb, device_key, device_put, find_active_devices
from device_manager.device_model import Device
from device_manager.enrolment import Enrolment
from device_manager.trust import Trust


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

    def prove_user(self, user_uuid: str, password: str, origin: Origin, otp: str | None = None) -> Proven:
        """Check the password and second factor of a known account."""

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """Note that a device logged in from here."""


class Pairing(Protocol):
    """Pairing tokens, from the registration room."""

    def read(self, qr_code: str, user_uuid: str) -> PairingTicket:
        """Read a QR code's text. Raises Refusal."""

    def redeem(
        self,
        ticket: PairingTicket,
        item: Item | None,
        book: Book,
        rules: SessionRules,
        now: datetime,
        *,
        device_id: str | None,
    ) -> Put:
        """Judge the token and return the write that uses it up. Raises Refusal."""


class Asking(Protocol):
    """The one way in, from the login room, as a device that registers meets it."""

    def consent(self, user_uuid: str, subject: str, *, force: bool, takeover_token: str | None) -> Consent:
        """Return what the person agrees to."""

    def admit(self, draft: Draft, newcomer: Newcomer, consent: Consent, session_id: str, now: datetime) -> Admitted:
        """Let the newcomer in. Raises LimitReached, Refusal."""

    def question_for(self, proven: Proven, subject: str, reached: LimitReached) -> Refusal:
        """Return the refusal that asks the person."""

    def welcome(self, user_uuid: str, username: str, admitted: Admitted) -> Welcome:
        """Return what the newcomer is told."""


class Desk(Struct, frozen=True):
    """What the use cases work with."""

    bookkeeper: Bookkeeper
    devices: DeviceDb
    enrolment: Enrolment
    trust: Trust
    credentials: CredentialCheck
    pairing: Pairing
    entry: Asking
    rules: SessionRules
    clock: Clock
    challenges: Challenges


class DeviceForm(Struct, frozen=True):
    """A device that wants to join by QR code and be logged in at once."""

    qr_code: str
    username: str
    password: str
    device_name: str
    force: bool
    takeover_token: str | None
    origin: Origin
    keys: OwnKeys | None = None
    otp: str | None = None


class RegisteredDevice(Struct, frozen=True):
    """A device that joined and is logged in."""

    device: NewDevice
    registered_at: datetime
    welcome: Welcome


class ListedDevice(Struct, frozen=True):
    """A bound device, and its live session if it is active."""

    device: Device
    session: Session | None


class ForcedLogout(Struct, frozen=True):
    """The session that stays and those that were ended, each with its device's name."""

    kept: tuple[Session, str | None]
    logged_out: Sequence[tuple[Session, str | None]]


def register_device_for_user(desk: Desk, form: DeviceForm) -> RegisteredDevice:
    """Bind a device and log it in under the limit, in one commit.

    Before keys are made, token, room and limit are asked once; what refuses leaves the token as it was. Raises Refusal:
    TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, QR_INVALID, PAIRING_TOKEN_FOREIGN,
    PAIRING_TOKEN_SPENT, TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, FORCE_DISABLED, PROOF_REQUIRED,
    PROOF_INVALID, TOO_MANY_DEVICES, KEY_IN_USE, DEVICE_ACTIVE, BUSY; StoreUnavailable.
    """
    consents = form.takeover_token is not None  # `join` refuses a consent that was not given to this very person
    proven = desk.credentials.prove(form.username, form.password, form.origin, otp=form.otp, factor_shown=consents)
    ticket = desk.pairing.read(form.qr_code, proven.user_uuid)
    subject, session_id = ticket.key.partition, new_id()
    desk.enrolment.check_possession(form.keys, subject)
    reading = (ticket.key, *desk.enrolment.claims_of(form.keys))

    def join(snapshot: Snapshot, device: NewDevice | None) -> Change[Admitted]:
        """Decide with the device, or, before it is made, with a stand-in that is never written."""
        book, now = snapshot.book, snapshot.now
        if not book.accepts(proven.epoch):
            raise Refusal(Code.BAD_CREDENTIALS, reason="the password was changed meanwhile")
        device_id = device.bound.device_id if device else session_id
        used = desk.pairing.redeem(ticket, snapshot.items[0], book, desk.rules, now, device_id=device_id)
        consent = desk.entry.consent(proven.user_uuid, subject, force=form.force, takeover_token=form.takeover_token)
        desk.enrolment.check_room(book)
        desk.enrolment.check_free(snapshot.items[1:])
        draft = desk.enrolment.bind(snapshot.draft, device, now) if device else snapshot.draft
        name = None if device else form.device_name
        newcomer = Newcomer(device_id, proven.auth_time, name, form.origin.thumbprint, proven=form.keys is not None)
        admitted = desk.entry.admit(draft, newcomer, consent, session_id, now)
        return Change(admitted, admitted.draft, (used, *device.writes) if device else ())

    try:
        desk.bookkeeper.preview(proven.user_uuid, lambda snapshot: join(snapshot, None), reading)
        device = desk.enrolment.prepare(proven.user_uuid, form.device_name, primary=False, keys=form.keys)
        admitted = desk.bookkeeper.change(
            proven.user_uuid, lambda snapshot: join(snapshot, device), reading=reading, origin=form.origin
        )
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    except LimitReached as reached:
        raise desk.entry.question_for(proven, subject, reached) from None
    desk.credentials.remember(proven.user_uuid, device.bound.fingerprint, form.origin)
    welcome = desk.entry.welcome(proven.user_uuid, proven.username, admitted)
    return RegisteredDevice(device, admitted.session.login_at, welcome)


def list_devices(desk: Desk, caller: Caller) -> tuple[ListedDevice, ...]:
    """Return the caller's bound devices in the order in which they were registered."""
    book = desk.bookkeeper.read(caller.user_uuid) or Book(caller.user_uuid)
    active = find_active_devices(book, desk.rules, desk.clock())
    bound = [device for device in desk.devices.of_user(caller.user_uuid) if device.device_id in book.devices]
    bound.sort(key=lambda device: (device.registered_at, device.device_id))
    return tuple(ListedDevice(device, active.get(device.device_id)) for device in bound)


def rename_device(desk: Desk, caller: Caller, device_id: str, device_name: str, origin: Origin) -> None:
    """Give a device of the caller's another name. Raises Refusal(NOT_FOUND), SessionGone, BUSY, StoreUnavailable."""

    def rename(snapshot: Snapshot) -> Change[None]:
        require_live(snapshot.book, caller.session.session_id, desk.rules, snapshot.now)
        device = bound_device(snapshot, device_id)
        renamed = Event(Kind.DEVICE_RENAMED, snapshot.now, device_id, by=caller.session.device_id)
        draft = snapshot.draft.with_book(snapshot.book, renamed)
        return Change(None, draft, (device_put(device.renamed(device_name)),))

    reading = (device_key(caller.user_uuid, device_id),)
    desk.bookkeeper.change(caller.user_uuid, rename, reading=reading, origin=origin)


def force_logout(desk: Desk, caller: Caller, origin: Origin) -> ForcedLogout:
    """Keep the active device that logged in first and end the sessions of all others, the caller's included.

    Raises SessionGone, Refusal(BUSY), StoreUnavailable.
    """

    def keep_first(snapshot: Snapshot) -> Change[tuple[Session, ...]]:
        require_live(snapshot.book, caller.session.session_id, desk.rules, snapshot.now)
        draft = snapshot.draft.swept(desk.rules, snapshot.now)
        in_order = draft.book.in_order()
        for session in in_order[1:]:
            draft = draft.ended(session, Reason.FORCED_OUT, snapshot.now, by=caller.session.device_id)
        return Change(in_order, draft if draft.events else None)

    first, *others = desk.bookkeeper.change(caller.user_uuid, keep_first, origin=origin)
    names: Mapping[str, str] = {}
    with suppress(StoreUnavailable):  # it is done: a store that is away now costs names only
        names = desk.devices.names(caller.user_uuid)

    def named(session: Session) -> tuple[Session, str | None]:
        return session, session.device_name or names.get(session.device_id)

    return ForcedLogout(named(first), [named(session) for session in others])


def bound_device(snapshot: Snapshot, device_id: str) -> Device:
    """Return the row that was read, if its device is bound. Raises Refusal(NOT_FOUND)."""
    item = snapshot.items[0]
    if device_id not in snapshot.book.devices or item is None:
        raise Refusal(Code.NOT_FOUND, reason="no such device of this user")
    return Device.from_item(item)
