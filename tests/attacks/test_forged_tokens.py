"""Attack 16 (I25): forged tokens at every protected route are 401, nothing of them is told, nobody is logged out."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from common.bounded_cache import BoundedCache
from common.crypto import tokens as tokens_module
from common.crypto.jws import Algorithm, SigningKey, VerifyingKey, from_base64url, new_signing_key
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.crypto.tokens import SignedTokens
from common.keys.keyring import FILE_NAME, KeyPurpose, load_ring
from common.keys.rotation import retire, rotate
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL
from common.web.guards import Guard
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import DOMAINS, App
from ichidai.wiring.build import build
from tests.attacks.forgeries import Bench, Maker, kinds
from tests.support.dpop import DpopKey
from tests.support.servers import GENEROUS, combined
from tests.usecases.in_process_suite import HandClock

PASSWORD = "correct horse battery"
BASE = "http://127.0.0.1:8000"
LONGEST_HEADER = 12_000
"""What a server takes in a header; longer ones it answers by itself."""

MANY = 20_000 if os.environ.get("ICHIDAI_TEST_LONG") == "1" else 150
KINDS = kinds()


@dataclass(frozen=True)
class Scene:
    """A suite in this process with a victim who is logged in, asked on a laptop, and bound elsewhere by nothing."""

    client: Any
    routes: tuple[tuple[str, str], ...]
    bench: Bench
    ring: Path

    def ask(self, method: str, rule: str, token: str, scheme: str = "Bearer") -> TestResponse:
        """Call a route with a token."""
        headers = {"Authorization": f"{scheme} {token}"}
        body = {"session_id": "x", "device_id": "x", "device_name": "y"} if method == "POST" else None
        answer: TestResponse = self.client.open(rule, method=method, json=body, headers=headers)
        return answer

    def is_well(self) -> bool:
        """Say whether the victim's own token is still good."""
        return self.ask("GET", "/session/verify", self.bench.good).status_code == 200


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Return a suite whose first key was rotated out and retired."""
    folder, clock = tmp_path_factory.mktemp("scene"), HandClock()
    read = read_settings({"ICHIDAI_DATA_DIR": str(folder), **GENEROUS})
    store = SqliteStore(folder / "store.db", ALL, clock)
    build(read, App.ALL, 8000, clock=clock, cost=CHEAP_FOR_TESTS, store=store)
    retired = signing_key(folder / "keys")
    rotate(folder / "keys", store, KeyPurpose.ACCESS, Algorithm.ES256, clock.now, timedelta(minutes=1))
    clock.move(timedelta(minutes=1))
    retire(folder / "keys", store, retired.kid, clock.now)
    suite = build(read, App.ALL, 8000, clock=clock, cost=CHEAP_FOR_TESTS, store=store)
    endpoints = [endpoint for domain in DOMAINS for endpoint in suite.endpoints(domain)]
    here = tuple((e.method, e.rule) for e in endpoints if e.guard is not Guard.OPEN and not e.server)
    client = app_for(App.ALL, suite).test_client()
    good, others = victim(client, clock, SignedTokens(mac_key(folder / "keys"), "device"))
    key = signing_key(folder / "keys")
    yield Scene(client, here, Bench(good, key, retired, new_signing_key(Algorithm.ES256), others), folder / "keys")
    suite.close()


def signing_key(folder: Path) -> SigningKey:
    """Return the newest signing key of a ring."""
    secret = [key.secret for key in load_ring(folder / FILE_NAME).keys if key.purpose is KeyPurpose.ACCESS][-1]
    assert isinstance(secret, SigningKey)
    return secret


def mac_key(folder: Path) -> bytes:
    """Return the key of device tokens."""
    secret = next(key.secret for key in load_ring(folder / FILE_NAME).keys if key.purpose is KeyPurpose.DEVICE)
    assert isinstance(secret, bytes)
    return secret


def victim(client: Any, clock: HandClock, devices: SignedTokens) -> tuple[str, dict[str, str]]:
    """Register and log somebody in; return the access token, and every other text of ours that is no access token."""
    name = {"username": "anna", "password": PASSWORD}

    def post(path: str, body: Mapping[str, Any], **headers: str) -> Any:
        return client.post(path, json=body, headers=headers).get_json()

    phone = post("/registration/", {**name, "email": "anna@b.test", "device_name": "Phone"})
    shown = {**name, "client_cert_fp": phone["client_cert_fp"]}
    laptop = post("/registration/", {**name, "qr_code": phone["qr_code"], "device_name": "Laptop"})
    pairing = post("/registration/request_pairing_token", shown)
    login = post("/login", shown)
    question = post("/login", {**name, "client_cert_fp": laptop["client_cert_fp"]})
    key = DpopKey()
    proof = key.proof("GET", f"{BASE}/session/verify", login["access_token"], now=clock.now.timestamp())
    refused = client.post("/session/refresh", json={"refresh_token": "x"}, headers={"DPoP": proof})
    return login["access_token"], {
        "refresh": login["refresh_token"],
        "takeover": question["takeover"]["token"],
        "pairing": pairing["pairing_token"],
        "qr code": pairing["qr_code"],
        "device": devices.sign(["phone"]),
        "nonce": refused.headers["DPoP-Nonce"],
        "proof": proof,
        "certificate": phone["client_cert"],
    }


def accepted(scene: Scene, kinds: Mapping[str, Maker] = KINDS) -> set[tuple[str, str]]:
    """Return every kind and route where the answer is not 401 as it must be."""
    wrong = set()
    for kind, maker in kinds.items():
        token = maker(scene.bench)
        for method, rule in scene.routes:
            answer = scene.ask(method, rule, token)
            refused = (answer.status_code, answer.get_json().get("code"), "WWW-Authenticate" in answer.headers)
            if refused != (401, "invalid-token", True):
                wrong.add((kind, rule))
            if told(token, answer.get_data(as_text=True)):
                wrong.add((kind, "told in the answer"))
    return wrong


def told(token: str, text: str) -> list[str]:
    """Return the pieces of a token that a text holds."""
    parts = [part for part in token.split(".") if len(part) >= 16]
    return [part[:16] for part in parts if part[:16] in text or part[-16:] in text]


@pytest.mark.regression("X65", "X66")
def test_forged_tokens_are_refused_at_every_route(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """At least 120 kinds, every route that needs a token; the log tells nothing of them, the victim stays logged in."""
    assert len(KINDS) >= 120
    assert len(scene.routes) >= 9
    caplog.set_level(logging.DEBUG)
    assert accepted(scene) == set()
    assert scene.is_well()  # from now on the header of good tokens is known
    assert accepted(scene) == set()
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert any(vars(record).get("code") == "invalid-token" for record in caplog.records)
    assert [kind for kind, maker in KINDS.items() if told(maker(scene.bench), logged)] == []
    assert scene.is_well()


def test_no_two_kinds_are_one(scene: Scene) -> None:
    """Each forgery differs from all others, and from the good token: the count is honest."""
    made = {kind: maker(scene.bench) for kind, maker in KINDS.items()}
    assert scene.bench.good not in made.values()
    assert len(set(made.values())) == len(made)


@pytest.mark.parametrize(
    ("hole", "through"),
    [
        ("no signature is checked", "a stranger's key"),
        ("any key is ours", "a key that nobody published"),
        ("any header will do", "typ 'JWT'"),
    ],
)
def test_a_hole_would_be_found(scene: Scene, monkeypatch: pytest.MonkeyPatch, hole: str, through: str) -> None:
    """The negative control: with one check left out, the same test sees tokens come through."""
    bench = scene.bench
    monkeypatch.setattr(BoundedCache, "put", lambda _self, _key, value: value)  # the other tests' memory stays clean
    if hole == "no signature is checked":
        monkeypatch.setattr(VerifyingKey, "payload_of", lambda _self, token: from_base64url(token.split(".")[1]))
    elif hole == "any key is ours":
        monkeypatch.setattr(tokens_module.AccessTokens, "_key_of", lambda *_: bench.unpublished.verifying)
    else:
        monkeypatch.setattr(tokens_module.AccessTokens, "_key_of", lambda *_: bench.key.verifying)
    reading = dataclasses.replace(scene, routes=tuple(route for route in scene.routes if route[0] == "GET"))
    assert (through, "/session/verify") in accepted(reading, {through: KINDS[through]})


WITHOUT_A_TOKEN = ("/registration/objection",)
"""Routes for which an access token is one way of several to say who asks."""


def test_an_authorization_that_is_none_is_refused(scene: Scene) -> None:
    """Another scheme, no token, none at all; a good token presented as a bound one."""
    good = scene.bench.good
    for value in ("", "Bearer", "Bearer ", f"Basic {good}", f"Token {good}", good, f"Bearer{good}", f"Bearer\t{good}"):
        for method, rule in scene.routes:
            answer = scene.client.open(rule, method=method, json={}, headers={"Authorization": value})
            assert (answer.status_code, answer.get_json()["code"]) == (401, "token-missing"), value
    for method, rule in scene.routes:
        assert scene.ask(method, rule, good, scheme="DPoP").get_json()["code"] == "invalid-token"
        answer = scene.client.open(f"{rule}?access_token={good}", method=method, json={"access_token": good})
        nobody = "missing-fields" if rule in WITHOUT_A_TOKEN else "token-missing"
        assert answer.get_json()["code"] == nobody, "no token in a URL or a body"


PLACES = {
    "refresh": ("/session/refresh", "refresh_token", 401, "invalid-token"),
    "takeover": ("/login/takeover", "takeover_token", 400, "takeover-invalid"),
    "qr code": ("/registration/", "qr_code", 400, "qr-invalid"),
}


def test_no_token_is_good_in_anothers_place(scene: Scene) -> None:
    """Each of ours, and each forgery, where a refresh token, a consent or a QR code is expected."""
    ours = {**scene.bench.others, "access": scene.bench.good}
    forged = {kind: maker(scene.bench) for kind, maker in KINDS.items()}
    for place, (path, field, status, expected) in PLACES.items():
        texts = {what: text for what, text in ours.items() if what != place} | forged
        for what, text in texts.items():
            if text == ours[place] or len(text) > 60_000:
                continue
            sent = {"username": "anna", "password": PASSWORD, "client_cert_fp": "0" * 64, field: text}
            answer = scene.client.post(path, json=sent)
            assert (answer.status_code, answer.get_json()["code"]) == (status, expected), f"{what} as {place}"
    assert scene.is_well()


changes = st.tuples(st.integers(0, 10_000), st.sampled_from(["flip", "cut", "drop", "add"]), st.integers(1, 255))


def changed(text: str, change: tuple[int, str, int]) -> str:
    """Return a token with a bit flipped, cut off somewhere, without a character, or with one more."""
    place, how, number = change[0] % len(text), change[1], change[2]
    if how == "cut":
        return text[:place]
    if how == "drop":
        return text[:place] + text[place + 1 :]
    letter = chr(33 + number % 94)
    if how == "add":
        return text[:place] + letter + text[place:]
    return text[:place] + chr(33 + (ord(text[place]) - 33 ^ 1 << number % 6) % 94) + text[place + 1 :]


@settings(max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_a_changed_token_is_never_accepted_and_breaks_nothing(scene: Scene, change: tuple[int, str, int]) -> None:
    """Access, refresh and takeover tokens and QR codes, flipped and cut: 0 accepted, 0 answers of 5xx."""
    good = scene.bench.good
    token = changed(good, change)
    if token not in (good, "") and not token.isspace():
        assert scene.ask("GET", "/session/verify", token).status_code == 401
    for place, (path, field, status, _) in PLACES.items():
        own = scene.bench.others[place]
        text = changed(own, change)
        if text in ("", own):
            continue
        sent = {"username": "anna", "password": PASSWORD, "client_cert_fp": "0" * 64, field: text}
        answer = scene.client.post(path, json=sent)
        assert answer.status_code == status or (place == "qr code" and answer.status_code in (403, 410)), text


def test_forged_tokens_over_http(tmp_path: Path) -> None:
    """The same kinds at a real server; its output tells nothing of them."""
    suite = combined(tmp_path / "suite", ICHIDAI_TEST_CHEAP_HASH="true")
    client = suite.start()
    try:
        account = client.register()
        good = account.login().access
        key, unknown = signing_key(suite.data / "keys"), new_signing_key(Algorithm.ES256)
        bench = Bench(good, key, unknown, unknown, {})
        makers = {kind: maker for kind, maker in KINDS.items() if not kind.endswith("used as an access token")}
        assert client.verify(good).status_code == 200
        sent = {kind: token for kind, maker in makers.items() if len(token := maker(bench)) < LONGEST_HEADER}
        session = requests.Session()
        wrong = {}
        for kind, token in sent.items():
            headers = {"Authorization": f"Bearer {token}"}
            answer = session.get(client.url("/session/verify"), headers=headers, timeout=30)
            if (answer.status_code, answer.json()["code"]) != (401, "invalid-token"):
                wrong[kind] = answer.text
        assert wrong == {}
        assert client.verify(good).status_code == 200
        assert [kind for kind, token in sent.items() if told(token, suite.output)] == []
    finally:
        suite.stop()
