"""Two who know one password evict each other in turn: after a few times only the one who holds a device's key may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.signing import enrolling, given_keys, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.house import MILLISECOND, MINUTE, SECOND, Device, HandClock, House, Person, code_of
from tests.usecases.signers import Signer

MOST = 3


@pytest.fixture
def house(build_house: Build) -> House:
    """Return a house where the fourth eviction within ten minutes needs a signature."""
    return build_house(ICHIDAI_UNPROVEN_EVICTIONS=str(MOST))


@pytest.fixture
def signer(house: House, anna: Person, laptop: Device) -> Signer:
    """Return her laptop with its keys."""
    return Signer(house, anna, laptop, given_keys(laptop.answer))


def evict_in_turn(house: House, anna: Person, laptop: Device, times: int = MOST) -> None:
    """Let phone and laptop end each other's session, by consent; at the end the phone's or the laptop's is live."""
    house.log_in(anna)
    for number in range(times):
        device = (laptop, anna.first)[number % 2]
        assert house.take_over(house.login(anna, device), device).status_code == 200


def by_consent(house: House, anna: Person, device: Device) -> Any:
    """Consent to the question, without a signature."""
    return house.take_over(house.login(anna, device), device)


def by_force(house: House, anna: Person, device: Device) -> Any:
    """Log in by force."""
    return house.login(anna, device, force=True)


def by_joining(house: House, anna: Person, _device: Device) -> Any:
    """Join as a device whose keys the server makes, by force."""
    body = {"username": anna.username, "password": anna.password, "device_name": "Third", "force": True}
    return house.post("/device/register", {**body, "qr_code": house.qr_code(anna)})


@pytest.mark.parametrize("door", [by_consent, by_force, by_joining])
def test_after_three_the_next_one_needs_the_key(house: House, anna: Person, laptop: Device, door: Any) -> None:
    """401 proof-required, and nothing has happened; ten minutes after the first of the three it is allowed again."""
    evict_in_turn(house, anna, laptop)
    live = house.book(anna).sessions
    assert code_of(door(house, anna, anna.first)) == (401, "proof-required")
    assert house.book(anna).sessions == live


def test_it_is_over_ten_minutes_after_the_first(house: House, clock: HandClock, anna: Person, laptop: Device) -> None:
    """To the millisecond."""
    evict_in_turn(house, anna, laptop)
    clock.move(10 * MINUTE - MILLISECOND)
    assert code_of(by_force(house, anna, anna.first)) == (401, "proof-required")
    clock.move(MILLISECOND)
    assert by_force(house, anna, anna.first).status_code == 200


def test_the_question_carries_the_challenge_and_the_key_decides(house: House, anna: Person, signer: Signer) -> None:
    """Nobody is locked out who holds a device of the account."""
    evict_in_turn(house, anna, signer.device, times=2)
    house.log_in(anna, signer.device, force=True)
    phone = Signer(house, anna, anna.first, given_keys(anna.first.answer))
    question = house.login(anna, anna.first).get_json()["takeover"]
    assert "challenge" in question
    body = {"takeover_token": question["token"], "client_cert_fp": anna.first.fingerprint}
    body |= {"proof": phone.proof(question["challenge"], "takeover", question["token"])}
    assert house.post("/login/takeover", body).status_code == 200
    assert signer.login("/login/force").status_code == 200


def test_a_login_that_ends_nobody_is_free(house: House, anna: Person, laptop: Device) -> None:
    """The same device again, and the other one after a logout."""
    evict_in_turn(house, anna, laptop)
    login = house.log_in(anna, laptop)
    assert house.post("/session/logout", token=login.access).status_code == 200
    house.log_in(anna)


def test_a_device_that_joins_with_its_own_key_has_shown_it(house: House, anna: Person, laptop: Device) -> None:
    """What it enrols with is its proof."""
    evict_in_turn(house, anna, laptop)
    her = {"username": anna.username, "password": anna.password}
    issuing = {**her, "client_cert_fp": anna.first.fingerprint}
    pairing = house.post("/registration/request_pairing_token", issuing).get_json()
    joining = {**her, "device_name": "Third", "force": True, "qr_code": pairing["qr_code"]}
    own = enrolling(p256_keys(), anna.username, pairing["pairing_token"])
    assert house.post("/device/register", {**joining, **own}).status_code == 200


def test_mode_evict_counts_too(build_house: Build, clock: HandClock) -> None:
    """There nobody is asked, so that two would take turns for ever."""
    house = build_house(ICHIDAI_UNPROVEN_EVICTIONS="1", ICHIDAI_CONCURRENCY_MODE="evict")
    anna = house.register()
    laptop = house.pair(anna)
    house.log_in(anna)
    house.log_in(anna, laptop)
    clock.move(SECOND)
    assert code_of(house.login(anna)) == (401, "proof-required")


def test_by_default_nobody_counts(build_house: Build) -> None:
    """Clients that cannot sign go on as the contract says; the book holds nothing of it."""
    house = build_house()
    anna = house.register()
    laptop = house.pair(anna)
    evict_in_turn(house, anna, laptop, times=6)
    assert house.book(anna).evictions == ()


def test_the_book_keeps_no_more_than_it_needs(house: House, clock: HandClock, anna: Person, signer: Signer) -> None:
    """However often they do it."""
    house.log_in(anna)
    phone = Signer(house, anna, anna.first, given_keys(anna.first.answer))
    for number in range(2 * MOST):
        clock.move(timedelta(seconds=1))
        assert (signer, phone)[number % 2].login("/login/force").status_code == 200
    assert house.book(anna).evictions == tuple(clock() - number * SECOND for number in reversed(range(MOST)))
