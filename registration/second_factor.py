"""Switching a second factor on and off: an authenticator app (RFC 6238) with recovery codes.

Nothing is stored before it is confirmed: what was begun travels with the client, sealed, until a code of the app shows
that it arrived there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Caller, FactorCode, Password, check_current
from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo, Event, EventKind
from common.account.liveness import require_live
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock, from_millis, to_millis
from common.crypto.otp import (
    FactorKeys,
    matching_step,
    new_recovery_codes,
    new_secret,
    normal_code,
    provisioning_uri,
    read_secret,
    secret_text,
)
from common.crypto.tokens import ForgedToken, SignedTokens
from common.errors import Code, Refusal
from common.storage.port import Put
from common.storage.tables import USERS
from registration.account_db import AccountDb, account_in, user_put
from registration.account_model import Account
from registration.credentials import CredentialCheck
from registration.factor_model import Factor
from registration.factors import Factors, factor_in, factor_key, factor_put

LIFETIME = timedelta(minutes=10)
"""How long there is to bring the secret into an app and confirm it."""

FORMER_CODES_KEPT = timedelta(days=7)
"""How long recovery codes stay good that were replaced without one of them."""

_NEVER = -1  # before the step of any code


class SecondFactorDependencies(Struct, frozen=True):
    """Dependencies of the use cases. `issuer`: under which name an app lists our accounts."""

    transactions: AccountTransactions
    accounts: AccountDb
    credentials: CredentialCheck
    factors: Factors
    keys: FactorKeys
    enrolments: SignedTokens
    clock: Clock
    issuer: str


class StartedEnrolment(Struct, frozen=True):
    """What an app needs: the secret in base32, and in a URI; `enrolment` is to come back with the app's first code."""

    secret: str
    uri: str
    enrolment: str
    expires_at: datetime


class Pending(Struct, frozen=True):
    """What an enrolment says: a secret for the account as it was under credential epoch `credential_version`."""

    secret: bytes
    credential_version: int
    expires_at: datetime


def status(dependencies: SecondFactorDependencies, caller: Caller) -> Factor | None:
    """Return the caller's second factor, if it is on. Raises StoreUnavailable."""
    return dependencies.factors.find(caller.user_uuid) if _account(dependencies, caller).has_factor else None


def begin(
    dependencies: SecondFactorDependencies, caller: Caller, password: Password, client: ClientInfo
) -> StartedEnrolment:
    """Make a secret for the caller's app; nothing is changed.

    Raises Refusal: OTP_ACTIVE, TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, BUSY; StoreUnavailable.
    """
    if _account(dependencies, caller).has_factor:
        raise Refusal(Code.OTP_ACTIVE)
    user = dependencies.credentials.reauthenticate(caller.user_uuid, password, client)
    secret, expires_at = new_secret(), dependencies.clock() + LIFETIME
    text = secret_text(secret)
    enrolment = dependencies.enrolments.sign([caller.user_uuid, user.credential_version, text, to_millis(expires_at)])
    return StartedEnrolment(text, provisioning_uri(secret, user.username, dependencies.issuer), enrolment, expires_at)


def confirm(
    dependencies: SecondFactorDependencies, caller: Caller, enrolment: str, code: str, client: ClientInfo
) -> tuple[str, ...]:
    """Switch the factor on by a code of the app, and return the recovery codes; they are shown this once.

    From then on whatever was proven or given out for the password alone counts no more: logins under way, questions,
    pairing tokens. Sessions live on. Raises Refusal: ENROLMENT_SPENT, OTP_INVALID, OTP_ACTIVE, BUSY; SessionGone;
    StoreUnavailable.
    """
    pending = _read(dependencies, enrolment, caller.user_uuid)
    step = matching_step(pending.secret, normal_code(code), dependencies.clock(), _NEVER)
    if step is None:
        raise Refusal(Code.OTP_INVALID)
    codes = new_recovery_codes()
    marks = dependencies.keys.hashes_of(codes, caller.user_uuid)
    encrypted = dependencies.keys.encrypt(pending.secret, caller.user_uuid)

    def switch_on(snapshot: Snapshot) -> TransactionResult[None]:
        require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        account = account_in(snapshot)
        if account.has_factor:
            raise Refusal(Code.OTP_ACTIVE)
        if pending.expires_at <= snapshot.now or not snapshot.book.is_current(pending.credential_version):
            raise Refusal(Code.ENROLMENT_SPENT, reason="expired, or begun under other credentials")
        book = snapshot.book.with_new_credentials()
        draft = snapshot.draft.with_book(book, _event(EventKind.OTP_ENABLED, caller, snapshot.now))
        owner = replace(account, credential_version=book.credential_version, has_factor=True)
        factor = Factor(caller.user_uuid, encrypted, step, marks, snapshot.now)  # as late as its event: see taking_back
        return TransactionResult(None, draft, (user_put(owner), _after_codes(snapshot, factor)))

    reading = (USERS.key(caller.user_uuid), factor_key(caller.user_uuid))
    dependencies.transactions.run(caller.user_uuid, switch_on, reading=reading, client=client)
    return codes


def remove(
    dependencies: SecondFactorDependencies, caller: Caller, password: Password, otp: FactorCode, client: ClientInfo
) -> None:
    """Switch the factor off, by the password and a code.

    Raises Refusal: OTP_INACTIVE, TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, BUSY; SessionGone;
    StoreUnavailable.
    """
    if not _account(dependencies, caller).has_factor:
        raise Refusal(Code.OTP_INACTIVE)
    user = dependencies.credentials.reauthenticate(caller.user_uuid, password, client, otp)

    def switch_off(snapshot: Snapshot) -> TransactionResult[None]:
        require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        return without_factor(snapshot, _event(EventKind.OTP_DISABLED, caller, snapshot.now))

    reading = (USERS.key(caller.user_uuid), factor_key(caller.user_uuid))
    dependencies.transactions.run(caller.user_uuid, switch_off, reading=reading, client=client)


def renew_recovery_codes(
    dependencies: SecondFactorDependencies, caller: Caller, password: Password, otp: FactorCode, client: ClientInfo
) -> tuple[str, ...]:
    """Make new recovery codes in place of those that are left, and return them; they are shown this once.

    Raises Refusal: OTP_INACTIVE, TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, BUSY; SessionGone;
    StoreUnavailable.
    """
    if not _account(dependencies, caller).has_factor:
        raise Refusal(Code.OTP_INACTIVE)
    user = dependencies.credentials.reauthenticate(caller.user_uuid, password, client, otp)
    codes, key = new_recovery_codes(), factor_key(caller.user_uuid)
    marks = dependencies.keys.hashes_of(codes, caller.user_uuid)

    def renew(snapshot: Snapshot) -> TransactionResult[None]:
        require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        factor = factor_in(snapshot)
        if factor is None:
            raise Refusal(Code.OTP_INACTIVE)
        draft = snapshot.draft.with_book(snapshot.book, _event(EventKind.RECOVERY_CODES_RENEWED, caller, snapshot.now))
        return TransactionResult(None, draft, (factor_put(factor.with_recovery_codes(marks, snapshot.now)),))

    dependencies.transactions.run(caller.user_uuid, renew, reading=(key,), client=client)
    return codes


def without_factor(snapshot: Snapshot, event: Event) -> TransactionResult[None]:
    """Return the change that takes the factor off the account that was read. Raises Refusal(OTP_INACTIVE)."""
    account = account_in(snapshot)
    if not account.has_factor:
        raise Refusal(Code.OTP_INACTIVE)
    writes = (user_put(replace(account, has_factor=False)), *_without_app(snapshot))
    return TransactionResult(None, snapshot.draft.with_book(snapshot.book, event), writes)


def _after_codes(snapshot: Snapshot, factor: Factor) -> Put:
    """Return the write of a new factor; recovery codes that were there before stay good for some days."""
    before, factor = factor_in(snapshot), replace(factor, generation=snapshot.policy.generation)
    if before is None:
        return factor_put(factor)
    former = before.former_after(snapshot.now, snapshot.now + FORMER_CODES_KEPT)
    return factor_put(replace(factor, former=former, passkeys=before.passkeys, used=before.used))


def _without_app(snapshot: Snapshot) -> tuple[Put, ...]:
    """Return the write that takes off the app and its codes; those of an earlier set stay until their time.

    Passkeys stay.
    """
    before = factor_in(snapshot)
    if before is None:
        return ()
    former = tuple(each for each in before.former if snapshot.now < each.until)
    return (factor_put(replace(before, encrypted_secret="", recovery_code_hashes=(), former=former)),)


def _read(dependencies: SecondFactorDependencies, enrolment: str, user_uuid: str) -> Pending:
    try:
        owner, credential_version, text, expires_at = dependencies.enrolments.verify(enrolment)
    except ForgedToken:
        raise Refusal(Code.ENROLMENT_SPENT, reason="forged") from None
    if owner != user_uuid:
        raise Refusal(Code.ENROLMENT_SPENT, reason="another user's")
    return Pending(read_secret(text), credential_version, from_millis(expires_at))


def _account(dependencies: SecondFactorDependencies, caller: Caller) -> Account:
    account = dependencies.accounts.find(caller.user_uuid)
    if account is None:
        raise NoSuchUser
    return account


def _event(kind: EventKind, caller: Caller, now: datetime) -> Event:
    return Event(kind, now, caller.session.device_id, by=caller.session.device_id)
