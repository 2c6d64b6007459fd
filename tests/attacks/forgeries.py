"""Forged access tokens as data: each kind has a name and a maker, which is given what a forger might have at best.

Most kinds are signed with our own key, which no forger has: what is wrong with them must be found all the same.
"""

from __future__ import annotations

import base64
import gzip
import hmac
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from common.crypto.jws import Algorithm, SigningKey, new_signing_key

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many points P-256 has."""

RSA = rsa.generate_private_key(65537, 2048)


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes, digest: hashes.HashAlgorithm) -> bytes:
    """Return r‖s (RFC 7518)."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size) + s.to_bytes(size)


@dataclass(frozen=True)
class Bench:
    """What a forger works with: a good token, our own key, one of ours that is retired, one nobody has published.

    `others` are tokens of ours that are no access tokens, by what they are.
    """

    good: str
    key: SigningKey
    retired: SigningKey
    unpublished: SigningKey
    others: Mapping[str, str]

    @property
    def header(self) -> dict[str, Any]:
        """The good token's header."""
        return jwt.get_unverified_header(self.good)

    @property
    def claims(self) -> dict[str, Any]:
        """The good token's claims."""
        claims: dict[str, Any] = jwt.decode(self.good, options={"verify_signature": False})
        return claims

    def sign(self, message: bytes) -> bytes:
        """Sign with our own key."""
        assert isinstance(self.key.private, ec.EllipticCurvePrivateKey)
        return raw_signature(self.key.private, message, hashes.SHA256())

    def token(
        self,
        header: Mapping[str, Any] | bytes | None = None,
        claims: Mapping[str, Any] | bytes | None = None,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> str:
        """Return the good token with some of it changed; a value that is `...` is left out; bytes stand as they are."""
        parts = [_part(self.header, header), _part(self.claims, claims)]
        message = ".".join(b64(part) for part in parts)
        return f"{message}.{b64((sign or self.sign)(message.encode()))}"


def _part(good: Mapping[str, Any], change: Mapping[str, Any] | bytes | None) -> bytes:
    if isinstance(change, bytes):
        return change
    merged = {**good, **(change or {})}
    return json.dumps({name: value for name, value in merged.items() if value is not ...}).encode()


Maker = Callable[[Bench], str]


def kinds() -> dict[str, Maker]:
    """Return every kind of forged token, by name."""
    return {
        name: maker
        for family in (_algorithms, _keys, _signatures, _names_of_keys, _headers, _claims, _forms, _others)
        for name, maker in family()
    }


def _spki(bench: Bench, encoding: serialization.Encoding) -> bytes:
    return bench.key.verifying.public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _algorithms() -> Iterator[tuple[str, Maker]]:
    """Yield `none` in any case, MACs under what is public, and other algorithms' names."""
    for name in ("none", "None", "NONE", "nOnE", "none ", "", "null"):
        yield f"alg {name!r} without a signature", lambda b, n=name: b.token({"alg": n}, sign=lambda _: b"")
        yield f"alg {name!r} over a good signature", lambda b, n=name: b.token({"alg": n})
    secrets: dict[str, Callable[[Bench], bytes]] = {
        "the public key as PEM": lambda b: _spki(b, serialization.Encoding.PEM),
        "the public key as DER": lambda b: _spki(b, serialization.Encoding.DER),
        "the public key as JWK": lambda b: json.dumps(b.key.verifying.jwk()).encode(),
        "the key's name": lambda b: b.key.kid.encode(),
        "nothing": lambda _: b"",
    }
    for what, secret in secrets.items():
        for name, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
            yield (
                f"{name} under {what}",
                lambda b, n=name, d=digest, s=secret: b.token({"alg": n}, sign=lambda m: hmac.digest(s(b), m, d)),
            )
    for name in (
        "ES384",
        "ES512",
        "ES256K",
        "RS256",
        "PS256",
        "EdDSA",
        "ML-DSA-44",
        "ML-DSA-87",
        "es256",
        "dir",
        "A128KW",
    ):
        yield f"alg {name} over a good signature", lambda b, n=name: b.token({"alg": n})
    for value in (None, 256, True, [], ["ES256"], {"ES256": 1}, ...):
        yield f"alg {value!r}", lambda b, v=value: b.token({"alg": v})


def _keys() -> Iterator[tuple[str, Maker]]:
    """Yield good signatures of keys that are not the one that is named."""
    yield "a stranger's key", lambda b: b.token(sign=_signer(new_signing_key(Algorithm.ES256)))
    yield "a key that is retired, by its own name", lambda b: b.token({"kid": b.retired.kid}, sign=_signer(b.retired))
    yield "a key that is retired, by another's name", lambda b: b.token(sign=_signer(b.retired))
    yield "our key, by a retired one's name", lambda b: b.token({"kid": b.retired.kid})
    yield "a key that nobody published", lambda b: b.token({"kid": b.unpublished.kid}, sign=_signer(b.unpublished))
    for algorithm in (Algorithm.ML_DSA_44, Algorithm.ML_DSA_65, Algorithm.ML_DSA_87):
        key = new_signing_key(algorithm)
        yield (
            f"{algorithm}, a stranger's key",
            lambda b, a=algorithm, k=key: b.token({"alg": str(a)}, sign=k.private.sign),
        )
    yield "RS256, a stranger's key", lambda b: b.token({"alg": "RS256"}, sign=_rs256)
    yield "EdDSA, a stranger's key", lambda b: b.token({"alg": "EdDSA"}, sign=ed25519.Ed25519PrivateKey.generate().sign)
    for curve, name, digest in ((ec.SECP384R1(), "ES384", hashes.SHA384()), (ec.SECP521R1(), "ES512", hashes.SHA512())):
        key = ec.generate_private_key(curve)
        yield (
            f"{name}, a stranger's key",
            lambda b, n=name, k=key, d=digest: b.token({"alg": n}, sign=lambda m: raw_signature(k, m, d)),
        )
    for place in ("jwk", "JWK"):
        yield f"a stranger's key, brought along as {place}", lambda b, p=place: _with_own_key(b, p)


def _signer(key: SigningKey) -> Callable[[bytes], bytes]:
    assert isinstance(key.private, ec.EllipticCurvePrivateKey)
    private = key.private
    return lambda message: raw_signature(private, message, hashes.SHA256())


def _rs256(message: bytes) -> bytes:
    return RSA.sign(message, padding.PKCS1v15(), hashes.SHA256())


def _with_own_key(bench: Bench, place: str) -> str:
    key = new_signing_key(Algorithm.ES256)
    return bench.token({place: key.verifying.jwk(), "kid": key.kid}, sign=_signer(key))


def _signatures() -> Iterator[tuple[str, Maker]]:
    """Yield signatures that are none."""
    zero, order = bytes(32), ORDER.to_bytes(32)
    made: dict[str, Callable[[bytes], bytes]] = {
        "r = s = 0": lambda _: zero + zero,
        "r = s = 1": lambda _: (1).to_bytes(32) * 2,
        "r = s = the order": lambda _: order + order,
        "r = 0": lambda good: zero + good[32:],
        "s = 0": lambda good: good[:32] + zero,
        "r = the order": lambda good: order + good[32:],
        "s = the order": lambda good: good[:32] + order,
        "r + the order, cut": lambda good: ((int.from_bytes(good[:32]) + ORDER) % 2**256).to_bytes(32) + good[32:],
        "r and s exchanged": lambda good: good[32:] + good[:32],
        "all ones": lambda _: b"\xff" * 64,
        "empty": lambda _: b"",
        "half": lambda good: good[:32],
        "a byte too short": lambda good: good[:-1],
        "a byte too long": lambda good: good + b"\0",
        "twice": lambda good: good + good,
        "backwards": lambda good: good[::-1],
        "as text": lambda good: good.hex().encode(),
    }
    for name, change in made.items():
        yield f"a signature: {name}", lambda b, c=change: b.token(sign=lambda m: c(b.sign(m)))
    yield "a signature in DER", lambda b: b.token(sign=lambda m: b.key.private.sign(m, ec.ECDSA(hashes.SHA256())))  # type: ignore[call-arg]
    yield "a signature over another message", lambda b: b.token(sign=lambda m: b.sign(m + b"."))
    yield "a signature over the claims alone", lambda b: b.token(sign=lambda m: b.sign(m.split(b".")[1]))
    yield (
        "a signature of another token of ours",
        lambda b: b.token(claims={"jti": "x"}, sign=lambda _: _signature(b.good)),
    )


def _signature(token: str) -> bytes:
    return base64.urlsafe_b64decode(token.split(".")[2] + "==")


def _names_of_keys() -> Iterator[tuple[str, Maker]]:
    """Yield a `kid` that is anything else, over a good signature of our key."""
    names: dict[str, Any] = {
        "empty": "",
        "a path": "../../../../dev/null",
        "a file": "/etc/passwd",
        "SQL": "x' UNION SELECT 'AA' --",
        "a URL": "https://evil.test/key",
        "a command": "key|/bin/true",
        "NUL": "\0",
        "long": "k" * 3000,
        "a number": 0,
        "null": None,
        "a list": [],
        "an object": {},
        "true": True,
        "absent": ...,
    }
    for what, kid in names.items():
        yield f"a kid: {what}", lambda b, k=kid: b.token({"kid": k})
    yield "a kid: padded", lambda b: b.token({"kid": b.key.kid + "="})
    yield "a kid: in another case", lambda b: b.token({"kid": b.key.kid.swapcase()})
    yield "a kid: with NUL behind", lambda b: b.token({"kid": b.key.kid + "\0"})
    yield "a kid: in a list", lambda b: b.token({"kid": [b.key.kid]})


def _headers() -> Iterator[tuple[str, Maker]]:
    """Yield parameters that would change the meaning, over a good signature of our key."""
    more: dict[str, Any] = {
        "jku": "https://evil.test/jwks.json",
        "x5u": "https://evil.test/cert.pem",
        "x5c": ["MIIB"],
        "x5t": "AAAA",
        "x5t#S256": "AAAA",
        "crit": ["exp"],
        "b64": False,
        "zip": "DEF",
        "cty": "JWT",
        "enc": "A256GCM",
        "epk": {},
        "apu": "",
        "p2c": 2**31,
        "iv": "",
        "url": "https://evil.test",
        "nonce": "x",
        "iss": "x",
        "anything": 1,
        "": "",
    }
    for name, value in more.items():
        yield f"a header {name!r}", lambda b, n=name, v=value: b.token({n: v})
    yield "crit with b64", lambda b: b.token({"crit": ["b64"], "b64": False})
    for typ in (
        "JWT",
        "at+JWT",
        "AT+JWT",
        "application/at+jwt",
        "dpop+jwt",
        "refresh+jwt",
        "",
        " at+jwt",
        None,
        5,
        [],
        ...,
    ):
        yield f"typ {typ!r}", lambda b, t=typ: b.token({"typ": t})


def _claims() -> Iterator[tuple[str, Maker]]:
    """Yield claims that are missing, of another type, or beyond what can be."""
    names = ("iss", "aud", "sub", "sid", "device_id", "preferred_username", "jti", "iat", "exp")
    for name in names:
        yield f"{name} missing", lambda b, n=name: b.token(claims={n: ...})
        for value in (None, True, 1.5, [], {}, -(10**30)):
            yield f"{name} {value!r}", lambda b, n=name, v=value: b.token(claims={n: v})
    for name in ("iat", "exp"):
        for value in (math.nan, math.inf, -math.inf, 10**17, 10**400, "9999999999", "never", ""):
            told = "10^400" if value == 10**400 else repr(value)
            yield f"{name} {told}", lambda b, n=name, v=value: b.token(claims={n: v})
    for value in ("https://evil.test", "", " "):
        yield f"issuer {value!r}", lambda b, v=value: b.token(claims={"iss": v})
        yield f"audience {value!r}", lambda b, v=value: b.token(claims={"aud": v})
    yield "issuer with a slash behind", lambda b: b.token(claims={"iss": b.claims["iss"] + "/"})
    yield "issuer in a list", lambda b: b.token(claims={"iss": [b.claims["iss"]]})
    yield "audience in a list", lambda b: b.token(claims={"aud": [b.claims["aud"], "https://evil.test"]})
    yield "subject in a list", lambda b: b.token(claims={"sub": [b.claims["sub"]]})
    for name, value in {"nbf": 2**40, "scope": "admin", "act": {}, "role": "admin", "": ""}.items():
        yield f"a claim {name!r} that we never write", lambda b, n=name, v=value: b.token(claims={n: v})
    for confirmation in (
        None,
        {},
        [],
        "jkt",
        {"jkt": 5},
        {"jkt": None},
        {"x5t#S256": "AAAA"},
        {"x5t#S256": 5},
        {"x5t#S256": "A" * 42 + "B"},
        {"x5t#S256": "0" * 64},
        {"x5t#s256": "A" * 43},
        {"x5t": "A" * 43},
        {"jkt": "A", "kid": "B"},
    ):
        yield f"cnf {confirmation!r}", lambda b, c=confirmation: b.token(claims={"cnf": c})
    yield "cnf of a session that is bound to nothing", lambda b: b.token(claims={"cnf": {"jkt": "A" * 43}})
    yield "cnf with a certificate, bound to none", lambda b: b.token(claims={"cnf": {"x5t#S256": "A" * 43}})


def _forms() -> Iterator[tuple[str, Maker]]:
    """Yield texts that are no compact JWS as an encoder writes one."""
    junk: dict[str, Maker] = {
        "a letter": lambda _: "x",
        "dots": lambda _: "..",
        "one part": lambda b: b.good.split(".")[0],
        "two parts": lambda b: b.good.rpartition(".")[0],
        "no signature": lambda b: b.good.rpartition(".")[0] + ".",
        "four parts": lambda b: b.good + ".e30",
        "an encrypted token": lambda _: ".".join(["e30"] * 5),
        "a dot in front": lambda b: "." + b.good,
        "a dot behind": lambda b: b.good + ".",
        "padding": lambda b: b.good + "==",
        "a space inside": lambda b: b.good.replace(".", ". ", 1),
        "NUL behind": lambda b: b.good + "%00",
        "a quote": lambda b: f'"{b.good}"',
        "the token twice": lambda b: b.good + b.good,
        "the token twice, with a comma": lambda b: f"{b.good}, {b.good}",
        "the token in a list of two headers": lambda b: f"{b.good},Bearer {b.good}",
        "the parts exchanged": lambda b: ".".join(reversed(b.good.split("."))),
        "in capitals": lambda b: b.good.upper(),
        "as JSON": lambda b: json.dumps(
            dict(zip(("protected", "payload", "signature"), b.good.split("."), strict=True))
        ),
        "a megabyte": lambda _: "A" * 1_000_000,
        "a megabyte of payload": lambda b: b.token(claims={"more": "A" * 700_000}),
        "a megabyte of dots": lambda _: "." * 1_000_000,
        "an empty header": lambda b: b.token(header=b"{}"),
        "an empty payload": lambda b: b.token(claims=b"{}"),
        "no payload": lambda b: b.token(claims=b""),
        "a list for a header": lambda b: b.token(header=b"[]"),
        "null for a header": lambda b: b.token(header=b"null"),
        "a list for a payload": lambda b: b.token(claims=b"[]"),
        "null for a payload": lambda b: b.token(claims=b"null"),
        "a text for a payload": lambda b: b.token(claims=b'"x"'),
        "a number for a payload": lambda b: b.token(claims=b"1"),
        "no JSON in the header": lambda b: b.token(header=b"{"),
        "no JSON in the payload": lambda b: b.token(claims=b"{"),
        "no UTF-8 in the header": lambda b: b.token(header=b"\xff\xfe"),
        "no UTF-8 in the payload": lambda b: b.token(claims=b"\xff\xfe"),
        "UTF-16 in the payload": lambda b: b.token(claims=json.dumps(b.claims).encode("utf-16")),
        "a lone surrogate in the payload": lambda b: b.token(claims={"sub": "\ud800"}),
        "deep nesting in the header": lambda b: b.token(header=b"[" * 2000 + b"]" * 2000),
        "deep nesting in the payload": lambda b: b.token(claims=b"[" * 2000 + b"]" * 2000),
        "a payload that is compressed": lambda b: b.token(
            {"zip": "GZIP"}, gzip.compress(json.dumps(b.claims).encode())
        ),
        "a token in a token": lambda b: b.token({"cty": "JWT"}, b.good.encode()),
        "a token for a subject": lambda b: b.token(claims={"sub": {"token": b.good}}),
        "more behind the payload's JSON": lambda b: b.token(claims=json.dumps(b.claims).encode() + b"{}"),
    }
    yield from junk.items()


def _others() -> Iterator[tuple[str, Maker]]:
    """Yield what is ours and no access token."""
    for what in ("refresh", "takeover", "pairing", "qr code", "device", "nonce", "proof", "certificate"):
        yield f"a {what}, used as an access token", lambda b, w=what: b.others[w]
