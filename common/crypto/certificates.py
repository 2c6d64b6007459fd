"""Device certificates: X.509 (RFC 5280) issued by our own authority, signed with ML-DSA-87 (FIPS 204, RFC 9881).

ML-DSA-87 is the standard's name for what was Dilithium5.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=365)
CLOCK_SKEW = timedelta(minutes=5)
"""How far before its making a certificate begins, so that a verifier whose clock is a little behind accepts it."""

_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """The key that signs devices' certificates, and its own self-signed certificate."""

    key: MLDSA87PrivateKey
    certificate: x509.Certificate

    def private_bytes(self) -> bytes:
        """Return the key as 32 bytes, the seed of FIPS 204."""
        return self.key.private_bytes_raw()

    def pem(self) -> str:
        """Return the authority's certificate as PEM text."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """An issued certificate and the particulars that are asked for most.

    `serial` is lower-case hex; `fingerprint` is the SHA-256 of the DER, 64 hex digits.
    """

    der: bytes
    pem: str
    serial: str
    not_before: datetime
    not_after: datetime
    fingerprint: str


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of a certificate's DER as 64 lower-case hex digits: the one way a fingerprint is computed."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return digest.finalize().hex()


def read_certificate(text: str) -> bytes:
    """Return the DER of a certificate given as PEM, or as base64 (either alphabet, padded or not) of DER or PEM.

    Raises ValueError when it is no certificate.
    """
    raw = text.strip().encode()
    if not raw.startswith(b"-----BEGIN"):
        raw = decode_base64(text)
    loader = (
        x509.load_pem_x509_certificate if raw.lstrip().startswith(b"-----BEGIN") else x509.load_der_x509_certificate
    )
    try:
        return loader(raw).public_bytes(serialization.Encoding.DER)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error


def decode_base64(text: str) -> bytes:
    """Decode base64 in either alphabet, padded or not, white space ignored. Raises ValueError for anything else."""
    plain = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def new_authority(now: datetime) -> CertificateAuthority:
    """Make a new root: a key and its self-signed certificate, valid for ten years."""
    key = MLDSA87PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ichidai device authority")])
    public = key.public_key()
    builder = (
        _builder(name, name, public, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
    )
    return CertificateAuthority(key, builder.sign(key, None))


def generate_client_certificate(
    user_uuid: str, device_id: str, public_key: MLDSA87PublicKey, authority: CertificateAuthority, now: datetime
) -> DeviceCertificate:
    """Issue a device's certificate over its own public key, valid for a year; user and device are named by URNs."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
    names = [x509.UniformResourceIdentifier(f"urn:uuid:{i}") for i in (user_uuid, device_id)]
    builder = (
        _builder(subject, authority.certificate.subject, public_key, now, CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    return _described(builder.sign(authority.key, None))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: MLDSA87PublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _KEY_USAGES})


def _described(certificate: x509.Certificate) -> DeviceCertificate:
    der = certificate.public_bytes(serialization.Encoding.DER)
    return DeviceCertificate(
        der=der,
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=fingerprint_of(der),
    )
