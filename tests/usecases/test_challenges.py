"""Proofs at every door: which signature opens it, and that nothing else does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.signing import Keys, enrolling, mldsa_keys, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.house import (
    MILLISECOND,
    PASSWORD,
    SECOND,
    Device,
    House,
    as_login,
    code_of,
)
from tests.usecases.signers import Signer, challenges, content, first_of

SIGNATURE = {"ICHIDAI_DEVICE_PROOF": "signature"}


def by_login(path: str) -> Callable[[Signer, Any, Any], TestResponse]:
    """Return a login at a path."""

    def send(signer: Signer, proof: Any, _question: Any) -> TestResponse:
        more = {} if proof is None else {"proof": proof}
        return signer.house.login(signer.person, signer.device, path, **more)

    return send


def by_verify(signer: Signer, proof: Any, _question: Any) -> TestResponse:
    """Answer the challenge itself."""
    return signer.house.post("/login/verify", proof or {})


def by_takeover(signer: Signer, proof: Any, question: Any) -> TestResponse:
    """Consent."""
    body = {"takeover_token": question["token"], "client_cert_fp": signer.device.fingerprint}
    return signer.house.post("/login/takeover", body if proof is None else {**body, "proof": proof})


def by_pairing(signer: Signer, proof: Any, _question: Any) -> TestResponse:
    """Ask for a pairing token."""
    body = {"username": signer.person.username, "password": PASSWORD, "client_cert_fp": signer.device.fingerprint}
    path = "/registration/request_pairing_token"
    return signer.house.post(path, body if proof is None else {**body, "proof": proof})


@dataclass(frozen=True)
class Door:
    """A way in, the purpose that a proof for it must have, and how a proof is sent there."""

    purpose: str
    send: Callable[[Signer, Any, Any], TestResponse]
    used: tuple[int, str] = (401, "challenge-spent")


DOORS = {
    "login": Door("login", by_login("/login")),
    "force": Door("force", by_login("/login/force")),
    "session/create": Door("login", by_login("/session/create")),
    "verify": Door("login", by_verify),
    "verify by force": Door("force", by_verify),
    "takeover": Door("takeover", by_takeover, used=(410, "takeover-spent")),
    "pairing": Door("pair-issue", by_pairing),
}


@dataclass
class Scene:
    """A device at a door, with the question it was asked if the door is the takeover's, and a stranger."""

    house: House
    door: Door
    signer: Signer
    stranger: Signer
    question: Any

    def challenge(self) -> Any:
        """Return a challenge for this door: the question's own, where there is one."""
        return self.question["challenge"] if self.question else self.signer.asked(self.door.purpose)

    def right(self) -> dict[str, str]:
        """Return a right proof."""
        return self.signer.proof(self.challenge(), self.door.purpose, self.question and self.question["token"])

    def send(self, proof: Any) -> TestResponse:
        """Come to the door."""
        return self.door.send(self.signer, proof, self.question)

    def refused(self, proof: Any) -> tuple[int, str]:
        """Come to the door and be refused, with nothing changed."""
        before = content(self.house)
        answer = self.send(proof)
        assert content(self.house) == before
        return code_of(answer)


@pytest.fixture(params=list(DOORS))
def scene(request: pytest.FixtureRequest, build_house: Build) -> Scene:
    """Return a scene in signature mode; at the takeover's door another device of the person's is active."""
    return make_scene(build_house(**SIGNATURE, MAX_CONCURRENT_DEVICES="1"), DOORS[request.param])


def make_scene(house: House, door: Door, signer: Signer | None = None) -> Scene:
    """Set a scene; by default the server made the device's keys."""
    signer, stranger = signer or first_of(house, "anna"), first_of(house, "bert")
    signer = dataclasses.replace(signer, house=house)
    question = None
    if door.purpose == "takeover":
        other = joined(signer)
        as_login(other.login())
        answer = signer.login()
        assert code_of(answer) == (409, "device-active")
        question = answer.get_json()["takeover"]
    return Scene(house, door, signer, stranger, question)


def joined(by: Signer, keys: Keys | None = None) -> Signer:
    """Let another device of the same person join."""
    issued = by_pairing(by, by.prove("pair-issue"), None).get_json()
    body = {"username": by.person.username, "password": PASSWORD, "qr_code": issued["qr_code"]}
    keys = keys or mldsa_keys()
    body |= enrolling(keys, by.person.username, issued["pairing_token"])
    answer = by.house.post("/registration/", body).get_json()
    return Signer(by.house, by.person, Device(answer["client_cert_fp"], answer["device_id"], answer), keys)


class TestEveryDoor:
    """Each door, and each kind of proof."""

    @pytest.mark.row("R73")
    def test_the_right_proof_opens_it_once(self, scene: Scene) -> None:
        """The challenge is gone in the commit that succeeds; the same proof again opens nothing."""
        proof = scene.right()
        before = challenges(scene.house)
        assert scene.send(proof).status_code == 200
        assert challenges(scene.house) == before - 1
        assert scene.refused(proof) == scene.door.used

    @pytest.mark.pitfall("X60", "X61")
    def test_without_a_proof_it_stays_shut(self, scene: Scene) -> None:
        """A fingerprint is public."""
        expected = (400, "missing-fields") if scene.door.send is by_verify else (401, "proof-required")
        assert scene.refused(None) == expected

    def test_the_wrong_key_does_not_open_it(self, scene: Scene) -> None:
        """Another key, of this algorithm or a weaker one."""
        asked, token = scene.challenge(), scene.question and scene.question["token"]
        text = scene.signer.keys.read(asked)
        for keys in (scene.stranger.keys, mldsa_keys(), p256_keys()):
            plain = {"challenge_id": asked["challenge_id"], "issuer": asked["issuer"], "challenge": text}
            forger = Signer(scene.house, scene.signer.person, scene.signer.device, keys)
            assert scene.refused(forger.proof(plain, scene.door.purpose, token)) == (401, "proof-invalid")
        assert scene.send(scene.signer.proof(asked, scene.door.purpose, token)).status_code == 200

    def test_a_challenge_for_another_purpose_does_not_open_it(self, scene: Scene) -> None:
        """Neither signed for what it was asked for nor for what the door wants."""
        doors = {"login", "force", "takeover", "pair-issue", "renew"} - {scene.door.purpose}
        for purpose in doors - ({"login", "force"} if scene.door.send is by_verify else set()):
            asked = scene.signer.asked(purpose)
            token = scene.question and scene.question["token"]
            assert scene.refused(scene.signer.proof(asked, purpose, token)) == (401, "proof-invalid")
            assert scene.refused(scene.signer.proof(asked, scene.door.purpose, token)) == (401, "proof-invalid")

    def test_a_statement_for_another_purpose_does_not_open_it(self, scene: Scene) -> None:
        """The purpose is signed."""
        token = scene.question and scene.question["token"]
        proof = scene.signer.proof(scene.challenge(), "renew", token)
        assert scene.refused(proof) == (401, "proof-invalid")

    def test_a_signature_on_another_token_does_not_open_it(self, scene: Scene) -> None:
        """Nor one that names none where there is one."""
        proof = scene.signer.proof(scene.challenge(), scene.door.purpose, None if scene.question else "a token")
        assert scene.refused(proof) == (401, "proof-invalid")

    def test_anothers_challenge_does_not_open_it(self, scene: Scene) -> None:
        """Nor is it counted against its owner, or used up."""
        asked = scene.stranger.asked(scene.door.purpose)
        token = scene.question and scene.question["token"]
        mine = scene.stranger.proof(asked, scene.door.purpose, token)
        if scene.door.send is by_verify:  # who answers there is who was asked: it logs the stranger in, not this device
            assert as_login(scene.send(mine)).device_id == scene.stranger.device.device_id
            return
        for _ in range(6):
            assert scene.refused(mine) == (401, "challenge-spent")
        as_text = {**asked, "challenge": scene.stranger.keys.read(asked)}
        as_text.pop("sealed")
        assert scene.refused(scene.signer.proof(as_text, scene.door.purpose, token)) == (401, "challenge-spent")

    def test_it_expires_after_a_minute(self, scene: Scene) -> None:
        """To the millisecond, by our own clock."""
        in_time, late = scene.right(), None
        scene.house.clock.move(60 * SECOND - MILLISECOND)
        if scene.question is None:
            late = scene.right()
        assert scene.send(in_time).status_code == 200
        if late is not None:
            scene.house.clock.move(60 * SECOND)
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
        if scene.door.send is by_verify:
            assert scene.refused({"challenge_id": 5, "signature": "AAAA"}) == (400, "invalid-request")
            return
        for proof in ({"challenge_id": "x"}, {"challenge_id": 5, "signature": "A"}, "x", [], True):
            assert code_of(scene.send(proof))[0] == 400
