"""What crosses between the packages when a device joins an account. Values only."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from common.account.book import BoundDevice
from common.account.claims import Claim
from common.crypto.certificates import DeviceCertificate
from common.crypto.device_keys import DevicePublicKey
from common.storage.port import Absent, Key, Put


class PublicKeys(Struct, frozen=True):
    """The public halves: one to verify signatures, and raw sntrup761 in base64 to seal to (None: it has none)."""

    signing: DevicePublicKey
    kem: str | None


class PrivateKeys(Struct, frozen=True):
    """The private halves of a device's keys in base64: PKCS#8 DER, raw sntrup761. Handed out once, stored nowhere."""

    signing: str
    kem: str


class OwnKeys(Struct, frozen=True):
    """Keys that a joining device made itself.

    A signing request has `proven` its key; otherwise `signature` (base64) must be over the enrolment's statement, which
    names the user as `username` was sent.
    """

    key: DevicePublicKey
    kem: str | None
    username: str
    key_proven: bool
    signature: str | None = None


class NewDevice(Struct, frozen=True):
    """A device ready to be bound: its place in the book, its two rows, and what its owner is given.

    `row` follows from the book, in DevicesTable; `keys` lie in DeviceKeysTable before it. `claim` makes its signing key
    one device's alone. `private_keys` only where we made them.
    """

    bound: BoundDevice
    row: Put
    keys: Put
    claim: Claim
    certificate: DeviceCertificate
    private_keys: PrivateKeys | None

    @property
    def first_rows(self) -> tuple[Put, ...]:
        """Its rows, where they are put before its account's book is: nothing lies there."""
        return tuple(Put(put.table, put.item, Absent()) for put in (self.row, self.keys))

    @property
    def prepared(self) -> tuple[Put, ...]:
        """What is put before the change that binds it to an account."""
        return (Put(self.keys.table, self.keys.item, Absent()),)


class TlsClientCertificate(Struct, frozen=True):
    """A certificate whose key TLS has proven: a listed proxy says so. Whether it is good for anything the book tells.

    `user_uuid` and `device_id` are what it names in the way that ours do; any issuer can write that into one.
    """

    fingerprint: str
    user_uuid: str | None = None
    device_id: str | None = None


def is_proven_by_tls(device: BoundDevice | None, tls_certificate: TlsClientCertificate | None) -> bool:
    """Say whether TLS has proven the key of the device's present certificate."""
    return device is not None and tls_certificate is not None and tls_certificate.fingerprint == device.fingerprint


class PairingTicket(Struct, frozen=True):
    """A pairing token as its QR code showed it.

    `fingerprint` and `not_after` only where the code named a certificate.
    """

    key: Key
    fingerprint: str | None = None
    not_after: datetime | None = None
