"""Devices of an account: unbound with a recent password, never the last one, renamed, and others logged out."""

from __future__ import annotations

from typing import Any

import pytest

from common.account.history import EventKind, Reason
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    MILLISECOND,
    MINUTE,
    SECOND,
    Device,
    HandClock,
    InProcessSuite,
    Login,
    Person,
    as_login,
    code_of,
    ended,
)


@pytest.fixture
def laptop(suite: InProcessSuite, clock: HandClock, anna: Person) -> Device:
    """Return her second device, registered a second after the first."""
    clock.move(SECOND)
    return suite.pair(anna, "Laptop")


def unbind(suite: InProcessSuite, login: Login, device: Device, **more: Any) -> Any:
    """Ask to unbind a device."""
    return suite.post("/device/unbind", {"device_id": device.device_id, **more}, login.access)


class TestUnbind:
    """A device is taken off the account."""

    @pytest.mark.requirement("D17")
    @pytest.mark.regression("X14", "X43")
    def test_its_session_ends_and_its_certificate_is_revoked_in_one_change(self, build_suite: Build) -> None:
        """At once, for good, and told to the device."""
        suite = build_suite(MAX_CONCURRENT_DEVICES="2")
        anna = suite.register()
        laptop = suite.pair(anna)
        phone, on_laptop = suite.log_in(anna), suite.log_in(anna, laptop)
        suite.store.watch()
        assert unbind(suite, phone, laptop).status_code == 200
        commit, *laid_down = suite.store.commits
        assert commit.tables == ("SessionsTable",)
        assert [write.tables[0] for write in laid_down] == [
            "DevicesTable",
            "RevocationsTable",
            "RevocationsTable",
            "FeedTable",
            "LoginHistory",
        ]
        assert ended(suite.verify(on_laptop)) == "device-unbound"
        assert ended(suite.refresh(on_laptop.refresh)) == "device-unbound"
        assert code_of(suite.login(anna, laptop)) == (401, "certificate-revoked")
        newest = suite.history(anna)[-1]
        assert [(e.kind, e.reason) for e in newest.events] == [
            (EventKind.SESSION_ENDED, Reason.DEVICE_UNBOUND),
            (EventKind.DEVICE_REMOVED, None),
        ]
        listed = suite.get("/device/list", phone.access).get_json()["devices"]
        assert [device["device_id"] for device in listed] == [anna.first.device_id]

    def test_a_device_may_unbind_itself(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Its own session ends with it."""
        on_laptop = suite.log_in(anna, laptop)
        assert unbind(suite, on_laptop, laptop).status_code == 200
        assert ended(suite.verify(on_laptop)) == "device-unbound"

    def test_ten_minutes_after_the_password_it_is_asked_for(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """At ten minutes it is still recent, a millisecond later it is not; nothing is changed then."""
        phone = as_login(suite.refresh(suite.log_in(anna).refresh))
        clock.move(9 * MINUTE)
        phone = as_login(suite.refresh(phone.refresh))
        clock.move(MINUTE + MILLISECOND)
        before = suite.content()
        assert code_of(unbind(suite, phone, laptop)) == (403, "reauthenticate")
        assert suite.content() == {**before, "SessionsTable": suite.content()["SessionsTable"]}, "but for the activity"
        clock.move(-MILLISECOND)
        assert unbind(suite, phone, laptop).status_code == 200

    def test_then_the_right_password_does_it(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """With the request itself."""
        phone = suite.log_in(anna)
        clock.move(11 * MINUTE)
        phone = as_login(suite.refresh(phone.refresh))
        assert unbind(suite, phone, laptop, password=anna.password).status_code == 200

    def test_then_a_wrong_password_does_not_and_is_counted(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """403 ten times, then 429: this endpoint is guarded like the others. It is in the history of failures."""
        phone = suite.log_in(anna)
        clock.move(11 * MINUTE)
        phone = as_login(suite.refresh(phone.refresh))
        for _ in range(10):
            assert code_of(unbind(suite, phone, laptop, password="wrong one")) == (403, "reauthenticate")
        refused = unbind(suite, phone, laptop, password="wrong one")
        assert code_of(refused) == (429, "too-many-attempts")
        assert int(refused.headers["Retry-After"]) == 60
        assert laptop.device_id in suite.book(anna).devices
        history = suite.get("/session/history", phone.access).get_json()
        assert len(history["failed_logins"]) == 10
        clock.move(MINUTE)
        assert unbind(suite, phone, laptop, password=anna.password).status_code == 200

    @pytest.mark.regression("X14")
    def test_the_last_device_stays(self, suite: InProcessSuite, anna: Person) -> None:
        """Otherwise nobody could ever log in again."""
        phone = suite.log_in(anna)
        before = suite.content()
        assert code_of(unbind(suite, phone, anna.first)) == (409, "last-device")
        assert suite.content() == before

    @pytest.mark.regression("X01", "X14")
    def test_what_is_not_there_and_what_is_anothers_are_the_same(self, suite: InProcessSuite, anna: Person) -> None:
        """One 404, one body: nobody learns which ids exist."""
        bert = suite.register("bert")
        phone = suite.log_in(anna)
        before = suite.content()
        answers = [
            suite.post(path, {"device_id": device_id, "device_name": "x"}, phone.access)
            for device_id in (bert.first.device_id, "nobody's", bert.uuid, "x" * 5000, "\0")
            for path in ("/device/unbind", "/device/rename")
        ]
        assert {code_of(answer) for answer in answers} == {(404, "not-found")}
        assert len({answer.get_data() for answer in answers}) == 1
        assert suite.content() == before

    def test_a_device_is_unbound_once(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Then it is not there."""
        phone = suite.log_in(anna)
        assert unbind(suite, phone, laptop).status_code == 200
        assert code_of(unbind(suite, phone, laptop)) == (404, "not-found")


class TestForceLogout:
    """All but the first are logged out."""

    @pytest.mark.requirement("D50", "D51", "D52", "D53", "D06")
    @pytest.mark.regression("X07", "X08", "X95")
    @pytest.mark.parametrize("first", ["the phone", "the laptop"])
    @pytest.mark.parametrize("caller", ["the phone", "the laptop", "the tablet"])
    def test_the_device_that_logged_in_first_stays_whoever_asks(
        self, build_suite: Build, clock: HandClock, first: str, caller: str
    ) -> None:
        """Whether it is device 1 or device 2, and whichever was registered first."""
        suite = build_suite(MAX_CONCURRENT_DEVICES="3")
        anna = suite.register()
        devices = {"the phone": anna.first, "the laptop": suite.pair(anna), "the tablet": suite.pair(anna, "Tablet")}
        order = sorted(devices, key=lambda name: name != first)
        logins = {}
        for name in order:
            clock.move(SECOND)
            logins[name] = suite.log_in(anna, devices[name])
        outcome = suite.post("/device/force_logout", token=logins[caller].access).get_json()
        assert outcome["kept"]["session_id"] == logins[first].session_id
        assert outcome["kept"]["login_at"] == logins[first].answer["login_at"]
        assert [gone["session_id"] for gone in outcome["logged_out"]] == [logins[n].session_id for n in order[1:]]
        assert suite.verify(logins[first]).status_code == 200
        assert [ended(suite.verify(logins[name])) for name in order[1:]] == ["forced-out"] * 2

    def test_alone_there_is_nobody_to_log_out(self, suite: InProcessSuite, anna: Person) -> None:
        """The caller stays, and nothing is recorded."""
        phone = suite.log_in(anna)
        before = suite.content()
        outcome = suite.post("/device/force_logout", token=phone.access).get_json()
        assert (outcome["kept"]["session_id"], outcome["logged_out"]) == (phone.session_id, [])
        assert suite.content() == before

    @pytest.mark.regression("X10")
    def test_a_device_that_never_logged_in_is_no_active_one(
        self, suite: InProcessSuite, anna: Person, laptop: Device
    ) -> None:
        """It has no login time, and none is made up."""
        phone = suite.log_in(anna)
        listed = suite.get("/device/list", phone.access).get_json()["devices"]
        assert [(d["is_active"], d["login_at"] is None) for d in listed] == [(True, False), (False, True)]
        outcome = suite.post("/device/force_logout", token=phone.access).get_json()
        assert outcome["logged_out"] == []


class TestNames:
    """A device's name is its owner's."""

    def test_a_device_is_renamed(self, suite: InProcessSuite, anna: Person, laptop: Device) -> None:
        """Also one that is not active; lists and questions tell the new name, and nothing else of its row changes."""
        phone = suite.log_in(anna)
        body = {"device_id": laptop.device_id, "device_name": " Büro "}
        assert suite.post("/device/rename", body, phone.access).status_code == 200
        listed = suite.get("/device/list", phone.access).get_json()["devices"]
        assert [device["device_name"] for device in listed] == ["Phone", "Büro"]
        assert suite.log_in(anna, laptop, force=True).answer["device_id"] == laptop.device_id

    def test_they_are_listed_as_they_joined_whatever_the_clocks_say(
        self, suite: InProcessSuite, clock: HandClock, anna: Person, laptop: Device
    ) -> None:
        """The host that registers the third is two seconds behind the one that registered the second."""
        clock.move(-2 * SECOND)
        tablet = suite.pair(anna, "Tablet")
        listed = suite.get("/device/list", suite.log_in(anna, tablet).access).get_json()["devices"]
        expected = [anna.first.device_id, laptop.device_id, tablet.device_id]
        assert [device["device_id"] for device in listed] == expected

    def test_primary_is_the_first_and_secondary_are_the_others(
        self, suite: InProcessSuite, anna: Person, laptop: Device
    ) -> None:
        """In the order of their registration."""
        listed = suite.get("/device/list", suite.log_in(anna).access).get_json()["devices"]
        assert [device["role"] for device in listed] == ["primary", "secondary"]
        assert [device["current"] for device in listed] == [True, False]


class TestRevokeSession:
    """A session of one's own is ended by its id."""

    def test_another_session_of_mine_is_revoked(self, build_suite: Build) -> None:
        """It is told that it was."""
        suite = build_suite(MAX_CONCURRENT_DEVICES="2")
        anna = suite.register()
        phone, on_laptop = suite.log_in(anna), suite.log_in(anna, suite.pair(anna))
        body = {"session_id": on_laptop.session_id}
        assert suite.post("/session/revoke", body, phone.access).status_code == 200
        assert ended(suite.verify(on_laptop)) == "revoked"
        assert suite.verify(phone).status_code == 200

    def test_my_own_is_logged_out(self, suite: InProcessSuite, anna: Person) -> None:
        """As by a logout."""
        phone = suite.log_in(anna)
        assert suite.post("/session/revoke", {"session_id": phone.session_id}, phone.access).status_code == 200
        assert ended(suite.verify(phone)) == "logged-out"

    def test_anothers_is_not_there(self, suite: InProcessSuite, anna: Person) -> None:
        """As one that never was."""
        theirs = suite.log_in(suite.register("bert"))
        phone = suite.log_in(anna)
        answers = [
            suite.post("/session/revoke", {"session_id": session_id}, phone.access)
            for session_id in (theirs.session_id, "nobody's")
        ]
        assert {code_of(answer) for answer in answers} == {(404, "not-found")}
        assert answers[0].get_data() == answers[1].get_data()
        assert suite.verify(theirs).status_code == 200


def test_certificates_are_read_where_they_are_needed_alone(build_suite: Build) -> None:
    """No list, no question, no change of a name and no revocation touches them; a challenge reads one."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="1")
    anna = suite.register()
    laptop, tablet = suite.pair(anna, "Laptop"), suite.pair(anna, "Tablet")
    phone = suite.log_in(anna)
    suite.store.watch()
    for path in ("/device/list", "/session/list", "/session/history"):
        assert suite.get(path, phone.access).status_code == 200
    assert code_of(suite.login(anna, laptop)) == (409, "device-active")
    named = {"device_id": laptop.device_id, "device_name": "Notebook"}
    assert suite.post("/device/rename", named, phone.access).status_code == 200
    assert unbind(suite, phone, tablet).status_code == 200
    assert suite.post("/device/revoke_certificate", {"device_id": laptop.device_id}, phone.access).status_code == 200
    assert code_of(suite.login(anna, laptop)) == (401, "certificate-revoked")
    assert "DevicesTable" in {table for call in suite.store.calls for table in call.tables}
    assert "DeviceKeysTable" not in {table for call in suite.store.calls for table in call.tables}
    suite.store.watch()
    form = {"username": "anna", "password": anna.password, "client_cert_fp": anna.first.fingerprint}
    assert suite.post("/login/challenge", form).status_code == 200
    assert [call.tables for call in suite.store.calls].count(("DeviceKeysTable",)) == 1
