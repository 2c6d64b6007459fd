"""Taking a device's right away: unbound, or its certificate revoked. Book and list of revoked change together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from common.account.admission import Caller, FactorCode, Password
from common.account.book import Book
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, OperatorAct, Reason
from common.account.liveness import require_live
from common.account.operator import Operator
from common.account.transactions import AccountTransactions, NoSuchUser
from common.crypto.crl import RevocationReason, Revoked
from common.errors import Code, Refusal
from common.storage.port import Put, StoreUnavailable
from device_manager.device_db import device_key, device_put
from device_manager.device_model import Device
from device_manager.device_service import DeviceDependencies, bound_device
from device_manager.revocation_db import revocation_puts

RECENT_PASSWORD = timedelta(minutes=10)
"""How old the caller's password check may be for taking a device's right away without giving the password again."""

_log = logging.getLogger(__name__)


class Reauthentication(Struct, frozen=True):
    """The password given once more, with the code of a second factor; nothing where the last check is young."""

    password: Password | None = None
    otp: FactorCode = None


def unbind_device(
    dependencies: DeviceDependencies,
    caller: Caller,
    device_id: str,
    reauthentication: Reauthentication,
    client: ClientInfo,
) -> None:
    """Unbind a device of the caller's: its session ends and its certificate is revoked, in one commit.

    Raises Refusal: NOT_FOUND, REAUTHENTICATE (the password check is too old and no right password was given),
    LAST_DEVICE, TOO_MANY_ATTEMPTS, OTP_REQUIRED, OTP_INVALID, BUSY; SessionGone; StoreUnavailable.
    """

    def unbound(draft: Draft, device: Device, now: datetime) -> TransactionResult[None]:
        draft = _without_session(draft, caller, device_id, Reason.DEVICE_UNBOUND, now)
        event = Event(EventKind.DEVICE_REMOVED, now, device_id, by=caller.session.device_id)
        draft = draft.with_book(draft.book.unbound(device_id), event)
        return TransactionResult(None, draft, _revoking(device, RevocationReason.CESSATION_OF_OPERATION, now))

    _take_right_away(dependencies, caller, device_id, reauthentication, client, unbound)


def unbind_by_operator(
    transactions: AccountTransactions, user_uuid: str, device_id: str, operator: Operator, *, even_last: bool = False
) -> None:
    """Unbind a device of an account for an operator; the last one is not, unless `even_last`.

    Raises NoSuchUser; Refusal: NOT_FOUND, LAST_DEVICE, BUSY; StoreUnavailable.
    """

    def unbind(snapshot: Snapshot) -> TransactionResult[None]:
        device, now = bound_device(snapshot, device_id), snapshot.now
        if not even_last and not _others_stand(snapshot.book, device_id):
            raise Refusal(Code.LAST_DEVICE)
        draft = snapshot.draft.without_expired(snapshot.rules, now)
        session = draft.book.session_of(device_id)
        if session is not None:
            draft = draft.ended(session, Reason.DEVICE_UNBOUND, now, act=OperatorAct.UNBIND)
        event = Event(EventKind.DEVICE_REMOVED, now, device_id, act=OperatorAct.UNBIND)
        line = operator.audit(OperatorAct.UNBIND, user_uuid, now, device_id=device_id)
        writes = (*_revoking(device, RevocationReason.CESSATION_OF_OPERATION, now), line)
        return TransactionResult(None, draft.with_book(draft.book.unbound(device_id), event), writes)

    transactions.run(user_uuid, unbind, reading=(device_key(user_uuid, device_id),))


def unbind_revoked(transactions: AccountTransactions, user_uuid: str, device_id: str, by: str) -> None:
    """Unbind a device whose certificate the book has revoked already, in the name of the device `by`.

    What has been done is safe: it never raises, and a device that stays bound is there to be unbound.
    """

    def unbind(snapshot: Snapshot) -> TransactionResult[None]:
        bound = snapshot.book.devices.get(device_id)
        if bound is None or not bound.revoked or snapshot.book.session_of(device_id) is not None:
            return TransactionResult(None)
        event = Event(EventKind.DEVICE_REMOVED, snapshot.now, device_id, by=by)
        draft = snapshot.draft.with_book(snapshot.book.unbound(device_id), event)
        device = bound_device(snapshot, device_id)
        return TransactionResult(None, draft, _revoking(device, RevocationReason.CESSATION_OF_OPERATION, snapshot.now))

    try:
        transactions.run(user_uuid, unbind, reading=(device_key(user_uuid, device_id),))
    except (NoSuchUser, Refusal, StoreUnavailable) as error:
        _log.warning("device %s is revoked, and not unbound: %s", device_id, error)


def revoke_certificate(
    dependencies: DeviceDependencies,
    caller: Caller,
    device_id: str,
    reauthentication: Reauthentication,
    client: ClientInfo,
) -> None:
    """Revoke the certificate of a device of the caller's: its session ends, in one commit, and it never gets in again.

    The device stays bound, to be seen and unbound. Repeating it changes nothing. Raises as `unbind_device`.
    """

    def revoked(draft: Draft, device: Device, now: datetime) -> TransactionResult[None]:
        if draft.book.devices[device_id].revoked:
            return TransactionResult(None)
        draft = _without_session(draft, caller, device_id, Reason.REVOKED, now)
        event = Event(EventKind.CERTIFICATE_REVOKED, now, device_id, by=caller.session.device_id)
        draft = draft.with_book(draft.book.revoked(device_id), event)
        return TransactionResult(None, draft, _revoking(device, RevocationReason.KEY_COMPROMISE, now))

    _take_right_away(dependencies, caller, device_id, reauthentication, client, revoked)


def superseded(device: Device, now: datetime) -> tuple[Put, ...]:
    """Return the writes that put a device's certificate on the list because another one has taken its place."""
    return revocation_puts(revocation_of(device, RevocationReason.SUPERSEDED, now))


def _take_right_away(
    dependencies: DeviceDependencies,
    caller: Caller,
    device_id: str,
    reauthentication: Reauthentication,
    client: ClientInfo,
    decide: Callable[[Draft, Device, datetime], TransactionResult[None]],
) -> None:
    """Let `decide` change the swept book, if the caller may and another device can still log in."""
    reauthenticated = reauthentication.password is not None and _is_right(
        dependencies, caller, reauthentication.password, reauthentication.otp, client
    )

    def take(snapshot: Snapshot) -> TransactionResult[None]:
        own = require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        device = bound_device(snapshot, device_id)
        if not reauthenticated and snapshot.now > own.auth_time + RECENT_PASSWORD:
            raise Refusal(Code.REAUTHENTICATE)
        if not _others_stand(snapshot.book, device_id):
            raise Refusal(Code.LAST_DEVICE)
        return decide(snapshot.draft.without_expired(snapshot.rules, snapshot.now), device, snapshot.now)

    reading = (device_key(caller.user_uuid, device_id),)
    dependencies.transactions.run(caller.user_uuid, take, reading=reading, client=client)


def _others_stand(book: Book, device_id: str) -> bool:
    """Say whether another device could log in without this one."""
    return any(not device.revoked for device in book.devices.values() if device.device_id != device_id)


def _without_session(draft: Draft, caller: Caller, device_id: str, reason: Reason, now: datetime) -> Draft:
    session = draft.book.session_of(device_id)
    return draft if session is None else draft.ended(session, reason, now, by=caller.session.device_id)


def _revoking(device: Device, reason: RevocationReason, now: datetime) -> tuple[Put, ...]:
    """Return the row and, unless it is there already, the entry of the list."""
    row = device_put(device.revoked(now))
    return (row,) if device.revoked_at is not None else (row, *revocation_puts(revocation_of(device, reason, now)))


def revocation_of(device: Device, reason: RevocationReason, now: datetime) -> Revoked:
    """Return the entry of the list for a device's present certificate."""
    return Revoked(device.issuer, device.serial, reason, now, device.not_after)


def _is_right(
    dependencies: DeviceDependencies, caller: Caller, password: Password, otp: FactorCode, client: ClientInfo
) -> bool:
    try:
        dependencies.credentials.reauthenticate(caller.user_uuid, password, client, otp)
    except Refusal as refusal:
        if refusal.code is Code.BAD_CREDENTIALS:
            return False
        raise
    return True
