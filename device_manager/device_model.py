"""A device's two rows: what the book need not know at every request. Pure.

DevicesTable holds what is listed and asked for by name, DeviceKeysTable what is large and seldom read.
"""

from __future__ import annotations

import base64
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.crypto.certificates import DeviceCertificate
from common.storage.port import Item
from common.storage.stored_form import More, carried, named


class Role(StrEnum):
    """The first device of an account is its primary one; no rule prefers it."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Device(Struct, frozen=True):
    """A device and the particulars of its certificate, as `DeviceCertificate` has them: a few hundred bytes.

    A row outlives its device: `revoked_at` is when it was unbound or its certificate revoked. `superseded` is the
    fingerprint of the certificate before this one, `renewals` when the bucket that counts its renewals is
    empty (`common.rate_limit`). `more`, `certificate_more`: what a later release wrote.
    """

    user_uuid: str
    device_id: str
    device_name: str
    role: Role | str
    registered_at: datetime
    issuer: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    superseded: str | None = None
    renewals: datetime | None = None
    more: More = {}
    certificate_more: More = {}

    def renamed(self, device_name: str) -> Device:
        """Return the device under another name."""
        return replace(self, device_name=device_name)

    def revoked(self, now: datetime) -> Device:
        """Return the device with its certificate revoked; the first time counts."""
        return replace(self, revoked_at=self.revoked_at or now)

    def had(self, fingerprint: str) -> bool:
        """Say whether a certificate was this device's and is no longer good."""
        return fingerprint == self.superseded or (fingerprint == self.fingerprint and self.revoked_at is not None)

    def renewed(self, certificate: DeviceCertificate, renewals: datetime) -> Device:
        """Return the device with a new certificate in the place of this one; `renewals` is the bucket after it."""
        return replace(
            self,
            issuer=certificate.issuer,
            serial=certificate.serial,
            fingerprint=certificate.fingerprint,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
            superseded=self.fingerprint,
            renewals=renewals,
        )

    def to_item(self) -> Item:
        """Write the device as an item of DevicesTable."""
        return {
            **self.more,
            "user_uuid": self.user_uuid,
            "uuid": self.user_uuid,  # as users' rows name it; both names were asked for
            "device_id": self.device_id,
            "device_name": self.device_name,
            "role": str(self.role),
            "registered_at": to_millis(self.registered_at),
            "certificate": {
                **self.certificate_more,
                "issuer": self.issuer,
                "serial": self.serial,
                "fingerprint": self.fingerprint,
                "not_before": to_millis(self.not_before),
                "not_after": to_millis(self.not_after),
            },
            "book_version": 0,  # the version of the book that it follows from
            "revoked_at": None if self.revoked_at is None else to_millis(self.revoked_at),
            "superseded": self.superseded,
            "renewals": None if self.renewals is None else to_millis(self.renewals),
        }

    @staticmethod
    def from_item(item: Any) -> Device:
        """Read what `to_item` wrote."""
        certificate, revoked_at = item["certificate"], item["revoked_at"]
        renewals = item.get("renewals")
        return Device(
            user_uuid=item["user_uuid"],
            device_id=item["device_id"],
            device_name=item["device_name"],
            role=named(Role, item["role"]),
            registered_at=from_millis(item["registered_at"]),
            issuer=certificate["issuer"],
            serial=certificate["serial"],
            fingerprint=certificate["fingerprint"],
            not_before=from_millis(certificate["not_before"]),
            not_after=from_millis(certificate["not_after"]),
            revoked_at=None if revoked_at is None else from_millis(revoked_at),
            superseded=item.get("superseded"),
            renewals=None if renewals is None else from_millis(renewals),
            more=carried(item, _DEVICE),
            certificate_more=carried(certificate, _CERTIFICATE),
        )


_DEVICE = frozenset(
    (
        *("user_uuid", "uuid", "device_id", "device_name", "role", "registered_at", "certificate", "revoked_at"),
        *("superseded", "renewals", "book_version"),
    )
)
_CERTIFICATE = frozenset(("issuer", "serial", "fingerprint", "not_before", "not_after"))
_KEYS = frozenset(("user_uuid", "device_id", "certificate", "kem"))


class DeviceKeys(Struct, frozen=True):
    """A device's certificate (DER), whose key verifies its signatures, and what to seal to: some 12 KB.

    `kem` is raw sntrup761 in base64, None where the device brought none. A renewed certificate is a row of its own.
    """

    user_uuid: str
    device_id: str
    certificate: bytes
    kem: str | None
    more: More = {}

    def renewed(self, certificate: DeviceCertificate) -> DeviceKeys:
        """Return the same keys under a new certificate."""
        return replace(self, certificate=certificate.der)

    def to_item(self) -> Item:
        """Write them as an item of DeviceKeysTable."""
        return {
            **self.more,
            "user_uuid": self.user_uuid,
            "device_id": self.device_id,
            "certificate": base64.b64encode(self.certificate).decode(),
            "kem": self.kem,
        }

    @staticmethod
    def from_item(item: Any) -> DeviceKeys:
        """Read what `to_item` wrote."""
        certificate = base64.b64decode(item["certificate"])
        return DeviceKeys(item["user_uuid"], item["device_id"], certificate, item["kem"], carried(item, _KEYS))
