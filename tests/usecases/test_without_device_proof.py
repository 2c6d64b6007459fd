"""Without device proof any browser may log in: it is a device for as long as its session, and the limit is the same."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.usecases.conftest import Build
from tests.usecases.house import House, Login, Person, as_login, code_of, ended

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


@pytest.fixture
def house(build_house: Build) -> House:
    """Return a house that asks for no device proof."""
    return build_house(ICHIDAI_DEVICE_PROOF="none")


def browse(house: House, person: Person, agent: str = FIREFOX, **more: Any) -> TestResponse:
    """Try to log in from a browser, with nothing but name and password."""
    body = {"username": person.username, "password": person.password, **more}
    return house.post("/login", body, User_Agent=agent)


def browsing(house: House, person: Person, agent: str = FIREFOX, **more: Any) -> Login:
    """Log in from a browser, which must succeed."""
    return as_login(browse(house, person, agent, **more))


@pytest.mark.row("B01")
@pytest.mark.pitfall("X71")
def test_a_browser_logs_in_with_name_and_password(house: House, anna: Person) -> None:
    """It is listed under its own name while the session lives, and is no registered device."""
    login = browsing(house, anna)
    sessions = house.get("/session/list", login.access).get_json()["sessions"]
    assert [session["device_name"] for session in sessions] == ["Firefox on Linux"]
    assert house.book(anna).devices.keys() == {anna.first.device_id}


def test_a_second_browser_is_asked_like_any_device(house: House, anna: Person) -> None:
    """The question names the first; the token alone is the consent."""
    first = browsing(house, anna)
    question = browse(house, anna, CHROME)
    assert code_of(question) == (409, "device-active")
    assert [device["device_name"] for device in question.get_json()["active"]] == ["Firefox on Linux"]
    token = question.get_json()["takeover"]["token"]
    second = as_login(house.post("/login/takeover", {"takeover_token": token}))
    assert second.answer["evicted"][0]["device_name"] == "Firefox on Linux"
    assert ended(house.verify(first)) == "taken-over"
    sessions = house.get("/session/list", second.access).get_json()["sessions"]
    assert [session["device_name"] for session in sessions] == ["Chrome on Windows"]


def test_its_device_token_makes_it_the_same_device(house: House, anna: Person) -> None:
    """It replaces its own session instead of being asked about itself."""
    first = browsing(house, anna)
    again = browsing(house, anna, device_token=first.answer["device_token"])
    assert again.device_id == first.device_id
    assert again.answer["evicted"] == []
    assert ended(house.verify(first)) == "replaced"


@pytest.mark.parametrize("token", ["junk", "a.b"])
def test_a_token_that_is_none_of_ours_makes_it_no_device(house: House, anna: Person, token: str) -> None:
    """It is asked like a stranger; it does not choose its own id."""
    first = browsing(house, anna)
    assert code_of(browse(house, anna, device_token=token)) == (409, "device-active")
    assert browsing(house, anna, device_token=token, force=True).device_id not in (first.device_id, token)


def test_a_device_token_of_another_account_reaches_nothing_there(house: House, anna: Person) -> None:
    """Each account has its own book."""
    mine, bert = browsing(house, anna), house.register("bert")
    theirs = browsing(house, bert, device_token=mine.answer["device_token"])
    assert house.verify(mine).status_code == 200
    assert house.verify(theirs).status_code == 200
    assert house.get("/session/list", theirs.access).get_json()["sessions"][0]["session_id"] == theirs.session_id


def test_a_registered_device_may_still_show_its_certificate(house: House, anna: Person) -> None:
    """It is that device then, and gets no device token."""
    login = house.log_in(anna)
    assert login.device_id == anna.first.device_id
    assert "device_token" not in login.answer


def test_a_fingerprint_that_is_nobodys_is_still_a_mismatch(house: House, anna: Person) -> None:
    """What is shown must be right."""
    assert code_of(browse(house, anna, client_cert_fp="0" * 64)) == (401, "certificate-mismatch")


def test_a_registered_devices_consent_needs_the_token_alone(house: House, anna: Person) -> None:
    """Here a consent is a bearer secret for two minutes, as the documents say."""
    browser = browsing(house, anna)
    token = house.login(anna).get_json()["takeover"]["token"]
    login = as_login(house.post("/login/takeover", {"takeover_token": token}))
    assert login.device_id == anna.first.device_id
    assert ended(house.verify(browser)) == "taken-over"


def test_a_consent_of_a_device_that_was_unbound_since_is_refused(build_house: Build) -> None:
    """Though the token alone would do."""
    house = build_house(ICHIDAI_DEVICE_PROOF="none")
    anna = house.register()
    laptop = house.pair(anna)
    browser = browsing(house, anna)
    token = house.login(anna, laptop).get_json()["takeover"]["token"]
    assert house.post("/device/unbind", {"device_id": laptop.device_id}, browser.access).status_code == 200
    assert code_of(house.post("/login/takeover", {"takeover_token": token})) == (403, "device-mismatch")


def test_browsers_are_under_no_cap_of_devices(build_house: Build) -> None:
    """They are no devices of the account."""
    house = build_house(ICHIDAI_DEVICE_PROOF="none", ICHIDAI_MAX_DEVICES="1", MAX_CONCURRENT_DEVICES="3")
    anna = house.register()
    logins = [browsing(house, anna) for _ in range(3)]
    assert [house.verify(login).status_code for login in logins] == [200] * 3
    assert code_of(browse(house, anna)) == (409, "device-active")
    outcome = house.post("/device/force_logout", token=logins[2].access).get_json()
    assert outcome["kept"]["session_id"] == logins[0].session_id
    assert [gone["device_name"] for gone in outcome["logged_out"]] == ["Firefox on Linux"] * 2
