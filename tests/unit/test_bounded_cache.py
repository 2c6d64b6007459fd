"""The bounded memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from common.bounded_cache import BoundedCache


def test_the_oldest_is_forgotten_for_the_newest() -> None:
    """It never holds more than it may."""
    memo: BoundedCache[int, str] = BoundedCache(2)
    for number in range(3):
        assert memo.put(number, str(number)) == str(number)
    assert [memo.get(number) for number in range(3)] == [None, "1", "2"]
    assert len(memo) == 2


def test_many_threads_keep_its_bound() -> None:
    """They put and forget at the same time."""
    memo: BoundedCache[int, int] = BoundedCache(100)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: memo.put(number, number), range(20_000)))
    assert len(memo) == 100
