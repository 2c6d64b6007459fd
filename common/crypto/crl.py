"""Lists of revoked certificates (CRL, RFC 5280, section 5), signed by the authority whose certificates they name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from msgspec import Struct

from common.clock import to_millis
from common.crypto.certificates import CertificateAuthority

LIST_LIFETIME = timedelta(days=1)
"""How long a list says that it may be used: a verifier that cannot fetch a newer one then knows that it is too old."""


class RevocationReason(StrEnum):
    """Why a certificate was revoked, in the words of RFC 5280, 5.3.1."""

    KEY_COMPROMISE = "keyCompromise"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"


class Revoked(Struct, frozen=True):
    """A revoked certificate: `issuer` and `serial` in lower-case hex; `not_after` is its own end."""

    issuer: str
    serial: str
    reason: RevocationReason
    revoked_at: datetime
    not_after: datetime


def revocation_list(authority: CertificateAuthority, revoked: Iterable[Revoked], now: datetime) -> bytes:
    """Return the authority's signed list as DER. Its number is its time in milliseconds, so that numbers grow."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now)
        .next_update(now + LIST_LIFETIME)
        .add_extension(authority.key_identifier(), critical=False)
        .add_extension(x509.CRLNumber(to_millis(now)), critical=False)
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(_entry(entry))
    return builder.sign(authority.key, authority.digest).public_bytes(serialization.Encoding.DER)


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    return (
        x509.RevokedCertificateBuilder()
        .serial_number(int(revoked.serial, 16))
        .revocation_date(revoked.revoked_at)
        .add_extension(x509.CRLReason(x509.ReasonFlags(revoked.reason)), critical=False)
        .build()
    )
