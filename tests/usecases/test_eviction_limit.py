"""Two who know one password evict each other in turn: after a few times only the one who holds a device's key may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.signing import enrolling, given_keys, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    MILLISECOND,
    MINUTE,
    SECOND,
    Device,
    HandClock,
    InProcessSuite,
    Person,
    code_of,
)
from tests.usecases.signers import Signer

MOST = 3


@pytest.fixture
def suite(build_suite: Build) -> InProcessSuite:
    """Return a suite where the fourth eviction within ten minutes needs a signature."""
    return build_suite(ICHIDAI_EVICTIONS_BEFORE_SIGNATURE=str(MOST))


@pytest.fixture
def signer(suite: InProcessSuite, anna: Person, laptop: Device) -> Signer:
    """Return her laptop with its keys."""
    return Signer(suite, anna, laptop, given_keys(laptop.answer))


def evict_in_turn(suite: InProcessSuite, anna: Person, laptop: Device, times: int = MOST) -> None:
    """Let phone and laptop end each other's session, by consent; at the end the phone's or the laptop's is live."""
    suite.log_in(anna)
    for number in range(times):
        device = (laptop, anna.first)[number % 2]
        assert suite.take_over(suite.login(anna, device), device).status_code == 200


def by_consent(suite: InProcessSuite, anna: Person, device: Device) -> Any:
    """Consent to the question, without a signature."""
    return suite.take_over(suite.login(anna, device), device)


def by_force(suite: InProcessSuite, anna: Person, device: Device) -> Any:
    """Log in by force."""
    return suite.login(anna, device, force=True)


def by_joining(suite: InProcessSuite, anna: Person, _device: Device) -> Any:
    """Join as a device whose keys the server makes, by force."""
    body = {"username": anna.username, "password": anna.password, "device_name": "Third", "force": True}
    return suite.post("/device/register", {**body, "qr_code": suite.qr_code(anna)})


@pytest.mark.parametrize("endpoint", [by_consent, by_force, by_joining])
def test_after_three_the_next_one_needs_the_key(
    suite: InProcessSuite, anna: Person, laptop: Device, endpoint: Any
) -> None:
    """401 proof-required, and nothing has happened; ten minutes after the first of the three it is allowed again."""
    evict_in_turn(suite, anna, laptop)
    live = suite.book(anna).sessions
    assert code_of(endpoint(suite, anna, anna.first)) == (401, "proof-required")
    assert suite.book(anna).sessions == live


def test_it_is_over_ten_minutes_after_the_first(
    suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """To the millisecond."""
    evict_in_turn(suite, anna, laptop)
    clock.move(10 * MINUTE - MILLISECOND)
    assert code_of(by_force(suite, anna, anna.first)) == (401, "proof-required")
    clock.move(MILLISECOND)
    assert by_force(suite, anna, anna.first).status_code == 200


def test_the_question_carries_the_challenge_and_the_key_decides(
    suite: InProcessSuite, anna: Person, signer: Signer
) -> None:
    """Nobody is locked out who holds a device of the account."""
    evict_in_turn(suite, anna, signer.device, times=2)
    suite.log_in(anna, signer.device, force=True)
    phone = Signer(suite, anna, anna.first, given_keys(anna.first.answer))
    question = suite.login(anna, anna.first).get_json()["takeover"]
    assert "challenge" in question
    body = {"takeover_token": question["token"], "client_cert_fp": anna.first.fingerprint}
    body |= {"proof": phone.proof(question["challenge"], "takeover", question["token"])}
    assert suite.post("/login/takeover", body).status_code == 200
    assert signer.login("/login/force").status_code == 200


def test_a_login_that_ends_nobody_is_free(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """The same device again, and the other one after a logout."""
    evict_in_turn(suite, anna, laptop)
    login = suite.log_in(anna, laptop)
    assert suite.post("/session/logout", token=login.access).status_code == 200
    suite.log_in(anna)


def test_a_device_that_joins_with_its_own_key_has_shown_it(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """What it enrols with is its proof."""
    evict_in_turn(suite, anna, laptop)
    her = {"username": anna.username, "password": anna.password}
    issuing = {**her, "client_cert_fp": anna.first.fingerprint}
    pairing = suite.post("/registration/request_pairing_token", issuing).get_json()
    joining = {**her, "device_name": "Third", "force": True, "qr_code": pairing["qr_code"]}
    own = enrolling(p256_keys(), anna.username, pairing["pairing_token"])
    assert suite.post("/device/register", {**joining, **own}).status_code == 200


def test_mode_evict_counts_too(build_suite: Build, clock: HandClock) -> None:
    """There nobody is asked, so that two would take turns for ever."""
    suite = build_suite(ICHIDAI_EVICTIONS_BEFORE_SIGNATURE="1", ICHIDAI_CONCURRENCY_MODE="evict")
    anna = suite.register()
    laptop = suite.pair(anna)
    suite.log_in(anna)
    suite.log_in(anna, laptop)
    clock.move(SECOND)
    assert code_of(suite.login(anna)) == (401, "proof-required")


def test_by_default_nobody_counts(build_suite: Build) -> None:
    """Clients that cannot sign go on as the contract says; the book holds nothing of it."""
    suite = build_suite()
    anna = suite.register()
    laptop = suite.pair(anna)
    evict_in_turn(suite, anna, laptop, times=6)
    assert suite.book(anna).evictions == ()


def test_the_book_keeps_no_more_than_it_needs(
    suite: InProcessSuite, clock: HandClock, anna: Person, signer: Signer
) -> None:
    """However often they do it: as many as are asked for, and one before them."""
    suite.log_in(anna)
    phone = Signer(suite, anna, anna.first, given_keys(anna.first.answer))
    for number in range(2 * MOST):
        clock.move(timedelta(seconds=1))
        assert (signer, phone)[number % 2].login("/login/force").status_code == 200
    assert suite.book(anna).evictions == tuple(clock() - number * SECOND for number in reversed(range(MOST + 1)))
