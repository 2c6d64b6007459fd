"""Making a device: its keys, its certificate, its place in the book and its row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.admission import DeviceProof
from common.book import Book, BoundDevice
from common.clock import Clock
from common.crypto.certificates import DeviceCertificate, certified_key
from common.crypto.kem import new_kem_key_pair
from common.crypto.signatures import (
    DevicePublicKey,
    is_signed,
    new_signing_key,
    private_key_text,
    public_key_digest,
)
from common.devices import NewDevice, OwnKeys, PrivateKeys
from common.draft import Draft
from common.errors import Code, Refusal
from common.history import Event, Kind
from common.ids import new_id
from common.proofs import NOTHING, enrol_statement
from common.storage.port import Absent, Delete, Equals, Item, Key, Put
from common.storage.tables import NAMES
from device_manager.device_db import device_key, device_put, keys_key, keys_put
from device_manager.device_model import Device, DeviceKeys, Role


class Issuer(Protocol):
    """Who issues certificates: the authorities of the suite."""

    def issue(self, user_uuid: str, device_id: str, public_key: DevicePublicKey, now: datetime) -> DeviceCertificate:
        """Issue a device's certificate by the authority of its key's kind. Raises StoreUnavailable."""


class Enrolment(Struct, frozen=True):
    """Enrols devices with certificates of `issuer`, at most `max_devices` for an account.

    `suite_url` is the issuer that the statement of a joining device names; `demanded` is what is demanded of everybody.
    """

    issuer: Issuer
    max_devices: int
    clock: Clock
    suite_url: str
    demanded: DeviceProof

    def check_possession(self, keys: OwnKeys | None, token_hash: str | None = None) -> None:
        """Let pass a device that has shown that it holds the key it brings; `token_hash`: of the pairing token, if any.

        In signature mode nobody joins by a pairing token without a key. Raises Refusal: PROOF_REQUIRED, PROOF_INVALID.
        """
        if keys is None:
            if token_hash is not None and self.demanded is DeviceProof.SIGNATURE:
                raise Refusal(Code.PROOF_REQUIRED)
            return
        if keys.proven:
            return
        if keys.signature is None:
            raise Refusal(Code.PROOF_REQUIRED)
        if not is_signed(
            keys.key, keys.signature, enrol_statement(self.suite_url, keys.username, token_hash or NOTHING)
        ):
            raise Refusal(Code.PROOF_INVALID, reason="enrolment")

    def prepare(self, user_uuid: str, device_name: str, *, primary: bool, keys: OwnKeys | None = None) -> NewDevice:
        """Make the certificate of a new device over the keys it brings, or over new ones.

        Nothing is stored; private keys that are made here exist only in the answer. Raises StoreUnavailable.
        """
        now, device_id = self.clock(), new_id()
        key, kem, private = (keys.key, keys.kem, None) if keys else _made()
        certificate = self.issuer.issue(user_uuid, device_id, key, now)
        device = Device(
            user_uuid=user_uuid,
            device_id=device_id,
            device_name=device_name,
            role=Role.PRIMARY if primary else Role.SECONDARY,
            registered_at=now,
            issuer=certificate.issuer,
            serial=certificate.serial,
            fingerprint=certificate.fingerprint,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        own = DeviceKeys(user_uuid, device_id, certificate.der, kem)
        bound = BoundDevice(device_id, certificate.fingerprint, certificate.not_after, self_keyed=keys is not None)
        claim = Put(NAMES, {"claim": _claim(key), "uuid": user_uuid, "device_id": device_id}, Absent())
        return NewDevice(bound, device_put(device), keys_put(own), claim, certificate, private)

    def claims_of(self, keys: OwnKeys | None) -> tuple[Key, ...]:
        """Return what must be read to know whether a key is free: nothing for keys that we make."""
        return () if keys is None else (NAMES.key(_claim(keys.key)),)

    def check_free(self, claims: Sequence[Item | None]) -> None:
        """Refuse a key that is, or ever was, another device's. Raises Refusal(KEY_IN_USE)."""
        if any(claim is not None for claim in claims):
            raise Refusal(Code.KEY_IN_USE)

    def inherited(self, device: NewDevice, claims: Sequence[Item | None], lost: str) -> NewDevice:
        """Return the device in a lost one's place, whose key it may bring again. Raises Refusal(KEY_IN_USE)."""
        for claim in claims:
            if claim is not None and claim["device_id"] == lost:
                return replace(device, claim=replace(device.claim, when=Equals("device_id", lost)))
        self.check_free(claims)
        return device

    def issue_again(self, keys: DeviceKeys) -> DeviceCertificate:
        """Issue a new certificate over the key that a device has. Nothing is stored. Raises StoreUnavailable."""
        key = certified_key(keys.certificate)
        return self.issuer.issue(keys.user_uuid, keys.device_id, key, self.clock())

    def removal(self, user_uuid: str, device_id: str) -> tuple[Delete, ...]:
        """Return the writes that forget a device whose keys never reached anybody."""
        return Delete(device_key(user_uuid, device_id)), Delete(keys_key(user_uuid, device_id))

    def check_room(self, book: Book) -> None:
        """Raise Refusal(TOO_MANY_DEVICES) when the account has as many devices as it may have."""
        if len(book.devices) >= self.max_devices:
            raise Refusal(Code.TOO_MANY_DEVICES, max_devices=self.max_devices)

    def bind(self, draft: Draft, device: NewDevice, now: datetime) -> Draft:
        """Return the draft with the device bound and the event recorded. Raises Refusal(TOO_MANY_DEVICES)."""
        self.check_room(draft.book)
        added = Event(Kind.DEVICE_ADDED, now, device.bound.device_id)
        return draft.with_book(draft.book.bound(device.bound), added)


def _made() -> tuple[DevicePublicKey, str, PrivateKeys]:
    signing, kem = new_signing_key(), new_kem_key_pair()
    return signing.public_key(), kem.public, PrivateKeys(private_key_text(signing), kem.private)


def _claim(key: DevicePublicKey) -> str:
    """Return the key of NamesTable under which a signing key is one device's alone, for ever."""
    return f"key#{public_key_digest(key)}"
