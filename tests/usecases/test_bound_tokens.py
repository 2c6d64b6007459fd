"""Tokens bound to a key (DPoP, RFC 9449): stolen, they are worth nothing; proofs are good once, or for a moment."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest
from werkzeug.test import TestResponse

from common.crypto.jws import Algorithm, new_signing_key
from tests.support.dpop import DpopKey, ath_of
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import MINUTE, PASSWORD, SECOND, Device, HandClock, InProcessSuite, Person

BASE = "http://127.0.0.1:8000"


@dataclass
class Client:
    """A device with a key of its own, which signs every request."""

    suite: InProcessSuite
    person: Person
    key: DpopKey
    tokens: Mapping[str, Any]

    def proof(self, method: str, path: str, token: str | None = None, **changes: Any) -> str:
        """Return a proof for a request of now."""
        return self.key.proof(method, BASE + path, token, now=self.suite.clock.now.timestamp(), **changes)

    def send(
        self, method: str, path: str, body: object = None, *, proof: str | None = None, **headers: str
    ) -> TestResponse:
        """Send a signed-in request with a proof, and repeat it once if a nonce is asked for."""
        token = self.tokens["access_token"]
        sent = {"Authorization": f"DPoP {token}", "DPoP": proof or self.proof(method, path, token), **headers}
        answer = self.suite.client.open(path, method=method, json=body, headers=sent)
        self.key.nonce = answer.headers.get("DPoP-Nonce", self.key.nonce)
        if proof is None and code(answer) == "use-dpop-nonce":
            return self.send(method, path, body, **headers)
        return answer

    def verify(self, **changes: Any) -> TestResponse:
        """Verify with a proof that is changed."""
        token = self.tokens["access_token"]
        return self.send("GET", "/session/verify", proof=self.proof("GET", "/session/verify", token, **changes))

    def refresh(self, proof: str | None = None) -> TestResponse:
        """Refresh with a proof."""
        headers = {"DPoP": proof or self.proof("POST", "/session/refresh")}
        body = {"refresh_token": self.tokens["refresh_token"]}
        return self.suite.client.post("/session/refresh", json=body, headers=headers)


def code(answer: TestResponse) -> Any:
    """Return the code of a refusal, None for a success."""
    return (answer.get_json() or {}).get("code")


def try_login(
    suite: InProcessSuite, person: Person, device: Device, key: DpopKey, path: str = "/login"
) -> TestResponse:
    """Log in with a proof."""
    body = {"username": person.username, "password": PASSWORD, "client_cert_fp": device.fingerprint}
    proof = key.proof("POST", BASE + path, now=suite.clock.now.timestamp())
    return suite.client.post(path, json=body, headers={"DPoP": proof})


@pytest.fixture
def bound(suite: InProcessSuite) -> Client:
    """Return a client that is logged in with a key."""
    person, key = suite.register(), DpopKey()
    answer = try_login(suite, person, person.first, key)
    assert answer.status_code == 200, answer.text
    return Client(suite, person, key, answer.get_json())


def test_a_login_with_a_proof_binds_the_session_to_its_key(bound: Client) -> None:
    """The token type says so, the token names the key, the session goes on with it; a nonce is told at once."""
    assert bound.tokens["token_type"] == "DPoP"
    claims = jwt.decode(bound.tokens["access_token"], options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": bound.key.thumbprint}
    answer = bound.send("GET", "/session/verify")
    assert answer.status_code == 200, answer.text
    assert answer.headers["DPoP-Nonce"]
    refreshed = bound.refresh().get_json()
    assert refreshed["token_type"] == "DPoP"
    bound.tokens = refreshed
    assert bound.send("GET", "/session/list").status_code == 200
    assert bound.send("POST", "/session/logout").status_code == 200


def test_a_login_without_a_proof_stays_a_bearers(suite: InProcessSuite) -> None:
    """Nothing changes for clients that sign nothing, and a proof that nobody asked for changes nothing either."""
    person = suite.register()
    login = suite.log_in(person)
    assert login.answer["token_type"] == "Bearer"
    assert "cnf" not in jwt.decode(login.access, options={"verify_signature": False})
    assert suite.get("/session/verify", login.access).status_code == 200
    client = Client(suite, person, DpopKey(), {"access_token": login.access, "refresh_token": login.refresh})
    assert code(client.send("GET", "/session/verify")) == "invalid-token", "it is no DPoP token"
    assert client.refresh().get_json()["token_type"] == "Bearer"


@pytest.mark.parametrize("algorithm", [Algorithm.ML_DSA_44, Algorithm.ML_DSA_65, Algorithm.ML_DSA_87])
@pytest.mark.requirement("R37")
def test_a_key_may_be_post_quantum(suite: InProcessSuite, algorithm: Algorithm) -> None:
    """An `AKP` key signs as well as an elliptic one."""
    person, key = suite.register(), DpopKey(new_signing_key(algorithm))
    client = Client(suite, person, key, try_login(suite, person, person.first, key).get_json())
    assert client.send("GET", "/session/verify").status_code == 200
    assert client.refresh().status_code == 200


SIGNED_IN = [
    ("GET", "/session/verify", None),
    ("GET", "/session/list", None),
    ("GET", "/session/history", None),
    ("POST", "/session/revoke", {"session_id": "x"}),
    ("POST", "/session/logout", None),
    ("GET", "/device/list", None),
    ("POST", "/device/unbind", {"device_id": "x"}),
    ("POST", "/device/rename", {"device_id": "x", "device_name": "y"}),
    ("POST", "/device/force_logout", None),
]


def test_a_stolen_token_is_worth_nothing(bound: Client) -> None:
    """As a bearer's, with no proof, with the thief's own key: 401 at every route, and the session lives on."""
    bound.send("GET", "/session/verify")
    for method, path, body in SIGNED_IN:
        steal(bound, method, path, body)
    assert bound.send("GET", "/session/verify").status_code == 200


def steal(bound: Client, method: str, path: str, body: object) -> None:
    """Try a stolen token at a route in every way that a thief has."""
    token, thief = bound.tokens["access_token"], DpopKey(nonce=bound.key.nonce)
    own = thief.proof(method, BASE + path, token, now=bound.suite.clock.now.timestamp())
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"Bearer {token}", "DPoP": own},
        {"Authorization": f"DPoP {token}"},
        {"Authorization": f"DPoP {token}", "DPoP": own},
    ):
        answer = bound.suite.client.open(path, method=method, json=body, headers=headers)
        assert answer.status_code == 401
        assert code(answer) in ("invalid-token", "invalid-dpop-proof")
        assert answer.headers["WWW-Authenticate"].startswith("DPoP ")
        assert "ES256" in answer.headers["WWW-Authenticate"]


def test_a_nonce_is_good_for_its_minute_and_the_next(bound: Client, clock: HandClock) -> None:
    """Then the client is told the next one; `WWW-Authenticate` says why."""
    assert code(bound.verify(nonce=...)) == "use-dpop-nonce"
    assert bound.verify().status_code == 200
    clock.move(MINUTE)
    assert bound.verify().status_code == 200
    old = bound.key.nonce
    clock.move(2 * MINUTE)
    answer = bound.verify(nonce=old)
    assert code(answer) == "use-dpop-nonce"
    assert 'error="use_dpop_nonce"' in answer.headers["WWW-Authenticate"]
    assert bound.verify(nonce=answer.headers["DPoP-Nonce"]).status_code == 200


def other_key(client: Client) -> dict[str, Any]:
    """Return the change that puts another key into the header than the one that signs."""
    return {"header": {"jwk": dict(DpopKey().key.verifying.bare_jwk)}}


WRONG: dict[str, Callable[[Client], dict[str, Any]]] = {
    "another method": lambda _: {"htm": "POST"},
    "the method in small letters": lambda _: {"htm": "get"},
    "no method": lambda _: {"htm": ...},
    "another path": lambda _: {"htu": f"{BASE}/session/list"},
    "another host": lambda _: {"htu": "https://evil.test/session/verify"},
    "another scheme": lambda _: {"htu": "https://127.0.0.1:8000/session/verify"},
    "another port": lambda _: {"htu": "http://127.0.0.1:8001/session/verify"},
    "a port that is none": lambda _: {"htu": "http://127.0.0.1:99999/session/verify"},
    "a user in the URL": lambda _: {"htu": "http://a@127.0.0.1:8000/session/verify"},
    "no URL": lambda _: {"htu": ""},
    "a URL that is none": lambda _: {"htu": "http://["},
    "a list for a URL": lambda _: {"htu": [BASE]},
    "an old time": lambda client: {"iat": int((client.suite.clock.now - 6 * MINUTE).timestamp())},
    "a time to come": lambda client: {"iat": int((client.suite.clock.now + 6 * MINUTE).timestamp())},
    "a time as text": lambda client: {"iat": str(int(client.suite.clock.now.timestamp()))},
    "a time with a part": lambda client: {"iat": client.suite.clock.now.timestamp() + 0.5},
    "a time beyond all calendars": lambda _: {"iat": 10**20},
    "no time": lambda _: {"iat": ...},
    "no id": lambda _: {"jti": ...},
    "an empty id": lambda _: {"jti": ""},
    "an endless id": lambda _: {"jti": "x" * 257},
    "no hash of the token": lambda _: {"ath": ...},
    "the hash of another token": lambda _: {"ath": ath_of("another")},
    "a number for a nonce": lambda _: {"nonce": 5},
    "another type": lambda _: {"header": {"typ": "JWT"}},
    "no type": lambda _: {"header": {"typ": None}},
    "no key": lambda _: {"header": {"jwk": ...}},
    "text for a key": lambda _: {"header": {"jwk": "key"}},
    "another key than the one that signs": other_key,
    "a kid beside the key": lambda _: {"header": {"kid": "x"}},
    "a jku beside the key": lambda _: {"header": {"jku": "https://evil.test"}},
    "crit": lambda _: {"header": {"crit": ["exp"]}},
    "a private key": lambda client: {
        "header": {"jwk": {**client.key.key.verifying.bare_jwk, "d": "AAAA"}},
    },
    "a symmetric key": lambda _: {"header": {"jwk": {"kty": "oct", "k": "AAAA"}}},
    "a key with a number in it": lambda client: {
        "header": {"jwk": {**client.key.key.verifying.bare_jwk, "x": 5}},
    },
}


def test_a_proof_that_was_made_for_anything_else_is_refused(bound: Client) -> None:
    """401 for each kind, and the right one still passes."""
    assert bound.send("GET", "/session/verify").status_code == 200
    answers = {kind: bound.verify(**change(bound)) for kind, change in WRONG.items()}
    refused = {kind: (answer.status_code, code(answer)) for kind, answer in answers.items()}
    assert refused == dict.fromkeys(WRONG, (401, "invalid-dpop-proof"))
    assert bound.verify().status_code == 200


def test_junk_for_a_proof_is_refused(bound: Client) -> None:
    """At a signed-in route and at one that is open."""
    bound.send("GET", "/session/verify")
    token, body = bound.tokens["access_token"], {"refresh_token": bound.tokens["refresh_token"]}
    for text in ("", "x", "..", "e30.e30.e30", "e30.e30.", "a.b.c.d", "\u00e9", "A" * 20_000):
        headers = {"Authorization": f"DPoP {token}", "DPoP": text}
        assert code(bound.suite.client.get("/session/verify", headers=headers)) == "invalid-dpop-proof"
        answer = bound.suite.client.post("/session/refresh", json=body, headers={"DPoP": text})
        assert code(answer) == "invalid-dpop-proof"


def test_none_for_an_algorithm_is_refused(bound: Client) -> None:
    """Whatever the signature."""
    bound.send("GET", "/session/verify")
    good = bound.proof("GET", "/session/verify", bound.tokens["access_token"])
    header, payload, signature = good.split(".")
    for name in ("none", "None", "HS256", "ES384"):
        import_header = jwt.utils.base64url_decode(header).replace(b"ES256", name.encode())
        for end in ("", signature):
            forged = ".".join((jwt.utils.base64url_encode(import_header).decode(), payload, end))
            assert code(bound.send("GET", "/session/verify", proof=forged)) == "invalid-dpop-proof"


def test_a_refresh_needs_the_key_and_the_thief_cannot_end_the_session(bound: Client, clock: HandClock) -> None:
    """No proof, another key: 401 and nothing has changed, even where an older token would end the session."""
    stolen = bound.tokens
    thief = Client(bound.suite, bound.person, DpopKey(), stolen)
    body = {"refresh_token": stolen["refresh_token"]}
    assert code(bound.suite.client.post("/session/refresh", json=body)) == "invalid-dpop-proof"
    assert code(thief.refresh()) == "invalid-dpop-proof"
    bound.tokens = bound.refresh().get_json()
    clock.move(11 * SECOND)
    assert code(thief.refresh()) == "invalid-dpop-proof"
    assert bound.refresh().status_code == 200


def test_a_proof_for_a_refresh_is_good_once(bound: Client, clock: HandClock) -> None:
    """Also within the grace, where the same answer would be given; a new proof brings it."""
    proof = bound.proof("POST", "/session/refresh")
    first = bound.refresh(proof)
    assert first.status_code == 200
    assert code(bound.refresh(proof)) == "invalid-dpop-proof"
    again = bound.refresh()
    assert again.get_json()["refresh_token"] == first.get_json()["refresh_token"], "the grace still holds"
    repeated = bound.proof("POST", "/session/refresh")
    assert bound.refresh(repeated).status_code == 200
    assert code(bound.refresh(repeated)) == "invalid-dpop-proof"
    bound.tokens = again.get_json()
    assert code(bound.refresh(proof)) == "invalid-dpop-proof", "with another token, too"
    clock.move(timedelta(hours=1))
    assert code(bound.refresh(proof)) == "invalid-dpop-proof", "and it is too old by the time it is forgotten"


@pytest.mark.regression("Z08")
def test_a_used_proof_is_remembered_for_as_long_as_any_clock_takes_it(bound: Client) -> None:
    """It is good five minutes before and after its time, at any clock; what forgets may be a minute ahead."""
    proof = bound.proof("POST", "/session/refresh")
    assert bound.refresh(proof).status_code == 200
    (kept,) = [until for name, until in bound.suite.book(bound.person).marks.items() if name.startswith("d")]
    claims = json.loads(base64.urlsafe_b64decode(proof.split(".")[1] + "=="))
    assert kept.timestamp() == claims["iat"] + 660


def test_a_consent_that_was_asked_for_with_a_key_needs_it(bound: Client) -> None:
    """A stolen takeover token is worth nothing, and a proof for it is good once."""
    suite, laptop = bound.suite, bound.suite.pair(bound.person)
    key = DpopKey()
    question = try_login(suite, bound.person, laptop, key).get_json()
    body = {"takeover_token": question["takeover"]["token"], "client_cert_fp": laptop.fingerprint}

    def take_over(with_key: DpopKey | None, proof: str | None = None) -> TestResponse:
        now = suite.clock.now.timestamp()
        made = proof or (with_key and with_key.proof("POST", f"{BASE}/login/takeover", now=now))
        return suite.client.post("/login/takeover", json=body, headers={"DPoP": made} if made else {})

    for thief in (None, DpopKey()):
        assert code(take_over(thief)) == "device-mismatch"
    assert bound.send("GET", "/session/verify").status_code == 200
    proof = key.proof("POST", f"{BASE}/login/takeover", now=suite.clock.now.timestamp())
    answer = take_over(None, proof)
    assert answer.status_code == 200
    assert answer.get_json()["token_type"] == "DPoP"
    again = try_login(suite, bound.person, bound.person.first, bound.key).get_json()
    body = {"takeover_token": again["takeover"]["token"], "client_cert_fp": bound.person.first.fingerprint}
    proof = bound.proof("POST", "/login/takeover")
    assert take_over(None, proof).status_code == 200
    body = {
        "takeover_token": try_login(suite, bound.person, laptop, bound.key).get_json()["takeover"]["token"],
        "client_cert_fp": laptop.fingerprint,
    }
    assert code(take_over(None, proof)) == "invalid-dpop-proof"


def test_every_way_in_binds(suite: InProcessSuite) -> None:
    """`/login/force`, `/session/create` and `/device/register` as `/login`; a bad proof is refused at each of them."""
    person, key = suite.register(), DpopKey()
    for path in ("/login/force", "/session/create"):
        assert try_login(suite, person, person.first, key, path).get_json()["token_type"] == "DPoP"
    pairing = {"username": person.username, "password": PASSWORD, "client_cert_fp": person.first.fingerprint}
    qr_code = suite.post("/registration/request_pairing_token", pairing).get_json()["qr_code"]
    body = {"qr_code": qr_code, "username": person.username, "password": PASSWORD, "force": True}
    for url, expected in ((f"{BASE}/login", None), (f"{BASE}/device/register", "DPoP")):
        proof = key.proof("POST", url, now=suite.clock.now.timestamp())
        answer = suite.client.post("/device/register", json=body, headers={"DPoP": proof})
        assert answer.get_json().get("token_type") == expected


FORWARDED = {"X-Forwarded-Method": "PUT", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.test"}


@pytest.mark.parametrize("trusted", [True, False])
def test_method_and_url_come_from_a_listed_proxy_only(build_suite: Build, clock: HandClock, *, trusted: bool) -> None:
    """Behind forward auth the proof is for the product's URL; from a stranger those headers mean nothing."""
    settings = {"ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"} if trusted else {}
    suite = build_suite(**settings)
    person, key = suite.register(), DpopKey()
    client = Client(suite, person, key, try_login(suite, person, person.first, key).get_json())
    assert client.send("GET", "/session/verify").status_code == 200, "asked without a proxy"
    headers = {**FORWARDED, "X-Forwarded-Uri": "/cart?item=1"}
    token, now = client.tokens["access_token"], clock.now.timestamp()
    meant = key.proof("PUT", "https://shop.test/cart", token, now=now)
    own = client.proof("GET", "/session/verify", token)
    expected = {meant: 200, own: 401} if trusted else {meant: 401, own: 200}
    for proof, status in expected.items():
        assert client.send("GET", "/session/verify", proof=proof, **headers).status_code == status
    assert client.send("GET", "/session/verify", proof=own, **FORWARDED).status_code == 200, "told by halves"
    listed = client.proof("GET", "/session/list", token)
    assert client.send("GET", "/session/list", proof=listed, **headers).status_code == 200, "no other route is asked"


def test_a_verification_is_one_read_and_no_write(bound: Client) -> None:
    """Bound or not."""
    bound.send("GET", "/session/verify")
    bound.suite.store.watch()
    assert bound.verify().status_code == 200
    assert [(call.verb, call.tables) for call in bound.suite.store.calls] == [("get", ("SessionsTable",))]


def test_one_key_cannot_take_anothers_place_in_a_session(bound: Client) -> None:
    """A token that names another key than the session does is none of that session's, whoever signed it."""
    other = DpopKey()
    answer = try_login(bound.suite, bound.person, bound.person.first, other)
    replaced = Client(bound.suite, bound.person, other, answer.get_json())
    assert replaced.send("GET", "/session/verify").status_code == 200
    assert code(bound.send("GET", "/session/verify")) == "session-ended"
