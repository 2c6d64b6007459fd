"""The hashing pool: how many requests it admits, how many hash at a time, and that every place is returned."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from common.account.history import ClientInfo
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.crypto.otp import FactorKeys
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.errors import Code, Refusal
from common.retry import deadline
from common.storage.opening import open_store
from ichidai.apps import MAX_PASSWORD_REQUESTS, app_for
from ichidai.server.worker import THREADS_PER_WORKER
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build
from registration.credentials import CredentialCheck
from registration.factors import Factors
from registration.hashing_pool import HashingPool
from registration.login_rate_limiter import LoginRateLimiter
from tests.support.passkeys import no_passkeys

PASSWORD = "correct horse 42 battery"
ORIGIN = ClientInfo("203.0.113.7", "a test")


class Flooded:
    """A pool that has been busy for long, with `places`, a clock of its own, and other requests."""

    def __init__(self, max_password_requests: int) -> None:
        self.seconds = 100.0
        self.hashing_pool = HashingPool(CHEAP_FOR_TESTS, max_password_requests, now=lambda: self.seconds)
        self.hashing_pool.note_traffic()

    @contextmanager
    def full(self) -> Iterator[None]:
        """Hold every place, since three seconds ago."""
        with ExitStack() as stack:
            for _ in range(self.hashing_pool._max_requests or 0):
                stack.enter_context(self.hashing_pool.admit())
            self.seconds += 3
            self.hashing_pool.note_traffic()
            yield


def test_who_comes_when_it_is_full_is_told_to_come_back() -> None:
    """At once, with a time to wait; a place that was left can be taken again."""
    flooded = Flooded(max_password_requests=2)
    with flooded.full(), pytest.raises(Refusal) as refused, flooded.hashing_pool.admit():
        pass
    assert (refused.value.code, refused.value.extensions["retry_after"]) == (Code.BUSY, 1)
    with flooded.hashing_pool.admit(), flooded.hashing_pool.admit():
        pass


def test_in_a_burst_all_wait() -> None:
    """Twenty who come at once are all let in: they are done before it is a flood."""
    flooded = Flooded(max_password_requests=2)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(flooded.hashing_pool.admit())
            flooded.seconds += 0.05
    with flooded.full(), pytest.raises(Refusal), flooded.hashing_pool.admit():
        pass


def test_while_nobody_else_asks_all_may_wait() -> None:
    """A flood of logins alone keeps nobody from anything: none of them is turned away."""
    flooded = Flooded(max_password_requests=1)
    with flooded.full():
        flooded.seconds += 6
        with flooded.hashing_pool.admit():
            assert flooded.hashing_pool.matches(flooded.hashing_pool.new(PASSWORD), PASSWORD)


def test_a_place_is_given_back_when_the_password_was_wrong() -> None:
    """Whatever is raised inside."""
    flooded = Flooded(max_password_requests=1)
    for _ in range(3):
        with pytest.raises(Refusal) as refused, flooded.full():
            raise Refusal(Code.BAD_CREDENTIALS)
        assert refused.value.code is Code.BAD_CREDENTIALS


def test_one_hashes_at_a_time() -> None:
    """Many threads hash at once, never two of them in their turn; all get right answers."""
    hashing_pool, inside, most, lock = HashingPool(CHEAP_FOR_TESTS), 0, 0, threading.Lock()

    def hash_some() -> None:
        nonlocal inside, most
        for _ in range(20):
            with hashing_pool.slot():
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1
            assert hashing_pool.matches(hashing_pool.new(PASSWORD), PASSWORD)

    threads = [threading.Thread(target=hash_some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_nobody_waits_for_a_turn_past_the_request_s_end() -> None:
    """A turn that does not come within what is left of the request is a 503."""
    hashing_pool = HashingPool(CHEAP_FOR_TESTS)
    with hashing_pool.slot(), deadline(0.01), pytest.raises(Refusal) as refused:
        hashing_pool.new(PASSWORD)
    assert refused.value.code is Code.BUSY


def test_a_worker_keeps_a_thread_for_those_who_bring_no_password() -> None:
    """The two numbers stand in different modules."""
    assert 0 < MAX_PASSWORD_REQUESTS < THREADS_PER_WORKER


def test_whoever_is_authenticated_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verification, good or not, is what a place is kept for."""
    heard: list[bool] = []
    monkeypatch.setattr(HashingPool, "note_traffic", lambda _room: heard.append(True))
    suite = build(read_settings({"ICHIDAI_DATA_DIR": str(tmp_path)}), App.ALL, 8000, cost=CHEAP_FOR_TESTS)
    app_for(App.ALL, suite).test_client().get("/session/verify", headers={"Authorization": "Bearer x.y.z"})
    suite.close()
    assert heard


def test_a_guess_that_met_a_full_pool_was_none_and_read_nothing(tmp_path: Path) -> None:
    """It is not counted, for nothing was compared; and a known name is answered like an unknown one."""
    settings = read_settings({"ICHIDAI_DATA_DIR": str(tmp_path), "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "1"})
    suite = build(settings, App.ALL, 8000, cost=CHEAP_FOR_TESTS)
    form = {"username": "alice", "email": "alice@example.test", "password": PASSWORD}
    assert app_for(App.ALL, suite).test_client().post("/registration/", json=form).status_code == 200
    suite.close()
    store, flooded = open_store(settings.store_url, system_clock), Flooded(max_password_requests=1)
    hashing_pool = flooded.hashing_pool
    guesses, key = LoginRateLimiter(store, system_clock, settings.registration), b"k" * 32
    factors = Factors(
        store, system_clock, AccountTransactions(store, system_clock), FactorKeys(key), no_passkeys(system_clock)
    )
    check = CredentialCheck(store, system_clock, guesses, hashing_pool, key, factors)
    for name in ("alice", "nobody") * 3:
        with flooded.full(), pytest.raises(Refusal) as refused:
            check.authenticate(name, "wrong horse 42 battery", ORIGIN)
        assert (refused.value.code, refused.value.extensions["retry_after"]) == (Code.BUSY, 1)
    with hashing_pool.slot(), deadline(0.01), pytest.raises(Refusal) as refused:
        check.authenticate("alice", PASSWORD, ORIGIN)
    assert refused.value.code is Code.BUSY
    assert check.authenticate("alice", PASSWORD, ORIGIN).username == "alice"
    store.close()
