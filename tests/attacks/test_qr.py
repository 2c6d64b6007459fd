"""Attacks on pairing by QR code, each a line: what is tried, and what is answered. Nothing changes by any of them.

A code photographed or relayed, altered, worn out, or used after what it was issued under has gone.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.account.book import AccountState
from tests.support.client import unique
from tests.support.signing import enrolling, mldsa_keys, p256_keys
from tests.usecases.in_process_suite import MINUTE, Device, InProcessSuite, Login, Person, as_login, code_of
from tests.usecases.signers import Signer, content, first_of

ENDPOINTS = ("/registration/", "/device/register")

SPENT, INVALID, FOREIGN = (410, "pairing-token-spent"), (400, "qr-invalid"), (403, "pairing-token-foreign")
REQUIRED, WRONG, NOBODY = (401, "proof-required"), (401, "proof-invalid"), (401, "bad-credentials")
DISABLED = (403, "account-disabled")


@dataclass
class Scene:
    """Anna with a phone, logged in, that shows a code, and a tablet; Mallory has an account too."""

    suite: InProcessSuite
    anna: Person
    tablet: Device
    phone: Login
    mallory: Person
    shown: dict[str, Any]
    named: dict[str, Any]

    def body(self, code: str) -> dict[str, Any]:
        """Return a redemption by whoever knows Anna's password."""
        return {"username": self.anna.username, "password": self.anna.password, "qr_code": code}


def coded(shown: object) -> str:
    """Write a code."""
    return base64.urlsafe_b64encode(orjson.dumps(shown)).rstrip(b"=").decode()


def decoded(code: str) -> dict[str, Any]:
    """Read a code."""
    shown: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)))
    return shown


@pytest.fixture
def scene(suite: InProcessSuite) -> Scene:
    """Set the scene, with people of its own."""
    anna, mallory = suite.register(unique("anna")), suite.register(unique("mallory"))
    tablet = suite.pair(anna, "Tablet")
    phone = suite.log_in(anna)
    shown = decoded(suite.qr_code(anna))
    named = {**shown, "fingerprint": anna.first.fingerprint, "not_after": anna.first.answer["certificate"]["not_after"]}
    return Scene(suite, anna, tablet, phone, mallory, shown, named)


Altered = Callable[[Scene], str]
Tried = tuple[int, str]


def _text(change: Callable[[str], str]) -> Altered:
    return lambda scene: change(coded(scene.shown))


def _fields(**fields: Any) -> Altered:
    """Return the code with other fields; None takes one out."""

    def alter(scene: Scene) -> str:
        said = {**scene.shown, **{name: f(scene) if callable(f) else f for name, f in fields.items()}}
        return coded({name: value for name, value in said.items() if value is not None})

    return alter


def _named(**fields: Any) -> Altered:
    """Return a code that names its certificate, with other fields."""

    def alter(scene: Scene) -> str:
        said = {**scene.named, **{name: f(scene) if callable(f) else f for name, f in fields.items()}}
        return coded({name: value for name, value in said.items() if value is not None})

    return alter


def _token(change: Callable[[str], Any]) -> Altered:
    return _fields(token=lambda scene: change(scene.shown["token"]))


def _flipped(token: str) -> str:
    return ("B" if token[0] == "A" else "A") + token[1:]


ALTERED: Mapping[str, tuple[Altered, Tried]] = {
    "no base64": (lambda _: "!!!", INVALID),
    "base64 of no JSON": (lambda _: base64.b64encode(b"hello").decode(), INVALID),
    "JSON that is a list": (lambda scene: coded(list(scene.shown.values())), INVALID),
    "JSON that is a number": (lambda _: coded(1), INVALID),
    "JSON that is empty": (lambda _: coded({}), INVALID),
    "cut in the middle": (_text(lambda code: code[: len(code) // 2]), INVALID),
    "cut by one": (_text(lambda code: code[:-1]), INVALID),
    "twice in a row": (_text(lambda code: code * 2), INVALID),
    "longer than any code": (_text(lambda code: code + "A" * 5000), INVALID),
    "in the query of a link": (_text(lambda code: "https://accounts.test/registration/?join=" + code), INVALID),
    "cut by one in a link": (_text(lambda code: "https://accounts.test/registration/#join=" + code[:-1]), INVALID),
    "an access token": (lambda scene: scene.phone.access, INVALID),
    "a refresh token": (lambda scene: scene.phone.refresh, INVALID),
    "no token": (lambda scene: coded({"uuid": scene.anna.uuid}), INVALID),
    "an empty token": (_fields(token=""), INVALID),
    "a token that is a number": (_fields(token=5), INVALID),
    "a token that is a list": (_token(lambda token: [token]), INVALID),
    "a token with a letter changed": (_token(_flipped), SPENT),
    "a token without its end": (_token(lambda token: token[:-1]), SPENT),
    "a token with white space": (_token(lambda token: token + " "), SPENT),
    "a token with NUL": (_token(lambda token: token + "\0"), SPENT),
    "a token in another case": (_token(str.swapcase), SPENT),
    "the token's hash, from a copied store": (_token(lambda t: hashlib.sha256(t.encode()).hexdigest()), SPENT),
    "a guessed token": (_fields(token="A" * 43), SPENT),
    "no user": (_fields(uuid=None), INVALID),
    "a user that is a number": (_fields(uuid=1), INVALID),
    "a user in capitals": (_fields(uuid=lambda scene: scene.anna.uuid.upper()), INVALID),
    "another user": (_fields(uuid=lambda scene: scene.mallory.uuid), FOREIGN),
    "another device's certificate": (_named(fingerprint=lambda scene: scene.tablet.fingerprint), INVALID),
    "a made-up certificate": (_named(fingerprint="0" * 64), INVALID),
    "a certificate that is a number": (_named(fingerprint=7), INVALID),
    "a certificate valid for ever": (_named(not_after="2099-01-01T00:00:00Z"), INVALID),
    "a certificate without its end": (_named(not_after=None), INVALID),
    "an end without its certificate": (_named(fingerprint=None), INVALID),
    "an end without a zone": (_named(not_after="2027-11-21T09:00:00"), INVALID),
    "an end that is no time": (_named(not_after="soon"), INVALID),
}


@pytest.mark.requirement("R48", "R59", "R61", "D14")
@pytest.mark.regression("X02")
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_code_is_refused(scene: Scene, name: str, path: str) -> None:
    """And the real one is as good as before."""
    alter, expected = ALTERED[name]
    before = content(scene.suite)
    assert code_of(scene.suite.post(path, scene.body(alter(scene)))) == expected
    assert content(scene.suite) == before
    force = {"force": True} if path == "/device/register" else {}
    assert scene.suite.post(path, {**scene.body(coded(scene.shown)), **force}).status_code == 200


def _used_by(path: str) -> Callable[[Scene], None]:
    def use(scene: Scene) -> None:
        body = {**scene.body(coded(scene.shown)), "force": True}
        assert scene.suite.post(path, body).status_code == 200

    return use


def _expired(scene: Scene) -> None:
    scene.suite.clock.move(10 * MINUTE)


def _logged_out(scene: Scene) -> None:
    assert scene.suite.post("/session/logout", None, scene.phone.access).status_code == 200


def _taken_over(scene: Scene) -> None:
    question = scene.suite.login(scene.anna, scene.tablet)
    as_login(scene.suite.take_over(question, scene.tablet))


def _forced_out(scene: Scene) -> None:
    scene.suite.log_in(scene.anna, scene.tablet, force=True)


def _logged_in_again(scene: Scene) -> None:
    scene.suite.log_in(scene.anna)


def _unbound(scene: Scene) -> None:
    tablet = scene.suite.log_in(scene.anna, scene.tablet, force=True)
    body = {"device_id": scene.anna.first.device_id}
    assert scene.suite.post("/device/unbind", body, tablet.access).status_code == 200


def _revoked(scene: Scene) -> None:
    body = {"session_id": scene.phone.session_id}
    assert scene.suite.post("/session/revoke", body, scene.phone.access).status_code == 200


def _password_changed(scene: Scene) -> None:
    scene.anna = scene.suite.change_password(scene.anna, "another good phrase")


def _disabled(scene: Scene) -> None:
    scene.suite.put_book(replace(scene.suite.book(scene.anna), state=AccountState.DISABLED))


SINCE: Mapping[str, tuple[Callable[[Scene], None], Tried]] = {
    "it was used": (_used_by("/registration/"), SPENT),
    "it was used to log in": (_used_by("/device/register"), SPENT),
    "ten minutes went by": (_expired, SPENT),
    "its device logged out": (_logged_out, SPENT),
    "its device was taken over from": (_taken_over, SPENT),
    "its device was forced out": (_forced_out, SPENT),
    "its device logged in anew": (_logged_in_again, SPENT),
    "its device was unbound": (_unbound, SPENT),
    "its session was revoked": (_revoked, SPENT),
    "the password was changed": (_password_changed, SPENT),
    "the account was disabled": (_disabled, DISABLED),
}


@pytest.mark.requirement("R60", "R62")
@pytest.mark.regression("X35")
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", SINCE)
def test_a_code_dies_with_what_it_was_issued_under(scene: Scene, name: str, path: str) -> None:
    """Whoever redeems it, and however right the password is."""
    happen, expected = SINCE[name]
    happen(scene)
    before = content(scene.suite)
    assert code_of(scene.suite.post(path, scene.body(coded(scene.shown)))) == expected
    assert content(scene.suite) == before


@pytest.mark.requirement("R75", "R77")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_photograph_is_not_enough(scene: Scene, path: str) -> None:
    """Not without the password, and not with the photographer's own, under either name."""
    code, mallory = coded(scene.shown), scene.mallory
    before = content(scene.suite)
    for body, expected in (
        ({**scene.body(code), "password": "a guess at random"}, NOBODY),
        ({"username": mallory.username, "password": mallory.password, "qr_code": code}, FOREIGN),
        (
            {
                "username": mallory.username,
                "password": mallory.password,
                "qr_code": coded({**scene.shown, "uuid": mallory.uuid}),
            },
            FOREIGN,
        ),
    ):
        assert code_of(scene.suite.post(path, body)) == expected
    assert content(scene.suite) == before


def test_the_issuing_device_sees_who_came_and_can_undo_it(scene: Scene) -> None:
    """In its list and its history; after unbinding the stranger's certificate opens nothing."""
    came = scene.suite.post("/registration/", scene.body(coded(scene.shown))).get_json()
    listed = scene.suite.get("/device/list", scene.phone.access).get_json()["devices"]
    assert came["device_id"] in {device["device_id"] for device in listed}
    newest = scene.suite.get("/session/history", scene.phone.access).get_json()["events"][0]
    assert (newest["kind"], newest["ip"]) == ("device-added", "127.0.0.1")
    undone = scene.suite.post("/device/unbind", {"device_id": came["device_id"]}, scene.phone.access)
    assert undone.status_code == 200
    stranger = Device(came["client_cert_fp"], came["device_id"], came)
    assert code_of(scene.suite.login(scene.anna, stranger)) == (401, "certificate-revoked")


# In signature mode: issuing and redeeming need proofs.


@dataclass(frozen=True)
class Proving:
    """Anna's phone with its keys, the token it shows, and what a device that joins honestly would send."""

    signer: Signer
    token: str
    honest: Mapping[str, Any]


@pytest.fixture(scope="module")
def proving(proving_suite: InProcessSuite) -> Proving:
    """Show one code: none of the attacks uses it up."""
    signer = first_of(proving_suite, unique("anna"))
    body = {"username": signer.person.username, "password": signer.person.password}
    body |= {"client_cert_fp": signer.device.fingerprint, "proof": signer.prove("pair-issue")}
    issued = proving_suite.post("/registration/request_pairing_token", body).get_json()
    own = enrolling(mldsa_keys(), signer.person.username, issued["pairing_token"])
    sent = {"username": signer.person.username, "password": signer.person.password, "qr_code": issued["qr_code"], **own}
    return Proving(signer, issued["pairing_token"], sent)


def _without(*names: str) -> Callable[[Proving], Mapping[str, Any]]:
    return lambda p: {name: value for name, value in p.honest.items() if name not in names}


def _enrolling(token: Callable[[Proving], str | None], username: str | None = None) -> Callable[[Proving], Any]:
    def send(p: Proving) -> Mapping[str, Any]:
        return {**p.honest, **enrolling(p256_keys(), username or p.signer.person.username, token(p))}

    return send


REDEEMING: Mapping[str, tuple[Callable[[Proving], Mapping[str, Any]], Tried]] = {
    "without a key": (_without("public_keys", "proof"), REQUIRED),
    "without a proof": (_without("proof"), REQUIRED),
    "with a proof but no key": (_without("public_keys"), REQUIRED),
    "with the honest device's proof and another key": (
        lambda p: {**p.honest, "public_keys": enrolling(p256_keys(), "x")["public_keys"]},
        WRONG,
    ),
    "with a proof for another code": (_enrolling(lambda _: "another token"), WRONG),
    "with a proof for no code": (_enrolling(lambda _: None), WRONG),
    "with a proof for the code's hash": (_enrolling(lambda p: hashlib.sha256(p.token.encode()).hexdigest()), WRONG),
    "with a proof under another name": (_enrolling(lambda p: p.token, "mallory"), WRONG),
    "with a proof for another service": (
        lambda p: {
            **p.honest,
            **enrolling(p256_keys(), p.signer.person.username, p.token, issuer="https://evil.test"),
        },
        WRONG,
    ),
}


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", REDEEMING)
def test_redeeming_needs_a_proof(proving_suite: InProcessSuite, proving: Proving, name: str, path: str) -> None:
    """By the key that joins, over this very code."""
    send, expected = REDEEMING[name]
    before = content(proving_suite)
    assert code_of(proving_suite.post(path, send(proving))) == expected
    assert content(proving_suite) == before


def _stolen(purpose: str) -> Callable[[Signer], Any]:
    return lambda signer: signer.prove(purpose)


def _forged(signer: Signer) -> Any:
    asked = signer.asked("pair-issue")
    plain = {"challenge_id": asked["challenge_id"], "issuer": asked["issuer"], "challenge": signer.keys.read(asked)}
    return dataclasses.replace(signer, keys=p256_keys()).proof(plain, "pair-issue")


ISSUING: Mapping[str, tuple[Callable[[Signer], Any], Tried]] = {
    "by the fingerprint alone": (lambda _: None, REQUIRED),
    "by a signature for a login": (_stolen("login"), WRONG),
    "by a signature for a takeover": (_stolen("takeover"), WRONG),
    "by another key": (_forged, WRONG),
    "by a made-up challenge": (lambda _: {"challenge_id": "x", "signature": "AAAA"}, (401, "challenge-spent")),
}


@pytest.mark.requirement("R73")
@pytest.mark.regression("X34")
@pytest.mark.parametrize("name", ISSUING)
def test_issuing_needs_a_proof(proving_suite: InProcessSuite, proving: Proving, name: str) -> None:
    """By the device that shows the code."""
    make, expected = ISSUING[name]
    proof, person = make(proving.signer), proving.signer.person
    body = {"username": person.username, "password": person.password, **({} if proof is None else {"proof": proof})}
    before = content(proving_suite)
    answer = proving_suite.post(
        "/registration/request_pairing_token", {**body, "client_cert_fp": proving.signer.device.fingerprint}
    )
    assert code_of(answer) == expected
    assert content(proving_suite) == before


def test_the_honest_device_joins_after_all_that(proving_suite: InProcessSuite, proving: Proving) -> None:
    """None of the attacks has used its code up."""
    answer: TestResponse = proving_suite.post("/registration/", dict(proving.honest))
    assert answer.status_code == 200


def test_there_are_thirty_of_them() -> None:
    """F17 asks for so many."""
    assert len(ALTERED) + len(SINCE) + len(REDEEMING) + len(ISSUING) >= 30
