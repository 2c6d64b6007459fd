"""Registering people and their devices: the three use cases of this package.

Everything expensive (the password's hash, keys, a certificate) is made once and before the commit; everything that must
be true together is one commit. What must be unique is claimed before it and confirmed after it.
"""

from __future__ import annotations

import importlib
import sys
from datetime import datetime
from pathlib import Path

if __name__ == "registration":  # `python -m registration.app_registration`, run in this folder, took us for the package
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    del sys.modules["registration"]
    importlib.import_module("registration")

from common.account.admission import AuthenticatedUser, check_current
from common.account.book import Book
from common.account.claim_store import ClaimTaken, check_held
from common.account.claims import Claim
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import PairingTicket
from common.account.draft import Draft
from common.account.history import Event, EventKind
from common.account.marks import Mark
from common.account.transactions import NoSuchUser
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.challenge import SignedChallenge, challenge_keys
from common.proof.statements import Purpose
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Conflict
from registration import idempotency, invitation, pairing_token
from registration.account_db import claims_of, user_writes
from registration.account_model import Account, check_password, normal_password
from registration.dependencies import RegistrationDependencies
from registration.email_sender import notify_of_device, notify_user_via_sns
from registration.forms import PairingForm, Registered, Registration, SecondDevice
from registration.pairing_token import IssuedPairing
from registration.repetition import repeated_registration

_COUNTED = frozenset({Code.USERNAME_TAKEN, Code.EMAIL_TAKEN})
"""Refusals that count as much as an account: they tell whether one is there."""


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
    repeated = repeated_registration(dependencies, form)
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
        repeated = repeated_registration(dependencies, form)  # the first sending may have been under way still
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
