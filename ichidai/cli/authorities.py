"""`ichidai ca …`: the authorities that issue devices' certificates, shown and rotated."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import click
from cryptography.hazmat.primitives.serialization import Encoding

from common.account.audit import AuditKind
from common.clock import to_rfc3339
from common.config import SettingsError
from common.crypto.certificates import CertificateAuthority, KeyKind, fingerprint_of
from common.keys.authorities import Authorities, open_authorities
from common.keys.key_registry import REGISTRY, open_keyring
from common.keys.keyring import KeyRingError
from common.keys.store_move import check_writable
from common.storage.opening import StoreUrlError, open_store
from common.storage.port import Put, StoreUnavailable
from common.storage.store_clock import measure_clock
from common.storage.write_guard import RereadingGuard, guard_writes
from ichidai.cli.administering import operator_by
from ichidai.cli.operating import fail, out
from ichidai.cli.options import enum_argument
from ichidai.cli.reasons import words_option
from ichidai.key_place import key_folder
from ichidai.settings import read_settings, read_test_overrides

_FAULTS = (SettingsError, StoreUrlError, StoreUnavailable, KeyRingError, OSError)


@click.group("ca")
def app() -> None:
    """Show or rotate the authorities that issue devices' certificates."""


@app.command("show")
@click.option("--pem", is_flag=True, help="Print the certificates themselves.")
def show(*, pem: bool) -> None:
    """List the authorities in force; a fresh suite's are made by this."""
    try:
        authorities, now = _open()
    except _FAULTS as error:
        fail(str(error))
    for authority in authorities.active(now):
        out.print(authority.pem() if pem else _described(authorities, authority, now), end="" if pem else "\n")


@app.command("rotate")
@enum_argument("kind", KeyKind)
@click.option("--after-hours", "hours", type=click.IntRange(0, 720), default=24, help="When it begins to issue.")
@words_option
def rotate(kind: KeyKind, hours: int, reason: str) -> None:
    """Make a new authority. It is published at once and issues later; the one before it verifies for a year longer."""
    try:
        authorities, now = _open()
        since = now + timedelta(hours=hours)
        operator = operator_by(read_settings(os.environ), reason)

        def line(name: str) -> Put:
            return operator.line(AuditKind.AUTHORITY_ROTATED, now, authority=name, of=str(kind))

        new = authorities.rotate(kind, since, line)
    except _FAULTS as error:
        fail(str(error))
    out.print(f"{kind}  {new.name}  issues from {to_rfc3339(since)}")
    if not read_settings(os.environ).sealing_key:
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


def _open() -> tuple[Authorities, datetime]:
    """Return the authorities, and the time."""
    settings = read_settings(os.environ)
    clock = read_test_overrides(os.environ).clock
    store = open_store(settings.store_url, clock, settings.registration.aws_region or None)
    measure_clock(clock, store)
    guard_writes(store, RereadingGuard(store, REGISTRY, check_writable).check)
    folder = key_folder(settings, store)
    ring, _ = open_keyring(folder, store, clock(), settings.session.token_algorithm)
    return open_authorities(folder, store, clock, ring.authority), clock()
