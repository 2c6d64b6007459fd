"""Without device proof any browser may log in: it is a device for as long as its session, and the limit is the same."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import InProcessSuite, Login, Person, as_login, code_of, ended

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"


@pytest.fixture
def suite(build_suite: Build) -> InProcessSuite:
    """Return a suite that asks for no device proof."""
    return build_suite(ICHIDAI_DEVICE_PROOF="none")


def browse(suite: InProcessSuite, person: Person, agent: str = FIREFOX, **more: Any) -> TestResponse:
    """Try to log in from a browser, with nothing but name and password."""
    body = {"username": person.username, "password": person.password, **more}
    return suite.post("/login", body, User_Agent=agent)


def browsing(suite: InProcessSuite, person: Person, agent: str = FIREFOX, **more: Any) -> Login:
    """Log in from a browser, which must succeed."""
    return as_login(browse(suite, person, agent, **more))


@pytest.mark.requirement("B01")
@pytest.mark.regression("X71")
def test_a_browser_logs_in_with_name_and_password(suite: InProcessSuite, anna: Person) -> None:
    """It is listed under its own name while the session lives, and is no registered device."""
    login = browsing(suite, anna)
    sessions = suite.get("/session/list", login.access).get_json()["sessions"]
    assert [session["device_name"] for session in sessions] == ["Firefox on Linux"]
    assert suite.book(anna).devices.keys() == {anna.first.device_id}


def test_a_second_browser_is_asked_like_any_device(suite: InProcessSuite, anna: Person) -> None:
    """The question names the first; the token alone is the consent."""
    first = browsing(suite, anna)
    question = browse(suite, anna, CHROME)
    assert code_of(question) == (409, "device-active")
    assert [device["device_name"] for device in question.get_json()["active"]] == ["Firefox on Linux"]
    token = question.get_json()["takeover"]["token"]
    second = as_login(suite.post("/login/takeover", {"takeover_token": token}))
    assert second.answer["evicted"][0]["device_name"] == "Firefox on Linux"
    assert ended(suite.verify(first)) == "taken-over"
    sessions = suite.get("/session/list", second.access).get_json()["sessions"]
    assert [session["device_name"] for session in sessions] == ["Chrome on Windows"]


def test_its_device_token_makes_it_the_same_device(suite: InProcessSuite, anna: Person) -> None:
    """It replaces its own session instead of being asked about itself."""
    first = browsing(suite, anna)
    again = browsing(suite, anna, device_token=first.answer["device_token"])
    assert again.device_id == first.device_id
    assert again.answer["evicted"] == []
    assert ended(suite.verify(first)) == "replaced"


@pytest.mark.parametrize("token", ["junk", "a.b"])
def test_a_token_that_is_none_of_ours_makes_it_no_device(suite: InProcessSuite, anna: Person, token: str) -> None:
    """It is asked like a stranger; it does not choose its own id."""
    first = browsing(suite, anna)
    assert code_of(browse(suite, anna, device_token=token)) == (409, "device-active")
    assert browsing(suite, anna, device_token=token, force=True).device_id not in (first.device_id, token)


def test_a_device_token_of_another_account_reaches_nothing_there(suite: InProcessSuite, anna: Person) -> None:
    """Each account has its own book."""
    mine, bert = browsing(suite, anna), suite.register("bert")
    theirs = browsing(suite, bert, device_token=mine.answer["device_token"])
    assert suite.verify(mine).status_code == 200
    assert suite.verify(theirs).status_code == 200
    assert suite.get("/session/list", theirs.access).get_json()["sessions"][0]["session_id"] == theirs.session_id


def test_a_registered_device_may_still_show_its_certificate(suite: InProcessSuite, anna: Person) -> None:
    """It is that device then, and gets no device token."""
    login = suite.log_in(anna)
    assert login.device_id == anna.first.device_id
    assert "device_token" not in login.answer


def test_a_fingerprint_that_is_nobodys_is_still_a_mismatch(suite: InProcessSuite, anna: Person) -> None:
    """What is shown must be right."""
    assert code_of(browse(suite, anna, client_cert_fp="0" * 64)) == (401, "certificate-mismatch")


def test_a_registered_devices_consent_needs_the_token_alone(suite: InProcessSuite, anna: Person) -> None:
    """Here a consent is a bearer secret for two minutes, as the documents say."""
    browser = browsing(suite, anna)
    token = suite.login(anna).get_json()["takeover"]["token"]
    login = as_login(suite.post("/login/takeover", {"takeover_token": token}))
    assert login.device_id == anna.first.device_id
    assert ended(suite.verify(browser)) == "taken-over"


def test_a_consent_of_a_device_that_was_unbound_since_is_refused(build_suite: Build) -> None:
    """Though the token alone would do."""
    suite = build_suite(ICHIDAI_DEVICE_PROOF="none")
    anna = suite.register()
    laptop = suite.pair(anna)
    browser = browsing(suite, anna)
    token = suite.login(anna, laptop).get_json()["takeover"]["token"]
    assert suite.post("/device/unbind", {"device_id": laptop.device_id}, browser.access).status_code == 200
    assert code_of(suite.post("/login/takeover", {"takeover_token": token})) == (403, "device-mismatch")


def test_browsers_are_under_no_cap_of_devices(build_suite: Build) -> None:
    """They are no devices of the account."""
    suite = build_suite(ICHIDAI_DEVICE_PROOF="none", ICHIDAI_MAX_DEVICES="1", MAX_CONCURRENT_DEVICES="3")
    anna = suite.register()
    logins = [browsing(suite, anna) for _ in range(3)]
    assert [suite.verify(login).status_code for login in logins] == [200] * 3
    assert code_of(browse(suite, anna)) == (409, "device-active")
    outcome = suite.post("/device/force_logout", token=logins[2].access).get_json()
    assert outcome["kept"]["session_id"] == logins[0].session_id
    assert [gone["device_name"] for gone in outcome["logged_out"]] == ["Firefox on Linux"] * 2


def test_without_a_limit_the_earliest_leaves_a_full_account(build_suite: Build, anna: Person) -> None:
    """It is told why; whoever came later stays, and a book has never more sessions than 32."""
    suite = build_suite(ICHIDAI_DEVICE_PROOF="none", MAX_CONCURRENT_DEVICES="0")
    logins = [browsing(suite, anna) for _ in range(34)]
    assert len(suite.book(anna).sessions) == 32
    assert [ended(suite.verify(login)) for login in logins[:2]] == ["over-limit"] * 2
    assert suite.verify(logins[2]).status_code == 200
