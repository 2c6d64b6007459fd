"""What crosses between the rooms when a device joins an account. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.book import BoundDevice
from common.crypto.certificates import DeviceCertificate
from common.storage.port import Key, Put


@dataclass(frozen=True, slots=True)
class PrivateKeys:
    """The private halves of a device's keys in base64: PKCS#8 DER, raw sntrup761. Handed out once, stored nowhere."""

    signing: str
    kem: str


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device ready to be bound: its place in the book, its row in DevicesTable, and what its owner is given."""

    bound: BoundDevice
    row: Put
    certificate: DeviceCertificate
    private_keys: PrivateKeys


@dataclass(frozen=True, slots=True)
class PairingTicket:
    """A pairing token as its QR code showed it.

    `fingerprint` and `not_after` only where the code named a certificate.
    """

    key: Key
    fingerprint: str | None = None
    not_after: datetime | None = None
