"""Attacks on the second factor by somebody who knows the password: replays, stolen rows, a copied store."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from common.storage.tables import FACTORS, USERS
from tests.support.client import unique
from tests.usecases.in_process_suite import MINUTE, InProcessSuite, as_login, code_of
from tests.usecases.test_second_factor import REQUIRED, STEP, WRONG, Enrolled, enrolled

pytestmark = pytest.mark.requirement("R72")

TOO_MANY = (429, "too-many-attempts")


@pytest.fixture
def anna(suite: InProcessSuite) -> Enrolled:
    """Return somebody with a second factor, at whose next step nothing was used yet."""
    careful = enrolled(suite, suite.register(unique("anna")))
    suite.clock.move(2 * STEP)
    return careful


def test_a_code_is_used_once(anna: Enrolled) -> None:
    """Overheard and sent again: not for this, not for anything else, not while its time lasts."""
    otp = anna.code()
    session = as_login(anna.log_in(otp))
    assert code_of(anna.log_in(otp)) == WRONG
    body = {"password": anna.person.password, "otp": otp}
    assert code_of(anna.suite.post("/registration/otp/remove", body, session.access)) == WRONG


def test_after_a_later_code_the_earlier_ones_are_over(anna: Enrolled) -> None:
    """One that was overheard and never sent is of no use once its owner has used the next."""
    overheard = anna.code()
    assert anna.log_in(anna.app.code(anna.suite.clock(), 1)).status_code == 200
    assert code_of(anna.log_in(overheard)) == WRONG


def test_the_code_that_switched_it_on_is_used(suite: InProcessSuite) -> None:
    """It went over the wire like any other."""
    careful = enrolled(suite, suite.register(unique("anna")))
    assert code_of(careful.log_in(careful.app.code(suite.clock()))) == WRONG


@pytest.mark.parametrize(("steps", "is_right"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_drift_is_borne_for_one_step(anna: Enrolled, steps: int, is_right: bool) -> None:  # noqa: FBT001 - a table
    """Either way."""
    answer = anna.log_in(anna.code(steps))
    assert answer.status_code == 200 if is_right else code_of(answer) == WRONG


def test_a_recovery_code_is_used_once(anna: Enrolled) -> None:
    """Each of the ten opens once."""
    for code in anna.recovery_codes:
        anna.suite.clock.move(MINUTE)
        assert anna.log_in(code).status_code == 200
        assert code_of(anna.log_in(code)) == WRONG
    assert code_of(anna.log_in()) == REQUIRED


def test_a_wrong_password_takes_no_code(anna: Enrolled) -> None:
    """So nobody can use up what the owner is about to type."""
    otp = anna.code()
    before = anna.suite.content()
    assert code_of(anna.log_in(otp, password="a guess of somebody")) == (401, "bad-credentials")
    assert anna.suite.content() == before
    assert anna.log_in(otp).status_code == 200


def test_without_the_password_nobody_learns_of_it(suite: InProcessSuite, anna: Enrolled) -> None:
    """A wrong password is answered as it is for somebody who has none, and for nobody."""
    plain = suite.register(unique("plain"))
    told = [
        suite.login(person, password="a guess of somebody", username=name).get_json()
        for person, name in ((anna.person, anna.person.username), (plain, plain.username), (plain, unique("nobody")))
    ]
    assert told[0] == told[1] == told[2]


def test_the_row_of_another_user_opens_nothing(suite: InProcessSuite, anna: Enrolled) -> None:
    """Whoever can write into the store puts a factor of their own in its place: neither secret nor codes are taken."""
    mallory = enrolled(suite, suite.register(unique("mallory")))
    row = suite.store.inner.get(FACTORS.key(mallory.person.uuid))
    assert row is not None
    suite.store.inner.put(FACTORS, {**row, "user_uuid": anna.person.uuid})
    assert code_of(anna.log_in(mallory.code())) == WRONG
    assert code_of(anna.log_in(mallory.recovery_codes[0])) == WRONG


def test_a_row_that_is_lost_opens_nothing(suite: InProcessSuite, anna: Enrolled) -> None:
    """The account says that a code is needed, so without the row none is right, once its book carries none any more."""
    assert anna.log_in(anna.code()).status_code == 200
    with closing(sqlite3.connect(suite.file)) as connection:
        connection.execute("DELETE FROM FactorsTable WHERE partition = ?", [anna.person.uuid])
        connection.commit()
    assert code_of(anna.log_in()) == REQUIRED
    assert code_of(anna.log_in(anna.code())) == WRONG
    assert code_of(anna.log_in(anna.recovery_codes[0])) == WRONG


def test_a_copied_store_holds_no_secret_and_no_code(suite: InProcessSuite, anna: Enrolled) -> None:
    """Only what opens with the key ring, which is elsewhere."""
    written = b"".join(path.read_bytes() for path in suite.file.parent.glob("store.db*"))
    assert anna.person.uuid.encode() in written
    assert anna.app.secret not in written
    assert anna.app.secret.hex().encode() not in written
    for code in anna.recovery_codes:
        assert code.encode() not in written
        assert code.replace("-", "").encode() not in written
    assert suite.store.inner.get(USERS.key(anna.person.uuid)) is not None
