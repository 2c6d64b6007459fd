"""Certificate signing requests (PKCS #10, RFC 2986): what a device may ask for, which is little.

The request's own signature proves that its sender holds the key. Names and powers are ours to give: a request may name
nobody but the client that sends it, and asks for nothing that a device's certificate would not have anyway.
"""

from __future__ import annotations

from collections.abc import Collection

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.crypto.device_keys import DevicePublicKey, UnfitKey, fit_key

LONGEST = 32 * 1024
"""The most characters of a request; one of ML-DSA-87 has some 10,000."""

_BEGIN, _END = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"
_DIGESTS = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class UnfitRequest(ValueError):
    """A request that is refused. `fault`: `unreadable`, `signature`, `name`, `authority` or `extension`."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def read_request(pem: str, names: Collection[str]) -> DevicePublicKey:
    """Return the key of a request whose signature is right; its subject is empty or one common name of `names`.

    Raises UnfitRequest; UnfitKey for a key that no device may have.
    """
    try:
        request = _loaded(pem.strip())
        key = fit_key(request.public_key())
        asked, subject = list(request.extensions), list(request.subject)
    except UnsupportedAlgorithm:
        raise UnfitKey("algorithm") from None
    except UnfitKey:
        raise
    except (ValueError, x509.DuplicateExtension, x509.InvalidVersion):
        raise UnfitRequest("unreadable") from None
    if not _is_signed(request, key):
        raise UnfitRequest("signature")
    if len(subject) > 1 or any(part.oid != NameOID.COMMON_NAME or part.value not in names for part in subject):
        raise UnfitRequest("name")
    for extension in asked:
        _check_extension(extension.value)
    return key


def _loaded(pem: str) -> x509.CertificateSigningRequest:
    one = pem.count("-----BEGIN") == 1 and pem.startswith(_BEGIN) and pem.endswith(_END)
    if not one or len(pem) > LONGEST or not pem.isascii():
        raise UnfitRequest("unreadable")
    return x509.load_pem_x509_csr(pem.encode())


def _is_signed(request: x509.CertificateSigningRequest, key: DevicePublicKey) -> bool:
    try:
        digest, valid = request.signature_hash_algorithm, request.is_signature_valid
    except (UnsupportedAlgorithm, ValueError, TypeError):  # signed in another way than its key can
        return False
    return valid and (isinstance(digest, _DIGESTS) or not isinstance(key, ec.EllipticCurvePublicKey))


def _check_extension(asked: x509.ExtensionType) -> None:
    """Let pass what a device's certificate has anyway. Raises UnfitRequest."""
    match asked:
        case x509.BasicConstraints():
            if asked.ca:
                raise UnfitRequest("authority")
        case x509.KeyUsage():
            if asked.key_cert_sign or asked.crl_sign:
                raise UnfitRequest("authority")
        case x509.ExtendedKeyUsage():
            if set(asked) != {ExtendedKeyUsageOID.CLIENT_AUTH}:
                raise UnfitRequest("extension")
        case x509.SubjectAlternativeName():
            raise UnfitRequest("name")
        case _:
            raise UnfitRequest("extension")
