"""A device that signs: its keys, and the statements as the wire contract has them, written here a second time.

Nothing of the suite's own reading of the contract is used, so that the two can be held against each other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID
from pqcrypto.kem import sntrup_761

PrivateKey = MLDSA87PrivateKey | ec.EllipticCurvePrivateKey


def lines(purpose: str, issuer: str, user: str, device: str, challenge: str, acted_on: str = "-") -> bytes:
    """Return a statement."""
    said = ["ichidai-proof-v1", purpose, issuer, user, device, challenge, acted_on]
    return "\n".join(said).encode()


def digest(token: str) -> str:
    """Return the SHA-256 of a token, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def b64(raw: bytes) -> str:
    """Return base64."""
    return base64.b64encode(raw).decode()


def unb64(text: str) -> bytes:
    """Read it."""
    return base64.b64decode(text)


@dataclass(frozen=True)
class Keys:
    """What a device holds: a private key that signs, and one that opens sealed challenges, if it has one."""

    signing: PrivateKey
    kem: bytes | None = None
    kem_public: bytes | None = field(default=None, repr=False)

    @cached_property
    def spki(self) -> bytes:
        """The public half as SPKI DER."""
        public = self.signing.public_key()
        return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, statement: bytes) -> str:
        """Sign."""
        if isinstance(self.signing, MLDSA87PrivateKey):
            return b64(self.signing.sign(statement))
        r, s = decode_dss_signature(self.signing.sign(statement, ec.ECDSA(hashes.SHA256())))
        return b64(r.to_bytes(32) + s.to_bytes(32))

    def read(self, asked: Mapping[str, Any]) -> str:
        """Return the text of a challenge, opened if it is sealed."""
        if "sealed" not in asked:
            return str(asked["challenge"])
        assert "challenge" not in asked
        assert asked["sealed"]["kem"] == "sntrup761"
        assert self.kem is not None
        shared = sntrup_761.decaps(self.kem, unb64(asked["sealed"]["ciphertext"]))
        key = HKDF(hashes.SHA256(), 32, None, b"ichidai-seal-v1").derive(bytes(shared))
        box = unb64(asked["sealed"]["box"])
        return AESGCM(key).decrypt(box[:12], box[12:], asked["challenge_id"].encode()).decode()

    def proof(
        self, asked: Mapping[str, Any], purpose: str, user: str, device: str, acted_on: str = "-"
    ) -> dict[str, str]:
        """Answer a challenge."""
        statement = lines(purpose, asked["issuer"], user, device, self.read(asked), acted_on)
        return {"challenge_id": asked["challenge_id"], "signature": self.sign(statement)}


def given_keys(answer: Mapping[str, Any]) -> Keys:
    """Return the keys that the server made for a device."""
    private = answer["private_keys"]
    signing = serialization.load_der_private_key(unb64(private["signing"]), None)
    assert isinstance(signing, MLDSA87PrivateKey)
    return Keys(signing, unb64(private["kem"]))


def mldsa_keys(*, kem: bool = True) -> Keys:
    """Make post-quantum keys."""
    return _with_kem(MLDSA87PrivateKey.generate()) if kem else Keys(MLDSA87PrivateKey.generate())


def p256_keys(*, kem: bool = False) -> Keys:
    """Make a classical key, as a browser does."""
    signing = ec.generate_private_key(ec.SECP256R1())
    return _with_kem(signing) if kem else Keys(signing)


def _with_kem(signing: PrivateKey) -> Keys:
    public, private = sntrup_761.keygen()
    return Keys(signing, bytes(private), bytes(public))


ISSUER = "http://127.0.0.1:8000"
"""The issuer of a suite that was told none."""


def enrolling(keys: Keys, username: str, pairing_token: str | None = None, issuer: str = ISSUER) -> dict[str, Any]:
    """Return what a device sends to join with its own public keys."""
    acted_on = "-" if pairing_token is None else digest(pairing_token)
    signature = keys.sign(lines("enrol", issuer, "-", "-", username, acted_on))
    public = {"signing": b64(keys.spki)} | ({} if keys.kem_public is None else {"kem": b64(keys.kem_public)})
    return {"public_keys": public, "proof": {"signature": signature}}


def requesting(keys: Keys, name: str | None = None, *extensions: x509.ExtensionType) -> str:
    """Return a signing request in PEM, by default without a name."""
    subject = [] if name is None else [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    digest_of = None if isinstance(keys.signing, MLDSA87PrivateKey) else hashes.SHA256()
    return builder.sign(keys.signing, digest_of).public_bytes(serialization.Encoding.PEM).decode()
