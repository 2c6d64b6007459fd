"""Keys that sign: one algorithm each, and a public form that others can read."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm

from common.crypto.jws import (
    Algorithm,
    BadSignatureOrKey,
    SigningKey,
    VerifyingKey,
    from_base64url,
    new_signing_key,
    to_base64url,
)

KEYS = {algorithm: new_signing_key(algorithm) for algorithm in Algorithm}
each = pytest.mark.parametrize("algorithm", Algorithm)


@each
def test_what_a_key_signs_its_public_half_accepts(algorithm: Algorithm) -> None:
    """Header and payload come back, and the header names the algorithm."""
    key = KEYS[algorithm]
    token = key.sign(b'{"a":1}', {"typ": "test", "kid": key.kid})
    header, payload = key.verifying.verify(token)
    assert header == {"alg": str(algorithm), "typ": "test", "kid": key.kid}
    assert payload == b'{"a":1}'


@each
def test_a_key_accepts_no_other_algorithm_and_no_other_key(algorithm: Algorithm) -> None:
    """Neither under another's name nor with another's signature."""
    token = KEYS[algorithm].sign(b"{}", {"typ": "test"})
    for other, key in KEYS.items():
        if other is not algorithm:
            with pytest.raises(BadSignatureOrKey):
                key.verifying.verify(token)
            renamed = to_base64url(json.dumps({"alg": other, "typ": "test"}).encode()) + token[token.index(".") :]
            for judge in (key, KEYS[algorithm]):
                with pytest.raises(BadSignatureOrKey):
                    judge.verifying.verify(renamed)
    with pytest.raises(BadSignatureOrKey):
        new_signing_key(algorithm).verifying.verify(token)


@each
@pytest.mark.parametrize("change", ["b64", "b64 as ever", "crit", "none", "no alg"])
def test_a_header_that_changes_the_meaning_is_refused(algorithm: Algorithm, change: str) -> None:
    """Though it is signed."""
    header: dict[str, Any] = {"alg": str(algorithm), "typ": "test"}
    header |= {
        "b64": {"b64": False, "crit": ["b64"]},
        "b64 as ever": {"b64": True, "crit": ["b64"]},
        "crit": {"crit": ["exp"]},
        "none": {"alg": "none"},
        "no alg": {},
    }[change]
    if change == "no alg":
        del header["alg"]
    signed = f"{to_base64url(json.dumps(header).encode())}.{to_base64url(b'{}')}"
    token = f"{signed}.{to_base64url(_signature(KEYS[algorithm], signed.encode()))}"
    assert KEYS[algorithm].verifying.payload_of(token) == b"{}", "the signature itself is good"
    with pytest.raises(BadSignatureOrKey):
        KEYS[algorithm].verifying.verify(token)


def _signature(key: SigningKey, message: bytes) -> bytes:
    if isinstance(key.private, ec.EllipticCurvePrivateKey):
        signature: bytes = ECAlgorithm(ECAlgorithm.SHA256).sign(message, key.private)
        return signature
    return key.private.sign(message)


@each
def test_a_public_key_is_read_back_from_its_jwk(algorithm: Algorithm) -> None:
    """The same key, the same name, the same thumbprint."""
    key = KEYS[algorithm].verifying
    again = VerifyingKey.from_jwk(json.loads(json.dumps(key.bare_jwk)))
    assert (again.kid, again.thumbprint, again.algorithm) == (key.kid, key.thumbprint, algorithm)
    assert again.jwk() == key.jwk()


@pytest.mark.requirement("R37")
@pytest.mark.parametrize(
    ("algorithm", "size"), [(Algorithm.ML_DSA_44, 1312), (Algorithm.ML_DSA_65, 1952), (Algorithm.ML_DSA_87, 2592)]
)
def test_an_ml_dsa_key_is_published_as_the_rfc_says(algorithm: Algorithm, size: int) -> None:
    """RFC 9964: `AKP`, the algorithm in the key, the raw public key of FIPS 204."""
    jwk = KEYS[algorithm].verifying.jwk()
    assert {**jwk, "pub": "", "kid": ""} == {"kty": "AKP", "alg": str(algorithm), "use": "sig", "pub": "", "kid": ""}
    assert len(from_base64url(jwk["pub"])) == size


def test_an_elliptic_key_is_published_as_others_read_it() -> None:
    """PyJWT takes it as it is."""
    key = KEYS[Algorithm.ES256]
    token = key.sign(b'{"a":1}', {"typ": "JWT"})
    assert jwt.decode(token, jwt.PyJWK(key.verifying.jwk()), algorithms=["ES256"]) == {"a": 1}


def test_a_thumbprint_is_that_of_rfc_7638() -> None:
    """Over the required members alone, in the order of their names."""
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    }
    for more in ({}, {"kid": "x", "use": "sig"}):
        told = VerifyingKey.from_jwk({**jwk, **more}).thumbprint
        assert told == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "the example of RFC 9449"


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": to_base64url(bytes(32)), "y": to_base64url(bytes(32))},
        {**KEYS[Algorithm.ES256].verifying.bare_jwk, "d": to_base64url(bytes(32))},
        {**KEYS[Algorithm.ES256].verifying.bare_jwk, "x": 5},
        {**KEYS[Algorithm.ML_DSA_87].verifying.bare_jwk, "priv": to_base64url(bytes(32))},
        {**KEYS[Algorithm.ML_DSA_87].verifying.bare_jwk, "alg": "ML-DSA-44"},
        {**KEYS[Algorithm.ML_DSA_87].verifying.bare_jwk, "alg": "ES256"},
        {
            **KEYS[Algorithm.ML_DSA_87].verifying.bare_jwk,
            "pub": KEYS[Algorithm.ML_DSA_87].verifying.bare_jwk["pub"] + "=",
        },
        {"kty": "AKP", "alg": "ML-DSA-87", "pub": ""},
        {"kty": "AKP", "pub": "AAAA"},
    ],
)
def test_a_jwk_that_is_none_of_ours_is_refused(jwk: dict[str, Any]) -> None:
    """Symmetric, private, of another kind, off the curve, of another size."""
    with pytest.raises(BadSignatureOrKey) as error:
        VerifyingKey.from_jwk(jwk)
    assert len(str(error.value)) < 50


def test_a_key_on_another_curve_is_refused() -> None:
    """One algorithm, one curve."""
    with pytest.raises(ValueError, match="secp384r1"):
        _ = SigningKey(ec.generate_private_key(ec.SECP384R1())).verifying


@pytest.mark.parametrize("private", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()])
def test_a_key_of_another_kind_verifies_nothing(private: Any) -> None:
    """Its JWK is not ours, whatever it signs."""
    with pytest.raises((BadSignatureOrKey, AttributeError, TypeError)):
        SigningKey(private).verifying.verify("e30.e30.e30")
