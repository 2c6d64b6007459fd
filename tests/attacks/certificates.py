"""Forged certificates by kind: what a forger makes who knows a device's certificate, and more than he can know.

Some are made with our own root's key, as a thief of it would: not even those are good for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA87PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.crypto.certificates import CertificateAuthority, KeyKind, new_authority
from tests.usecases.in_process_suite import DAY, T0

YEAR = 365 * DAY


@dataclass(frozen=True)
class Model:
    """The certificate that is imitated: whose it is, and our roots with their keys."""

    genuine: x509.Certificate
    user: str
    device: str
    root: CertificateAuthority
    classical: CertificateAuthority
    device_key: Any


@dataclass(frozen=True)
class Plan:
    """A certificate to be made: like the genuine one but for what a forgery changes."""

    issuer: x509.Name
    key: Any
    public: Any
    serial: int
    common_name: str
    names: Sequence[x509.GeneralName] | None
    start: Any = T0 - timedelta(minutes=5)
    end: Any = T0 + YEAR
    is_authority: bool = False
    signs_certificates: bool = False
    usages: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    pointing: Any = None
    more: Sequence[tuple[x509.ExtensionType, bool]] = ()

    def made(self) -> bytes:
        """Sign it."""
        usage = [self.signs_certificates if place in (5, 6) else place == 0 for place in range(9)]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)]))
            .issuer_name(self.issuer)
            .public_key(self.public)
            .serial_number(self.serial)
            .not_valid_before(self.start)
            .not_valid_after(self.end)
            .add_extension(x509.BasicConstraints(ca=self.is_authority, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(*usage), critical=True)
        )
        if self.names is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.names), critical=False)
        if self.usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.usages), critical=False)
        if self.pointing is not None:
            pointer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.pointing)
            builder = builder.add_extension(pointer, critical=False)
        for extension, critical in self.more:
            builder = builder.add_extension(extension, critical=critical)
        own_digest = isinstance(self.key, MLDSA87PrivateKey | MLDSA44PrivateKey | ed25519.Ed25519PrivateKey)
        signed = builder.sign(self.key, None if own_digest else hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.DER)


def like(model: Model, **changed: Any) -> Plan:
    """Return a certificate as a thief of our root's key would make it, over a key of his own, but for what changes."""
    key = MLDSA87PrivateKey.generate()
    plan = Plan(
        issuer=model.root.certificate.subject,
        key=model.root.key,
        public=key.public_key(),
        serial=x509.random_serial_number(),
        common_name=model.device,
        names=urns(model.user, model.device),
        pointing=model.root.key.public_key(),
    )
    return replace(plan, **changed)


def urns(*ids: str) -> list[x509.GeneralName]:
    """Return names as ours are."""
    return [x509.UniformResourceIdentifier(f"urn:uuid:{one}") for one in ids]


def by_its_own_key(model: Model, key: Any, **changed: Any) -> bytes:
    """Return a certificate that a key signed for itself, with the genuine one's names."""
    return like(model, key=key, public=key.public_key(), pointing=key.public_key(), **changed).made()


def by_another_suite(model: Model, kind: KeyKind) -> bytes:
    """Return one of an authority that has the name of ours."""
    other = new_authority(T0, kind)
    return like(model, issuer=other.certificate.subject, key=other.key, pointing=other.key.public_key()).made()


def by_a_device(model: Model, **changed: Any) -> bytes:
    """Return one that a device's key signed, as if the device were an authority."""
    issuer, public = model.genuine.subject, model.device_key.public_key()
    return like(model, issuer=issuer, key=model.device_key, pointing=public, **changed).made()


def with_a_turned_bit(model: Model) -> bytes:
    """Return the genuine one with a bit of its signature turned."""
    der = bytearray(der_of(model.genuine))
    der[-20] ^= 4
    return bytes(der)


def der_of(certificate: x509.Certificate) -> bytes:
    """Return the DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


_NUL = x509.DNSName("device.example.test")
_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
_CHAIN = x509.PolicyConstraints(0, 0)

FORGERIES: dict[str, Callable[[Model], bytes]] = {
    "self-signed, ML-DSA-87": lambda m: by_its_own_key(m, MLDSA87PrivateKey.generate()),
    "self-signed, P-256": lambda m: by_its_own_key(m, ec.generate_private_key(ec.SECP256R1())),
    "self-signed, named like our root": lambda m: by_its_own_key(m, MLDSA87PrivateKey.generate(), is_authority=True),
    "an authority of our name, ML-DSA-87": lambda m: by_another_suite(m, KeyKind.POST_QUANTUM),
    "an authority of our name, P-256": lambda m: by_another_suite(m, KeyKind.CLASSICAL),
    "our root's key, over another key": lambda m: like(m).made(),
    "our root's key, over the same key": lambda m: like(m, public=m.genuine.public_key()).made(),
    "our root's key, the same serial": lambda m: like(m, serial=m.genuine.serial_number).made(),
    "the same serial and key": lambda m: like(m, serial=m.genuine.serial_number, public=m.genuine.public_key()).made(),
    "our root's key, expired": lambda m: like(m, start=T0 - 2 * YEAR, end=T0 - YEAR).made(),
    "our root's key, not yet valid": lambda m: like(m, start=T0 + DAY, end=T0 + YEAR).made(),
    "our root's key, for a hundred years": lambda m: like(m, end=T0 + 100 * YEAR).made(),
    "our root's key, an authority": lambda m: like(m, is_authority=True, signs_certificates=True).made(),
    "our root's key, may sign certificates": lambda m: like(m, signs_certificates=True).made(),
    "our root's key, for servers": lambda m: like(m, usages=[ExtendedKeyUsageOID.SERVER_AUTH]).made(),
    "our root's key, for any purpose": lambda m: like(m, usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]).made(),
    "our root's key, for no purpose": lambda m: like(m, usages=None).made(),
    "our root's key, no names": lambda m: like(m, names=None).made(),
    "our root's key, the names the other way round": lambda m: like(m, names=urns(m.device, m.user)).made(),
    "our root's key, the names twice": lambda m: like(m, names=urns(m.user, m.device, m.user, m.device)).made(),
    "our root's key, the user alone": lambda m: like(m, names=urns(m.user)).made(),
    "our root's key, names in capitals": lambda m: like(m, names=urns(m.user.upper(), m.device.upper())).made(),
    "our root's key, a host's name beside": lambda m: like(m, names=[*urns(m.user, m.device), _NUL]).made(),
    "our root's key, a NUL in the name": lambda m: like(m, common_name=f"{m.device}\0.test").made(),
    "our root's key, a look-alike name": lambda m: like(m, common_name=m.device.replace("a", "\u0430")).made(),
    "our root's key, a name with white space": lambda m: like(m, common_name=f" {m.device} ").made(),
    "our root's key, a user of a NUL": lambda m: like(m, names=urns(f"{m.user}\0", m.device)).made(),
    "our root's key, a critical extension of nobody": lambda m: like(m, more=[(_UNKNOWN, True)]).made(),
    "our root's key, constraints of an authority": lambda m: like(m, more=[(_CHAIN, False)]).made(),
    "our root's key, pointing nowhere": lambda m: like(m, pointing=None).made(),
    "our root's key, pointing at the other root": lambda m: like(m, pointing=m.classical.key.public_key()).made(),
    "the other root's key": lambda m: like(
        m, issuer=m.classical.certificate.subject, key=m.classical.key, pointing=m.classical.key.public_key()
    ).made(),
    "the other root's key under this root's name": lambda m: like(m, key=m.classical.key).made(),
    "signed by a device": by_a_device,
    "signed by a device, over its own key": lambda m: by_a_device(m, public=m.device_key.public_key()),
    "signed by a device that says it is an authority": lambda m: by_a_device(m, is_authority=True),
    "an RSA key": lambda m: by_its_own_key(m, rsa.generate_private_key(65537, 2048)),
    "an Ed25519 key": lambda m: by_its_own_key(m, ed25519.Ed25519PrivateKey.generate()),
    "a weaker ML-DSA key": lambda m: by_its_own_key(m, MLDSA44PrivateKey.generate()),
    "a P-384 key": lambda m: by_its_own_key(m, ec.generate_private_key(ec.SECP384R1())),
    "a bit of its signature turned": with_a_turned_bit,
    "our root itself": lambda m: der_of(m.root.certificate),
    "our other root itself": lambda m: der_of(m.classical.certificate),
}
