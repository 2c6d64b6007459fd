"""Switching a second factor on and off: an authenticator app (RFC 6238) with recovery codes, for whoever wants one.

Nothing is stored before it is confirmed: what was begun travels with the client, sealed, until a code of the app shows
that it arrived there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from common.admission import Proven
from common.bookkeeping import Bookkeeper, Change, NoSuchUser, Snapshot
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
from common.crypto.tokens import ForgedToken, MacTokens
from common.errors import Code, Refusal
from common.granting import Caller
from common.history import Event, Kind, Origin
from common.liveness import SessionRules, require_live
from common.storage.port import Delete, Item
from common.storage.tables import USERS
from registration.account_db import AccountDb, user_put
from registration.account_model import Account
from registration.credentials import CredentialCheck
from registration.factor_model import Factor
from registration.factors import Factors, factor_key, factor_put

LIFETIME = timedelta(minutes=10)
"""How long there is to bring the secret into an app and confirm it."""

_NEVER = -1  # before the step of any code


class Desk(Struct, frozen=True):
    """What the use cases work with. `issuer`: under which name an app lists our accounts."""

    bookkeeper: Bookkeeper
    accounts: AccountDb
    credentials: CredentialCheck
    factors: Factors
    keys: FactorKeys
    enrolments: MacTokens
    rules: SessionRules
    clock: Clock
    issuer: str


class Begun(Struct, frozen=True):
    """What an app needs: the secret in base32, and in a URI; `enrolment` is to come back with the app's first code."""

    secret: str
    uri: str
    enrolment: str
    expires_at: datetime


class Pending(Struct, frozen=True):
    """What an enrolment says: a secret for the account as it was under credential epoch `epoch`."""

    secret: bytes
    epoch: int
    expires_at: datetime


def status(desk: Desk, caller: Caller) -> Factor | None:
    """Return the caller's second factor, if it is on. Raises StoreUnavailable."""
    return desk.factors.find(caller.user_uuid) if _account(desk, caller).has_factor else None


def begin(desk: Desk, caller: Caller, password: str, origin: Origin) -> Begun:
    """Make a secret for the caller's app; nothing is changed.

    Raises Refusal: OTP_ACTIVE, TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, BUSY; StoreUnavailable.
    """
    if _account(desk, caller).has_factor:
        raise Refusal(Code.OTP_ACTIVE)
    proven = desk.credentials.prove_user(caller.user_uuid, password, origin)
    secret, expires_at = new_secret(), desk.clock() + LIFETIME
    text = secret_text(secret)
    enrolment = desk.enrolments.seal([caller.user_uuid, proven.epoch, text, to_millis(expires_at)])
    return Begun(text, provisioning_uri(secret, proven.username, desk.issuer), enrolment, expires_at)


def confirm(desk: Desk, caller: Caller, enrolment: str, code: str, origin: Origin) -> tuple[str, ...]:
    """Switch the factor on by a code of the app, and return the recovery codes; they are shown this once.

    From then on whatever was proven or given out for the password alone counts no more: logins under way, questions,
    pairing tokens. Sessions live on. Raises Refusal: ENROLMENT_SPENT, OTP_INVALID, OTP_ACTIVE, BUSY; SessionGone;
    StoreUnavailable.
    """
    pending = _read(desk, enrolment, caller.user_uuid)
    step = matching_step(pending.secret, normal_code(code), desk.clock(), _NEVER)
    if step is None:
        raise Refusal(Code.OTP_INVALID)
    codes = new_recovery_codes()
    marks = desk.keys.marks_of(codes, caller.user_uuid)
    factor = Factor(caller.user_uuid, desk.keys.seal(pending.secret, caller.user_uuid), step, marks, desk.clock())

    def switch_on(snapshot: Snapshot) -> Change[None]:
        require_live(snapshot.book, caller.session.session_id, desk.rules, snapshot.now)
        account = _read_account(snapshot.items[0])
        if account.has_factor:
            raise Refusal(Code.OTP_ACTIVE)
        if pending.expires_at <= snapshot.now or not snapshot.book.accepts(pending.epoch):
            raise Refusal(Code.ENROLMENT_SPENT, reason="expired, or begun under other credentials")
        book = snapshot.book.recredentialed()
        draft = snapshot.draft.with_book(book, _event(Kind.OTP_ENABLED, caller, snapshot.now))
        return Change(None, draft, (user_put(replace(account, epoch=book.epoch, has_factor=True)), factor_put(factor)))

    desk.bookkeeper.change(caller.user_uuid, switch_on, reading=(USERS.key(caller.user_uuid),), origin=origin)
    return codes


def remove(desk: Desk, caller: Caller, password: str, otp: str | None, origin: Origin) -> None:
    """Switch the factor off, by the password and a code.

    Raises Refusal: OTP_INACTIVE, TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, BUSY; SessionGone;
    StoreUnavailable.
    """
    if not _account(desk, caller).has_factor:
        raise Refusal(Code.OTP_INACTIVE)
    proven = desk.credentials.prove_user(caller.user_uuid, password, origin, otp)

    def switch_off(snapshot: Snapshot) -> Change[None]:
        require_live(snapshot.book, caller.session.session_id, desk.rules, snapshot.now)
        _check_epoch(snapshot, proven)
        return _without_factor(snapshot, _event(Kind.OTP_DISABLED, caller, snapshot.now))

    desk.bookkeeper.change(caller.user_uuid, switch_off, reading=(USERS.key(caller.user_uuid),), origin=origin)


def reset(bookkeeper: Bookkeeper, user_uuid: str) -> None:
    """Switch a factor off for somebody who lost it: for operators, who have made sure who it is.

    Raises NoSuchUser; Refusal: OTP_INACTIVE, BUSY; StoreUnavailable.
    """

    def switch_off(snapshot: Snapshot) -> Change[None]:
        return _without_factor(snapshot, Event(Kind.OTP_DISABLED, snapshot.now))

    bookkeeper.change(user_uuid, switch_off, reading=(USERS.key(user_uuid),))


def _without_factor(snapshot: Snapshot, event: Event) -> Change[None]:
    """Return the change that takes the factor off the account that was read. Raises Refusal(OTP_INACTIVE)."""
    account = _read_account(snapshot.items[0])
    if not account.has_factor:
        raise Refusal(Code.OTP_INACTIVE)
    writes = (user_put(replace(account, has_factor=False)), Delete(factor_key(account.uuid)))
    return Change(None, snapshot.draft.with_book(snapshot.book, event), writes)


def _read(desk: Desk, enrolment: str, user_uuid: str) -> Pending:
    try:
        owner, epoch, text, expires_at = desk.enrolments.open(enrolment)
    except ForgedToken:
        raise Refusal(Code.ENROLMENT_SPENT, reason="forged") from None
    if owner != user_uuid:
        raise Refusal(Code.ENROLMENT_SPENT, reason="another user's")
    return Pending(read_secret(text), epoch, from_millis(expires_at))


def _check_epoch(snapshot: Snapshot, proven: Proven) -> None:
    if not snapshot.book.accepts(proven.epoch):
        raise Refusal(Code.BAD_CREDENTIALS, reason="the password was changed meanwhile")


def _account(desk: Desk, caller: Caller) -> Account:
    account = desk.accounts.find(caller.user_uuid)
    if account is None:
        raise NoSuchUser
    return account


def _read_account(item: Item | None) -> Account:
    if item is None:
        raise NoSuchUser
    return Account.from_item(item)


def _event(kind: Kind, caller: Caller, now: datetime) -> Event:
    return Event(kind, now, caller.session.device_id, by=caller.session.device_id)
