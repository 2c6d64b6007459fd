"""The modes and the limit as settings: ask, reject, evict; force allowed or not; any limit, or none."""

from __future__ import annotations

import pytest

from tests.usecases.conftest import Build
from tests.usecases.house import House, Login, Person, code_of, ended

WAYS_IN = ["/login", "/session/create"]


def three(house: House) -> tuple[Person, list[Login]]:
    """Register somebody with three devices, and log in on as many as may be at once, the limit being two."""
    anna = house.register()
    devices = [anna.first, house.pair(anna, "Laptop"), house.pair(anna, "Tablet")]
    return anna, [house.log_in(anna, device) for device in devices[:2]]


@pytest.mark.row("D25", "D32", "D35", "D40", "D47", "B13", "B26")
@pytest.mark.pitfall("X09", "X16", "X64")
@pytest.mark.parametrize("path", WAYS_IN)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_limit_is_the_one_that_is_set_at_every_way_in(build_house: Build, limit: int, path: str) -> None:
    """As many as may be are in, and the next is asked, with all of them named."""
    house = build_house(MAX_CONCURRENT_DEVICES=str(limit))
    anna = house.register()
    devices = [anna.first, *(house.pair(anna, f"Device {number}") for number in range(limit))]
    logins = [house.log_in(anna, device, path=path) for device in devices[:limit]]
    refused = house.login(anna, devices[limit], path)
    assert code_of(refused) == (409, "device-active")
    assert len(refused.get_json()["active"]) == limit
    assert [house.verify(login).status_code for login in logins] == [200] * limit


def test_zero_is_no_limit(build_house: Build) -> None:
    """All are in."""
    house = build_house(MAX_CONCURRENT_DEVICES="0")
    anna = house.register()
    logins = [house.log_in(anna, device) for device in (anna.first, house.pair(anna), house.pair(anna))]
    assert [house.verify(login).status_code for login in logins] == [200] * 3


@pytest.mark.row("D33")
def test_the_same_device_again_is_no_conflict(house: House) -> None:
    """Its session is replaced, and it stays one device."""
    anna = house.register()
    first = house.log_in(anna)
    second = house.log_in(anna)
    assert second.answer["evicted"] == []
    assert second.session_id != first.session_id
    assert ended(house.verify(first)) == "replaced"
    listed = house.get("/device/list", second.access).get_json()["devices"]
    assert [device["device_id"] for device in listed] == [anna.first.device_id]


class TestReject:
    """In mode reject the earlier login stays, whatever the newcomer says."""

    @pytest.mark.row("D44")
    @pytest.mark.parametrize("path", [*WAYS_IN, "/login/force"])
    def test_nobody_is_asked_and_nobody_is_forced_out(self, build_house: Build, path: str) -> None:
        """409 without a takeover, also for force."""
        house = build_house(ICHIDAI_CONCURRENCY_MODE="reject")
        anna = house.register()
        laptop, phone = house.pair(anna), house.log_in(anna)
        before = house.content()
        refused = house.login(anna, laptop, path, force=True)
        assert code_of(refused) == (409, "device-active")
        assert "takeover" not in refused.get_json()
        assert [device["device_name"] for device in refused.get_json()["active"]] == ["Phone"]
        assert house.content() == before
        assert house.verify(phone).status_code == 200

    def test_a_consent_of_another_mode_ends_nobody(self, build_house: Build) -> None:
        """A process in mode ask gave it out before the setting was changed."""
        asking, rejecting = build_house(), build_house(ICHIDAI_CONCURRENCY_MODE="reject")
        anna = asking.register()
        laptop, phone = asking.pair(anna), asking.log_in(anna)
        question = asking.login(anna, laptop)
        assert code_of(rejecting.take_over(question, laptop)) == (409, "device-active")
        assert asking.verify(phone).status_code == 200


class TestEvict:
    """In mode evict the earliest make room unasked."""

    @pytest.mark.row("D21", "D27")
    def test_as_few_of_the_earliest_as_needed_go(self, build_house: Build) -> None:
        """At a limit of two, one of two; it is told so."""
        house = build_house(ICHIDAI_CONCURRENCY_MODE="evict", MAX_CONCURRENT_DEVICES="2")
        anna, (phone, laptop) = three(house)
        tablet = house.log_in(anna, house.pair(anna, "Another"))
        assert [gone["session_id"] for gone in tablet.answer["evicted"]] == [phone.session_id]
        assert ended(house.verify(phone)) == "evicted"
        assert [house.verify(login).status_code for login in (laptop, tablet)] == [200, 200]


class TestForce:
    """Force ends whoever is active, where it is allowed."""

    @pytest.mark.row("D49", "D58", "B13", "B27")
    @pytest.mark.pitfall("X03", "X06")
    @pytest.mark.parametrize(("path", "force"), [("/login", True), ("/login/force", None), ("/session/create", True)])
    def test_all_others_go_and_the_account_stays(self, build_house: Build, path: str, force: object) -> None:
        """Twice in a row: nothing of the account is lost by it."""
        house = build_house(MAX_CONCURRENT_DEVICES="2")
        anna, earlier = three(house)
        tablet = house.pair(anna, "Another")
        forced = house.log_in(anna, tablet, path=path, force=force)
        assert [ended(house.verify(login)) for login in earlier] == ["forced-out"] * 2
        assert [gone["device_name"] for gone in forced.answer["evicted"]] == ["Phone", "Laptop"]
        again = house.log_in(anna, path=path, force=force)
        assert house.verify(again).status_code == 200
        assert len(house.book(anna).devices) == 4

    def test_where_there_is_room_it_ends_nobody(self, build_house: Build) -> None:
        """Force is no logout of others."""
        house = build_house(MAX_CONCURRENT_DEVICES="2")
        anna = house.register()
        phone = house.log_in(anna)
        house.log_in(anna, house.pair(anna), force=True)
        assert house.verify(phone).status_code == 200

    @pytest.mark.parametrize(("path", "force"), [("/login", True), ("/login/force", None), ("/session/create", True)])
    def test_where_it_is_switched_off_it_is_refused(self, build_house: Build, path: str, force: object) -> None:
        """Though there would be room; the takeover is the way."""
        house = build_house(ICHIDAI_ALLOW_FORCE="false")
        anna = house.register()
        before = house.content()
        assert code_of(house.login(anna, path=path, force=force)) == (403, "force-disabled")
        assert house.content() == before

    @pytest.mark.pitfall("X12")
    def test_a_text_is_no_force(self, house: House) -> None:
        """`"false"` is 400, in JSON."""
        anna = house.register()
        assert code_of(house.login(anna, force="false")) == (400, "invalid-request")


@pytest.mark.pitfall("X16", "X18")
def test_a_login_always_makes_a_session_and_tokens_of_its_own(house: House) -> None:
    """A session id that the client brings along is ignored."""
    anna = house.register()
    first = house.log_in(anna)
    second = house.log_in(anna, session_id=first.session_id, user_uuid="another", device_id="mine")
    assert second.session_id != first.session_id
    assert second.device_id == anna.first.device_id


def test_a_logout_ends_its_own_session_alone_and_may_be_repeated(build_house: Build) -> None:
    """Also with a token that has been replaced since: the newer session stays."""
    house = build_house(MAX_CONCURRENT_DEVICES="2")
    anna, (phone, laptop) = three(house)
    newer = house.log_in(anna)
    for _ in range(2):
        assert house.post("/session/logout", token=phone.access).status_code == 200
    assert house.verify(newer).status_code == 200
    assert house.verify(laptop).status_code == 200
    assert house.post("/session/logout", token=newer.access).status_code == 200
    assert ended(house.verify(newer)) == "logged-out"
    assert house.verify(laptop).status_code == 200
