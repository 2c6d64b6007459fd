"""`ichidai ca …`: the authorities that issue devices' certificates, shown and rotated."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import click
from cryptography.hazmat.primitives.serialization import Encoding

from common.clock import system_clock, to_rfc3339
from common.config import SettingsError
from common.crypto.authorities import Authorities, open_authorities
from common.crypto.certificates import CertificateAuthority, KeyKind, fingerprint_of
from common.crypto.keylist import open_keyring
from common.crypto.keyring import KeyRingError
from common.storage.opening import StoreUrlError, open_store
from common.storage.port import StoreUnavailable
from ichidai.cli.operating import fail, out
from ichidai.cli.words import one_of
from ichidai.settings import read_settings

_FAULTS = (SettingsError, StoreUrlError, StoreUnavailable, KeyRingError, OSError)


@click.group("ca")
def app() -> None:
    """Show or rotate the authorities that issue devices' certificates."""


@app.command("show")
@click.option("--pem", is_flag=True, help="Print the certificates themselves.")
def show(*, pem: bool) -> None:
    """List the authorities in force; a fresh suite's are made by this."""
    try:
        authorities, now = _open(), system_clock()
    except _FAULTS as error:
        fail(str(error))
    for authority in authorities.in_force(now):
        out.print(authority.pem() if pem else _described(authorities, authority, now), end="" if pem else "\n")


@app.command("rotate")
@one_of("kind", KeyKind)
@click.option("--after-hours", "hours", type=click.IntRange(0, 720), default=24, help="When it begins to issue.")
def rotate(kind: KeyKind, hours: int) -> None:
    """Make a new authority. It is published at once and issues later; the one before it verifies for a year longer."""
    try:
        authorities, since = _open(), system_clock() + timedelta(hours=hours)
        new = authorities.rotate(kind, since)
    except _FAULTS as error:
        fail(str(error))
    out.print(f"{kind}  {new.name}  issues from {to_rfc3339(since)}")
    out.print("Copy authorities.json to the other hosts of this store now: they issue nothing without it.")


def _described(authorities: Authorities, authority: CertificateAuthority, now: datetime) -> str:
    """Return two lines: what it does and until when, and what its certificate is known by."""
    entry = next(entry for entry in authorities.entries() if entry.name == authority.name)
    doing = "issues" if authorities.issuing(authority.kind, now) == authority else "verifies"
    state = f"issues from {to_rfc3339(entry.since)}" if entry.since > now else doing
    until = f", verifies until {to_rfc3339(entry.until)}" if entry.until else ""
    certificate = authority.certificate
    fingerprint = fingerprint_of(certificate.public_bytes(Encoding.DER))
    end = to_rfc3339(certificate.not_valid_after_utc)
    return f"{authority.kind}  {authority.name}  {state}{until}\n  SHA-256 {fingerprint}, ends {end}"


def _open() -> Authorities:
    settings = read_settings(os.environ)
    store = open_store(settings.store_url, system_clock, settings.registration.aws_region or None)
    ring, _ = open_keyring(settings.keys_dir, store, system_clock(), settings.session.token_algorithm)
    return open_authorities(settings.keys_dir, store, system_clock, ring.authority)
