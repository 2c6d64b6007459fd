"""Names, mails and device keys: reserved, confirmed, released, and taken over from a process that died."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common.account.claims import RESERVED_FOR, Claim
from common.account.tombstone import is_tombstone
from common.ids import new_id
from common.retry import deadline
from common.storage.port import Put
from common.storage.tables import NAMES, SESSIONS
from tests.usecases.in_process_suite import PASSWORD, T0, HandClock, InProcessSuite
from tests.usecases.watched_store import StoreCall

FORM = {"username": "anna", "email": "anna@example.test", "password": PASSWORD}
KEY = {"Idempotency-Key": "5c0e1c52-7d4f-4c6e-9f0b-1a2b3c4d5e6f"}
WRITES, UNTIL_COMMIT = 15, 10
"""Of a registration: counted, four claims reserved, four rows, the book; its history, four claims confirmed."""


class Died(BaseException):
    """The process is gone: nothing of it goes on."""


def die_at(suite: InProcessSuite, number: int) -> None:
    """Let the process die before a write, counted from 0."""
    left = number

    def before(call: StoreCall) -> None:
        nonlocal left
        if call.is_write:
            left -= 1
            if left < 0:
                raise Died

    suite.store.before = before


def revived(suite: InProcessSuite) -> None:
    """Let another process go on with the store."""
    suite.store.before = lambda _call: None


def claim_of(suite: InProcessSuite, name: str) -> Claim | None:
    """Return what lies at a claim's key."""
    item = suite.store.inner.get(NAMES.key(name))
    return None if item is None else Claim.from_item(item)


@pytest.mark.parametrize("write", range(WRITES))
def test_a_registration_that_died_is_repeated(suite: InProcessSuite, clock: HandClock, write: int) -> None:
    """Under its idempotency key it gives the one account, whatever was left behind; ten seconds later at the latest."""
    die_at(suite, write)
    with pytest.raises(Died):
        suite.post("/registration/", FORM, **KEY)
    revived(suite)
    clock.move(RESERVED_FOR)
    answer = suite.post("/registration/", FORM, **KEY)
    assert answer.status_code == 200
    body = answer.get_json()
    for name in ("name#anna", "mail#anna@example.test"):
        claim = claim_of(suite, name)
        assert claim == Claim(name, body["uuid"])
    assert suite.post("/login", {**FORM, "client_cert_fp": body["client_cert_fp"]}).status_code == 200


@pytest.mark.parametrize("write", range(WRITES))
def test_the_name_of_one_that_died_is_taken_or_free(suite: InProcessSuite, clock: HandClock, write: int) -> None:
    """Another person gets it where no account was made, and is told that it is taken where one was."""
    die_at(suite, write)
    with pytest.raises(Died):
        suite.post("/registration/", FORM)
    revived(suite)
    clock.move(RESERVED_FOR)
    answer = suite.post("/registration/", {**FORM, "email": "b@example.test", "password": PASSWORD + "!"})
    assert answer.status_code == (200 if write < UNTIL_COMMIT else 409)


def test_a_reservation_is_waited_for_and_nothing_is_said_of_it(suite: InProcessSuite) -> None:
    """While another registration is under way the answer is that it is busy, never that the name is taken."""
    mine = Claim("name#anna", new_id()).reserved(new_id(), T0)
    suite.store.inner.put(NAMES, mine.to_item())
    with deadline(0.1):
        answer = suite.post("/registration/", FORM)
    assert answer.status_code == 503
    assert answer.get_json()["code"] in ("busy", "store-unavailable")  # the deadline passed in a wait, or in a call
    assert answer.headers["Retry-After"]
    assert claim_of(suite, "name#anna") == mine
    assert claim_of(suite, "mail#anna@example.test") is None


def test_an_old_reservation_is_taken_over_behind_a_tombstone(suite: InProcessSuite, clock: HandClock) -> None:
    """Where its owner's book would lie something lies that no book can replace, and nobody has that account."""
    lost = Claim("name#anna", new_id()).reserved(new_id(), T0)
    suite.store.inner.put(NAMES, lost.to_item())
    clock.move(RESERVED_FOR)
    assert suite.post("/registration/", FORM).status_code == 200
    lying = suite.store.inner.get(SESSIONS.key(lost.user_uuid))
    assert lying is not None
    assert is_tombstone(lying)
    assert suite.suite.registration.transactions.get_book(lost.user_uuid) is None


def test_a_refused_registration_releases_what_it_reserved(suite: InProcessSuite) -> None:
    """The name is free again at once when the mail turns out to be taken."""
    suite.register("berta")
    taken = Put(NAMES, Claim("mail#anna@example.test", new_id()).to_item())
    reserved = []

    def before(call: StoreCall) -> None:
        """Let somebody else have the mail between the look at it and the reservation."""
        if call.writes and call.writes[0].key == NAMES.key("name#anna") and not reserved:
            reserved.append(call)
            suite.store.inner.put(NAMES, taken.item)

    suite.store.before = before
    answer = suite.post("/registration/", FORM)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "email-taken")
    assert claim_of(suite, "name#anna") is None


def test_what_an_earlier_release_claimed_is_confirmed(suite: InProcessSuite, clock: HandClock) -> None:
    """A claim without a state is its owner's for ever."""
    suite.store.inner.put(NAMES, {"claim": "name#anna", "uuid": new_id()})
    clock.move(timedelta(days=400))
    answer = suite.post("/registration/", FORM)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "username-taken")
