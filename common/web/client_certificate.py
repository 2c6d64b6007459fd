"""The client certificate of a request's TLS connection, as a proxy forwards it.

A certificate is written as RFC 9440 writes `Client-Cert`; in which header, and from whom, `CertificateHeader` says.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.account.devices import TlsClientCertificate
from common.crypto.certificates import fingerprint_of
from common.errors import Code, Refusal

HEADER = "Client-Cert"
_LONGEST = 16_384
_URN = re.compile(r"urn:uuid:([0-9a-f-]{36})")


def fingerprint_in(forwarded: str | None) -> str | None:
    """Return the fingerprint of the certificate that a listed proxy forwards; None for none, and for what is not one.

    It is not parsed, which every request would pay for: it is compared with those that we issued, and no other bytes
    have their fingerprints.
    """
    try:
        return hashlib.sha256(_der(forwarded)).hexdigest() if forwarded else None
    except ValueError:
        return None


def tls_client_certificate(forwarded: str | None) -> TlsClientCertificate | None:
    """Return the certificate that a listed proxy forwards; None when it forwards none.

    Raises Refusal(INVALID_REQUEST) for what is not the DER of one certificate in base64 between colons.
    """
    if not forwarded:
        return None
    try:
        certificate = x509.load_der_x509_certificate(_der(forwarded))
        der = certificate.public_bytes(Encoding.DER)
    except (ValueError, x509.InvalidVersion):
        problem = f"{HEADER} is not one certificate as RFC 9440 writes it"
        raise Refusal(Code.INVALID_REQUEST, problem=problem, field=HEADER) from None
    return TlsClientCertificate(fingerprint_of(der), *_named_in(certificate))


def _der(forwarded: str) -> bytes:
    """Return what stands in base64 between colons. ValueError for any other form."""
    is_framed = forwarded[:1] + forwarded[-1:] == "::" and len(forwarded) % 4 == 2  # noqa: PLR2004 - two colons
    if not is_framed or len(forwarded) > _LONGEST:
        raise ValueError("form")
    return binascii.a2b_base64(forwarded[1:-1], strict_mode=True)  # binascii.Error is a ValueError


def _named_in(certificate: x509.Certificate) -> tuple[str | None, str | None]:
    """Return the user and the device that a certificate names as ours do, or nothing."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = [_URN.fullmatch(uri) for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]
        user_uuid, device_id = (str(UUID(uri[1])) for uri in found if uri)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None, None
    return user_uuid, device_id
