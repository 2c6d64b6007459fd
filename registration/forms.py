"""What users who register bring, and what they are given."""

from __future__ import annotations

from msgspec import Struct

from common.account.devices import NewDevice, OwnKeys, TlsClientCertificate
from common.account.history import ClientInfo
from common.proof.statements import Proof
from registration.pairing_token import IssuedPairing


class Registration(Struct, frozen=True):
    """A user who registers, with the device at hand and the keys it brings. Texts are checked for form already.

    `idempotency_key` lets the client repeat the registration if its answer is lost. `work`: a proof of work.
    `invitation`: lets it pass where registration is closed, once.
    """

    username: str
    email: str
    password: str
    device_name: str
    client: ClientInfo
    idempotency_key: str | None = None
    keys: OwnKeys | None = None
    work: str | None = None
    invitation: str | None = None


class SecondDevice(Struct, frozen=True):
    """A user who joins with another device, by the QR code of one that is registered."""

    qr_code: str
    username: str
    password: str
    device_name: str
    client: ClientInfo
    keys: OwnKeys | None = None
    otp: str | None = None


class PairingForm(Struct, frozen=True):
    """A registered device that asks for a pairing token; `held`: TLS proved the key of its certificate."""

    username: str
    password: str
    fingerprint: str
    client: ClientInfo
    proof: Proof | None = None
    tls_certificate: TlsClientCertificate | None = None
    otp: str | None = None


class Registered(Struct, frozen=True):
    """What the user is given: the user, the device with its private keys, and the QR code for the next device."""

    user_uuid: str
    device: NewDevice
    pairing: IssuedPairing
