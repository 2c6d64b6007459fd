"""Another username: the one before stays its account's for thirty days, and nobody takes either."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from common.account.claims import RESERVED_FOR
from common.account.history import EventKind
from tests.usecases.in_process_suite import DAY, MINUTE, PASSWORD, SECOND, InProcessSuite, Login, Person, code_of
from tests.usecases.post import Post
from tests.usecases.test_address import objected
from tests.usecases.test_claims import Died, die_at, revived

TAKEN = (409, "username-taken")


def rename(suite: InProcessSuite, session: Login, username: str, password: str = PASSWORD) -> Any:
    """Ask for another name."""
    return suite.post("/registration/username", {"username": username, "password": password}, session.access)


def renamed(suite: InProcessSuite, session: Login, person: Person, username: str) -> Person:
    """Change the name, which must succeed."""
    answer = rename(suite, session, username)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return dataclasses.replace(person, username=username)


def name_of(suite: InProcessSuite, session: Login) -> str:
    """Return what the suite says the name is."""
    return str(suite.get("/registration/account", session.access).get_json()["username"])


def registered(suite: InProcessSuite, username: str, email: str = "carl@example.test") -> tuple[int, str | None]:
    """Try to register somebody by a name."""
    answer = suite.post("/registration/", {"username": username, "email": email, "password": PASSWORD})
    return (200, None) if answer.status_code == 200 else code_of(answer)


def test_another_name(suite: InProcessSuite, anna: Person) -> None:
    """The tokens tell it at once; one logs in by either; the session lives on."""
    session = suite.log_in(anna)
    assert code_of(rename(suite, session, "anne", "a guess")) == (401, "bad-credentials")
    answer = rename(suite, session, "anne").get_json()
    assert suite.get("/session/verify", answer["access_token"]).get_json()["username"] == "anne"
    assert suite.refresh(answer["refresh_token"]).status_code == 200
    assert [event.kind for event in suite.history(anna)[-1].events] == [EventKind.USERNAME_CHANGED]
    for username in ("anne", "ANNE", "anna"):
        session = suite.log_in(dataclasses.replace(anna, username=username))
        assert name_of(suite, session) == "anne"


def test_the_name_before_is_kept_for_thirty_days(suite: InProcessSuite, anna: Person) -> None:
    """To the second; then it is free, and lets nobody in."""
    anne = renamed(suite, suite.log_in(anna), anna, "anne")
    suite.clock.move(30 * DAY - SECOND)
    assert registered(suite, "anna") == TAKEN
    suite.clock.move(SECOND)
    assert code_of(suite.login(anna)) == (401, "bad-credentials")
    assert registered(suite, "anna") == (200, None)
    suite.log_in(anne)


def test_a_name_is_taken_back_by_its_account(suite: InProcessSuite, anna: Person) -> None:
    """And the other one is kept then; letters' case may be changed at any time."""
    session = suite.log_in(anna)
    renamed(suite, session, anna, "anne")
    renamed(suite, session, anna, "anna")
    assert registered(suite, "anne") == TAKEN
    renamed(suite, session, anna, "Anna")
    assert name_of(suite, session) == "Anna"
    suite.clock.move(30 * DAY)
    assert registered(suite, "anne") == (200, None)
    assert registered(suite, "anna", "dora@example.test") == TAKEN


@pytest.mark.parametrize("name", ["bert", "BERT", "b\u0435rt"])
def test_a_taken_name_is_refused(suite: InProcessSuite, anna: Person, name: str) -> None:
    """Also one that looks like it in other scripts; nothing has changed, and no claim is left behind."""
    suite.register("bert")
    session, before = suite.log_in(anna), suite.content()["NamesTable"]
    assert code_of(rename(suite, session, name)) == TAKEN
    assert name_of(suite, session) == "anna"
    assert suite.content()["NamesTable"] == before


@pytest.mark.parametrize("name", ["a\u200bnna", "\u202eanna", "", "x" * 65])
def test_a_new_name_is_judged(suite: InProcessSuite, anna: Person, name: str) -> None:
    """As at registration."""
    assert rename(suite, suite.log_in(anna), name).status_code == 400


def test_names_are_not_hoarded(suite: InProcessSuite, anna: Person) -> None:
    """Three of before at most; the next one waits until the first is free again."""
    session = suite.log_in(anna)
    for number in range(3):
        renamed(suite, session, anna, f"anna{number}")
    answer = rename(suite, session, "anna3")
    assert code_of(answer) == (429, "too-many-attempts")
    assert int(answer.headers["Retry-After"]) == 30 * DAY.total_seconds()
    assert registered(suite, "anna3") == (200, None)
    suite.clock.move(30 * DAY)
    renamed(suite, suite.log_in(dataclasses.replace(anna, username="anna2")), anna, "anna4")


def test_a_name_that_a_thief_changed_is_taken_back(post: Post) -> None:
    """By the link of the notice; the thief's name is free again."""
    anna = post.confirmed()
    post.suite.clock.move(DAY)
    session = post.suite.log_in(anna)
    post.suite.clock.move(MINUTE)
    renamed(post.suite, session, anna, "mallory")
    renamed(post.suite, session, anna, "mallory2")
    post.settle()
    first = min(post.mailbox.mails[-2:], key=lambda mail: mail["Message-ID"].partition("@")[0].rpartition("-")[2])
    token = str(first.get_body(("plain",)).get_content()).partition("#object=")[2].split()[0]
    answer = objected(post, token)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    back, phone = post.chosen(anna, answer.get_json()["reset_token"])
    assert name_of(post.suite, post.suite.log_in(back, phone)) == "anna"
    assert registered(post.suite, "mallory") == (200, None)
    assert registered(post.suite, "mallory2", "dora@example.test") == (200, None)
    assert registered(post.suite, "anna", "eve@example.test") == TAKEN


def names_left(suite: InProcessSuite) -> set[str]:
    """Return which of the two names a stranger is told is taken."""
    tried = [(name, registered(suite, name, f"{name}@free.example")) for name in ("anna", "anne")]
    assert all(answer in (TAKEN, (200, None)) for _, answer in tried)
    return {name for name, answer in tried if answer == TAKEN}


WRITES = 9
"""Of a change of the name: counted and given back, name and look reserved, the book; row, history, both confirmed."""


@pytest.mark.parametrize("back", [False, True], ids=["another", "back"])
@pytest.mark.parametrize("write", range(WRITES))
def test_a_change_of_the_name_that_died(suite: InProcessSuite, anna: Person, write: int, back: bool) -> None:  # noqa: FBT001
    """It is made or not; the name in use and the one that is kept are nobody else's, and the other one is free."""
    session = suite.log_in(anna)
    if back:
        anna = renamed(suite, session, anna, "anne")
    want = "anna" if back else "anne"
    die_at(suite, write)
    try:
        rename(suite, session, want)
    except Died:
        pass
    else:
        assert back  # where a name comes back less is written: nothing is reserved
    revived(suite)
    suite.clock.move(RESERVED_FOR)
    persons = [dataclasses.replace(anna, username=name) for name in ("anna", "anne")]
    names = [person.username for person in persons if suite.login(person).status_code == 200]
    account = name_of(suite, suite.log_in(persons[0]))
    assert account in names
    assert names_left(suite) == set(names)
    if len(names) > 1:
        suite.clock.move(30 * DAY)
        (other,) = set(names) - {account}
        assert registered(suite, other, "eve@free.example") == (200, None)
    assert registered(suite, account, "dora@free.example") == TAKEN
