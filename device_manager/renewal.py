"""A device's certificate is renewed over the same key: whoever holds the key proves it, and the book changes once."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from common.book import AccountState
from common.bookkeeping import Change, NoSuchUser, Snapshot
from common.challenge import Signed, reading
from common.clock import seconds_between
from common.crypto.certificates import DeviceCertificate, read_issued
from common.devices import HeldCertificate
from common.errors import Code, Refusal
from common.history import Event, Kind, Origin
from common.proofs import Proof, Purpose
from common.throttle import Exhausted, Quota, spend
from device_manager.device_db import device_key, device_put, keys_key, keys_put
from device_manager.device_model import Device, DeviceKeys
from device_manager.device_service import Desk
from device_manager.revocation import superseded

RENEWABLE = timedelta(days=90)
"""How long after its end a certificate may still be renewed."""

QUOTA = Quota(burst=10, interval=timedelta(days=1))
"""How often a device's certificate is renewed: each one before it stands for a year on the list of revoked ones."""


class RenewalForm(Struct, frozen=True):
    """A renewal: a proof of the device's key, or the certificate whose key TLS has proven.

    `fingerprint` is that of the certificate the device has, where it says so; TLS always does.
    """

    proof: Proof | None
    held: HeldCertificate | None
    fingerprint: str | None
    origin: Origin


class Renewed(Struct, frozen=True):
    """The device's certificate from now on."""

    device_id: str
    certificate: DeviceCertificate


def renew_certificate(desk: Desk, form: RenewalForm) -> Renewed:
    """Put a new certificate over the same key in the place of a device's; its session lives on.

    A device that shows the certificate before its present one never had the answer to a renewal: it is given the
    present one, and nothing is renewed. Raises Refusal: PROOF_REQUIRED, PROOF_INVALID, CHALLENGE_SPENT,
    CERTIFICATE_MISMATCH, CERTIFICATE_REVOKED, CERTIFICATE_EXPIRED (over 90 days ago), TOO_MANY_ATTEMPTS, BUSY;
    StoreUnavailable.
    """
    signed, user_uuid, device_id = _who(desk, form)
    rows = (device_key(user_uuid, device_id), keys_key(user_uuid, device_id))

    def look(snapshot: Snapshot) -> Change[DeviceKeys]:
        device, keys = _renewable(snapshot, device_id, form)
        if not _is_repetition(device, form):
            _taken(device, snapshot.now)
        return Change(keys)

    try:
        known = desk.bookkeeper.preview(user_uuid, look, rows)
        certificate = desk.enrolment.issue_again(known)

        def renew(snapshot: Snapshot) -> Change[DeviceCertificate]:
            (device, keys), bound = _renewable(snapshot, device_id, form), snapshot.book.devices[device_id]
            spent = desk.challenges.spend(signed, bound, snapshot) if signed else ()
            if _is_repetition(device, form):
                return Change(read_issued(keys.certificate), snapshot.draft if spent else None, spent)
            event = Event(Kind.CERTIFICATE_RENEWED, snapshot.now, device_id)
            book = snapshot.book.renewed(device_id, certificate.fingerprint, certificate.not_after)
            row = device_put(device.renewed(certificate, _taken(device, snapshot.now)))
            writes = (*spent, row, keys_put(keys.renewed(certificate)), *superseded(device, snapshot.now))
            return Change(certificate, snapshot.draft.with_book(book, event), writes)

        reads = (*rows, *reading(signed))
        return Renewed(device_id, desk.bookkeeper.change(user_uuid, renew, reading=reads, origin=form.origin))
    except NoSuchUser:
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="no book") from None


def _who(desk: Desk, form: RenewalForm) -> tuple[Signed | None, str, str]:
    """Return the signed challenge, if there is one, and whose device it is that proved its key."""
    if form.proof is not None:
        signed = desk.challenges.check(form.proof, Purpose.RENEW)
        return signed, signed.challenge.user_uuid, signed.challenge.device_id
    if form.held is None:
        raise Refusal(Code.PROOF_REQUIRED)
    if form.held.user_uuid is None or form.held.device_id is None:
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="it names no device")
    return None, form.held.user_uuid, form.held.device_id


def _renewable(snapshot: Snapshot, device_id: str, form: RenewalForm) -> tuple[Device, DeviceKeys]:
    """Return the device's rows, if its certificate may be renewed by whoever shows what the form has."""
    book, (row, keys) = snapshot.book, snapshot.items[:2]
    if row is None or keys is None or book.state is not AccountState.ACTIVE:
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="no such device")
    device = Device.from_item(row)
    if form.fingerprint not in (None, device.fingerprint, device.superseded):
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="another certificate")
    if book.standing(device_id) is None:
        raise Refusal(Code.CERTIFICATE_REVOKED)
    if device.not_after + RENEWABLE <= snapshot.now:
        raise Refusal(Code.CERTIFICATE_EXPIRED, reason="too long ago to be renewed")
    return device, DeviceKeys.from_item(keys)


def _is_repetition(device: Device, form: RenewalForm) -> bool:
    """Say whether it is a device that shows the certificate before its present one."""
    return form.fingerprint is not None and form.fingerprint == device.superseded


def _taken(device: Device, now: datetime) -> datetime:
    """Return the device's bucket after one more renewal. Raises Refusal(TOO_MANY_ATTEMPTS)."""
    outcome = spend(device.renewals, QUOTA, now)
    if isinstance(outcome, Exhausted):
        wait = max(1, seconds_between(now, outcome.retry_at))
        raise Refusal(Code.TOO_MANY_ATTEMPTS, variant="renewal", reason="renewals", retry_after=wait)
    return outcome.tat
