"""Making a device: its keys, its certificate, its place in the book and its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.book import Book, BoundDevice
from common.clock import Clock
from common.crypto.certificates import CertificateAuthority, generate_client_certificate
from common.crypto.kem import new_kem_key_pair
from common.crypto.signatures import new_signing_key, private_key_text, public_key_text
from common.devices import NewDevice, PrivateKeys
from common.draft import Draft
from common.errors import Code, Refusal
from common.history import Event, Kind
from common.ids import new_id
from common.storage.port import Delete
from device_manager.device_db import device_key, device_put
from device_manager.device_model import Device, Role


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Enrols devices under one certificate authority, at most `max_devices` for an account."""

    authority: CertificateAuthority
    max_devices: int
    clock: Clock

    def prepare(self, user_uuid: str, device_name: str, *, primary: bool) -> NewDevice:
        """Make keys and certificate of a new device. Nothing is stored; the private keys exist only in the answer."""
        now, device_id = self.clock(), new_id()
        signing, kem = new_signing_key(), new_kem_key_pair()
        certificate = generate_client_certificate(user_uuid, device_id, signing.public_key(), self.authority, now)
        device = Device(
            user_uuid=user_uuid,
            device_id=device_id,
            device_name=device_name,
            role=Role.PRIMARY if primary else Role.SECONDARY,
            registered_at=now,
            certificate_pem=certificate.pem,
            serial=certificate.serial,
            fingerprint=certificate.fingerprint,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            signing_key=public_key_text(signing.public_key()),
            kem_key=kem.public,
        )
        bound = BoundDevice(device_id, certificate.fingerprint, certificate.not_after)
        return NewDevice(bound, device_put(device), certificate, PrivateKeys(private_key_text(signing), kem.private))

    def removal(self, user_uuid: str, device_id: str) -> Delete:
        """Return the write that forgets a device whose keys never reached anybody."""
        return Delete(device_key(user_uuid, device_id))

    def check_room(self, book: Book) -> None:
        """Raise Refusal(TOO_MANY_DEVICES) when the account has as many devices as it may have."""
        if len(book.devices) >= self.max_devices:
            raise Refusal(Code.TOO_MANY_DEVICES, max_devices=self.max_devices)

    def bind(self, draft: Draft, device: NewDevice, now: datetime) -> Draft:
        """Return the draft with the device bound and the event recorded. Raises Refusal(TOO_MANY_DEVICES)."""
        self.check_room(draft.book)
        added = Event(Kind.DEVICE_ADDED, now, device.bound.device_id)
        return draft.with_book(draft.book.bound(device.bound), added)
