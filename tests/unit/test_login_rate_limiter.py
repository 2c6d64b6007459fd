"""Attempts that are taken by eventually consistent reads: counted exactly, however old what such a read tells is."""

from __future__ import annotations

import pytest

from common.account.history import ClientInfo
from common.errors import Code, Refusal
from common.storage.port import Value
from common.storage.tables import THROTTLE
from ichidai.settings import read_settings
from registration.login_rate_limiter import LoginRateLimiter, Taken
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.process import clock_at
from tests.support.unkind_store import Unkindness, UnkindStore
from tests.unit.builders import T0

HERE = ClientInfo("192.0.2.1", "")
OF_A_SOURCE, CODES = 10, 3


class Limiters:
    """Processes with a limiter each, on a store whose eventual reads tell the state before the last change."""

    def __init__(self) -> None:
        self.store = UnkindStore(MemoryStore(), clock_at(T0), Unkindness(stale=True))
        self._settings = read_settings({"ICHIDAI_LOGIN_ATTEMPTS_OTP": str(CODES)}).registration

    def new(self) -> LoginRateLimiter:
        """Return the limiter of a process of its own."""
        return LoginRateLimiter(self.store, clock_at(T0), self._settings)

    def take(self, *, code: bool = False) -> Taken:
        """Take an attempt in a process of its own."""
        return self.new().acquire("anna", HERE, None, code=code)

    def refund(self, taken: Taken) -> None:
        """Give it back in another one."""
        self.new().refund(taken)

    def spent(self) -> list[Value]:
        """Return what is spent of the source's and the account's attempts."""
        return [(self.store.get(THROTTLE.key(name)) or {})["spent"] for name in (f"from#{HERE.ip}", "of#anna")]

    def refusal(self) -> Code | None:
        """Take an attempt and return why there is none."""
        try:
            self.take()
        except Refusal as refusal:
            return refusal.code
        return None


@pytest.fixture
def limiters() -> Limiters:
    """Return processes that have counted nothing yet."""
    return Limiters()


def test_no_attempt_more_is_taken_than_there_is(limiters: Limiters) -> None:
    """Each take begins at an old state, and holds only if nothing newer lies there."""
    assert [limiters.refusal() for _ in range(OF_A_SOURCE + 2)] == [None] * OF_A_SOURCE + [Code.TOO_MANY_ATTEMPTS] * 2


def test_the_item_was_read_as_it_was_before(limiters: Limiters) -> None:
    """Else the other tests here would show nothing."""
    limiters.take()
    limiters.take()
    newest = limiters.store.get(THROTTLE.key("of#anna"))
    assert newest is not None
    assert limiters.store.get_eventual(THROTTLE.key("of#anna")) not in (None, newest)


def test_an_attempt_that_was_just_given_back_is_there(limiters: Limiters) -> None:
    """By the old state none is left: before a client is refused, the item is read strongly."""
    taken = [limiters.take() for _ in range(OF_A_SOURCE)]
    limiters.refund(taken[0])
    assert limiters.refusal() is None
    assert limiters.refusal() is Code.TOO_MANY_ATTEMPTS


def test_an_attempt_of_a_code_that_was_just_given_back_is_there(limiters: Limiters) -> None:
    """Likewise, though it is told only after the password was found right."""
    taken = [limiters.take(code=True) for _ in range(CODES)]
    limiters.refund(taken[0])
    assert limiters.take(code=True).no_code is None
    assert limiters.take(code=True).no_code is not None


def test_a_refused_attempt_costs_nothing(limiters: Limiters) -> None:
    """By the old state one is left: what was taken of the source's is given back when the account has none."""
    for _ in range(OF_A_SOURCE):
        limiters.take()
    before = limiters.spent()
    assert limiters.refusal() is Code.TOO_MANY_ATTEMPTS
    assert before == limiters.spent()


def test_a_device_that_just_became_known_has_attempts_of_its_own(limiters: Limiters) -> None:
    """By the old state it is unknown, and would be refused with those who guess."""
    limiters.new().remember("anna", "phone", HERE)
    for _ in range(OF_A_SOURCE):
        limiters.take()
    assert limiters.new().acquire("anna", HERE, "phone", code=False).counted_as
