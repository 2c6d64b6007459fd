"""Keys made ahead: each given out once, none while somebody waits for a hash, and none handed down to a fork."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from device_manager.key_pool import SIZE, KeyPool, MadeKeys, made_keys


class Maker:
    """Makes keys that are cheap to make, and counts them."""

    def __init__(self) -> None:
        self.keys = made_keys()
        self.made = 0
        self.is_busy = False
        self.turns = 0

    def make(self) -> MadeKeys:
        """Make a pair that can be told from the others."""
        self.made += 1
        return MadeKeys(self.keys.signing, str(self.made), self.keys.private)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Count who makes one on the spot."""
        self.turns += 1
        yield


@pytest.fixture
def maker() -> Maker:
    """Return a maker."""
    return Maker()


@pytest.fixture
def pool(maker: Maker) -> Iterator[KeyPool]:
    """Return a pool of five that nobody has started."""
    pool = KeyPool(lambda: maker.is_busy, maker.turn, 5, maker.make)
    yield pool
    pool.close()


def until(is_so: Callable[[], bool]) -> None:
    """Wait for the background."""
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_is_filled_and_no_further(pool: KeyPool, maker: Maker) -> None:
    """And filled again after some were taken."""
    pool.start()
    until(lambda: len(pool) == 5)
    time.sleep(0.1)
    assert maker.made == 5
    for _ in range(3):
        pool.take()
    until(lambda: len(pool) == 5)
    assert (maker.made, maker.turns) == (8, 0)


def test_no_key_is_given_out_twice(pool: KeyPool) -> None:
    """Whoever asks at once, from the pool or made on the spot."""
    pool.start()
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: pool.take().kem, range(400)))
    assert len(set(taken)) == 400


def test_where_none_is_ready_it_is_made_in_turn(pool: KeyPool, maker: Maker) -> None:
    """As when nobody has started it."""
    assert [pool.take().kem for _ in range(3)] == ["1", "2", "3"]
    assert maker.turns == 3


def test_none_is_made_while_somebody_waits_for_a_hash(pool: KeyPool, maker: Maker) -> None:
    """The core is theirs."""
    maker.is_busy = True
    pool.start()
    time.sleep(0.3)
    assert maker.made == 0
    maker.is_busy = False
    until(lambda: len(pool) == 5)


def test_none_is_made_while_the_process_has_much_to_do(maker: Maker) -> None:
    """Of whatever kind: a request that waits for a core is worth more than a key that nobody asked for yet."""
    share = [0.9]
    pool = KeyPool(lambda: False, size=50, make=maker.make, processor_time=lambda: time.perf_counter() * share[0])
    pool.start()
    until(lambda: maker.made > 0)
    time.sleep(0.3)
    assert maker.made < 3
    share[0] = 0.1
    until(lambda: len(pool) == 50)
    pool.close()


def test_a_fault_does_not_end_the_background(maker: Maker) -> None:
    """The next pair is made."""
    faults = [MemoryError()]

    def make() -> MadeKeys:
        if faults:
            raise faults.pop()
        return maker.make()

    pool = KeyPool(lambda: False, size=2, make=make)
    pool.start()
    until(lambda: len(pool) == 2)
    pool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only on systems that fork")
def test_a_fork_gives_out_none_of_its_parents_keys(pool: KeyPool) -> None:
    """It makes its own."""
    pool.start()
    until(lambda: len(pool) == 5)
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.take().kem == "6" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.take().kem == "1"


def test_the_end_forgets_all(pool: KeyPool) -> None:
    """And ends the background."""
    before = set(threading.enumerate())
    pool.start()
    until(lambda: len(pool) == 5)
    pool.close()
    assert len(pool) == 0
    until(lambda: "key-pool" not in {thread.name for thread in set(threading.enumerate()) - before})
    assert len(pool) == 0


def test_the_keys_are_real_and_the_pool_is_small() -> None:
    """Each pair is new; so many are kept for each worker."""
    one, other = made_keys(), made_keys()
    assert SIZE == 64
    assert one.kem != other.kem
    assert one.private != other.private
