"""The history as its owner reads it: in pages, newest first, with failed logins apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import DAY, MINUTE, SECOND, HandClock, InProcessSuite, Login, Person, code_of


def page(suite: InProcessSuite, login: Login, **query: object) -> dict[str, Any]:
    """Return a page of the history."""
    answer = suite.get("/session/history", login.access, **query)
    assert answer.status_code == 200
    fields: dict[str, Any] = answer.get_json()
    return fields


@pytest.mark.requirement("B42")
def test_it_tells_when_and_from_where(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """Each login, each end with its reason, the device by its name, newest first."""
    laptop = suite.pair(anna, "Laptop")
    suite.log_in(anna)
    clock.move(MINUTE)
    suite.client.environ_base["HTTP_USER_AGENT"] = "curl/8.5\tx"
    login = suite.log_in(anna, laptop, force=True)
    events = page(suite, login)["events"]
    assert [(e["kind"], e["device_name"], e.get("reason")) for e in events] == [
        ("login", "Laptop", None),
        ("session-ended", "Phone", "forced-out"),
        ("login", "Phone", None),
        ("device-added", "Laptop", None),
        ("device-added", "Phone", None),
        ("registered", None, None),
    ]
    newest = events[0]
    assert (newest["at"], newest["ip"], newest["user_agent"]) == ("2036-11-21T09:01:00.000Z", "127.0.0.1", "curl/8.5x")
    assert [event["change_no"] for event in events] == [4, 4, 3, 2, 1, 1]
    assert newest["device_id"] == laptop.device_id == events[3]["device_id"]
    assert newest["session_id"] == suite.get("/session/list", login.access).get_json()["sessions"][0]["session_id"]
    assert "device_id" not in events[-1]


def test_pages_follow_each_other_without_gap_or_overlap(suite: InProcessSuite, anna: Person) -> None:
    """`next_before` leads from page to page until there is none."""
    for _ in range(6):
        login = suite.log_in(anna)
    whole = page(suite, login)["events"]
    pages, query = [], {}
    while True:
        fields = page(suite, login, limit=2, **query)
        pages.append(fields["events"])
        if "next_before" not in fields:
            break
        query = {"before": fields["next_before"]}
    assert [event for events in pages for event in events] == whole
    assert [len({event["change_no"] for event in events}) for events in pages] == [2, 2, 2, 1]


def test_the_last_page_says_that_it_is_the_last(suite: InProcessSuite, anna: Person) -> None:
    """Also when it is full to the brim."""
    login = suite.log_in(anna)
    assert "next_before" not in page(suite, login, limit=2)
    assert page(suite, login, limit=1)["next_before"] == 2
    assert page(suite, login, before=1)["events"] == []


def test_failed_logins_are_told_apart_and_only_on_the_first_page(
    suite: InProcessSuite, clock: HandClock, anna: Person
) -> None:
    """Strangers' guesses are no change of the account, and leave no gap in its history."""
    login = suite.log_in(anna)
    for attempt in range(3):
        clock.move(SECOND)
        assert suite.login(anna, password=f"wrong {attempt}").status_code == 401
    first = page(suite, login, limit=1)
    assert [failed["at"][-10:] for failed in first["failed_logins"]] == ["00:03.000Z"]
    fields = page(suite, login)
    assert [failed["at"][-10:] for failed in fields["failed_logins"]] == ["00:03.000Z", "00:02.000Z", "00:01.000Z"]
    assert all(failed["ip"] == "127.0.0.1" for failed in fields["failed_logins"])
    assert page(suite, login, before=2)["failed_logins"] == []
    assert [event["change_no"] for event in fields["events"]] == [2, 1, 1]


def test_failed_logins_go_away_after_ninety_days(build_suite: Build, clock: HandClock) -> None:
    """The history itself stays."""
    suite = build_suite(ICHIDAI_IDLE_SECONDS=str(200 * 86_400), ICHIDAI_SESSION_SECONDS=str(200 * 86_400))
    anna = suite.register()
    suite.login(anna, password="wrong password")
    clock.move(90 * DAY - SECOND)
    login = suite.log_in(anna)
    assert len(page(suite, login)["failed_logins"]) == 1
    clock.move(SECOND)
    assert page(suite, login)["failed_logins"] == []
    assert len(page(suite, login)["events"]) == 3


def test_a_limit_refusal_and_an_unknown_name_are_nobodys_failed_logins(suite: InProcessSuite, anna: Person) -> None:
    """A 409 is no failed try, and what was tried with another name is no business of hers."""
    laptop = suite.pair(anna)
    login = suite.log_in(anna)
    assert suite.login(anna, laptop).status_code == 409
    suite.post("/login", {"username": "nobody", "password": "x", "client_cert_fp": anna.first.fingerprint})
    assert page(suite, login)["failed_logins"] == []


def test_nobody_reads_anothers(suite: InProcessSuite, anna: Person) -> None:
    """Whatever is asked for."""
    suite.log_in(anna)
    bert = suite.register("bert")
    login = suite.log_in(bert)
    before = page(suite, login)
    assert page(suite, login, user_uuid=anna.uuid, before=10**9) == {**before, "failed_logins": []}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"limit": ""},
        {"before": 0},
        {"before": -1},
        {"before": "now"},
        {"before": 10**30},
        {"limit": 1.5},
    ],
)
def test_a_page_that_cannot_be_is_invalid(suite: InProcessSuite, anna: Person, query: dict[str, object]) -> None:
    """Never a 500."""
    login = suite.log_in(anna)
    assert code_of(suite.get("/session/history", login.access, **query)) == (400, "invalid-request")


def test_a_name_with_markup_is_told_as_it_is(suite: InProcessSuite) -> None:
    """As JSON, which no browser takes for a page."""
    anna = suite.register(device_name="<script>alert(1)</script>")
    login = suite.log_in(anna)
    answer = suite.get("/session/history", login.access)
    assert answer.mimetype == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.get_json()["events"][0]["device_name"] == "<script>alert(1)</script>"
