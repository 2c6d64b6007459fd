"""Statements, signatures and seals: what a device signs, which signatures are good, and who can open a challenge."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA65PrivateKey, MLDSA87PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from common.crypto.device_keys import UnfitKey, is_signed, read_public_key
from common.crypto.kem import EncryptedChallenge, decrypt_challenge, encrypt_challenge, new_kem_key_pair
from common.proof.statements import Purpose, enrol_statement, statement, token_digest
from tests.support.signing import Keys, digest, lines, mldsa_keys, p256_keys

MESSAGE = b"a statement"
ONE_LINE = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@given(purpose=st.sampled_from(Purpose), parts=st.tuples(*[ONE_LINE] * 4), token=ONE_LINE)
def test_a_statement_is_the_lines_of_the_contract(purpose: Purpose, parts: tuple[str, ...], token: str) -> None:
    """Seven lines, the last one the hash of the token acted on."""
    issuer, user, device, challenge = parts
    said = statement(
        purpose, issuer=issuer, user_uuid=user, device_id=device, challenge=challenge, token_hash=token_digest(token)
    )
    assert said == lines(purpose, issuer, user, device, challenge, digest(token))
    assert said.count(b"\n") == 6


def test_without_a_token_a_dash_stands_in_its_place() -> None:
    """So it does where a device joins, for user and device."""
    login = statement(Purpose.LOGIN, issuer="https://a.test", user_uuid="u", device_id="d", challenge="c")
    assert login == b"ichidai-proof-v1\nlogin\nhttps://a.test\nu\nd\nc\n-"
    assert enrol_statement("https://a.test", "Anna", "-") == b"ichidai-proof-v1\nenrol\nhttps://a.test\n-\n-\nAnna\n-"


@pytest.mark.requirement("R37", "R73")
@pytest.mark.parametrize("keys", [mldsa_keys(), p256_keys()], ids=["ML-DSA-87", "P-256"])
class TestSignatures:
    """Either algorithm, as the key says."""

    def test_its_own_signature_is_good(self, keys: Keys) -> None:
        """In any spelling of base64."""
        signature = keys.sign(MESSAGE)
        for spelt in (signature, signature.rstrip("="), signature.translate(str.maketrans("+/", "-_"))):
            assert is_signed(_public(keys), spelt, MESSAGE)

    def test_any_other_is_not(self, keys: Keys) -> None:
        """Another message, another key, another algorithm, cut, longer, nothing, no base64."""
        signature = keys.sign(MESSAGE)
        raw = base64.b64decode(signature)
        bad = (mldsa_keys().sign(MESSAGE), p256_keys().sign(MESSAGE), keys.sign(b"another"))
        made = [base64.b64encode(text).decode() for text in (raw[:-1], raw + b"\0", bytes(len(raw)), bytes(64), b"")]
        for forged in (*bad, *made, "!", "é", "A"):
            assert not is_signed(_public(keys), forged, MESSAGE)

    @given(st.data())
    def test_a_flipped_bit_is_seen(self, keys: Keys, data: st.DataObject) -> None:
        """Wherever it is."""
        raw = bytearray(base64.b64decode(keys.sign(MESSAGE)))
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        assert not is_signed(_public(keys), base64.b64encode(raw).decode(), MESSAGE)


def test_an_ecdsa_signature_in_der_is_not_the_raw_form() -> None:
    """There is one way to write a signature."""
    key = ec.generate_private_key(ec.SECP256R1())
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    der = base64.b64encode(key.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))).decode()
    assert not is_signed(key.public_key(), der, MESSAGE)


def _spki(key: object) -> str:
    public = key.public_key()  # type: ignore[attr-defined]
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


WEAK = {
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "ML-DSA-44": MLDSA44PrivateKey.generate,
    "ML-DSA-65": MLDSA65PrivateKey.generate,
}


@pytest.mark.parametrize("name", WEAK)
def test_a_key_of_another_kind_is_not_taken(name: str) -> None:
    """However good it may be."""
    with pytest.raises(UnfitKey) as caught:
        read_public_key(_spki(WEAK[name]()))
    assert caught.value.fault == "algorithm"


@pytest.mark.parametrize("text", ["", "AAAA", "!", "é", _spki(MLDSA87PrivateKey.generate())[:-40]])
def test_what_is_no_key_is_told_so(text: str) -> None:
    """Cut, empty, or no base64 at all."""
    with pytest.raises(UnfitKey) as caught:
        read_public_key(text)
    assert caught.value.fault == "unreadable"


@pytest.mark.requirement("R37", "R73")
class TestSeals:
    """A challenge that only its device can read."""

    def test_the_device_reads_what_was_sealed_to_it(self) -> None:
        """By our own reading and by the contract's."""
        keys = mldsa_keys()
        assert keys.kem is not None
        assert keys.kem_public is not None
        sealed = encrypt_challenge(base64.b64encode(keys.kem_public).decode(), "an id", "the text")
        assert decrypt_challenge(base64.b64encode(keys.kem).decode(), "an id", sealed) == "the text"
        said = {"kem": "sntrup761", "ciphertext": sealed.ciphertext, "box": sealed.box}
        assert keys.read({"challenge_id": "an id", "sealed": said}) == "the text"

    def test_nobody_else_does(self) -> None:
        """Not with another key, not under another id, not with a bit turned; and the text is not in it."""
        own, other = new_kem_key_pair(), new_kem_key_pair()
        sealed = encrypt_challenge(own.public, "an id", "the text")
        assert b"the text" not in base64.b64decode(sealed.box)
        turned = bytearray(base64.b64decode(sealed.box))
        turned[-1] ^= 1
        for key, challenge_id, given_sealed in (
            (other.private, "an id", sealed),
            (own.private, "another id", sealed),
            (own.private, "an id", EncryptedChallenge(sealed.ciphertext, base64.b64encode(turned).decode())),
        ):
            with pytest.raises(ValueError, match="does not open"):
                decrypt_challenge(key, challenge_id, given_sealed)

    def test_two_seals_of_one_text_differ(self) -> None:
        """Each has a secret and a nonce of its own."""
        keys = new_kem_key_pair()
        one, two = encrypt_challenge(keys.public, "id", "text"), encrypt_challenge(keys.public, "id", "text")
        assert one.ciphertext != two.ciphertext
        assert one.box != two.box

    def test_what_is_no_key_cannot_be_sealed_to(self) -> None:
        """It is told, not used."""
        with pytest.raises(ValueError, match="length"):
            encrypt_challenge("AAAA", "id", "text")


def _public(keys: Keys):  # noqa: ANN202
    return read_public_key(base64.b64encode(keys.spki).decode())
