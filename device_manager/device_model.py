"""A device's row in DevicesTable: what the book need not know at every request. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.crypto.certificates import DeviceCertificate
from common.storage.port import Item


class Role(StrEnum):
    """The first device of an account is its primary one; no rule prefers it."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Device(Struct, frozen=True):
    """A device and its certificate. Public keys are base64: SPKI DER to verify signatures, raw sntrup761 to seal.

    `kem_key` is None where the device brought none. A row outlives its device: `revoked_at` is when it was unbound or
    its certificate revoked. `superseded` is the fingerprint of the certificate before this one,
    `renewals` the bucket that its renewals are taken out of (`common.throttle`).
    """

    user_uuid: str
    device_id: str
    device_name: str
    role: Role
    registered_at: datetime
    certificate_pem: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    signing_key: str
    kem_key: str | None
    revoked_at: datetime | None = None
    superseded: str | None = None
    renewals: datetime | None = None

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
            certificate_pem=certificate.pem,
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
            "user_uuid": self.user_uuid,
            "device_id": self.device_id,
            "device_name": self.device_name,
            "role": str(self.role),
            "registered_at": to_millis(self.registered_at),
            "certificate": {
                "pem": self.certificate_pem,
                "serial": self.serial,
                "fingerprint": self.fingerprint,
                "not_before": to_millis(self.not_before),
                "not_after": to_millis(self.not_after),
            },
            "public_keys": {"signing": self.signing_key, "kem": self.kem_key},
            "revoked_at": None if self.revoked_at is None else to_millis(self.revoked_at),
            "superseded": self.superseded,
            "renewals": None if self.renewals is None else to_millis(self.renewals),
        }

    @staticmethod
    def from_item(item: Any) -> Device:
        """Read what `to_item` wrote."""
        certificate, keys, revoked_at = item["certificate"], item["public_keys"], item["revoked_at"]
        renewals = item.get("renewals")
        return Device(
            user_uuid=item["user_uuid"],
            device_id=item["device_id"],
            device_name=item["device_name"],
            role=Role(item["role"]),
            registered_at=from_millis(item["registered_at"]),
            certificate_pem=certificate["pem"],
            serial=certificate["serial"],
            fingerprint=certificate["fingerprint"],
            not_before=from_millis(certificate["not_before"]),
            not_after=from_millis(certificate["not_after"]),
            signing_key=keys["signing"],
            kem_key=keys["kem"],
            revoked_at=None if revoked_at is None else from_millis(revoked_at),
            superseded=item.get("superseded"),
            renewals=None if renewals is None else from_millis(renewals),
        )
