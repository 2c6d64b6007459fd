"""Taking a device's right away: unbound, or its certificate revoked. Book and list of revoked change together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from common.book import Book
from common.bookkeeping import Change, Snapshot
from common.crypto.revocation_lists import RevocationReason, Revoked
from common.draft import Draft
from common.errors import Code, Refusal
from common.granting import Caller
from common.history import Event, Kind, Origin, Reason
from common.liveness import require_live
from common.storage.port import Put
from device_manager.device_db import device_key, device_put
from device_manager.device_model import Device
from device_manager.device_service import Desk, bound_device
from device_manager.revocation_db import revocation_puts

RECENT_PASSWORD = timedelta(minutes=10)
"""How old the caller's password check may be for taking a device's right away without giving the password again."""


class Again(Struct, frozen=True):
    """The password given once more, with the code of a second factor; nothing where the last check is young."""

    password: str | None = None
    otp: str | None = None


def unbind_device(desk: Desk, caller: Caller, device_id: str, again: Again, origin: Origin) -> None:
    """Unbind a device of the caller's: its session ends and its certificate is revoked, in one commit.

    Raises Refusal: NOT_FOUND, REAUTHENTICATE (the password check is too old and no right password was given),
    LAST_DEVICE, TOO_MANY_ATTEMPTS, OTP_REQUIRED, OTP_INVALID, BUSY; SessionGone; StoreUnavailable.
    """

    def unbound(draft: Draft, device: Device, now: datetime) -> Change[None]:
        draft = _without_session(draft, caller, device_id, Reason.DEVICE_UNBOUND, now)
        event = Event(Kind.DEVICE_REMOVED, now, device_id, by=caller.session.device_id)
        draft = draft.with_book(draft.book.unbound(device_id), event)
        return Change(None, draft, _revoking(device, RevocationReason.CESSATION_OF_OPERATION, now))

    _take_right_away(desk, caller, device_id, again, origin, unbound)


def revoke_certificate(desk: Desk, caller: Caller, device_id: str, again: Again, origin: Origin) -> None:
    """Revoke the certificate of a device of the caller's: its session ends, in one commit, and it never gets in again.

    The device stays bound, to be seen and unbound. Repeating it changes nothing. Raises as `unbind_device`.
    """

    def revoked(draft: Draft, device: Device, now: datetime) -> Change[None]:
        if draft.book.devices[device_id].revoked:
            return Change(None)
        draft = _without_session(draft, caller, device_id, Reason.REVOKED, now)
        event = Event(Kind.CERTIFICATE_REVOKED, now, device_id, by=caller.session.device_id)
        draft = draft.with_book(draft.book.revoked(device_id), event)
        return Change(None, draft, _revoking(device, RevocationReason.KEY_COMPROMISE, now))

    _take_right_away(desk, caller, device_id, again, origin, revoked)


def superseded(device: Device, now: datetime) -> tuple[Put, ...]:
    """Return the writes that put a device's certificate on the list because another one has taken its place."""
    return revocation_puts(_of(device, RevocationReason.SUPERSEDED, now))


def _take_right_away(
    desk: Desk,
    caller: Caller,
    device_id: str,
    again: Again,
    origin: Origin,
    decide: Callable[[Draft, Device, datetime], Change[None]],
) -> None:
    """Let `decide` change the swept book, once it is clear that the caller may and that somebody can log in after."""
    reauthenticated = again.password is not None and _is_right(desk, caller, again.password, again.otp, origin)

    def take(snapshot: Snapshot) -> Change[None]:
        own = require_live(snapshot.book, caller.session.session_id, desk.rules, snapshot.now)
        device = bound_device(snapshot, device_id)
        if not reauthenticated and snapshot.now > own.auth_time + RECENT_PASSWORD:
            raise Refusal(Code.REAUTHENTICATE)
        if not _others_stand(snapshot.book, device_id):
            raise Refusal(Code.LAST_DEVICE)
        return decide(snapshot.draft.swept(desk.rules, snapshot.now), device, snapshot.now)

    reading = (device_key(caller.user_uuid, device_id),)
    desk.bookkeeper.change(caller.user_uuid, take, reading=reading, origin=origin)


def _others_stand(book: Book, device_id: str) -> bool:
    """Say whether anybody could log in without this device."""
    return any(not device.revoked for device in book.devices.values() if device.device_id != device_id)


def _without_session(draft: Draft, caller: Caller, device_id: str, reason: Reason, now: datetime) -> Draft:
    session = draft.book.session_of(device_id)
    return draft if session is None else draft.ended(session, reason, now, by=caller.session.device_id)


def _revoking(device: Device, reason: RevocationReason, now: datetime) -> tuple[Put, ...]:
    """Return the row and, unless it is there already, the entry of the list."""
    row = device_put(device.revoked(now))
    return (row,) if device.revoked_at is not None else (row, *revocation_puts(_of(device, reason, now)))


def _of(device: Device, reason: RevocationReason, now: datetime) -> Revoked:
    return Revoked(device.issuer, device.serial, reason, now, device.not_after)


def _is_right(desk: Desk, caller: Caller, password: str, otp: str | None, origin: Origin) -> bool:
    try:
        desk.credentials.prove_user(caller.user_uuid, password, origin, otp)
    except Refusal as refusal:
        if refusal.code is Code.BAD_CREDENTIALS:
            return False
        raise
    return True
