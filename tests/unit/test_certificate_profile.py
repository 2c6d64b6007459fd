"""What `docs/certificates.md` promises of certificates and lists, held to what is issued; and others' verifiers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from common.crypto.certificates import (
    CertificateAuthority,
    KeyKind,
    generate_client_certificate,
    kind_of,
    new_authority,
)
from common.crypto.crl import LIST_LIFETIME, RevocationReason, Revoked, revocation_list
from common.crypto.device_keys import DevicePublicKey, new_signing_key
from tests.unit.builders import DAY, MINUTE, SECOND, T0

PAGE = Path(__file__).parents[2] / "docs" / "certificates.md"
USER, DEVICE = "2f5c1f0e-8a42-4d3b-9d0a-0c6d2f9f4a11", "b2a1c7de-5c53-4d0e-8a41-9b3f0e7d6c22"
OPENSSL_WITH_ML_DSA = (3, 5)


@dataclass(frozen=True)
class Issued:
    """An authority, and a certificate of it with its list in it."""

    authority: CertificateAuthority
    key: DevicePublicKey
    certificate: x509.Certificate


@pytest.fixture(scope="module", params=list(KeyKind))
def issued(request: pytest.FixtureRequest) -> Issued:
    """Return one of each kind."""
    post_quantum = request.param is KeyKind.POST_QUANTUM
    key = (new_signing_key() if post_quantum else ec.generate_private_key(ec.SECP256R1())).public_key()
    authority = new_authority(T0, request.param)
    made = generate_client_certificate(USER, DEVICE, key, authority, T0, crl_url="https://a.test/device/crl?issuer=x")
    return Issued(authority, key, x509.load_der_x509_certificate(made.der))


def listed(issued: Issued, *serials: int) -> bytes:
    """Return the authority's list."""
    entries = [
        Revoked(issued.authority.name, f"{serial:x}", RevocationReason.KEY_COMPROMISE, T0, T0 + DAY)
        for serial in serials
    ]
    return revocation_list(issued.authority, entries, T0)


CRITICAL = {
    "basicConstraints": x509.BasicConstraints,
    "keyUsage": x509.KeyUsage,
    "extendedKeyUsage": x509.ExtendedKeyUsage,
    "subjectAltName": x509.SubjectAlternativeName,
    "subjectKeyIdentifier": x509.SubjectKeyIdentifier,
    "authorityKeyIdentifier": x509.AuthorityKeyIdentifier,
    "cRLDistributionPoints": x509.CRLDistributionPoints,
}


@pytest.mark.requirement("R37", "D24")
def test_it_has_the_extensions_of_the_page_and_no_others(issued: Issued) -> None:
    """Each critical or not as the page says."""
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    promised = {CRITICAL[name].oid: critical == "yes" for name, critical in rows}
    assert {extension.oid: extension.critical for extension in issued.certificate.extensions} == promised
    assert len(promised) == len(CRITICAL)


def test_their_values_are_those_of_the_page(issued: Issued) -> None:
    """One after another."""
    found = {type(extension.value): extension.value for extension in issued.certificate.extensions}
    assert found[x509.BasicConstraints] == x509.BasicConstraints(ca=False, path_length=None)
    assert found[x509.KeyUsage] == x509.KeyUsage(True, *[False] * 8)  # noqa: FBT003 - as RFC 5280 lists them
    assert found[x509.ExtendedKeyUsage] == x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    names = [x509.UniformResourceIdentifier(f"urn:uuid:{one}") for one in (USER, DEVICE)]
    assert found[x509.SubjectAlternativeName] == x509.SubjectAlternativeName(names)
    assert found[x509.SubjectKeyIdentifier] == x509.SubjectKeyIdentifier.from_public_key(issued.key)
    pointer = found[x509.AuthorityKeyIdentifier]
    assert isinstance(pointer, x509.AuthorityKeyIdentifier)
    assert (pointer.key_identifier or b"").hex() == issued.authority.name
    own = issued.authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own.digest.hex() == issued.authority.name
    assert issued.certificate.subject.rfc4514_string() == f"CN={DEVICE}"
    assert issued.certificate.not_valid_before_utc == T0 - 5 * MINUTE
    assert issued.certificate.not_valid_after_utc == T0 + 365 * DAY


def test_a_serial_is_random(issued: Issued) -> None:
    """Many bits, and none that all share."""
    serials = [
        x509.load_der_x509_certificate(issued.authority.issue(USER, DEVICE, issued.key, T0).der).serial_number
        for _ in range(40)
    ]
    assert len(set(serials)) == len(serials)
    assert max(serial.bit_length() for serial in serials) >= 150
    always, never = serials[0], serials[0]
    for serial in serials:
        always, never = always & serial, never | serial
    assert (always, never.bit_count()) == (0, 159), "40 of them: each bit is set at least once, and not always"


def test_the_library_accepts_the_chain_under_its_own_root_alone(issued: Issued) -> None:
    """As a client's, in its time."""

    def verify(root: x509.Certificate, moment: object = T0) -> None:
        policy = PolicyBuilder().store(Store([root])).time(moment)  # type: ignore[arg-type]
        policy.build_client_verifier().verify(issued.certificate, [])

    verify(issued.authority.certificate)
    for stranger in (new_authority(T0, kind) for kind in KeyKind):
        with pytest.raises(VerificationError):
            verify(stranger.certificate)
    with pytest.raises(VerificationError):
        verify(issued.authority.certificate, T0 + 365 * DAY + SECOND)
    assert kind_of(issued.certificate.public_key()) is issued.authority.kind


def test_a_list_is_signed_dated_numbered_and_says_why(issued: Issued) -> None:
    """And points at the key that signed it."""
    found = x509.load_der_x509_crl(listed(issued, 5, 7))
    assert found.is_signature_valid(issued.authority.key.public_key())
    assert not found.is_signature_valid(new_authority(T0, issued.authority.kind).key.public_key())
    assert found.issuer == issued.authority.certificate.subject
    assert (found.last_update_utc, found.next_update_utc) == (T0, T0 + LIST_LIFETIME)
    later = x509.load_der_x509_crl(revocation_list(issued.authority, [], T0 + SECOND))
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in (found, later)]
    assert numbers[0] < numbers[1]
    pointer = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert (pointer.key_identifier or b"").hex() == issued.authority.name
    assert sorted(entry.serial_number for entry in found) == [5, 7]
    for entry in found:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        assert reason is x509.ReasonFlags.key_compromise


def openssl_verify(issued: Issued, folder: Path, *serials: int) -> subprocess.CompletedProcess[str]:
    """Run the machine's `openssl verify` on the certificate, with a list of these serials."""
    crl = x509.load_der_x509_crl(listed(issued, *serials)).public_bytes(serialization.Encoding.PEM)
    (folder / "crl.pem").write_bytes(crl)
    (folder / "root.pem").write_text(issued.authority.pem(), encoding="ascii")
    (folder / "leaf.pem").write_bytes(issued.certificate.public_bytes(serialization.Encoding.PEM))
    root, crl_file, leaf = (str(folder / f"{name}.pem") for name in ("root", "crl", "leaf"))
    how = ["-attime", str(int(T0.timestamp()) + 60), "-x509_strict", "-purpose", "sslclient", "-crl_check"]
    command = [openssl_program(), "verify", *how, "-CAfile", root, "-CRLfile", crl_file, leaf]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def openssl_program() -> str:
    """Return where openssl is, or skip; `ICHIDAI_TEST_REQUIRE=all` forbids the skip."""
    program = shutil.which("openssl")
    if program is None and os.environ.get("ICHIDAI_TEST_REQUIRE") == "all":
        pytest.fail("openssl is not here, and ICHIDAI_TEST_REQUIRE=all demands it")
    if program is None:
        pytest.skip("openssl is not installed")
    return program


def openssl_version() -> tuple[int, ...]:
    """Return its version, as far as it matters."""
    told = subprocess.run([openssl_program(), "version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, told.split()[1].split(".")[:2]))


@pytest.mark.requirement("D24")
def test_openssl_accepts_chain_and_list(issued: Issued, tmp_path: Path) -> None:
    """Strictly by RFC 5280, as a client's; refused once its serial is on the list, or if openssl knows no ML-DSA."""
    good = openssl_verify(issued, tmp_path, 5)
    if issued.authority.kind is KeyKind.POST_QUANTUM and openssl_version() < OPENSSL_WITH_ML_DSA:
        assert good.returncode != 0
        return
    assert good.returncode == 0, good.stderr
    revoked = openssl_verify(issued, tmp_path, 5, issued.certificate.serial_number)
    assert revoked.returncode != 0
    assert "certificate revoked" in revoked.stderr
