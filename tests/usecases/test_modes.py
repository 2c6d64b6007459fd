"""The modes and the limit as settings: ask, reject, evict; force allowed or not; any limit, or none."""

from __future__ import annotations

import pytest

from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import InProcessSuite, Login, Person, code_of, ended

WAYS_IN = ["/login", "/session/create"]


def three(suite: InProcessSuite) -> tuple[Person, list[Login]]:
    """Register somebody with three devices, and log in on as many as may be at once, the limit being two."""
    anna = suite.register()
    devices = [anna.first, suite.pair(anna, "Laptop"), suite.pair(anna, "Tablet")]
    return anna, [suite.log_in(anna, device) for device in devices[:2]]


@pytest.mark.requirement("D25", "D32", "D35", "D40", "D47", "B13", "B26")
@pytest.mark.regression("X09", "X16", "X64")
@pytest.mark.parametrize("path", WAYS_IN)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_limit_is_the_one_that_is_set_at_every_way_in(build_suite: Build, limit: int, path: str) -> None:
    """As many as may be are in, and the next is asked, with all of them named."""
    suite = build_suite(MAX_CONCURRENT_DEVICES=str(limit))
    anna = suite.register()
    devices = [anna.first, *(suite.pair(anna, f"Device {number}") for number in range(limit))]
    logins = [suite.log_in(anna, device, path=path) for device in devices[:limit]]
    refused = suite.login(anna, devices[limit], path)
    assert code_of(refused) == (409, "device-active")
    assert len(refused.get_json()["active"]) == limit
    assert [suite.verify(login).status_code for login in logins] == [200] * limit


def test_zero_is_no_limit(build_suite: Build) -> None:
    """All are in."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="0")
    anna = suite.register()
    logins = [suite.log_in(anna, device) for device in (anna.first, suite.pair(anna), suite.pair(anna))]
    assert [suite.verify(login).status_code for login in logins] == [200] * 3


@pytest.mark.requirement("D33")
def test_the_same_device_again_is_no_conflict(suite: InProcessSuite) -> None:
    """Its session is replaced, and it stays one device."""
    anna = suite.register()
    first = suite.log_in(anna)
    second = suite.log_in(anna)
    assert second.answer["evicted"] == []
    assert second.session_id != first.session_id
    assert ended(suite.verify(first)) == "replaced"
    listed = suite.get("/device/list", second.access).get_json()["devices"]
    assert [device["device_id"] for device in listed] == [anna.first.device_id]


class TestReject:
    """In mode reject the earlier login stays, whatever the candidate says."""

    @pytest.mark.requirement("D44")
    @pytest.mark.parametrize("path", [*WAYS_IN, "/login/force"])
    def test_nobody_is_asked_and_nobody_is_forced_out(self, build_suite: Build, path: str) -> None:
        """409 without a takeover, also for force."""
        suite = build_suite(ICHIDAI_CONCURRENCY_MODE="reject")
        anna = suite.register()
        laptop, phone = suite.pair(anna), suite.log_in(anna)
        before = suite.content()
        refused = suite.login(anna, laptop, path, force=True)
        assert code_of(refused) == (409, "device-active")
        assert "takeover" not in refused.get_json()
        assert [device["device_name"] for device in refused.get_json()["active"]] == ["Phone"]
        assert suite.content() == before
        assert suite.verify(phone).status_code == 200

    def test_a_consent_of_another_mode_ends_nobody(self, build_suite: Build) -> None:
        """A process in mode ask gave it out before the setting was changed."""
        asking, rejecting = build_suite(), build_suite(ICHIDAI_CONCURRENCY_MODE="reject")
        anna = asking.register()
        laptop, phone = asking.pair(anna), asking.log_in(anna)
        question = asking.login(anna, laptop)
        assert code_of(rejecting.take_over(question, laptop)) == (409, "device-active")
        assert asking.verify(phone).status_code == 200


class TestEvict:
    """In mode evict the earliest sessions end without a question."""

    @pytest.mark.requirement("D21", "D27")
    def test_as_few_of_the_earliest_as_needed_go(self, build_suite: Build) -> None:
        """At a limit of two, one of two; it is told so."""
        suite = build_suite(ICHIDAI_CONCURRENCY_MODE="evict", MAX_CONCURRENT_DEVICES="2")
        anna, (phone, laptop) = three(suite)
        tablet = suite.log_in(anna, suite.pair(anna, "Another"))
        assert [gone["session_id"] for gone in tablet.answer["evicted"]] == [phone.session_id]
        assert ended(suite.verify(phone)) == "evicted"
        assert [suite.verify(login).status_code for login in (laptop, tablet)] == [200, 200]


class TestForce:
    """Force ends whoever is active, where it is allowed."""

    @pytest.mark.requirement("D49", "D58", "B13", "B27")
    @pytest.mark.regression("X03", "X06")
    @pytest.mark.parametrize(("path", "force"), [("/login", True), ("/login/force", None), ("/session/create", True)])
    def test_all_others_go_and_the_account_stays(self, build_suite: Build, path: str, force: object) -> None:
        """Twice in a row: nothing of the account is lost by it."""
        suite = build_suite(MAX_CONCURRENT_DEVICES="2")
        anna, earlier = three(suite)
        tablet = suite.pair(anna, "Another")
        forced = suite.log_in(anna, tablet, path=path, force=force)
        assert [ended(suite.verify(login)) for login in earlier] == ["forced-out"] * 2
        assert [gone["device_name"] for gone in forced.answer["evicted"]] == ["Phone", "Laptop"]
        again = suite.log_in(anna, path=path, force=force)
        assert suite.verify(again).status_code == 200
        assert len(suite.book(anna).devices) == 4

    def test_below_the_limit_it_ends_nobody(self, build_suite: Build) -> None:
        """Force is no logout of others."""
        suite = build_suite(MAX_CONCURRENT_DEVICES="2")
        anna = suite.register()
        phone = suite.log_in(anna)
        suite.log_in(anna, suite.pair(anna), force=True)
        assert suite.verify(phone).status_code == 200

    @pytest.mark.parametrize(("path", "force"), [("/login", True), ("/login/force", None), ("/session/create", True)])
    def test_where_it_is_switched_off_it_is_refused(self, build_suite: Build, path: str, force: object) -> None:
        """Also below the limit; the takeover is for that."""
        suite = build_suite(ICHIDAI_ALLOW_FORCE="false")
        anna = suite.register()
        before = suite.content()
        assert code_of(suite.login(anna, path=path, force=force)) == (403, "force-disabled")
        assert suite.content() == before

    @pytest.mark.regression("X12")
    def test_a_text_is_no_force(self, suite: InProcessSuite) -> None:
        """`"false"` is 400, in JSON."""
        anna = suite.register()
        assert code_of(suite.login(anna, force="false")) == (400, "invalid-request")


@pytest.mark.regression("X16", "X18")
def test_a_login_always_makes_a_session_and_tokens_of_its_own(suite: InProcessSuite) -> None:
    """A session id that the client brings along is ignored."""
    anna = suite.register()
    first = suite.log_in(anna)
    second = suite.log_in(anna, session_id=first.session_id, user_uuid="another", device_id="mine")
    assert second.session_id != first.session_id
    assert second.device_id == anna.first.device_id


def test_a_logout_ends_its_own_session_alone_and_may_be_repeated(build_suite: Build) -> None:
    """Also with a token that has been replaced since: the newer session stays."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna, (phone, laptop) = three(suite)
    newer = suite.log_in(anna)
    for _ in range(2):
        assert suite.post("/session/logout", token=phone.access).status_code == 200
    assert suite.verify(newer).status_code == 200
    assert suite.verify(laptop).status_code == 200
    assert suite.post("/session/logout", token=newer.access).status_code == 200
    assert ended(suite.verify(newer)) == "logged-out"
    assert suite.verify(laptop).status_code == 200
