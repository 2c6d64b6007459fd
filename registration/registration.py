"""Registering people and their devices: the three use cases of this package.

Everything expensive (the password's hash, keys, a certificate) is made once and before the commit; everything that must
be true together is one commit. What must be unique is claimed before it and confirmed after it.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Container, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

if __name__ == "registration":  # `python -m registration.app_registration`, run in this folder, took us for the package
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    del sys.modules["registration"]
    importlib.import_module("registration")

from msgspec import Struct

from common.account.admission import AuthenticatedUser, check_current
from common.account.book import Book
from common.account.claim_store import ClaimStore, ClaimTaken, check_held
from common.account.claims import Claim
from common.account.devices import NewDevice, OwnKeys, PairingTicket, TlsClientCertificate
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind
from common.account.marks import Mark
from common.account.policy import Policies, Policy
from common.account.transactions import AccountTransactions, NoSuchUser, Snapshot, TransactionResult
from common.clock import Clock
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.challenge import SignedChallenge, challenge_keys
from common.proof.challenge_service import ChallengeService
from common.proof.statements import Proof, Purpose
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Conflict, Delete, Item, Key, Store, StoreUnavailable
from common.storage.tables import USERS
from registration import idempotency, invitation, pairing_token
from registration.account_db import AccountDb, account_in, claims_of, refuse_taken, user_put, user_writes
from registration.account_model import Account, check_password, mail_claim, name_claim, normal_password
from registration.credentials import CredentialCheck
from registration.email_sender import Notifier, notify_of_device, notify_user_via_sns
from registration.hashing_pool import HashingPool
from registration.pairing_token import IssuedPairing
from registration.registration_limit import RegistrationLimit

_log = logging.getLogger(__name__)

_COUNTED = frozenset({Code.USERNAME_TAKEN, Code.EMAIL_TAKEN})
"""Refusals that count as much as an account: they tell whether one is there."""


class Enrolment(Protocol):
    """What registration needs of the device manager."""

    def check_key_proof(self, keys: OwnKeys | None, token_hash: str | None = None) -> None:
        """Let pass a device that has shown that it holds the key it brings. Raises Refusal."""

    def prepare(self, user_uuid: str, device_name: str, *, primary: bool, keys: OwnKeys | None = None) -> NewDevice:
        """Make certificate and row of a new device, and keys where it brings none."""

    def claims_of(self, keys: OwnKeys | None) -> tuple[Key, ...]:
        """Return what must be read to know whether a key is free."""

    def check_free(self, claims: Sequence[Item | None]) -> None:
        """Refuse a key that is, or ever was, another device's. Raises Refusal(KEY_IN_USE)."""

    def bind(
        self, draft: Draft, device: NewDevice, policy: Policy, now: datetime, leaving: Sequence[str] = ()
    ) -> Draft:
        """Bind it; `leaving`: devices that are unbound right after. Raises Refusal(TOO_MANY_DEVICES)."""

    def removal(self, user_uuid: str, device_id: str) -> tuple[Delete, ...]:
        """Return the writes that forget a device that was never used."""

    def check_device_limit(self, book: Book, policy: Policy, leaving: Sequence[str] = ()) -> None:
        """Raise Refusal(TOO_MANY_DEVICES) when no device can join."""


class RegistrationDependencies(Struct, frozen=True):
    """Dependencies of the use cases."""

    store: Store
    transactions: AccountTransactions
    accounts: AccountDb
    claims: ClaimStore
    credentials: CredentialCheck
    enrolment: Enrolment
    notifier: Notifier
    policies: Policies
    hashing_pool: HashingPool
    common_passwords: Container[str]
    clock: Clock
    challenges: ChallengeService
    limit: RegistrationLimit


class Registration(Struct, frozen=True):
    """A user who registers, with the device at hand and the keys it brings. Texts are checked for form already.

    `idempotency_key` lets the client repeat the registration if its answer is lost. `work`: a proof of work.
    `invitation`: lets it pass where registration is closed, once.
    """

    username: str
    email: str
    password: str
    device_name: str
    client: ClientInfo
    idempotency_key: str | None = None
    keys: OwnKeys | None = None
    work: str | None = None
    invitation: str | None = None


class SecondDevice(Struct, frozen=True):
    """A user who joins with another device, by the QR code of one that is registered."""

    qr_code: str
    username: str
    password: str
    device_name: str
    client: ClientInfo
    keys: OwnKeys | None = None
    otp: str | None = None


class PairingForm(Struct, frozen=True):
    """A registered device that asks for a pairing token; `held`: TLS proved the key of its certificate."""

    username: str
    password: str
    fingerprint: str
    client: ClientInfo
    proof: Proof | None = None
    tls_certificate: TlsClientCertificate | None = None
    otp: str | None = None


class Registered(Struct, frozen=True):
    """What the user is given: the user, the device with its private keys, and the QR code for the next device."""

    user_uuid: str
    device: NewDevice
    pairing: IssuedPairing


def register_user(dependencies: RegistrationDependencies, form: Registration) -> Registered:
    """Register an account with its first device, in one commit; or repeat a registration whose answer was lost.

    Raises Refusal: WEAK_PASSWORD (`fault`), REGISTRATION_CLOSED, INVITATION_SPENT, TOO_MANY_REGISTRATIONS,
    WORK_REQUIRED, PROOF_REQUIRED, PROOF_INVALID, USERNAME_TAKEN (named first when both are), EMAIL_TAKEN, KEY_IN_USE,
    BUSY; StoreUnavailable.
    """
    check_password(form.password, form.username, form.email, dependencies.common_passwords)
    counted = dependencies.limit.admit(form.client.ip, form.work, invited=form.invitation is not None)
    try:
        registered, is_new = _register(dependencies, form)
    except Refusal as refusal:
        if refusal.code not in _COUNTED:
            dependencies.limit.give_back(counted)
        raise
    if not is_new:
        dependencies.limit.give_back(counted)
    return registered


def _register(dependencies: RegistrationDependencies, form: Registration) -> tuple[Registered, bool]:
    """Return what the user is given, and whether the account is new: a repetition makes none."""
    dependencies.enrolment.check_key_proof(form.keys)
    repeated = _repeated_registration(dependencies, form)
    if repeated is not None:
        return repeated, False
    now = dependencies.clock()
    invited = _invitation(dependencies, form, now)
    with dependencies.hashing_pool.admit():
        account = _account(dependencies, form, now, invited)
        device = dependencies.enrolment.prepare(account.uuid, form.device_name, primary=True, keys=form.keys)
    policy = dependencies.policies.current()
    book = Book(account.uuid, generation=policy.generation)
    draft = Draft(book, (Event(EventKind.REGISTERED, now),))
    draft = dependencies.enrolment.bind(draft, device, policy, now)
    pairing = pairing_token.issue(draft.book, device.bound, policy.rules, now, name_certificate=True)
    rows = (*user_writes(account), *device.first_rows, pairing.row)
    try:
        with dependencies.claims.held(*claims_of(account), device.claim):
            dependencies.transactions.create(draft, rows, form.client)
    except (ClaimTaken, Conflict):
        repeated = _repeated_registration(dependencies, form)  # the first sending may have been under way still
        if repeated is not None:
            return repeated, False
        _invitation(dependencies, form, now)
        raise Refusal(Code.BUSY, reason="a claim was released or taken over meanwhile", retry_after=1) from None
    notify_user_via_sns(dependencies.notifier, account.username, form.device_name)
    return Registered(account.uuid, device, pairing), True


def _invitation(dependencies: RegistrationDependencies, form: Registration, now: datetime) -> str | None:
    """Return the claim by which the account will have used the form's invitation up, if it has one.

    Raises Refusal(INVITATION_SPENT).
    """
    if form.invitation is None:
        return None
    key = invitation.invitation_key(form.invitation)
    if dependencies.claims.find(key.partition) is not None:
        raise Refusal(Code.INVITATION_SPENT, reason="used")
    invitation.check(dependencies.store.get(key), now)
    return key.partition


def _account(dependencies: RegistrationDependencies, form: Registration, now: datetime, invited: str | None) -> Account:
    return Account(
        uuid=new_id(),
        username=form.username,
        email=form.email,
        password=dependencies.hashing_pool.new(normal_password(form.password)),
        credential_version=0,
        created_at=now,
        idempotency=idempotency.idempotency_record(form.idempotency_key, now, change_no=1),
        invitation=invited,
    )


def register_second_device_via_qr(dependencies: RegistrationDependencies, form: SecondDevice) -> Registered:
    """Bind another device by a QR code and the password; it is not logged in.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, QR_INVALID, PAIRING_TOKEN_FOREIGN,
    PROOF_REQUIRED, PROOF_INVALID, PAIRING_TOKEN_SPENT, TOO_MANY_DEVICES, KEY_IN_USE, BUSY; StoreUnavailable. None of
    these uses the token up.
    """
    user = dependencies.credentials.authenticate(form.username, form.password, form.client, otp=form.otp)
    ticket = pairing_token.read(form.qr_code, user.user_uuid)
    dependencies.enrolment.check_key_proof(form.keys, ticket.key.partition)
    return join(dependencies, user, form, ticket)


def join(
    dependencies: RegistrationDependencies, user: AuthenticatedUser, form: SecondDevice, ticket: PairingTicket | None
) -> Registered:
    """Bind another device of a user; with a ticket its pairing token is used up. See `register_second_device_via_qr`.

    Raises Refusal: BAD_CREDENTIALS, QR_INVALID, PAIRING_TOKEN_SPENT, TOO_MANY_DEVICES, KEY_IN_USE, BUSY.
    """
    claims = dependencies.enrolment.claims_of(form.keys)
    tickets = (ticket.key,) if ticket else ()

    def check(snapshot: Snapshot) -> tuple[Mark, ...]:
        check_current(snapshot.book, user)
        used: tuple[Mark, ...] = ()
        if ticket is not None:
            item, book = snapshot.at(ticket.key), snapshot.book
            used = (pairing_token.redeem(ticket, item, book, snapshot.rules, snapshot.now),)
        dependencies.enrolment.check_device_limit(snapshot.book, snapshot.policy)
        return used

    def check_first(snapshot: Snapshot) -> TransactionResult[None]:
        check(snapshot)
        dependencies.enrolment.check_free([snapshot.at(claim) for claim in claims])
        return TransactionResult(None)

    try:
        dependencies.transactions.dry_run(user.user_uuid, check_first, (*tickets, *claims))
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    device = dependencies.enrolment.prepare(user.user_uuid, form.device_name, primary=False, keys=form.keys)

    def bind(snapshot: Snapshot, claim: Claim) -> TransactionResult[IssuedPairing]:
        check_held((claim,), snapshot)
        used = check(snapshot)
        draft = dependencies.enrolment.bind(snapshot.draft, device, snapshot.policy, snapshot.now)
        pairing = pairing_token.issue(draft.book, device.bound, snapshot.rules, snapshot.now, name_certificate=True)
        return TransactionResult(pairing, draft, (*used, device.row), (*device.prepared, pairing.row))

    with dependencies.claims.key_held(device.claim) as claim:
        pairing = dependencies.transactions.run(
            user.user_uuid,
            lambda snapshot: bind(snapshot, claim),
            reading=(*tickets, claim.key),
            client=form.client,
        )
    notify_of_device(dependencies.notifier, user.username, form.device_name)
    return Registered(user.user_uuid, device, pairing)


def request_pairing_token(dependencies: RegistrationDependencies, form: PairingForm) -> tuple[str, IssuedPairing]:
    """Issue a pairing token from a registered device; return the user's uuid and the token.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, DEVICE_UNKNOWN, PROOF_REQUIRED,
    PROOF_INVALID, CHALLENGE_SPENT; StoreUnavailable.
    """
    user = dependencies.credentials.authenticate(
        form.username,
        form.password,
        form.client,
        device_hint=form.fingerprint,
        otp=form.otp,
        factor_shown=form.proof is not None,  # a challenge was given for it; `_proven` refuses one that is not good
    )
    book = dependencies.transactions.get_book(user.user_uuid)
    if book is None:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book")
    check_current(book, user)
    device = book.device_with(form.fingerprint)
    now = dependencies.clock()
    if device is None or device.not_after <= now:
        raise Refusal(Code.DEVICE_UNKNOWN)
    if form.proof is not None:
        signed = dependencies.challenges.verify(form.proof, Purpose.PAIR_ISSUE, user_uuid=user.user_uuid)
        return user.user_uuid, _issue_by_proof(dependencies, form, user, signed)
    dependencies.challenges.check_not_required(device, form.tls_certificate)
    policy = dependencies.policies.of(book)
    book = book.in_generation(policy.generation)
    pairing = pairing_token.issue(book, device, policy.rules_for(book), now)
    write_known(dependencies.store, pairing.row, RetryBudget())
    return user.user_uuid, pairing


def _issue_by_proof(
    dependencies: RegistrationDependencies, form: PairingForm, user: AuthenticatedUser, signed: SignedChallenge
) -> IssuedPairing:
    """Issue a token by the change that uses the challenge of its device up."""

    def issue(snapshot: Snapshot) -> TransactionResult[IssuedPairing]:
        check_current(snapshot.book, user)
        device = snapshot.book.device_with(form.fingerprint)
        if device is None:
            raise Refusal(Code.DEVICE_UNKNOWN)
        mark = dependencies.challenges.spend(signed, device, snapshot)
        pairing = pairing_token.issue(snapshot.book, device, snapshot.rules, snapshot.now)
        return TransactionResult(pairing, snapshot.draft, mark, (pairing.row,))

    return dependencies.transactions.run(user.user_uuid, issue, reading=challenge_keys(signed), client=form.client)


def _repeated_registration(dependencies: RegistrationDependencies, form: Registration) -> Registered | None:
    """Refuse a taken name before anything is hashed, or repeat a registration; the commit decides for good.

    Returns None when both the name and the mail are free.
    """
    name = dependencies.claims.find(name_claim(form.username))
    mail = dependencies.claims.find(mail_claim(form.email))
    if name is not None:
        account, mail_owner = dependencies.accounts.find(name.user_uuid), mail.user_uuid if mail else None
        if account is not None and idempotency.may_repeat(
            account, form.idempotency_key, mail_owner, dependencies.clock()
        ):
            return _repeat(dependencies, form, account)
    # before names and mails: else a key that is in use would show for nothing whether a mail is taken
    if any(dependencies.claims.find(key.partition) for key in dependencies.enrolment.claims_of(form.keys)):
        raise Refusal(Code.KEY_IN_USE)
    refuse_taken(dependencies.claims, form.username, name, mail)
    return None


def _repeat(dependencies: RegistrationDependencies, form: Registration, account: Account) -> Registered:
    """Make the lost device of an untouched account again, for a client that knows its password."""
    user = dependencies.credentials.reauthenticate(account.uuid, form.password, form.client)
    device = dependencies.enrolment.prepare(account.uuid, form.device_name, primary=True, keys=form.keys)

    def renew(snapshot: Snapshot, *held: Claim) -> TransactionResult[tuple[IssuedPairing, str]]:
        check_held(held, snapshot)
        check_current(snapshot.book, user)
        account = account_in(snapshot)
        if not idempotency.is_untouched(snapshot.book, account):
            raise Refusal(Code.USERNAME_TAKEN, reason="the account has been used since")
        draft, lost = idempotency.without_lost_device(snapshot.draft, snapshot.now)
        draft = dependencies.enrolment.bind(draft, device, snapshot.policy, snapshot.now)
        pairing = pairing_token.issue(draft.book, device.bound, snapshot.rules, snapshot.now, name_certificate=True)
        again = user_put(idempotency.with_renewed_record(account))
        return TransactionResult((pairing, lost), draft, (device.row, again), (*device.prepared, pairing.row))

    reading = (USERS.key(account.uuid),)
    lost = dependencies.claims.find(device.claim.name)
    if lost is not None and lost.user_uuid == account.uuid:  # an untouched account has no other devices than lost ones
        pairing, gone = dependencies.transactions.run(account.uuid, renew, reading=reading, client=form.client)
        dependencies.claims.replace(device.claim, lost)
    else:
        with dependencies.claims.key_held(device.claim) as claim:
            pairing, gone = dependencies.transactions.run(
                account.uuid, lambda snapshot: renew(snapshot, claim), reading=(*reading, claim.key), client=form.client
            )
    _forget(dependencies, account.uuid, gone)
    return Registered(account.uuid, device, pairing)


def _forget(dependencies: RegistrationDependencies, user_uuid: str, device_id: str) -> None:
    """Delete the rows of a device that its book no longer has; where that fails they mean nothing."""
    try:
        for delete in dependencies.enrolment.removal(user_uuid, device_id):
            write_known(dependencies.store, delete, RetryBudget())
    except StoreUnavailable as error:
        _log.warning("the rows of a lost device stay: %s", error)
