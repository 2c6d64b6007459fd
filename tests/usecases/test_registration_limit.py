"""Who may register: counted by source and in all, for work, or not at all; and what is told to whom on the way."""

from __future__ import annotations

import base64
import json
from typing import Any

import altcha
import pytest
from werkzeug.test import TestResponse

from tests.support.signing import enrolling, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    HOUR,
    MILLISECOND,
    MINUTE,
    PASSWORD,
    SECOND,
    HandClock,
    InProcessSuite,
    code_of,
)

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"
FEW = {"ICHIDAI_REGISTRATIONS_SOURCE": "2", "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"}
WORK = {"ICHIDAI_REGISTRATION": "work", "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"}


def register(suite: InProcessSuite, name: str, ip: str = HERE, **more: Any) -> TestResponse:
    """Try to register from an address."""
    body = {"username": name, "email": f"{name}@b.test", "password": PASSWORD, **more}
    return suite.post("/registration/", body, X_Forwarded_For=ip)


def asked(suite: InProcessSuite, ip: str = HERE) -> dict[str, Any]:
    """Ask whether work is needed."""
    answer = suite.client.get("/registration/work", headers={"X-Forwarded-For": ip})
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.get_json()
    return found


def solved(challenge: dict[str, Any]) -> str:
    """Solve a challenge as a client does."""
    given = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(given)
    assert solution is not None
    return altcha.Payload(given, solution).to_base64()


def b64(value: object) -> str:
    """Return a value as `work` is sent."""
    return base64.b64encode(json.dumps(value).encode()).decode()


class TestCount:
    """How many."""

    def test_a_source_may_register_so_many(self, build_suite: Build, clock: HandClock) -> None:
        """Then 429 with the seconds; one is back after thirty. Other sources go on."""
        suite = build_suite(**FEW)
        for name in ("anna", "ben"):
            assert register(suite, name).status_code == 200
        refused = register(suite, "clara")
        assert code_of(refused) == (429, "too-many-registrations")
        assert refused.headers["Retry-After"] == str(refused.get_json()["retry_after"]) == "30"
        assert register(suite, "dora", ELSEWHERE).status_code == 200
        clock.move(30 * SECOND - MILLISECOND)
        assert code_of(register(suite, "clara")) == (429, "too-many-registrations")
        clock.move(MILLISECOND)
        assert register(suite, "clara").status_code == 200

    def test_by_default_they_are_two_hundred(self, suite: InProcessSuite) -> None:
        """And one back every thirty seconds; the suite has no bound."""
        settings = suite.suite.settings.registration
        assert (settings.registrations_source.burst, settings.registrations_source.interval) == (200, 30 * SECOND)
        assert (settings.registrations, settings.registration) == (None, "open")

    def test_the_whole_suite_may_be_bounded(self, build_suite: Build, clock: HandClock) -> None:
        """From wherever they come, in an hour."""
        suite = build_suite(ICHIDAI_REGISTRATIONS="2", ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
        for number in range(2):
            assert register(suite, f"user{number}", f"192.0.2.{number}").status_code == 200
        refused = register(suite, "late", ELSEWHERE)
        assert (code_of(refused), refused.get_json()["retry_after"]) == ((429, "too-many-registrations"), 1800)
        clock.move(HOUR / 2)
        assert register(suite, "late", ELSEWHERE).status_code == 200

    def test_an_ipv6_source_is_its_64(self, build_suite: Build) -> None:
        """Whoever has one address has them all."""
        suite = build_suite(**FEW)
        answers = [register(suite, f"user{n}", f"2001:db8::{n + 1}").status_code for n in range(3)]
        assert answers == [200, 200, 429]

    def test_refused_before_anything_is_looked_up(self, build_suite: Build) -> None:
        """Nothing is told of a name, and nothing is hashed."""
        suite = build_suite(**FEW)
        for name in ("anna", "ben"):
            register(suite, name)
        before = suite.content()
        suite.store.watch()
        assert code_of(register(suite, "anna")) == (429, "too-many-registrations")
        assert {call.tables for call in suite.store.calls} == {("ThrottleTable",)}
        assert suite.content() == before

    @pytest.mark.parametrize("name", ["anna", "other"])
    def test_a_name_or_mail_found_taken_counts(self, build_suite: Build, name: str) -> None:
        """Trying them out is bounded like making accounts."""
        suite = build_suite(**FEW)
        register(suite, "anna", ELSEWHERE)
        for _ in range(2):
            assert register(suite, name, email="anna@b.test").status_code == 409
        assert code_of(register(suite, "free")) == (429, "too-many-registrations")

    def test_what_comes_to_nothing_does_not_count(self, build_suite: Build) -> None:
        """A malformed request, a weak password, a wrong proof of a key, a repetition, a second device."""
        suite = build_suite(**FEW)
        wrong = enrolling(p256_keys(), "somebody else")
        for more in ({"email": 5}, {"password": "short"}, {"work": 5}, wrong):
            assert register(suite, "anna", **more).status_code in (400, 401)
        body = {"username": "anna", "email": "anna@b.test", "password": PASSWORD}
        for _ in range(5):
            sent = suite.post("/registration/", body, Idempotency_Key="k", X_Forwarded_For=HERE)
            assert sent.status_code == 200
        joining = {"qr_code": sent.get_json()["qr_code"], "username": "anna", "password": PASSWORD}
        assert suite.post("/registration/", joining, X_Forwarded_For=HERE).status_code == 200
        assert register(suite, "ben").status_code == 200
        assert register(suite, "clara").status_code == 429

    def test_a_key_in_use_tells_nothing_about_a_mail(self, build_suite: Build) -> None:
        """The same refusal whether name and mail are taken or free; and it counts nothing."""
        suite, keys = build_suite(**FEW), p256_keys()
        assert register(suite, "anna", ELSEWHERE, **enrolling(keys, "anna")).status_code == 200
        answers = {
            register(suite, name, email=email, **enrolling(keys, name)).data
            for name in ("anna", "free")
            for email in ("anna@b.test", "free@b.test")
        }
        assert [json.loads(answer)["code"] for answer in answers] == ["key-in-use"]


class TestWork:
    """A fourth account within an hour costs some."""

    @pytest.fixture
    def busy(self, build_suite: Build) -> InProcessSuite:
        """Return a suite where the source has three accounts already."""
        suite = build_suite(**WORK)
        for number in range(3):
            assert asked(suite)["required"] is False
            assert register(suite, f"user{number}").status_code == 200
        return suite

    def test_it_is_asked_for_and_taken(self, busy: InProcessSuite) -> None:
        """The 403 has the challenge; its solution lets the same body pass."""
        refused = register(busy, "anna")
        assert code_of(refused) == (403, "work-required")
        assert refused.get_json()["expires_in"] == 300
        assert register(busy, "anna", work=solved(refused.get_json()["challenge"])).status_code == 200

    def test_it_can_be_asked_for_beforehand(self, busy: InProcessSuite) -> None:
        """With whether it is needed."""
        told = asked(busy)
        assert (told["required"], told["expires_in"]) == (True, 300)
        assert asked(busy, ELSEWHERE)["required"] is False
        assert register(busy, "anna", work=solved(told["challenge"])).status_code == 200

    def test_it_works_once(self, busy: InProcessSuite) -> None:
        """Also when it showed that a name is taken."""
        work = solved(asked(busy)["challenge"])
        assert code_of(register(busy, "user0", work=work)) == (409, "username-taken")
        assert code_of(register(busy, "anna", work=work)) == (403, "work-required")

    def test_it_is_bound_to_its_source(self, busy: InProcessSuite) -> None:
        """Nobody solves it for another."""
        work = solved(asked(busy, ELSEWHERE)["challenge"])
        assert code_of(register(busy, "anna", work=work)) == (403, "work-required")

    def test_it_lasts_five_minutes(self, busy: InProcessSuite, clock: HandClock) -> None:
        """Not a moment longer."""
        work = solved(asked(busy)["challenge"])
        clock.move(5 * MINUTE - MILLISECOND)
        assert register(busy, "anna", work=work).status_code == 200
        work = solved(asked(busy)["challenge"])
        clock.move(5 * MINUTE)
        assert code_of(register(busy, "ben", work=work)) == (403, "work-required")

    def test_it_is_not_used_up_where_none_is_needed(self, build_suite: Build) -> None:
        """It is kept for later."""
        suite = build_suite(**WORK)
        work = solved(asked(suite)["challenge"])
        for number in range(4):
            assert register(suite, f"user{number}", work=work).status_code == 200

    def test_an_account_is_free_again_with_time(self, busy: InProcessSuite, clock: HandClock) -> None:
        """Three an hour."""
        clock.move(20 * MINUTE - MILLISECOND)
        assert register(busy, "anna").status_code == 403
        clock.move(MILLISECOND)
        assert register(busy, "anna").status_code == 200

    def test_where_none_is_asked_for_there_is_no_challenge(self, suite: InProcessSuite) -> None:
        """And `work` is ignored."""
        assert asked(suite) == {"success": True, "required": False}
        assert register(suite, "anna", work="junk").status_code == 200

    @pytest.mark.parametrize(
        "junk",
        [
            "junk",
            "é",
            "====",
            "A" * 5000,
            b64([]),
            b64(1),
            b64({"challenge": 1, "solution": 2}),
            b64({"challenge": [], "solution": []}),
            b64({"challenge": {"parameters": {}}, "solution": {}}),
            b64({"challenge": {"parameters": "x"}, "solution": {}}),
        ],
    )
    def test_junk_is_no_work(self, busy: InProcessSuite, junk: str) -> None:
        """Asked for anew, whatever it is."""
        assert code_of(register(busy, "anna", work=junk)) == (403, "work-required")

    @pytest.mark.parametrize("member", ["cost", "keyPrefix", "expiresAt", "data", "nonce", "salt", "algorithm"])
    def test_a_challenge_that_was_changed_is_not_ours(self, busy: InProcessSuite, member: str) -> None:
        """Each of its members is signed."""
        easy = {"cost": 1, "keyPrefix": "", "expiresAt": 4_000_000_000, "data": {}, "nonce": "00", "salt": "00"}
        challenge = asked(busy)["challenge"]
        challenge["parameters"][member] = easy.get(member, "SHA-256")
        assert code_of(register(busy, "anna", work=solved(challenge))) == (403, "work-required")

    def test_a_wrong_answer_is_no_work(self, busy: InProcessSuite) -> None:
        """Another counter, or another key."""
        work = json.loads(base64.b64decode(solved(asked(busy)["challenge"])))
        for change in ({"counter": work["solution"]["counter"] + 1}, {"derivedKey": "00" * 32}):
            forged = {**work, "solution": {**work["solution"], **change}}
            assert code_of(register(busy, "anna", work=b64(forged))) == (403, "work-required")


def test_closed_means_that_nobody_registers(build_suite: Build) -> None:
    """Nor is told whether a name is taken; the accounts that are there get further devices."""
    anna = build_suite().register()
    suite = build_suite(ICHIDAI_REGISTRATION="closed")
    before = suite.content()
    for name in ("anna", "free"):
        assert code_of(register(suite, name)) == (403, "registration-closed")
    assert suite.content() == before
    suite.pair(anna)
    assert suite.get("/.well-known/ichidai.json").get_json()["registration"] == "closed"
    assert asked(suite)["required"] is False
