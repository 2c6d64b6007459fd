"""Proofs on every endpoint: which signature opens it, and that nothing else does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.signing import Keys, enrolling, mldsa_keys, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import MILLISECOND, PASSWORD, SECOND, Device, InProcessSuite, as_login, code_of
from tests.usecases.signers import Signer, content, first_of

SIGNATURE = {"ICHIDAI_DEVICE_PROOF": "signature"}


def by_login(path: str) -> Callable[[Signer, Any, Any], TestResponse]:
    """Return a login at a path."""

    def send(signer: Signer, proof: Any, _question: Any) -> TestResponse:
        more = {} if proof is None else {"proof": proof}
        return signer.suite.login(signer.person, signer.device, path, **more)

    return send


def by_verify(signer: Signer, proof: Any, _question: Any) -> TestResponse:
    """Answer the challenge itself."""
    return signer.suite.post("/login/verify", proof or {})


def by_takeover(signer: Signer, proof: Any, question: Any) -> TestResponse:
    """Consent."""
    body = {"takeover_token": question["token"], "client_cert_fp": signer.device.fingerprint}
    return signer.suite.post("/login/takeover", body if proof is None else {**body, "proof": proof})


def by_pairing(signer: Signer, proof: Any, _question: Any) -> TestResponse:
    """Ask for a pairing token."""
    body = {"username": signer.person.username, "password": PASSWORD, "client_cert_fp": signer.device.fingerprint}
    path = "/registration/request_pairing_token"
    return signer.suite.post(path, body if proof is None else {**body, "proof": proof})


@dataclass(frozen=True)
class Endpoint:
    """A way in, the purpose that a proof for it must have, and how a proof is sent there."""

    purpose: str
    send: Callable[[Signer, Any, Any], TestResponse]
    used: tuple[int, str] = (401, "challenge-spent")


ENDPOINTS = {
    "login": Endpoint("login", by_login("/login")),
    "force": Endpoint("force", by_login("/login/force")),
    "session/create": Endpoint("login", by_login("/session/create")),
    "verify": Endpoint("login", by_verify),
    "verify by force": Endpoint("force", by_verify),
    "takeover": Endpoint(
        "takeover",
        by_takeover,
    ),
    "pairing": Endpoint("pair-issue", by_pairing),
}


@dataclass
class Scene:
    """A device at an endpoint, with the question it was asked if the endpoint is the takeover's, and a stranger."""

    suite: InProcessSuite
    endpoint: Endpoint
    signer: Signer
    stranger: Signer
    question: Any

    def challenge(self) -> Any:
        """Return a challenge for this endpoint: the question's own, where there is one."""
        return self.question["challenge"] if self.question else self.signer.asked(self.endpoint.purpose)

    def right(self) -> dict[str, str]:
        """Return a right proof."""
        return self.signer.proof(self.challenge(), self.endpoint.purpose, self.question and self.question["token"])

    def send(self, proof: Any) -> TestResponse:
        """Come to the endpoint."""
        return self.endpoint.send(self.signer, proof, self.question)

    def refused(self, proof: Any) -> tuple[int, str]:
        """Come to the endpoint and be refused, with nothing changed."""
        before = content(self.suite)
        answer = self.send(proof)
        assert content(self.suite) == before
        return code_of(answer)


@pytest.fixture(params=list(ENDPOINTS))
def scene(request: pytest.FixtureRequest, build_suite: Build) -> Scene:
    """Return a scene in signature mode; at the takeover's endpoint another device of the person's is active."""
    return make_scene(build_suite(**SIGNATURE, MAX_CONCURRENT_DEVICES="1"), ENDPOINTS[request.param])


def make_scene(suite: InProcessSuite, endpoint: Endpoint, signer: Signer | None = None) -> Scene:
    """Set a scene; by default the server made the device's keys."""
    signer, stranger = signer or first_of(suite, "anna"), first_of(suite, "bert")
    signer = dataclasses.replace(signer, suite=suite)
    question = None
    if endpoint.purpose == "takeover":
        other = joined(signer)
        as_login(other.login())
        answer = signer.login()
        assert code_of(answer) == (409, "device-active")
        question = answer.get_json()["takeover"]
    return Scene(suite, endpoint, signer, stranger, question)


def joined(by: Signer, keys: Keys | None = None) -> Signer:
    """Let another device of the same person join."""
    issued = by_pairing(by, by.prove("pair-issue"), None).get_json()
    body = {"username": by.person.username, "password": PASSWORD, "qr_code": issued["qr_code"]}
    keys = keys or mldsa_keys()
    body |= enrolling(keys, by.person.username, issued["pairing_token"])
    answer = by.suite.post("/registration/", body).get_json()
    return Signer(by.suite, by.person, Device(answer["client_cert_fp"], answer["device_id"], answer), keys)


class TestEveryEndpoint:
    """Each endpoint, and each kind of proof."""

    @pytest.mark.requirement("R73")
    def test_the_right_proof_opens_it_once(self, scene: Scene) -> None:
        """The change that it leads to uses the challenge up; the same proof again opens nothing."""
        proof = scene.right()
        assert scene.send(proof).status_code == 200
        assert scene.refused(proof) == scene.endpoint.used

    @pytest.mark.regression("X60", "X61")
    def test_without_a_proof_it_stays_shut(self, scene: Scene) -> None:
        """A fingerprint is public."""
        expected = (400, "missing-fields") if scene.endpoint.send is by_verify else (401, "proof-required")
        assert scene.refused(None) == expected

    def test_the_wrong_key_does_not_open_it(self, scene: Scene) -> None:
        """Another key, of this algorithm or a weaker one."""
        asked, token = scene.challenge(), scene.question and scene.question["token"]
        text = scene.signer.keys.read(asked)
        for keys in (scene.stranger.keys, mldsa_keys(), p256_keys()):
            plain = {"challenge_id": asked["challenge_id"], "issuer": asked["issuer"], "challenge": text}
            forger = Signer(scene.suite, scene.signer.person, scene.signer.device, keys)
            assert scene.refused(forger.proof(plain, scene.endpoint.purpose, token)) == (401, "proof-invalid")
        assert scene.send(scene.signer.proof(asked, scene.endpoint.purpose, token)).status_code == 200

    def test_a_challenge_for_another_purpose_does_not_open_it(self, scene: Scene) -> None:
        """Neither signed for what it was asked for nor for what the endpoint wants."""
        endpoints = {"login", "force", "takeover", "pair-issue", "renew"} - {scene.endpoint.purpose}
        for purpose in endpoints - ({"login", "force"} if scene.endpoint.send is by_verify else set()):
            asked = scene.signer.asked(purpose)
            token = scene.question and scene.question["token"]
            assert scene.refused(scene.signer.proof(asked, purpose, token)) == (401, "proof-invalid")
            assert scene.refused(scene.signer.proof(asked, scene.endpoint.purpose, token)) == (401, "proof-invalid")

    def test_a_statement_for_another_purpose_does_not_open_it(self, scene: Scene) -> None:
        """The purpose is signed."""
        token = scene.question and scene.question["token"]
        proof = scene.signer.proof(scene.challenge(), "renew", token)
        assert scene.refused(proof) == (401, "proof-invalid")

    def test_a_signature_on_another_token_does_not_open_it(self, scene: Scene) -> None:
        """Nor one that names none where there is one."""
        proof = scene.signer.proof(scene.challenge(), scene.endpoint.purpose, None if scene.question else "a token")
        assert scene.refused(proof) == (401, "proof-invalid")

    def test_anothers_challenge_does_not_open_it(self, scene: Scene) -> None:
        """Nor is it counted against its owner, or used up."""
        asked = scene.stranger.asked(scene.endpoint.purpose)
        token = scene.question and scene.question["token"]
        mine = scene.stranger.proof(asked, scene.endpoint.purpose, token)
        if (
            scene.endpoint.send is by_verify
        ):  # who answers there is who was asked: it logs the stranger in, not this device
            assert as_login(scene.send(mine)).device_id == scene.stranger.device.device_id
            return
        for _ in range(6):
            assert scene.refused(mine) == (401, "challenge-spent")
        as_text = {**asked, "challenge": scene.stranger.keys.read(asked)}
        as_text.pop("sealed")
        assert scene.refused(scene.signer.proof(as_text, scene.endpoint.purpose, token)) == (401, "challenge-spent")

    def test_it_expires_after_a_minute(self, scene: Scene) -> None:
        """To the millisecond, by our own clock."""
        in_time, late = scene.right(), None
        scene.suite.clock.move(60 * SECOND - MILLISECOND)
        if scene.question is None:
            late = scene.right()
        assert scene.send(in_time).status_code == 200
        if late is not None:
            scene.suite.clock.move(60 * SECOND)
            assert scene.refused(late) == (401, "challenge-spent")

    def test_five_bad_signatures_spend_it(self, scene: Scene) -> None:
        """The right one comes too late then."""
        right = scene.right()
        wrong = {**right, "signature": scene.signer.keys.sign(b"something else")}
        for _ in range(5):
            assert scene.refused(wrong) == (401, "proof-invalid")
        assert scene.refused(wrong) == (401, "challenge-spent")
        assert scene.refused(right) == (401, "challenge-spent")

    def test_four_bad_signatures_do_not(self, scene: Scene) -> None:
        """A person may be clumsy."""
        right = scene.right()
        for _ in range(4):
            assert scene.refused({**right, "signature": "AAAA"}) == (401, "proof-invalid")
        assert scene.send(right).status_code == 200

    def test_a_made_up_challenge_opens_nothing(self, scene: Scene) -> None:
        """Whatever it looks like."""
        for challenge_id in ("x", "../..", "5f2b0c9e-0000-4000-8000-000000000000", "é" * 900, "0" * 30_000):
            proof = {"challenge_id": challenge_id, "signature": "AAAA"}
            assert scene.refused(proof) == (401, "challenge-spent")

    def test_a_proof_of_the_wrong_shape_is_told(self, scene: Scene) -> None:
        """Before anything is asked of the store."""
        if scene.endpoint.send is by_verify:
            assert scene.refused({"challenge_id": 5, "signature": "AAAA"}) == (400, "invalid-request")
            return
        for proof in ({"challenge_id": "x"}, {"challenge_id": 5, "signature": "A"}, "x", [], True):
            assert code_of(scene.send(proof))[0] == 400
