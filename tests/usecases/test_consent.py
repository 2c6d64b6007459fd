"""A consent holds for two minutes, for those it showed, for the device that asked, and works once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from werkzeug.test import TestResponse

from common.account.admission import ConsentToEnd
from common.crypto.tokens import SignedTokens
from login_app import consent
from login_app.takeover_token import sign
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    MILLISECOND,
    MINUTE,
    SECOND,
    T0,
    Device,
    HandClock,
    InProcessSuite,
    Person,
    as_login,
    code_of,
    ended,
)


def asked(suite: InProcessSuite, person: Person, device: Device) -> TestResponse:
    """Let a device ask to log in, which must end in the question."""
    question = suite.login(person, device)
    assert code_of(question) == (409, "device-active")
    return question


@pytest.mark.requirement("D43", "B03", "B07", "B09", "B35", "B37")
@pytest.mark.regression("X06")
def test_with_consent_the_candidate_is_in_and_the_other_out_at_once(
    suite: InProcessSuite, anna: Person, laptop: Device
) -> None:
    """The old access and refresh tokens are dead at their next use, and their owner is told why."""
    phone = suite.log_in(anna)
    assert suite.verify(phone).status_code == 200
    on_laptop = as_login(suite.take_over(asked(suite, anna, laptop), laptop))
    assert [gone["session_id"] for gone in on_laptop.answer["evicted"]] == [phone.session_id]
    assert on_laptop.answer["evicted"][0]["device_name"] == "Phone"
    assert ended(suite.verify(phone)) == "taken-over"
    assert ended(suite.refresh(phone.refresh)) == "taken-over"
    assert suite.verify(on_laptop).status_code == 200


@pytest.mark.requirement("D44", "B10", "B36")
def test_without_consent_nothing_has_happened(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """The question names who is active and changes nothing."""
    phone = suite.log_in(anna)
    before = suite.content(failures=True)
    question = asked(suite, anna, laptop)
    assert [device["device_name"] for device in question.get_json()["active"]] == ["Phone"]
    assert suite.content(failures=True) == before
    assert suite.verify(phone).status_code == 200


@pytest.mark.parametrize(
    ("wait", "good"), [(120 * SECOND - MILLISECOND, True), (120 * SECOND, False), (MINUTE * 5, False)]
)
def test_a_consent_expires_at_two_minutes(
    suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device, wait: timedelta, *, good: bool
) -> None:
    """A millisecond earlier it is good; then it is spent and nothing is changed."""
    suite.log_in(anna)
    question = asked(suite, anna, laptop)
    assert question.get_json()["takeover"]["expires_in"] == 120
    clock.move(wait)
    before = suite.content()
    answer = suite.take_over(question, laptop)
    if good:
        assert answer.status_code == 200
    else:
        assert code_of(answer) == (410, "takeover-spent")
        assert suite.content() == before


def test_a_chain_of_questions_ends_ten_minutes_after_the_password(
    suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """Each new question inherits the time of the password check: nobody lives on for ever on one password."""
    tablet = suite.pair(anna, "Tablet")
    suite.log_in(anna)
    question = asked(suite, anna, laptop)
    lifetimes = []
    for rival in (tablet, anna.first) * 3:
        clock.move(115 * SECOND if len(lifetimes) < 5 else 24_999 * MILLISECOND)
        suite.log_in(anna, rival, force=True)
        question = suite.take_over(question, laptop)
        if question.status_code != 409:
            break
        lifetimes.append(question.get_json()["takeover"]["expires_in"])
    assert lifetimes == [120, 120, 120, 120, 25, 1]
    assert clock.now == T0 + 10 * MINUTE - MILLISECOND
    clock.move(MILLISECOND)
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")


def test_a_session_by_consent_is_as_old_as_its_password_check(
    suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """What needs a recent password counts from the check, not from the takeover."""
    suite.log_in(anna)
    question = asked(suite, anna, laptop)
    clock.move(100 * SECOND)
    on_laptop = as_login(suite.take_over(question, laptop))
    session = suite.book(anna).sessions[on_laptop.session_id]
    assert (session.auth_time, session.login_at) == (T0, T0 + 100 * SECOND)


def test_a_takeover_whose_answer_was_lost_is_sent_again(
    suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """The same device is given the same session, with new tokens, and nobody else is ended; nothing is written."""
    suite.log_in(anna)
    question = asked(suite, anna, laptop)
    first = as_login(suite.take_over(question, laptop))
    before = suite.content()
    clock.move(119 * SECOND)
    again = as_login(suite.take_over(question, laptop))
    assert (again.session_id, again.answer["evicted"]) == (first.session_id, [])
    assert again.access != first.access
    assert [suite.verify(each).status_code for each in (first, again)] == [200, 200]
    assert code_of(suite.take_over(question, anna.first)) == (403, "device-mismatch")
    assert suite.content() == before
    clock.move(SECOND)
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")


SPENDING = {
    "refreshed": lambda suite, _anna, _laptop, session: suite.refresh(session.refresh),
    "logged out": lambda suite, _anna, _laptop, session: suite.post("/session/logout", None, session.access),
    "logged in again": lambda suite, anna, laptop, _session: suite.login(anna, laptop),
}


@pytest.mark.parametrize("how", SPENDING)
def test_a_consent_is_spent_once_its_session_goes_on_or_has_ended(
    suite: InProcessSuite, anna: Person, laptop: Device, how: str
) -> None:
    """Then a takeover that is sent again changes nothing."""
    suite.log_in(anna)
    question = asked(suite, anna, laptop)
    session = as_login(suite.take_over(question, laptop))
    assert SPENDING[how](suite, anna, laptop, session).status_code == 200
    before = suite.content()
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    assert suite.content() == before


def test_a_takeover_is_sent_again_while_another_device_is_in(build_suite: Build, clock: HandClock) -> None:
    """With two places: it ends neither the other device's session nor the one that was opened since."""
    suite = build_suite(clock, MAX_CONCURRENT_DEVICES="2")
    anna = suite.register()
    laptop, tablet = suite.pair(anna), suite.pair(anna, "Tablet")
    suite.log_in(anna)
    suite.log_in(anna, tablet)
    question = asked(suite, anna, laptop)
    session = as_login(suite.take_over(question, laptop))
    on_tablet = suite.log_in(anna, tablet)
    assert as_login(suite.take_over(question, laptop)).session_id == session.session_id
    assert suite.verify(on_tablet).status_code == 200


def test_a_consent_holds_only_while_nobody_was_admitted_since(
    suite: InProcessSuite, anna: Person, laptop: Device
) -> None:
    """The phone came again and left again: nobody is in the way, and still the person is to be asked anew."""
    phone = suite.log_in(anna)
    question = asked(suite, anna, laptop)
    suite.post("/session/logout", token=phone.access)
    again = suite.log_in(anna)
    assert code_of(suite.take_over(question, laptop)) == (409, "device-active"), "who was not shown comes first"
    suite.post("/session/logout", token=again.access)
    before = suite.content()
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    assert suite.content() == before


def test_of_two_consents_of_one_asker_the_first_works(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """Asked twice, the device is in by one answer; the other one ends nobody, not even its own session."""
    suite.log_in(anna)
    one, other = asked(suite, anna, laptop), asked(suite, anna, laptop)
    session = as_login(suite.take_over(other, laptop))
    assert code_of(suite.take_over(one, laptop)) == (410, "takeover-spent")
    assert suite.verify(session).status_code == 200


def test_a_consent_that_an_earlier_release_gave_is_spent(
    suite: InProcessSuite, anna: Person, laptop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing of admissions, so nobody knows whether it was used: the person is to log in again."""

    def sealed_by_0_1_0(tokens: SignedTokens, agreed: ConsentToEnd) -> str:
        *fields, _admissions, _counted_as = tokens.verify(sign(tokens, agreed))
        return tokens.sign(fields)

    monkeypatch.setattr(consent, "sign", sealed_by_0_1_0)
    suite.log_in(anna)
    assert code_of(suite.take_over(asked(suite, anna, laptop), laptop)) == (410, "takeover-spent")


def test_a_stale_consent_ends_nobody_who_was_not_shown(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """Shown the phone; the tablet replaced the phone; the consent is asked for anew, naming the tablet."""
    tablet = suite.pair(anna, "Tablet")
    suite.log_in(anna)
    question = asked(suite, anna, laptop)
    on_tablet = suite.log_in(anna, tablet, force=True)
    before = suite.content()
    anew = suite.take_over(question, laptop)
    assert code_of(anew) == (409, "device-active")
    assert [device["device_name"] for device in anew.get_json()["active"]] == ["Tablet"]
    assert suite.content() == before
    assert suite.verify(on_tablet).status_code == 200
    as_login(suite.take_over(anew, laptop))
    assert ended(suite.verify(on_tablet)) == "taken-over"


def test_a_refresh_of_the_shown_device_does_not_void_a_consent(
    suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """It is the same session as was shown; its new tokens are dead too."""
    phone = suite.log_in(anna)
    question = asked(suite, anna, laptop)
    clock.move(SECOND)
    refreshed = as_login(suite.refresh(phone.refresh))
    as_login(suite.take_over(question, laptop))
    assert ended(suite.verify(refreshed)) == "taken-over"


def test_a_consent_is_good_where_those_it_showed_have_left(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """Nobody needs to be asked about a session that is over."""
    phone = suite.log_in(anna)
    question = asked(suite, anna, laptop)
    assert suite.post("/session/logout", token=phone.access).status_code == 200
    assert as_login(suite.take_over(question, laptop)).answer["evicted"] == []


@pytest.mark.requirement("D41")
def test_a_consent_ends_all_it_showed(build_suite: Build) -> None:
    """At a limit of two, both go though one place would do: they were both shown."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna = suite.register()
    laptop, tablet = suite.pair(anna, "Laptop"), suite.pair(anna, "Tablet")
    logins = [suite.log_in(anna), suite.log_in(anna, laptop)]
    question = asked(suite, anna, tablet)
    assert [device["device_name"] for device in question.get_json()["active"]] == ["Phone", "Laptop"]
    as_login(suite.take_over(question, tablet))
    assert [ended(suite.verify(login)) for login in logins] == ["taken-over", "taken-over"]


class TestStolenConsent:
    """A consent in other hands is worth nothing."""

    def test_another_device_of_the_same_person_cannot_use_it(
        self, suite: InProcessSuite, anna: Person, laptop: Device
    ) -> None:
        """It is bound to the device that asked."""
        suite.log_in(anna)
        question = asked(suite, anna, laptop)
        before = suite.content()
        assert code_of(suite.take_over(question, anna.first)) == (403, "device-mismatch")
        assert suite.content() == before
        assert suite.take_over(question, laptop).status_code == 200, "and it was not used up"

    def test_another_persons_device_cannot_use_it(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Nor lift it to another account."""
        bert = suite.register("bert")
        suite.log_in(anna)
        assert code_of(suite.take_over(asked(suite, anna, laptop), bert.first)) == (403, "device-mismatch")

    def test_a_device_that_was_unbound_since_cannot_use_it(
        self, suite: InProcessSuite, anna: Person, laptop: Device
    ) -> None:
        """It may not log in any more."""
        phone = suite.log_in(anna)
        question = asked(suite, anna, laptop)
        unbound = suite.post("/device/unbind", {"device_id": laptop.device_id}, phone.access)
        assert unbound.status_code == 200
        assert code_of(suite.take_over(question, laptop)) == (403, "device-mismatch")

    @pytest.mark.parametrize("token", ["junk", "a.b", "", 5])
    def test_a_made_up_one_is_invalid(self, suite: InProcessSuite, laptop: Device, token: object) -> None:
        """It is ours or it is nothing."""
        body = {"takeover_token": token, "client_cert_fp": laptop.fingerprint}
        answer = suite.post("/login/takeover", body)
        assert answer.status_code == 400
        if token == "junk":
            assert code_of(answer) == (400, "takeover-invalid")

    def test_the_client_names_no_victim(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Session ids beside the token are ignored."""
        tablet = suite.pair(anna, "Tablet")
        suite.log_in(anna)
        question = asked(suite, anna, laptop)
        on_tablet = suite.log_in(anna, tablet, force=True)
        body = {
            "takeover_token": question.get_json()["takeover"]["token"],
            "client_cert_fp": laptop.fingerprint,
            "session_ids": [on_tablet.session_id],
            "session_id": on_tablet.session_id,
            "force": True,
        }
        assert code_of(suite.post("/login/takeover", body)) == (409, "device-active")
        assert suite.verify(on_tablet).status_code == 200


def test_a_certificate_that_expires_while_a_person_thinks_is_expired(
    suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
) -> None:
    """The device is the one that asked, and may not log in any more."""
    clock.now = T0 + timedelta(days=365) - MINUTE
    suite.log_in(anna)
    question = asked(suite, anna, laptop)
    clock.move(MINUTE)
    assert code_of(suite.take_over(question, laptop)) == (401, "certificate-expired")
