"""A device's certificate is renewed over the same key, which the device proves, and the book changes once."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from common.account.decision import Snapshot, TransactionResult
from common.account.devices import TlsClientCertificate
from common.account.history import ClientInfo, Event, EventKind
from common.account.transactions import NoSuchUser
from common.clock import seconds_between
from common.crypto.certificates import DeviceCertificate
from common.errors import Code, Refusal
from common.proof.challenge import SignedChallenge, challenge_keys
from common.proof.statements import Proof, Purpose
from common.rate_limit import NOTHING, Exhausted, Quota, spend
from device_manager.device_db import device_key, device_put, keys_key, renewed_put
from device_manager.device_model import Device, DeviceKeys
from device_manager.device_service import DeviceDependencies
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
    tls_certificate: TlsClientCertificate | None
    fingerprint: str | None
    client: ClientInfo


class Renewed(Struct, frozen=True):
    """The device's certificate from now on."""

    device_id: str
    certificate: DeviceCertificate


def renew_certificate(dependencies: DeviceDependencies, form: RenewalForm) -> Renewed:
    """Put a new certificate over the same key in the place of a device's; its session lives on.

    A device that shows the certificate before its present one never had the answer to a renewal: it is given the
    present one, and nothing is renewed. Raises Refusal: PROOF_REQUIRED, PROOF_INVALID, CHALLENGE_SPENT,
    CERTIFICATE_MISMATCH, CERTIFICATE_REVOKED, CERTIFICATE_EXPIRED (over 90 days ago), TOO_MANY_ATTEMPTS, BUSY;
    StoreUnavailable.
    """
    signed, user_uuid, device_id = _who(dependencies, form)
    rows = (device_key(user_uuid, device_id), keys_key(user_uuid, device_id))

    def look(snapshot: Snapshot) -> TransactionResult[DeviceKeys]:
        device, keys = _renewable(snapshot, device_id, form)
        if not _is_repetition(device, form):
            _taken(device, snapshot.now)
        return TransactionResult(keys)

    try:
        known = dependencies.transactions.dry_run(user_uuid, look, rows)
        certificate = dependencies.enrolment.issue_again(known)

        def renew(snapshot: Snapshot) -> TransactionResult[str]:
            (device, keys), bound = _renewable(snapshot, device_id, form), snapshot.book.devices[device_id]
            spent = dependencies.challenges.spend(signed, bound, snapshot) if signed else ()
            if _is_repetition(device, form):
                return TransactionResult(device.fingerprint, snapshot.draft if spent else None, spent)
            event = Event(EventKind.CERTIFICATE_RENEWED, snapshot.now, device_id)
            book = snapshot.book.renewed(device_id, certificate.fingerprint, certificate.not_after)
            row = device_put(device.renewed(certificate, _taken(device, snapshot.now)))
            return TransactionResult(
                certificate.fingerprint,
                snapshot.draft.with_book(book, event),
                (*spent, row, *superseded(device, snapshot.now)),
                (renewed_put(keys.renewed(certificate), certificate.fingerprint),),
            )

        reads = (*rows, *challenge_keys(signed))
        present = dependencies.transactions.run(user_uuid, renew, reading=reads, client=form.client)
        if present != certificate.fingerprint:
            certificate = dependencies.devices.certificate_of(user_uuid, device_id, present)
        return Renewed(device_id, certificate)
    except NoSuchUser:
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="no book") from None


def _who(dependencies: DeviceDependencies, form: RenewalForm) -> tuple[SignedChallenge | None, str, str]:
    """Return the signed challenge, if there is one, and whose device it is that proved its key."""
    if form.proof is not None:
        signed = dependencies.challenges.verify(form.proof, Purpose.RENEW)
        return signed, signed.challenge.user_uuid, signed.challenge.device_id
    if form.tls_certificate is None:
        raise Refusal(Code.PROOF_REQUIRED)
    if form.tls_certificate.user_uuid is None or form.tls_certificate.device_id is None:
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="it names no device")
    return None, form.tls_certificate.user_uuid, form.tls_certificate.device_id


def _renewable(snapshot: Snapshot, device_id: str, form: RenewalForm) -> tuple[Device, DeviceKeys]:
    """Return the device's rows, if its certificate may be renewed with what the form has."""
    book, user_uuid = snapshot.book, snapshot.book.user_uuid
    row, keys = snapshot.at(device_key(user_uuid, device_id)), snapshot.at(keys_key(user_uuid, device_id))
    if row is None or keys is None or not book.is_active:
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="no such device")
    device = Device.from_item(row)
    if form.fingerprint not in (None, device.fingerprint, device.superseded):
        raise Refusal(Code.CERTIFICATE_MISMATCH, reason="another certificate")
    if book.active_device(device_id) is None:
        raise Refusal(Code.CERTIFICATE_REVOKED)
    if device.not_after + RENEWABLE <= snapshot.now:
        raise Refusal(Code.CERTIFICATE_EXPIRED, reason="too long ago to be renewed")
    return device, DeviceKeys.from_item(keys)


def _is_repetition(device: Device, form: RenewalForm) -> bool:
    """Say whether it is a device that shows the certificate before its present one."""
    return form.fingerprint is not None and form.fingerprint == device.superseded


def _taken(device: Device, now: datetime) -> datetime:
    """Return when the device's bucket is empty after one more renewal. Raises Refusal(TOO_MANY_ATTEMPTS)."""
    outcome = spend(max((device.renewals or now) - now, NOTHING), QUOTA)
    if isinstance(outcome, Exhausted):
        wait = max(1, seconds_between(now, now + outcome.wait))
        raise Refusal(Code.TOO_MANY_ATTEMPTS, variant="renewal", reason="renewals", retry_after=wait)
    return now + outcome
