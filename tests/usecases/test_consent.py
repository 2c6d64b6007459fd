"""A consent holds for two minutes, for those it showed, for the device that asked, and works once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from tests.usecases.conftest import Build
from tests.usecases.house import (
    MILLISECOND,
    MINUTE,
    SECOND,
    T0,
    Device,
    HandClock,
    House,
    Person,
    as_login,
    code_of,
    ended,
)


def asked(house: House, person: Person, device: Device) -> TestResponse:
    """Let a device ask to log in, which must end in the question."""
    question = house.login(person, device)
    assert code_of(question) == (409, "device-active")
    return question


@pytest.mark.row("D43", "B03", "B07", "B09", "B35", "B37")
@pytest.mark.pitfall("X06")
def test_with_consent_the_newcomer_is_in_and_the_other_out_at_once(house: House, anna: Person, laptop: Device) -> None:
    """The old access and refresh tokens are dead at their next use, and their owner is told why."""
    phone = house.log_in(anna)
    assert house.verify(phone).status_code == 200
    on_laptop = as_login(house.take_over(asked(house, anna, laptop), laptop))
    assert [gone["session_id"] for gone in on_laptop.answer["evicted"]] == [phone.session_id]
    assert on_laptop.answer["evicted"][0]["device_name"] == "Phone"
    assert ended(house.verify(phone)) == "taken-over"
    assert ended(house.refresh(phone.refresh)) == "taken-over"
    assert house.verify(on_laptop).status_code == 200


@pytest.mark.row("D44", "B10", "B36")
def test_without_consent_nothing_has_happened(house: House, anna: Person, laptop: Device) -> None:
    """The question names who is active and changes nothing."""
    phone = house.log_in(anna)
    before = house.content(failures=True)
    question = asked(house, anna, laptop)
    assert [device["device_name"] for device in question.get_json()["active"]] == ["Phone"]
    assert house.content(failures=True) == before
    assert house.verify(phone).status_code == 200


@pytest.mark.parametrize(
    ("wait", "good"), [(120 * SECOND - MILLISECOND, True), (120 * SECOND, False), (MINUTE * 5, False)]
)
def test_a_consent_expires_at_two_minutes(
    house: House, clock: HandClock, anna: Person, laptop: Device, wait: timedelta, *, good: bool
) -> None:
    """A millisecond earlier it is good; then it is spent and nothing is changed."""
    house.log_in(anna)
    question = asked(house, anna, laptop)
    assert question.get_json()["takeover"]["expires_in"] == 120
    clock.move(wait)
    before = house.content()
    answer = house.take_over(question, laptop)
    if good:
        assert answer.status_code == 200
    else:
        assert code_of(answer) == (410, "takeover-spent")
        assert house.content() == before


def test_a_chain_of_questions_ends_ten_minutes_after_the_password(
    house: House, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """Each new question inherits the time of the password check: nobody lives on for ever on one password."""
    tablet = house.pair(anna, "Tablet")
    house.log_in(anna)
    question = asked(house, anna, laptop)
    lifetimes = []
    for rival in (tablet, anna.first) * 3:
        clock.move(115 * SECOND if len(lifetimes) < 5 else 24_999 * MILLISECOND)
        house.log_in(anna, rival, force=True)
        question = house.take_over(question, laptop)
        if question.status_code != 409:
            break
        lifetimes.append(question.get_json()["takeover"]["expires_in"])
    assert lifetimes == [120, 120, 120, 120, 25, 1]
    assert clock.now == T0 + 10 * MINUTE - MILLISECOND
    clock.move(MILLISECOND)
    assert code_of(house.take_over(question, laptop)) == (410, "takeover-spent")


def test_a_session_by_consent_is_as_old_as_its_password_check(
    house: House, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """What needs a recent password counts from the check, not from the takeover."""
    house.log_in(anna)
    question = asked(house, anna, laptop)
    clock.move(100 * SECOND)
    on_laptop = as_login(house.take_over(question, laptop))
    session = house.book(anna).sessions[on_laptop.session_id]
    assert (session.auth_time, session.login_at) == (T0, T0 + 100 * SECOND)


def test_a_consent_works_once(house: House, anna: Person, laptop: Device) -> None:
    """The second use is spent, also by the device that is in by it, and changes nothing."""
    house.log_in(anna)
    question = asked(house, anna, laptop)
    as_login(house.take_over(question, laptop))
    before = house.content()
    assert code_of(house.take_over(question, laptop)) == (410, "takeover-spent")
    assert house.content() == before


def test_a_stale_consent_ends_nobody_who_was_not_shown(house: House, anna: Person, laptop: Device) -> None:
    """Shown the phone; the tablet replaced the phone; the consent is asked for anew, naming the tablet."""
    tablet = house.pair(anna, "Tablet")
    house.log_in(anna)
    question = asked(house, anna, laptop)
    on_tablet = house.log_in(anna, tablet, force=True)
    before = house.content()
    anew = house.take_over(question, laptop)
    assert code_of(anew) == (409, "device-active")
    assert [device["device_name"] for device in anew.get_json()["active"]] == ["Tablet"]
    assert house.content() == before
    assert house.verify(on_tablet).status_code == 200
    as_login(house.take_over(anew, laptop))
    assert ended(house.verify(on_tablet)) == "taken-over"


def test_a_refresh_of_the_shown_device_does_not_void_a_consent(
    house: House, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """It is the same session as was shown; its new tokens are dead too."""
    phone = house.log_in(anna)
    question = asked(house, anna, laptop)
    clock.move(SECOND)
    refreshed = as_login(house.refresh(phone.refresh))
    as_login(house.take_over(question, laptop))
    assert ended(house.verify(refreshed)) == "taken-over"


def test_a_consent_is_good_where_those_it_showed_have_left(house: House, anna: Person, laptop: Device) -> None:
    """Nobody needs to be asked about a session that is over."""
    phone = house.log_in(anna)
    question = asked(house, anna, laptop)
    assert house.post("/session/logout", token=phone.access).status_code == 200
    assert as_login(house.take_over(question, laptop)).answer["evicted"] == []


@pytest.mark.row("D41")
def test_a_consent_ends_all_it_showed(build_house: Build) -> None:
    """At a limit of two, both go though one place would do: they were both shown."""
    house = build_house(MAX_CONCURRENT_DEVICES="2")
    anna = house.register()
    laptop, tablet = house.pair(anna, "Laptop"), house.pair(anna, "Tablet")
    logins = [house.log_in(anna), house.log_in(anna, laptop)]
    question = asked(house, anna, tablet)
    assert [device["device_name"] for device in question.get_json()["active"]] == ["Phone", "Laptop"]
    as_login(house.take_over(question, tablet))
    assert [ended(house.verify(login)) for login in logins] == ["taken-over", "taken-over"]


class TestStolenConsent:
    """A consent in other hands is worth nothing."""

    def test_another_device_of_the_same_person_cannot_use_it(self, house: House, anna: Person, laptop: Device) -> None:
        """It is bound to the device that asked."""
        house.log_in(anna)
        question = asked(house, anna, laptop)
        before = house.content()
        assert code_of(house.take_over(question, anna.first)) == (403, "device-mismatch")
        assert house.content() == before
        assert house.take_over(question, laptop).status_code == 200, "and it was not used up"

    def test_another_persons_device_cannot_use_it(self, house: House, anna: Person, laptop: Device) -> None:
        """Nor lift it to another account."""
        bert = house.register("bert")
        house.log_in(anna)
        assert code_of(house.take_over(asked(house, anna, laptop), bert.first)) == (403, "device-mismatch")

    def test_a_device_that_was_unbound_since_cannot_use_it(self, house: House, anna: Person, laptop: Device) -> None:
        """It may not log in any more."""
        phone = house.log_in(anna)
        question = asked(house, anna, laptop)
        unbound = house.post("/device/unbind", {"device_id": laptop.device_id}, phone.access)
        assert unbound.status_code == 200
        assert code_of(house.take_over(question, laptop)) == (403, "device-mismatch")

    @pytest.mark.parametrize("token", ["junk", "a.b", "", 5])
    def test_a_made_up_one_is_invalid(self, house: House, laptop: Device, token: object) -> None:
        """It is ours or it is nothing."""
        body = {"takeover_token": token, "client_cert_fp": laptop.fingerprint}
        answer = house.post("/login/takeover", body)
        assert answer.status_code == 400
        if token == "junk":
            assert code_of(answer) == (400, "takeover-invalid")

    def test_the_client_names_no_victim(self, house: House, anna: Person, laptop: Device) -> None:
        """Session ids beside the token are ignored."""
        tablet = house.pair(anna, "Tablet")
        house.log_in(anna)
        question = asked(house, anna, laptop)
        on_tablet = house.log_in(anna, tablet, force=True)
        body = {
            "takeover_token": question.get_json()["takeover"]["token"],
            "client_cert_fp": laptop.fingerprint,
            "session_ids": [on_tablet.session_id],
            "session_id": on_tablet.session_id,
            "force": True,
        }
        assert code_of(house.post("/login/takeover", body)) == (409, "device-active")
        assert house.verify(on_tablet).status_code == 200


def test_a_certificate_that_expires_while_a_person_thinks_is_expired(
    house: House, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """The device is the one that asked, and may not log in any more."""
    clock.now = T0 + timedelta(days=365) - MINUTE
    house.log_in(anna)
    question = asked(house, anna, laptop)
    clock.move(MINUTE)
    assert code_of(house.take_over(question, laptop)) == (401, "certificate-expired")
