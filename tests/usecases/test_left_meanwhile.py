"""A caller whose session ends between the check of its token and the commit of what it asked for changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from werkzeug.test import TestResponse

from common.storage.tables import SESSIONS
from tests.support.signing import given_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import Device, InProcessSuite, Login, Person, code_of
from tests.usecases.signers import Signer
from tests.usecases.watched_store import StoreCall, once

Ask = Callable[[InProcessSuite, Login, Login, Device], TestResponse]

ASKED: dict[str, Ask] = {
    "/session/revoke": lambda suite, own, other, _: suite.post(
        "/session/revoke", {"session_id": other.session_id}, own.access
    ),
    "/device/rename": lambda suite, own, _, laptop: suite.post(
        "/device/rename", {"device_id": laptop.device_id, "device_name": "Mine"}, own.access
    ),
    "/device/unbind": lambda suite, own, _, laptop: suite.post(
        "/device/unbind", {"device_id": laptop.device_id}, own.access
    ),
    "/device/revoke_certificate": lambda suite, own, _, laptop: suite.post(
        "/device/revoke_certificate", {"device_id": laptop.device_id}, own.access
    ),
    "/device/force_logout": lambda suite, own, *_: suite.post("/device/force_logout", None, own.access),
}


@pytest.mark.regression("Z10")
@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_whoever_left_meanwhile_changes_nothing(build_suite: Build, ask: Ask) -> None:
    """The token was good when it was looked at; by the commit its session is over, and so is what it may do."""
    suite, elsewhere = (build_suite(MAX_CONCURRENT_DEVICES="2") for _ in range(2))
    anna = suite.register()
    laptop = suite.pair(anna)
    phone, other = suite.log_in(anna), suite.log_in(anna, laptop)
    left = []

    def leave() -> None:
        left.append(elsewhere.post("/session/logout", token=phone.access).status_code)
        left.append(elsewhere.content())

    suite.store.watch(after=once(lambda call: SESSIONS.name in call.tables and call.verb == "get", leave))
    answer = ask(suite, phone, other, laptop)
    assert (code_of(answer), left[0]) == ((401, "session-ended"), 200)
    assert suite.content() == left[1], "nothing but the logout happened"
    assert suite.verify(other).status_code == 200


def test_a_proof_for_a_pairing_token_gives_one(build_suite: Build) -> None:
    """The same one elsewhere at the same moment: both saw it unused, one uses it up, the other is refused."""
    suite, elsewhere = (build_suite(ICHIDAI_DEVICE_PROOF="signature") for _ in range(2))
    anna: Person = suite.register()
    signer = Signer(suite, anna, anna.first, given_keys(anna.first.answer))
    body = {"username": anna.username, "password": anna.password, "client_cert_fp": anna.first.fingerprint}
    body |= {"proof": signer.prove("pair-issue")}
    path, rival = "/registration/request_pairing_token", []

    def is_its_commit(call: StoreCall) -> bool:
        return call.is_write and "PairingTokensTable" in call.tables

    suite.store.watch(
        before=once(is_its_commit, lambda: rival.append(elsewhere.post(path, body).status_code)),
    )
    assert code_of(suite.post(path, body)) == (401, "challenge-spent")
    assert rival == [200]
