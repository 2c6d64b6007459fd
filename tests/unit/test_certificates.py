"""Device certificates: what is issued, what verifies, and how a stranger's text is read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey, MLDSA87PublicKey
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import example, given
from hypothesis import strategies as st

from common.crypto.certificates import (
    CertificateAuthority,
    DeviceCertificate,
    decode_base64,
    fingerprint_of,
    generate_client_certificate,
    new_authority,
    read_certificate,
)
from common.crypto.device_keys import new_signing_key, private_key_text, public_key_text
from common.crypto.kem import new_kem_key_pair
from tests.unit.builders import DAY, HOUR, MINUTE, SECOND, T0

USER, DEVICE = "2f5c1f0e-8a42-4d3b-9d0a-0c6d2f9f4a11", "b2a1c7de-5c53-4d0e-8a41-9b3f0e7d6c22"


@dataclass(frozen=True)
class Issued:
    """An authority, a device's key, and the certificate issued over it."""

    authority: CertificateAuthority
    key: MLDSA87PrivateKey
    certificate: DeviceCertificate

    @property
    def x509(self) -> x509.Certificate:
        """The certificate as the library reads it."""
        return x509.load_der_x509_certificate(self.certificate.der)


@pytest.fixture(scope="module")
def issued() -> Issued:
    """Return a certificate issued at T0."""
    authority, key = new_authority(T0), new_signing_key()
    return Issued(authority, key, generate_client_certificate(USER, DEVICE, key.public_key(), authority, T0))


def verify(certificate: x509.Certificate, authority: CertificateAuthority, now: datetime) -> None:
    """Verify a client's certificate by the library's own verifier."""
    policy = PolicyBuilder().store(Store([authority.certificate])).time(now)
    policy.build_client_verifier().verify(certificate, [])


class TestIssue:
    """The authority issues a device's certificate."""

    @pytest.mark.requirement("R12", "R37", "D24")
    def test_a_client_verifier_accepts_it(self, issued: Issued) -> None:
        """Signed with ML-DSA-87, which was Dilithium5, over the device's own ML-DSA-87 key."""
        verify(issued.x509, issued.authority, T0)
        issued.x509.verify_directly_issued_by(issued.authority.certificate)
        assert isinstance(issued.authority.certificate.public_key(), MLDSA87PublicKey)
        assert issued.x509.public_key() == issued.key.public_key()

    @pytest.mark.regression("X40")
    def test_its_key_is_the_one_that_signs_for_the_device(self, issued: Issued) -> None:
        """A signature by the device's private key verifies under the certificate."""
        public = issued.x509.public_key()
        assert isinstance(public, MLDSA87PublicKey)
        public.verify(issued.key.sign(b"challenge"), b"challenge")
        with pytest.raises(InvalidSignature):
            public.verify(issued.key.sign(b"challenge"), b"another")

    def test_it_names_the_user_and_the_device_by_urns(self, issued: Issued) -> None:
        """And nothing about the person."""
        names = issued.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [name.value for name in names] == [f"urn:uuid:{USER}", f"urn:uuid:{DEVICE}"]
        assert issued.x509.subject.rfc4514_string() == f"CN={DEVICE}"

    def test_it_may_authenticate_a_client_and_sign_nothing_else(self, issued: Issued) -> None:
        """It is no authority itself."""
        extensions = issued.x509.extensions
        assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert [purpose.dotted_string for purpose in purposes] == ["1.3.6.1.5.5.7.3.2"]

    def test_it_is_valid_for_a_year_and_no_longer(self, issued: Issued) -> None:
        """It begins a little early, for clocks that are behind."""
        assert issued.certificate.not_before == T0 - 5 * MINUTE
        assert issued.certificate.not_after == T0 + 365 * DAY
        for moment in (T0 - HOUR, T0 + 365 * DAY + SECOND):
            with pytest.raises(VerificationError):
                verify(issued.x509, issued.authority, moment)

    def test_another_authority_of_the_same_name_does_not_vouch_for_it(self, issued: Issued) -> None:
        """The name is no secret; the key is."""
        impostor = new_authority(T0)
        assert impostor.certificate.subject == issued.authority.certificate.subject
        with pytest.raises(VerificationError):
            verify(issued.x509, impostor, T0)

    def test_a_device_cannot_issue_certificates(self, issued: Issued) -> None:
        """A chain through a device's certificate is no chain."""
        rogue = CertificateAuthority(issued.key, issued.x509)
        leaf = generate_client_certificate(USER, DEVICE, new_signing_key().public_key(), rogue, T0)
        policy = PolicyBuilder().store(Store([issued.authority.certificate])).time(T0)
        with pytest.raises(VerificationError):
            policy.build_client_verifier().verify(x509.load_der_x509_certificate(leaf.der), [issued.x509])

    @pytest.mark.requirement("R55", "R57")
    def test_every_certificate_is_its_own(self, issued: Issued) -> None:
        """Another serial and fingerprint even for the same key."""
        again = generate_client_certificate(USER, DEVICE, issued.key.public_key(), issued.authority, T0)
        assert again.serial != issued.certificate.serial
        assert again.fingerprint != issued.certificate.fingerprint

    def test_its_particulars_are_those_of_the_certificate(self, issued: Issued) -> None:
        """Serial in hex, validity, PEM of the same DER."""
        told = issued.certificate
        assert told.serial == f"{issued.x509.serial_number:x}"
        assert (told.not_before, told.not_after) == (issued.x509.not_valid_before_utc, issued.x509.not_valid_after_utc)
        assert x509.load_pem_x509_certificate(told.pem.encode()) == issued.x509

    def test_the_authority_is_a_root_for_ten_years_that_signs_leaves_only(self, issued: Issued) -> None:
        """Its certificate is published as PEM."""
        root = x509.load_pem_x509_certificate(issued.authority.pem().encode())
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert (constraints.ca, constraints.path_length) == (True, 0)
        assert root.not_valid_after_utc == T0 + 3650 * DAY
        root.verify_directly_issued_by(root)


class TestFingerprint:
    """There is one way to compute a fingerprint."""

    @pytest.mark.requirement("R13", "R27")
    @pytest.mark.regression("X44")
    def test_it_is_the_sha_256_of_the_der(self, issued: Issued) -> None:
        """In 64 lower-case hex digits."""
        expected = hashlib.sha256(issued.certificate.der).hexdigest()
        assert issued.certificate.fingerprint == fingerprint_of(issued.certificate.der) == expected

    @pytest.mark.requirement("R27")
    @pytest.mark.regression("X44")
    @pytest.mark.parametrize(
        "write",
        [
            pytest.param(lambda c: c.pem, id="PEM"),
            pytest.param(lambda c: c.pem.replace("\n", "\r\n"), id="PEM with other line endings"),
            pytest.param(lambda c: f"\n  {c.pem}  \n", id="PEM with space around"),
            pytest.param(lambda c: base64.b64encode(c.der).decode(), id="base64 of DER"),
            pytest.param(lambda c: base64.urlsafe_b64encode(c.der).decode().rstrip("="), id="the other alphabet"),
            pytest.param(lambda c: base64.encodebytes(c.der).decode(), id="base64 in lines"),
            pytest.param(lambda c: base64.b64encode(c.pem.encode()).decode(), id="base64 of PEM"),
        ],
    )
    def test_it_is_the_same_however_the_certificate_is_sent(
        self, issued: Issued, write: Callable[[DeviceCertificate], str]
    ) -> None:
        """What counts is the certificate, not its text."""
        assert fingerprint_of(read_certificate(write(issued.certificate))) == issued.certificate.fingerprint


class TestRead:
    """A stranger's text is a certificate or a ValueError."""

    @given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
    @example("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    @example("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----")
    @example("")
    def test_junk_is_refused_and_breaks_nothing(self, junk: str) -> None:
        """No other exception comes out."""
        with pytest.raises(ValueError, match=r"[\s\S]*"):
            read_certificate(junk)

    @given(st.integers(0, 700) | st.integers(0, 2**14), st.integers(1, 255))
    def test_a_damaged_certificate_is_read_or_refused(self, issued: Issued, place: int, change: int) -> None:
        """Any byte changed; if it is still a certificate it is another one."""
        der = bytearray(issued.certificate.der)
        der[place % len(der)] ^= change
        try:
            read = read_certificate(base64.b64encode(bytes(der)).decode())
        except ValueError:
            return
        assert fingerprint_of(read) != issued.certificate.fingerprint

    def test_a_version_that_x509_does_not_know_is_refused(self, issued: Issued) -> None:
        """The library has an exception of its own for it."""
        der = issued.certificate.der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1)
        with pytest.raises(ValueError, match="version"):
            read_certificate(base64.b64encode(der).decode())


@given(st.binary())
def test_base64_is_read_in_both_alphabets_padded_or_not(raw: bytes) -> None:
    """And with white space in it."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes):
        text = encode(raw).decode()
        assert decode_base64(text) == decode_base64(text.replace("=", "")) == raw


@pytest.mark.parametrize("text", ["A", "A=A=", "****", "\N{SNOWMAN}", "AAAA\0"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    """Nothing is skipped over."""
    with pytest.raises(ValueError, match=r"."):
        decode_base64(text)


class TestDeviceKeys:
    """The keys that the server makes for a device and hands out once."""

    @pytest.mark.requirement("R37", "R54")
    def test_a_signing_key_is_handed_out_as_pkcs8_and_kept_as_spki(self) -> None:
        """Base64 of DER, either half."""
        key = new_signing_key()
        private = serialization.load_der_private_key(base64.b64decode(private_key_text(key)), None)
        public = serialization.load_der_public_key(base64.b64decode(public_key_text(key.public_key())))
        assert isinstance(private, MLDSA87PrivateKey)
        assert private.public_key() == public == key.public_key()

    def test_a_kem_key_is_of_sntrup761(self) -> None:
        """Raw bytes of the lengths that its draft tells, and no two alike."""
        one, other = new_kem_key_pair(), new_kem_key_pair()
        assert (len(base64.b64decode(one.public)), len(base64.b64decode(one.private))) == (1158, 1763)
        assert one != other
