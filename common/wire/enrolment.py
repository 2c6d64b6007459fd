"""How a new device is written on the wire, wherever one joins an account."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from common.account.devices import NewDevice, OwnKeys
from common.clock import to_rfc3339
from common.crypto.certificates import DeviceCertificate
from common.crypto.csr import UnfitRequest, read_request
from common.crypto.device_keys import UnfitKey, read_public_key
from common.crypto.kem import read_kem_key
from common.errors import Code, Refusal
from common.web.endpoints import Answer
from common.web.fields import DeviceName, Opaque, Username
from common.web.formats import Base64, Sha256Hex, Timestamp, Uuid
from common.web.messages import REGISTERED, REGISTERED_OWN, Language
from common.web.request_body import Body


class PublicKeysBody(Body, frozen=True, kw_only=True):
    """Public keys that a device made: base64 of SPKI DER, and of raw sntrup761."""

    signing: Opaque | None = None
    kem: Opaque | None = None


class EnrolProofBody(Body, frozen=True, kw_only=True):
    """A signature over the statement of an enrolment."""

    signature: Opaque


class NewDeviceBody(Body, frozen=True, kw_only=True):
    """A new device, with keys of its own (`csr`, or `public_keys` and `proof`) or without."""

    conditions: ClassVar[Mapping[str, object]] = {
        "dependentSchemas": {
            "csr": {"properties": {"public_keys": {"not": {"required": ["signing"]}}}},
            "public_keys": {
                "anyOf": [
                    {"required": ["csr"]},
                    {"required": ["proof"], "properties": {"public_keys": {"required": ["signing"]}}},
                ]
            },
        }
    }

    device_name: DeviceName | None = None
    csr: Opaque | None = None
    public_keys: PublicKeysBody | None = None
    proof: EnrolProofBody | None = None

    def keys_named(self, name: str) -> OwnKeys | None:
        """Return the keys that the device brings; `name` is what their statement names. A csr may name it, too.

        Raises Refusal: MISSING_FIELDS, INVALID_REQUEST, CSR_INVALID, KEY_INVALID.
        """
        public = self.public_keys or PublicKeysBody()
        if self.csr is None and self.public_keys is None:
            return None
        if self.csr is None and public.signing is None:
            raise Refusal(Code.MISSING_FIELDS, names="public_keys.signing", fields=["public_keys.signing"])
        if self.csr is not None and public.signing is not None:
            problem = "csr and public_keys.signing: a device has one signing key"
            raise Refusal(Code.INVALID_REQUEST, problem=problem, field="public_keys.signing")
        try:
            return self._read_keys(public, name)
        except UnfitRequest as unfit:
            raise Refusal(Code.CSR_INVALID, fault=unfit.fault) from None
        except UnfitKey as unfit:
            raise Refusal(Code.KEY_INVALID, fault=unfit.fault) from None

    def _read_keys(self, public: PublicKeysBody, name: str) -> OwnKeys:
        kem = None if public.kem is None else read_kem_key(public.kem)
        if self.csr is not None:
            names = {name.strip(), str(self.device_name or name.strip())}
            return OwnKeys(read_request(self.csr, names), kem, name, key_proven=True)
        signature = None if self.proof is None else self.proof.signature
        return OwnKeys(read_public_key(public.signing or ""), kem, name, key_proven=False, signature=signature)


class EnrolmentBody(NewDeviceBody, frozen=True, kw_only=True):
    """A device that joins the account of a user who is named."""

    username: Username

    def own_keys(self) -> OwnKeys | None:
        """Return the keys that the device brings; the statement of an enrolment names the user as sent.

        Raises Refusal: MISSING_FIELDS, INVALID_REQUEST, CSR_INVALID, KEY_INVALID.
        """
        return self.keys_named(self.username.as_sent)


class CertificateAnswer(Struct, frozen=True):
    """A device's certificate."""

    pem: str
    serial: str
    not_before: Timestamp
    not_after: Timestamp
    fingerprint: Sha256Hex


class PrivateKeysAnswer(Struct, frozen=True):
    """The private keys that the server made: base64 of PKCS#8 DER, and of raw sntrup761. Shown once, stored nowhere."""

    signing: Base64
    kem: Base64


class NewDeviceAnswer(Answer, frozen=True, kw_only=True):
    """A device that joined."""

    device_id: Uuid
    client_cert: Base64
    client_cert_fp: Sha256Hex
    certificate: CertificateAnswer
    private_keys: PrivateKeysAnswer | UnsetType = UNSET


def certificate_fields(certificate: DeviceCertificate) -> dict[str, Any]:
    """Return the fields by which an answer hands a certificate out."""
    return {
        "client_cert": base64.b64encode(certificate.der).decode(),
        "client_cert_fp": certificate.fingerprint,
        "certificate": CertificateAnswer(
            pem=certificate.pem,
            serial=certificate.serial,
            not_before=to_rfc3339(certificate.not_before),
            not_after=to_rfc3339(certificate.not_after),
            fingerprint=certificate.fingerprint,
        ),
    }


def new_device_fields(device: NewDevice) -> dict[str, Any]:
    """Return the fields of a NewDeviceAnswer; private keys only where we made them."""
    keys = device.private_keys
    return {
        "device_id": device.bound.device_id,
        **certificate_fields(device.certificate),
        "private_keys": UNSET if keys is None else PrivateKeysAnswer(signing=keys.signing, kem=keys.kem),
    }


def registered_message(device: NewDevice, language: Language) -> str:
    """Return the answer to the client that registered a device."""
    return (REGISTERED if device.private_keys else REGISTERED_OWN).in_language(language, {})
