"""How a new device is written on the wire, wherever one joins an account."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import BaseModel

from common.clock import to_rfc3339
from common.devices import NewDevice
from common.errors import Code, Refusal
from common.web.bodies import Body, DeviceName
from common.web.endpoints import Answer


class EnrolmentBody(Body):
    """A device that joins. It cannot bring keys of its own yet."""

    device_name: DeviceName | None = None
    csr: Any = None
    public_keys: Any = None

    def check_supported(self) -> None:
        """Raise Refusal(NOT_SUPPORTED) when the device brings keys of its own."""
        names = [name for name in ("csr", "public_keys") if getattr(self, name) is not None]
        if names:
            raise Refusal(Code.NOT_SUPPORTED, names=", ".join(names), fields=names)


class CertificateAnswer(BaseModel):
    """A device's certificate."""

    pem: str
    serial: str
    not_before: str
    not_after: str
    fingerprint: str


class PrivateKeysAnswer(BaseModel):
    """The private keys that the server made: base64 of PKCS#8 DER, and of raw sntrup761. Shown once, stored nowhere."""

    signing: str
    kem: str


class NewDeviceAnswer(Answer):
    """A device that joined."""

    device_id: str
    client_cert: str
    client_cert_fp: str
    certificate: CertificateAnswer
    private_keys: PrivateKeysAnswer


def new_device_fields(device: NewDevice) -> dict[str, Any]:
    """Return the fields of a NewDeviceAnswer."""
    certificate, keys = device.certificate, device.private_keys
    return {
        "device_id": device.bound.device_id,
        "client_cert": base64.b64encode(certificate.der).decode(),
        "client_cert_fp": certificate.fingerprint,
        "certificate": CertificateAnswer(
            pem=certificate.pem,
            serial=certificate.serial,
            not_before=to_rfc3339(certificate.not_before),
            not_after=to_rfc3339(certificate.not_after),
            fingerprint=certificate.fingerprint,
        ),
        "private_keys": PrivateKeysAnswer(signing=keys.signing, kem=keys.kem),
    }
