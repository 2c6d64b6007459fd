"""Device certificates: X.509 (RFC 5280) issued by our own authorities; `docs/certificates.md` tells their profile.

A device's key is signed by an authority of its own kind: ML-DSA-87 (FIPS 204, RFC 9881), the standard's name for what
was Dilithium5, or ECDSA on P-256, which the TLS stacks of today take.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from common.crypto.device_keys import DevicePrivateKey, DevicePublicKey, fit_key
from common.encoding import decode_base64

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


class KeyKind(StrEnum):
    """What a key is, and the authority that signs it."""

    POST_QUANTUM = "ml-dsa-87"
    CLASSICAL = "p-256"


_NAMES = {
    KeyKind.POST_QUANTUM: "Ichidai device authority",
    KeyKind.CLASSICAL: "Ichidai device authority (classical)",
}


class CertificateAuthority(Struct, frozen=True, dict=True):
    """The key that signs devices' certificates, and its own self-signed certificate."""

    key: DevicePrivateKey
    certificate: x509.Certificate

    @property
    def kind(self) -> KeyKind:
        """What it signs, and with what."""
        return kind_of(self.key.public_key())

    @cached_property
    def name(self) -> str:
        """Its key's identifier (RFC 5280, 4.2.1.2) in hex, as its certificates and its list call it."""
        return x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()).digest.hex()

    def private_bytes(self) -> bytes:
        """Return the key: 32 bytes, the seed of FIPS 204; or PKCS#8 DER."""
        if isinstance(self.key, MLDSA87PrivateKey):
            return self.key.private_bytes_raw()
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())

    def pem(self) -> str:
        """Return the authority's certificate as PEM text."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def digest(self) -> hashes.SHA256 | None:
        """The digest that its signatures take; ML-DSA has its own."""
        return None if self.kind is KeyKind.POST_QUANTUM else hashes.SHA256()

    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """Return how what it signs points to its key."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    def issue(self, user_uuid: str, device_id: str, public_key: DevicePublicKey, now: datetime) -> DeviceCertificate:
        """Issue a device's certificate that names no place of a list of revoked ones."""
        return generate_client_certificate(user_uuid, device_id, public_key, self, now)


class DeviceCertificate(Struct, frozen=True):
    """An issued certificate and the particulars that are asked for most.

    `issuer` is the name of the authority that signed it; `serial` is lower-case hex; `fingerprint` is the SHA-256 of
    the DER, 64 hex digits.
    """

    der: bytes
    pem: str
    issuer: str
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


def kind_of(public_key: object) -> KeyKind:
    """Return what kind a public key is. Raises UnfitKey for any other than ML-DSA-87 and EC on P-256."""
    return KeyKind.POST_QUANTUM if isinstance(fit_key(public_key), MLDSA87PublicKey) else KeyKind.CLASSICAL


def issuer_name(certificate: x509.Certificate) -> str:
    """Return the name of the authority that a certificate says has signed it. ValueError when it says nothing."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        found = None
    if found is None:
        raise ValueError("no authority key identifier")
    return found.hex()


def read_issued(der: bytes) -> DeviceCertificate:
    """Return a certificate of ours, as it was stored, with its particulars."""
    return _described(x509.load_der_x509_certificate(der))


def certified_key(der: bytes) -> DevicePublicKey:
    """Return the key that a certificate of ours is over."""
    return fit_key(x509.load_der_x509_certificate(der).public_key())


def new_authority(now: datetime, kind: KeyKind = KeyKind.POST_QUANTUM) -> CertificateAuthority:
    """Make a new root: a key and its self-signed certificate, valid for ten years."""
    key = MLDSA87PrivateKey.generate() if kind is KeyKind.POST_QUANTUM else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAMES[kind])])
    builder = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
    )
    return CertificateAuthority(key, builder.sign(key, None if kind is KeyKind.POST_QUANTUM else hashes.SHA256()))


def generate_client_certificate(
    user_uuid: str,
    device_id: str,
    public_key: DevicePublicKey,
    authority: CertificateAuthority,
    now: datetime,
    *,
    crl_url: str | None = None,
) -> DeviceCertificate:
    """Issue a device's certificate over its own public key, valid for a year; user and device are named by URNs.

    `crl_url`: where the authority's list of revoked certificates is published.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
    names = [x509.UniformResourceIdentifier(f"urn:uuid:{i}") for i in (user_uuid, device_id)]
    builder = (
        _builder(subject, authority.certificate.subject, public_key, now, CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(authority.key_identifier(), critical=False)
    )
    if crl_url is not None:
        place = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([place]), critical=False)
    return _described(builder.sign(authority.key, authority.digest))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: DevicePublicKey, now: datetime, lifetime: timedelta
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
        issuer=issuer_name(certificate),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=fingerprint_of(der),
    )
