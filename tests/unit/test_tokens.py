"""Tokens: what we sign we accept, and nothing else, however close it comes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.crypto.jws import SigningKey
from common.crypto.tokens import AccessTokens, Claims, ForgedToken, MacKeys, SignedTokens, SingleKey
from common.storage.port import StoreUnavailable
from tests.unit.builders import MINUTE, SECOND, T0

KEY, OTHER_KEY = (SigningKey(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
ISSUER = "https://accounts.example.test"
CLAIMS = Claims("anna", "session", "phone", "Ａnna 安", "token", T0, T0 + 10 * MINUTE)
TOKENS = AccessTokens(SingleKey(KEY), ISSUER, ISSUER)
SPKI = KEY.verifying.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}
PAYLOAD = {
    "iss": ISSUER,
    "aud": ISSUER,
    "sub": "anna",
    "sid": "session",
    "device_id": "phone",
    "preferred_username": "anna",
    "jti": "token",
    "iat": int(T0.timestamp()),
    "exp": int(T0.timestamp()) + 600,
}
MACS = SignedTokens(b"k" * 32, "refresh")


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def es256(message: bytes, key: SigningKey = KEY) -> bytes:
    """Return the raw signature r‖s of RFC 7518."""
    r, s = decode_dss_signature(key.private.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def forged(
    header: Any = HEADER, payload: Any = PAYLOAD, sign: Callable[[bytes], bytes] = es256, *, nan: bool = False
) -> str:
    """Return a token of our own making; what is signed with our key shows that the rest is checked too."""
    parts = [
        part if isinstance(part, bytes) else json.dumps(part, allow_nan=nan).encode() for part in (header, payload)
    ]
    message = ".".join(b64(part) for part in parts)
    return f"{message}.{b64(sign(message.encode()))}"


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the fields without one."""
    return {key: value for key, value in fields.items() if key != name}


def test_a_token_says_what_was_signed() -> None:
    """Every claim, with times in whole seconds."""
    assert TOKENS.verify(TOKENS.sign(CLAIMS)) == CLAIMS
    assert TOKENS.verify(forged()) == replace(CLAIMS, username="anna")


def test_the_claims_are_those_of_the_contract() -> None:
    """As another service reads them with the published key."""
    key = jwt.PyJWK(TOKENS.jwks()["keys"][0])
    token = TOKENS.sign(CLAIMS)
    payload = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        issuer=ISSUER,
        audience=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert payload == {**PAYLOAD, "preferred_username": "Ａnna 安"}
    assert jwt.get_unverified_header(token) == HEADER


@pytest.mark.parametrize("thumbprint", [None, "A" * 43])
def test_a_token_names_what_it_is_bound_to(thumbprint: str | None) -> None:
    """A key as RFC 9449 has it, a certificate as RFC 8705: SHA-256 in base64url."""
    claims = replace(CLAIMS, thumbprint=thumbprint, certificate="fb" * 32)
    token = TOKENS.sign(claims)
    assert TOKENS.verify(token) == claims
    said = jwt.decode(token, options={"verify_signature": False})["cnf"]
    key = {} if thumbprint is None else {"jkt": thumbprint}
    assert said == {**key, "x5t#S256": "-_v7" * 10 + "-_s"}


def test_the_published_keys_hold_no_private_part() -> None:
    """Only what verifies."""
    (jwk,) = TOKENS.jwks()["keys"]
    assert set(jwk) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


@pytest.mark.regression("X67")
def test_an_expired_token_is_still_one_of_ours() -> None:
    """Whether it may be used is the caller's question; times are UTC."""
    token = TOKENS.sign(replace(CLAIMS, expires_at=T0 - timedelta(days=900)))
    assert TOKENS.verify(token).expires_at == T0 - timedelta(days=900)


def forgeries() -> Iterator[Any]:
    """Yield every kind of forged token that we know, each with its name."""
    kinds: dict[str, str | Callable[[], str]] = {
        "empty": "",
        "dots": "..",
        "one part": "abc",
        "two parts": ".".join(forged().split(".")[:2]),
        "four parts": forged() + ".e30",
        "five parts, as an encrypted one": ".".join(["e30"] * 5),
        "a dot in front": "." + forged(),
        "a dot behind": forged() + ".",
        "no signature": forged().rpartition(".")[0] + ".",
        "no ASCII": "\N{SNOWMAN}",
        "a megabyte": "A" * 1_000_000,
        "a megabyte of payload": forged(payload={**PAYLOAD, "more": "A" * 1_000_000}),
        "padding": forged() + "=",
        "a space behind": forged() + " ",
        "a newline inside": forged().replace(".", ".\n", 1),
        "the other alphabet": forged(payload={**PAYLOAD, "jti": ">>>???"}).replace("-", "+").replace("_", "/"),
        "no JSON in the header": forged(header=b"{"),
        "no JSON in the payload": forged(payload=b"{"),
        "a list for a header": forged(header=[]),
        "a list for a payload": forged(payload=[]),
        "null for a payload": forged(payload=None),
        "deep nesting in the header": forged(header=b"[" * 2500),
        "deep nesting in the payload": forged(payload=b"[" * 2500),
        "no UTF-8 in the header": forged(header=b"\xff\xfe"),
        "another key of the same kind": forged(sign=lambda message: es256(message, OTHER_KEY)),
        "a signature of zeros": forged(sign=lambda _: bytes(64)),
        "a signature of r = 0": forged(sign=lambda message: bytes(32) + es256(message)[32:]),
        "a signature of the order": forged(
            sign=lambda _: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551.to_bytes(32) * 2
        ),
        "a signature in DER": forged(sign=lambda message: KEY.private.sign(message, ec.ECDSA(hashes.SHA256()))),
        "an empty signature": forged(sign=lambda _: b""),
        "a signature that is too long": forged(sign=lambda message: es256(message) + b"\0"),
        "HS256 with the public key as PEM": forged(
            {**HEADER, "alg": "HS256"}, sign=lambda message: hmac.digest(SPKI, message, "sha256")
        ),
        "HS256 with the public key, named ES256": forged(sign=lambda message: hmac.digest(SPKI, message, "sha256")),
        "HS256 with nothing for a key": forged(
            {**HEADER, "alg": "HS256"}, sign=lambda message: hmac.digest(b"", message, "sha256")
        ),
        "a NaN for a time": forged(payload={**PAYLOAD, "exp": math.nan}, nan=True),
        "infinity for a time": forged(payload={**PAYLOAD, "exp": math.inf}, nan=True),
    }
    kinds |= {
        f"alg {alg}": forged({**HEADER, "alg": alg}, sign=lambda _: b"") for alg in ("none", "None", "NONE", "nOnE", "")
    }
    kinds |= {
        f"alg {alg} over a good signature": forged({**HEADER, "alg": alg})
        for alg in ("ES384", "ES512", "ES256K", "EdDSA", "PS256", "none", None, 5)
    }
    kinds |= {
        f"typ {typ}": forged({**HEADER, "typ": typ}) for typ in ("JWT", "at+JWT", "application/at+jwt", "", None, 5)
    }
    kinds |= {
        f"a kid that is {what}": forged({**HEADER, "kid": kid})
        for what, kid in {
            "empty": "",
            "a path": "../../etc/passwd",
            "SQL": "' OR 1=1 --",
            "a URL": "https://evil.test/jwks",
            "another key's": OTHER_KEY.kid,
            "padded": KEY.kid + "=",
            "null": None,
            "a number": 5,
            "a list": [],
        }.items()
    }
    kinds |= {
        f"a header {name}": forged({**HEADER, name: value})
        for name, value in {
            "jku": "https://evil.test/jwks",
            "jwk": OTHER_KEY.verifying.jwk(),
            "x5u": "https://evil.test/cert",
            "x5c": ["AAAA"],
            "crit": ["exp"],
            "b64": False,
            "zip": "DEF",
            "cty": "JWT",
            "anything": 1,
        }.items()
    }
    kinds |= {f"no {name} in the header": forged(without(HEADER, name)) for name in HEADER}
    kinds |= {f"no {name} in the payload": forged(payload=without(PAYLOAD, name)) for name in PAYLOAD}
    kinds |= {
        f"{value!r} for {name}": forged(payload={**PAYLOAD, name: value})
        for name in PAYLOAD
        for value in (None, "", 1.5, [], {}, True, -(10**30))
        if not (value == "" and name in ("sub", "sid", "device_id", "preferred_username", "jti"))
    }
    kinds |= {
        "its own key in jwk": forged({**HEADER, "jwk": OTHER_KEY.verifying.jwk()}, sign=lambda m: es256(m, OTHER_KEY)),
        "another issuer": forged(payload={**PAYLOAD, "iss": "https://evil.test"}),
        "another audience": forged(payload={**PAYLOAD, "aud": "https://evil.test"}),
        "a list of other audiences": forged(payload={**PAYLOAD, "aud": ["https://evil.test"]}),
        "a time as text": forged(payload={**PAYLOAD, "exp": str(PAYLOAD["exp"])}),
        "a time beyond all calendars": forged(payload={**PAYLOAD, "exp": 10**17}),
        "a token in a token": forged(payload=forged().encode()),
        "a refresh token": MACS.sign(["anna", "session", 0, "anna"]),
        "a takeover token": SignedTokens(b"k" * 32, "takeover").sign(["anna", "anna", "phone", 0, None, [], "c", 0, 0]),
        "another issuer's token of the same key": AccessTokens(
            SingleKey(KEY), "https://evil.test", "https://evil.test"
        ).sign(CLAIMS),
    }
    for name, token in kinds.items():
        yield pytest.param(token, id=name)


def verifier(*, knows: bool) -> AccessTokens:
    """Return what verifies tokens; it may have met good tokens with either spelling of the header before."""
    tokens = AccessTokens(SingleKey(KEY), ISSUER, ISSUER)
    if knows:
        for good in (TOKENS.sign(CLAIMS), forged()):
            tokens.verify(good)
    return tokens


known_or_not = pytest.mark.parametrize("knows", [False, True], ids=["a new header", "a known header"])


@pytest.mark.regression("X65", "X66")
@known_or_not
@pytest.mark.parametrize("token", list(forgeries()))
def test_a_forged_token_is_none_of_ours(token: str, knows: bool) -> None:  # noqa: FBT001 - a parameter
    """Most of these bear a good signature of our own key: it is not enough."""
    with pytest.raises(ForgedToken) as error:
        verifier(knows=knows).verify(token)
    assert len(str(error.value)) < 50, "nothing of the token is quoted"


def test_a_token_of_another_algorithms_key_is_none_of_ours() -> None:
    """Whatever the library would make of it."""
    key = rsa.generate_private_key(65537, 2048)
    token = jwt.encode(PAYLOAD, key, algorithm="RS256", headers={"typ": "at+jwt", "kid": KEY.kid})
    with pytest.raises(ForgedToken):
        TOKENS.verify(token)


@known_or_not
def test_a_token_cut_at_any_character_is_refused(knows: bool) -> None:  # noqa: FBT001 - a parameter
    """Every prefix and every suffix."""
    token, tokens = TOKENS.sign(CLAIMS), verifier(knows=knows)
    for place in range(1, len(token)):
        for part in (token[:place], token[place:]):
            with pytest.raises(ForgedToken):
                tokens.verify(part)


@known_or_not
@pytest.mark.parametrize("parts", [(HEADER,), (HEADER, PAYLOAD, PAYLOAD)], ids=["two", "four"])
def test_a_token_has_three_parts(parts: tuple[Any, ...], knows: bool) -> None:  # noqa: FBT001 - a parameter
    """Though the last of them is a good signature of the others."""
    message = ".".join(b64(json.dumps(part).encode()) for part in parts)
    with pytest.raises(ForgedToken):
        verifier(knows=knows).verify(f"{message}.{b64(es256(message.encode()))}")


def test_a_known_header_is_of_no_use_without_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a signature that was good before."""
    tokens, met = verifier(knows=True), TOKENS.sign(CLAIMS)
    tokens.verify(met)
    monkeypatch.setattr(tokens, "_keys", SingleKey(OTHER_KEY))
    for token in (met, TOKENS.sign(CLAIMS)):
        with pytest.raises(ForgedToken, match="no key of ours"):
            tokens.verify(token)


characters = st.characters(codec="ascii")


@dataclass(frozen=True)
class Mutation:
    """A change of one character at a place: another in its stead, one more before it, or none."""

    place: int
    character: str
    how: str

    def of(self, token: str) -> str:
        """Return the token so changed."""
        place = self.place % len(token)
        rest = token[place + (self.how != "insert") :]
        return token[:place] + ("" if self.how == "delete" else self.character) + rest


mutations = st.builds(Mutation, st.integers(0, 10_000), characters, st.sampled_from(["replace", "insert", "delete"]))
NEW, KNOWING = verifier(knows=False), verifier(knows=True)
TOKEN, MAC_TOKEN = TOKENS.sign(CLAIMS), MACS.sign(["anna", "session", 3, "anna"])


@given(mutations)
def test_an_access_token_with_any_character_changed_is_refused(mutation: Mutation) -> None:
    """Also where only bits change that a lax decoder ignores."""
    changed = mutation.of(TOKEN)
    if changed == TOKEN:
        return
    for tokens in (NEW, KNOWING):
        with pytest.raises(ForgedToken):
            tokens.verify(changed)


@pytest.mark.parametrize("place", [-1, TOKEN.index(".") - 1, TOKEN.rindex(".") - 1])
def test_the_last_character_of_each_part_has_one_spelling(place: int) -> None:
    """Base64 leaves bits unused at the end of a part; they must be as an encoder writes them."""
    for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        changed = TOKEN[:place] + character + (TOKEN[place + 1 :] if place != -1 else "")
        if changed != TOKEN:
            with pytest.raises(ForgedToken):
                TOKENS.verify(changed)


class TestMacTokens:
    """Values sealed under a MAC."""

    @given(
        st.lists(
            st.none()
            | st.booleans()
            | st.integers(-(2**53), 2**53)
            | st.text(st.characters(exclude_categories=("Cs",)), max_size=60),
            max_size=8,
        )
    )
    def test_a_token_holds_what_was_sealed(self, value: list[Any]) -> None:
        """Any JSON value, the same token each time."""
        assert MACS.verify(MACS.sign(value)) == value
        assert MACS.sign(value) == MACS.sign(value)

    @given(mutations)
    def test_a_token_with_any_character_changed_is_refused(self, mutation: Mutation) -> None:
        """Payload and MAC alike."""
        changed = mutation.of(MAC_TOKEN)
        if changed == MAC_TOKEN:
            return
        with pytest.raises(ForgedToken):
            MACS.verify(changed)

    def test_a_token_cut_at_any_character_is_refused(self) -> None:
        """Every prefix and every suffix, of a compressed one too."""
        for token in (MAC_TOKEN, MACS.sign(["a" * 500])):
            for place in range(1, len(token)):
                for part in (token[:place], token[place:]):
                    with pytest.raises(ForgedToken):
                        MACS.verify(part)

    @pytest.mark.parametrize("text", ["", "junk", ".junk", "a.b.c", TOKENS.sign(CLAIMS)], ids=lambda text: text[:8])
    def test_what_has_not_its_form_is_refused_without_a_key(self, text: str) -> None:
        """So that it is refused too while the store is unavailable and nobody knows which keys are good."""

        def away() -> MacKeys:
            raise StoreUnavailable("away")

        with pytest.raises(ForgedToken):
            SignedTokens(away, "refresh").verify(text)
        with pytest.raises(StoreUnavailable):
            SignedTokens(away, "refresh").verify(MACS.sign(["anna"]))

    def test_a_long_value_is_sealed_compressed_and_opened(self) -> None:
        """Its form has one dot more."""
        sealed = MACS.sign(["anna" * 200])
        assert sealed.startswith(".")
        assert MACS.verify(sealed) == ["anna" * 200]

    @pytest.mark.parametrize("stranger", [SignedTokens(b"k" * 32, "takeover"), SignedTokens(b"other" * 8, "refresh")])
    def test_a_token_of_another_purpose_or_key_is_refused(self, stranger: SignedTokens) -> None:
        """One token is good for one thing."""
        with pytest.raises(ForgedToken):
            MACS.verify(stranger.sign(["anna"]))

    @given(st.text())
    def test_junk_is_refused(self, junk: str) -> None:
        """And breaks nothing."""
        with pytest.raises(ForgedToken):
            MACS.verify(junk)

    def test_a_compressed_bomb_without_our_mac_is_never_unpacked(self) -> None:
        """The MAC is checked first."""
        with pytest.raises(ForgedToken):
            MACS.verify("." + b64(b"x\x9c" + bytes(1000)) + "." + b64(hashlib.sha256(b"").digest()))

    def test_an_access_token_is_no_mac_token(self) -> None:
        """Nor the other way round, as the forgeries show."""
        with pytest.raises(ForgedToken):
            MACS.verify(TOKEN)


def test_a_token_is_named_after_its_key() -> None:
    """Two keys, two names, the same name at every start."""
    assert KEY.kid != OTHER_KEY.kid
    assert SigningKey(KEY.private).kid == KEY.kid
    assert len(base64.urlsafe_b64decode(KEY.kid + "==")) == 16


def test_a_time_of_a_token_is_whole_seconds() -> None:
    """A part of a second is cut off, so that it never lives longer than told."""
    token = TOKENS.sign(replace(CLAIMS, expires_at=T0 + 1.75 * SECOND))
    assert TOKENS.verify(token).expires_at == T0 + SECOND
