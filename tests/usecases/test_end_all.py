"""A user signs out everywhere: all other sessions end in one commit, and this one too if asked."""

from __future__ import annotations

from typing import Any

import pytest

from common.account.history import Reason
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import InProcessSuite, Login, Person, code_of, ended


@pytest.fixture
def suite(build_suite: Build) -> InProcessSuite:
    """Return a suite in which three devices of an account may be active."""
    return build_suite(MAX_CONCURRENT_DEVICES="3")


@pytest.fixture
def sessions(suite: InProcessSuite, anna: Person) -> list[Login]:
    """Return the sessions of anna's three devices, earliest login first."""
    return [suite.log_in(anna, device) for device in (anna.first, suite.pair(anna, "Laptop"), suite.pair(anna, "TV"))]


def end_all(suite: InProcessSuite, session: Login, password: str, **more: Any) -> Any:
    """Sign out everywhere in a session."""
    return suite.post("/session/end-all", {"password": password, **more}, session.access)


def test_all_others_end_and_this_one_stays(suite: InProcessSuite, anna: Person, sessions: list[Login]) -> None:
    """At their next request, whichever token they use; the answer names them and the history tells by whom."""
    phone, laptop, television = sessions
    answer = end_all(suite, laptop, anna.password).get_json()
    assert [(each["session_id"], each["device_name"]) for each in answer["ended"]] == [
        (phone.session_id, "Phone"),
        (television.session_id, "TV"),
    ]
    for gone in (phone, television):
        assert ended(suite.verify(gone)) == ended(suite.refresh(gone.refresh)) == "revoked"
    assert suite.verify(laptop).status_code == 200
    events = suite.history(anna)[-1].events
    assert [(event.session_id, event.reason, event.by) for event in events] == [
        (gone.session_id, Reason.REVOKED, laptop.device_id) for gone in (phone, television)
    ]


def test_this_one_ends_too_if_asked(suite: InProcessSuite, anna: Person, sessions: list[Login]) -> None:
    """Then nobody is signed in, and the devices can log in anew."""
    answer = end_all(suite, sessions[1], anna.password, this_session=True)
    assert [each["session_id"] for each in answer.get_json()["ended"]] == [each.session_id for each in sessions]
    assert {ended(suite.verify(each)) for each in sessions} == {"revoked"}
    suite.log_in(anna)


def test_a_second_call_ends_nobody(suite: InProcessSuite, anna: Person, sessions: list[Login]) -> None:
    """Repeating it is harmless and writes nothing."""
    end_all(suite, sessions[1], anna.password)
    before = suite.content()
    assert end_all(suite, sessions[1], anna.password).get_json()["ended"] == []
    assert suite.content() == before


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"password": "not the password"}, (401, "bad-credentials")),
        ({}, (400, "missing-fields")),
        ({"password": "correct horse battery", "this_session": "true"}, (400, "invalid-request")),
    ],
)
def test_a_refusal_ends_nobody(
    suite: InProcessSuite, sessions: list[Login], body: dict[str, Any], refused: tuple[int, str]
) -> None:
    """A wrong password, none, and a word where true or false is meant."""
    before = suite.content()
    assert code_of(suite.post("/session/end-all", body, sessions[0].access)) == refused
    assert suite.content() == before
    assert [suite.verify(each).status_code for each in sessions] == [200, 200, 200]
