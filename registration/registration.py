"""Registering people and their devices: the three use cases of this room.

Everything expensive (the password's hash, keys, a certificate) is made once and before the commit; everything that must
be true together is one commit.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from common.admission import Proven
from common.book import Book, BoundDevice
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
from common.challenge import used_up
from common.challenges import Challenges
from common.clock import Clock
from common.devices import HeldCertificate, NewDevice, OwnKeys
from common.draft import Draft
from common.errors import Code, Refusal
from common.history import Event, Kind, Origin
from common.ids import new_id
from common.liveness import SessionRules
from common.patience import Patience
from common.proofs import Proof, Purpose
from common.storage.port import Conflict, Delete, Item, Key, Put, Store, Write
from common.storage.resolving import commit_known
from registration import pairing_token, repetition
from registration.account_db import MAIL_CLAIM, NAME_CLAIM, AccountDb, user_put, user_writes
from registration.account_model import Account, mail_claim, name_claim, normal_password, password_fault
from registration.credentials import CredentialCheck
from registration.email_sender import Notifier, notify_user_via_sns
from registration.hashing import HashingRoom
from registration.pairing_token import IssuedPairing


class Enrolment(Protocol):
    """What registration needs of the device room."""

    def check_possession(self, keys: OwnKeys | None, token_hash: str | None = None) -> None:
        """Let pass a device that has shown that it holds the key it brings. Raises Refusal."""

    def prepare(self, user_uuid: str, device_name: str, *, primary: bool, keys: OwnKeys | None = None) -> NewDevice:
        """Make certificate and row of a new device, and keys where it brings none."""

    def claims_of(self, keys: OwnKeys | None) -> tuple[Key, ...]:
        """Return what must be read to know whether a key is free."""

    def check_free(self, claims: Sequence[Item | None]) -> None:
        """Refuse a key that is, or ever was, another device's. Raises Refusal(KEY_IN_USE)."""

    def inherited(self, device: NewDevice, claims: Sequence[Item | None], lost: str) -> NewDevice:
        """Return the device as it takes a lost one's place. Raises Refusal(KEY_IN_USE)."""

    def bind(self, draft: Draft, device: NewDevice, now: datetime) -> Draft:
        """Bind it. Raises Refusal(TOO_MANY_DEVICES)."""

    def removal(self, user_uuid: str, device_id: str) -> tuple[Delete, ...]:
        """Return the writes that forget a device that was never used."""

    def check_room(self, book: Book) -> None:
        """Raise Refusal(TOO_MANY_DEVICES) when no device can join."""


class Desk(Struct, frozen=True):
    """What the use cases work with."""

    store: Store
    bookkeeper: Bookkeeper
    accounts: AccountDb
    credentials: CredentialCheck
    enrolment: Enrolment
    notifier: Notifier
    rules: SessionRules
    room: HashingRoom
    common_passwords: Container[str]
    clock: Clock
    challenges: Challenges


class Registration(Struct, frozen=True):
    """A person who registers, with the device at hand and the keys it brings. Texts are checked for form already.

    `idempotency_key` lets the client repeat the registration if its answer is lost.
    """

    username: str
    email: str
    password: str
    device_name: str
    origin: Origin
    idempotency_key: str | None = None
    keys: OwnKeys | None = None


class SecondDevice(Struct, frozen=True):
    """A person who joins with another device, by the QR code of one that is registered."""

    qr_code: str
    username: str
    password: str
    device_name: str
    origin: Origin
    keys: OwnKeys | None = None
    otp: str | None = None


class PairingForm(Struct, frozen=True):
    """A registered device that asks for a pairing token; `held`: TLS proved the key of its certificate."""

    username: str
    password: str
    fingerprint: str
    origin: Origin
    proof: Proof | None = None
    held: HeldCertificate | None = None
    otp: str | None = None


class Registered(Struct, frozen=True):
    """What the person is given: the user, the device with its private keys, and the QR code for the next device."""

    user_uuid: str
    device: NewDevice
    pairing: IssuedPairing


def register_user(desk: Desk, form: Registration) -> Registered:
    """Register an account with its first device, all in one commit; or repeat a registration whose answer was lost.

    Raises Refusal: WEAK_PASSWORD (`fault`), PROOF_REQUIRED, PROOF_INVALID, USERNAME_TAKEN (named first when both are),
    EMAIL_TAKEN, KEY_IN_USE, BUSY; StoreUnavailable.
    """
    fault = password_fault(form.password, form.username, form.email, desk.common_passwords)
    if fault is not None:
        raise Refusal(Code.WEAK_PASSWORD, fault=fault)
    desk.enrolment.check_possession(form.keys)
    again = _repetition(desk, form)
    if again is not None:
        return again
    now = desk.clock()
    with desk.room.place():
        account = _account(desk, form, now)
        with desk.room.turn():  # keys that we make take as long as a hash
            device = desk.enrolment.prepare(account.uuid, form.device_name, primary=True, keys=form.keys)
    draft = desk.enrolment.bind(Draft(Book(account.uuid), (Event(Kind.REGISTERED, now),)), device, now)
    pairing = pairing_token.issue(draft.book, device.bound, desk.rules, now, name_certificate=True)
    writes = (*user_writes(account), *device.writes, pairing.row)
    try:
        desk.bookkeeper.create(draft, writes, form.origin)
    except Conflict as conflict:
        again = _repetition(desk, form)  # the first sending may have been under way still
        if again is not None:
            return again
        raise _taken(conflict, writes.index(device.claim)) from None
    notify_user_via_sns(desk.notifier, account.username)
    return Registered(account.uuid, device, pairing)


def _account(desk: Desk, form: Registration, now: datetime) -> Account:
    return Account(
        uuid=new_id(),
        username=form.username,
        email=form.email,
        password=desk.room.new(normal_password(form.password)),
        epoch=0,
        created_at=now,
        repeatable=repetition.repeatable(form.idempotency_key, now, change_no=1),
    )


def register_second_device_via_qr(desk: Desk, form: SecondDevice) -> Registered:
    """Bind another device by a QR code and the password; it is not logged in.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, QR_INVALID, PAIRING_TOKEN_FOREIGN,
    PROOF_REQUIRED, PROOF_INVALID, PAIRING_TOKEN_SPENT, TOO_MANY_DEVICES, KEY_IN_USE, BUSY; StoreUnavailable. None of
    these uses the token up.
    """
    proven = desk.credentials.prove(form.username, form.password, form.origin, otp=form.otp)
    ticket = pairing_token.read(form.qr_code, proven.user_uuid)
    desk.enrolment.check_possession(form.keys, ticket.key.partition)
    reading = (ticket.key, *desk.enrolment.claims_of(form.keys))

    def check(snapshot: Snapshot, device_id: str | None) -> Put:
        check_account(snapshot.book, proven)
        used = pairing_token.redeem(
            ticket, snapshot.items[0], snapshot.book, desk.rules, snapshot.now, device_id=device_id
        )
        desk.enrolment.check_room(snapshot.book)
        desk.enrolment.check_free(snapshot.items[1:])
        return used

    try:
        desk.bookkeeper.preview(proven.user_uuid, lambda snapshot: Change(check(snapshot, None)), reading)
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    device = desk.enrolment.prepare(proven.user_uuid, form.device_name, primary=False, keys=form.keys)

    def join(snapshot: Snapshot) -> Change[IssuedPairing]:
        used = check(snapshot, device.bound.device_id)
        draft = desk.enrolment.bind(snapshot.draft, device, snapshot.now)
        pairing = pairing_token.issue(draft.book, device.bound, desk.rules, snapshot.now, name_certificate=True)
        return Change(pairing, draft, (used, *device.writes, pairing.row))

    pairing = desk.bookkeeper.change(proven.user_uuid, join, reading=reading, origin=form.origin)
    return Registered(proven.user_uuid, device, pairing)


def request_pairing_token(desk: Desk, form: PairingForm) -> tuple[str, IssuedPairing]:
    """Issue a pairing token from a registered device; return the user's uuid and the token.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, DEVICE_UNKNOWN, PROOF_REQUIRED,
    PROOF_INVALID, CHALLENGE_SPENT; StoreUnavailable.
    """
    proven = desk.credentials.prove(
        form.username,
        form.password,
        form.origin,
        device_mark=form.fingerprint,
        otp=form.otp,
        factor_shown=form.proof is not None,  # a challenge was given for it; `_proven` refuses one that is not good
    )
    book = desk.bookkeeper.read(proven.user_uuid)
    if book is None:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book")
    check_account(book, proven)
    device = book.device_with(form.fingerprint)
    now = desk.clock()
    if device is None or device.not_after <= now:
        raise Refusal(Code.DEVICE_UNKNOWN)
    spent = _proven(desk, form, book, device, now)
    pairing = pairing_token.issue(book, device, desk.rules, now)
    try:
        commit_known(desk.store, (pairing.row, *spent), Patience())
    except Conflict:
        raise Refusal(Code.CHALLENGE_SPENT, reason="used meanwhile") from None
    return proven.user_uuid, pairing


def _proven(desk: Desk, form: PairingForm, book: Book, device: BoundDevice, now: datetime) -> tuple[Write, ...]:
    """Return the writes that use up the challenge of the device that issues a token."""
    if form.proof is None:
        desk.challenges.check_unneeded(device, form.held)
        return ()
    signed = desk.challenges.check(form.proof, Purpose.PAIR_ISSUE, user_uuid=book.user_uuid)
    return (used_up(signed, signed.challenge, device, book, now),)


def check_account(book: Book, proven: Proven) -> None:
    """Refuse a password that was changed since it was found right, and an account that may not be used."""
    if not book.accepts(proven.epoch):
        raise Refusal(Code.BAD_CREDENTIALS, reason="the password was changed meanwhile")


def _repetition(desk: Desk, form: Registration) -> Registered | None:
    """Refuse a taken name before anything is hashed, or repeat a registration; the commit decides for good.

    Returns None when both the name and the mail are free.
    """
    name_owner = desk.accounts.owner_of(name_claim(form.username))
    mail_owner = desk.accounts.owner_of(mail_claim(form.email))
    if name_owner is not None:
        account = desk.accounts.find(name_owner)
        if account is not None and repetition.may_repeat(account, form.idempotency_key, mail_owner, desk.clock()):
            return _repeat(desk, form, account)
        raise Refusal(Code.USERNAME_TAKEN)
    if mail_owner is not None:
        raise Refusal(Code.EMAIL_TAKEN)
    return None


def _repeat(desk: Desk, form: Registration, account: Account) -> Registered:
    """Make the lost device of an untouched account again, for whoever knows its password."""
    proven = desk.credentials.prove_user(account.uuid, form.password, form.origin)
    device = desk.enrolment.prepare(account.uuid, form.device_name, primary=True, keys=form.keys)

    def renew(snapshot: Snapshot) -> Change[IssuedPairing]:
        check_account(snapshot.book, proven)
        if not repetition.is_untouched(snapshot.book, account):
            raise Refusal(Code.USERNAME_TAKEN, reason="the account has been used since")
        draft, lost = repetition.without_lost_device(snapshot.draft, snapshot.now)
        draft = desk.enrolment.bind(draft, device, snapshot.now)
        pairing = pairing_token.issue(draft.book, device.bound, desk.rules, snapshot.now, name_certificate=True)
        gone = desk.enrolment.removal(account.uuid, lost)
        heir = desk.enrolment.inherited(device, snapshot.items, lost)
        return Change(pairing, draft, (*gone, *heir.writes, pairing.row, user_put(repetition.repeated(account))))

    claims = desk.enrolment.claims_of(form.keys)
    pairing = desk.bookkeeper.change(account.uuid, renew, reading=claims, origin=form.origin)
    return Registered(account.uuid, device, pairing)


def _taken(conflict: Conflict, key_claim: int) -> Refusal:
    if NAME_CLAIM in conflict.failed:
        return Refusal(Code.USERNAME_TAKEN)
    if MAIL_CLAIM in conflict.failed:
        return Refusal(Code.EMAIL_TAKEN)
    if key_claim in conflict.failed:
        return Refusal(Code.KEY_IN_USE)
    return Refusal(Code.BUSY, reason="an id was taken", retry_after=1)
