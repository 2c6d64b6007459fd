"""Endings whose process died or is behind before it told of them: streams are told by a sweep, and only then swept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from queue import Queue

import pytest

from common.account.heartbeat import STOPPED_AFTER
from common.account.policy_store import set_policy
from common.account.policy_values import LIMIT
from common.background import Task
from common.keys.generation_store import raise_generation
from common.proof.dpop_service import RequestCredentials
from common.storage.port import Item, OutcomeUnknown, Put, StoreUnavailable
from common.storage.tables import FEED, SESSIONS
from session_manager.event_hub import Hub, Stream
from session_manager.event_model import Notice, StreamLimits
from session_manager.event_watch import Watch
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import HOUR, MINUTE, SECOND, HandClock, InProcessSuite, Login, ended
from tests.usecases.test_feed import second, taken_over
from tests.usecases.watched_store import StoreCall

QUICK, SOON, LONG, A_WHILE = 0.02, 0.1, 3600.0, 0.6
DEAD = STOPPED_AFTER + SECOND
KEY = "processes"


class Worker:
    """Another process on the suite's store, with a heartbeat; it lays nothing down before it is told to."""

    def __init__(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        self.suite: InProcessSuite = build()
        self.heartbeat, self.background = self.suite.suite.heartbeat, self.suite.suite.background
        self.tasks: Queue[Task] = Queue()
        monkeypatch.setattr(self.suite.suite.registration.transactions._laying, "_in_background", self.tasks.put)
        self.waits = 0.0
        monkeypatch.setattr(self.background, "waiting", lambda: (self.tasks.qsize(), self.waits))
        self.heartbeat.start()
        self.heartbeat._thread.close()  # it beats when the test says so


@pytest.fixture
def worker(suite: InProcessSuite, build_suite: Build, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Return a process beside the suite, which serves the streams."""
    assert suite
    return Worker(build_suite, monkeypatch)


def heartbeats(suite: InProcessSuite) -> list[Item]:
    """Return the heartbeats in the store."""
    return [*suite.store.inner.query(FEED, KEY).items]


async def told(stream: Stream, seconds: float = A_WHILE) -> Notice | None:
    """Return what a stream was told within some time."""
    done, _ = await asyncio.wait((stream.ended,), timeout=seconds)
    return stream.ended.result() if done else None


def listening(suite: InProcessSuite, login: Login, story: Callable[[Stream], Awaitable[None]]) -> None:
    """Tell a story with an open stream. Its book is read once an hour, or by a sweep."""

    async def run() -> None:
        watch = Watch(suite.suite.events, Hub(StreamLimits()), feed=QUICK, look=QUICK, sweep=SOON, poll=LONG)
        running = asyncio.create_task(watch.run())
        try:
            stream = await watch.subscribe(RequestCredentials(login.access), "test")
            assert await told(stream, 0.2) is None
            suite.store.watch()
            await story(stream)
        finally:
            running.cancel()

    asyncio.run(run())


def book_reads(suite: InProcessSuite) -> int:
    """Return how often a book was read since it was last watched."""
    return sum(call.verb == "get" and call.tables == (SESSIONS.name,) for call in suite.store.calls)


def test_what_a_dead_process_left_untold_a_sweep_tells(suite: InProcessSuite, worker: Worker, clock: HandClock) -> None:
    """I28: killed after the put and before the hint. While the heartbeat is young nobody reads a book."""
    anna = suite.register()
    login = suite.log_in(anna)

    async def story(stream: Stream) -> None:
        taken_over(worker.suite, clock, anna, login)
        at = clock()
        assert worker.tasks.qsize()
        suite.store.watch()
        assert await told(stream) is None
        clock.move(STOPPED_AFTER)
        assert await told(stream) is None
        assert book_reads(suite) == 0
        clock.move(SECOND)
        assert await told(stream, 10) == Notice("taken-over", at, "Laptop")

    listening(suite, login, story)


def test_each_stop_is_swept_once(suite: InProcessSuite, worker: Worker, clock: HandClock) -> None:
    """A process that was stopped for long and goes on counts as dead then, and once more when it is killed."""
    anna = suite.register()
    login = suite.log_in(anna)

    async def story(stream: Stream) -> None:
        clock.move(DEAD)
        assert await told(stream) is None
        assert book_reads(suite) == 1, "the sweep"
        for _ in range(3):
            clock.move(20 * SECOND)
            assert await told(stream, 0.2) is None
        assert book_reads(suite) == 1, "and no other"
        worker.heartbeat.beat()
        taken_over(worker.suite, clock, anna, login)
        assert await told(stream) is None
        clock.move(DEAD)
        assert await told(stream, 10) is not None

    listening(suite, login, story)


def test_a_clean_end_is_no_death(suite: InProcessSuite, worker: Worker, clock: HandClock) -> None:
    """What is laid down leaves nothing to be told: the heartbeat goes, and no book is read."""
    login = suite.log_in(suite.register())

    async def story(stream: Stream) -> None:
        worker.heartbeat.close()
        assert heartbeats(suite) == []
        worker.heartbeat.beat()
        assert heartbeats(suite) == [], "what is closed beats no more"
        clock.move(DEAD)
        assert await told(stream) is None
        assert book_reads(suite) == 0

    listening(suite, login, story)


def test_an_end_that_leaves_something_is_one(suite: InProcessSuite, worker: Worker, clock: HandClock) -> None:
    """The process ends in good order, and the store did not let it lay down."""
    anna = suite.register()
    login = suite.log_in(anna)

    async def story(stream: Stream) -> None:
        taken_over(worker.suite, clock, anna, login)
        worker.heartbeat.close()
        assert len(heartbeats(suite)) == 1
        clock.move(DEAD)
        assert await told(stream, 10) is not None

    listening(suite, login, story)


@pytest.mark.parametrize("how", ["given up", "late"])
def test_a_process_that_is_behind_says_so(suite: InProcessSuite, worker: Worker, clock: HandClock, how: str) -> None:
    """It lives, and beats: the feed refuses its writes, or there were too many."""
    anna = suite.register()
    login = suite.log_in(anna)

    async def story(stream: Stream) -> None:
        taken_over(worker.suite, clock, anna, login)
        worker.heartbeat.beat()
        assert await told(stream) is None
        if how == "late":
            worker.waits = 16.0
        else:
            worker.background.given_up += 1
        worker.heartbeat.beat()
        assert await told(stream, 10) is not None

    listening(suite, login, story)
    worker.tasks.queue.clear()
    worker.heartbeat.close()
    assert len(heartbeats(suite)) == 1, "it may not have been seen yet"


def test_while_the_store_is_unavailable_nothing_is_concluded(
    suite: InProcessSuite, worker: Worker, clock: HandClock
) -> None:
    """What happened meanwhile is told when it is back, however long that took: the books are read."""
    anna = suite.register()
    login = suite.log_in(anna)

    def away(_call: object) -> None:
        raise StoreUnavailable("away")

    async def story(stream: Stream) -> None:
        taken_over(worker.suite, clock, anna, login)
        at = clock()
        suite.store.watch(before=away)
        clock.move(20 * MINUTE)  # the heartbeat is gone by then
        assert await told(stream) is None
        suite.store.watch()
        assert await told(stream, 10) == Notice("taken-over", at, "Laptop")

    assert worker
    listening(suite, login, story)


def test_a_feed_that_could_not_be_read_for_long_is_made_up_for(
    suite: InProcessSuite, build_suite: Build, clock: HandClock
) -> None:
    """Hints of more than a minute ago are not read any more: the books are."""
    anna = suite.register()
    login = suite.log_in(anna)
    other = build_suite()

    def no_feed(call: StoreCall) -> None:
        if call.tables == (FEED.name,) and call.partition != KEY:
            raise StoreUnavailable("throttled")

    async def story(stream: Stream) -> None:
        suite.store.watch(before=no_feed)
        taken_over(other, clock, anna, login)
        for _ in range(8):
            clock.move(10 * SECOND)
            assert await told(stream, 0.1) is None
        suite.store.watch()
        assert await told(stream, 10) is not None

    listening(suite, login, story)


def test_a_hint_whose_book_could_not_be_read_is_not_lost(
    suite: InProcessSuite, build_suite: Build, clock: HandClock
) -> None:
    """It is read again, within the time of a sweep, though the hint is not."""
    anna = suite.register()
    login = suite.log_in(anna)
    other = build_suite()

    def no_book(call: StoreCall) -> None:
        if call.tables == (SESSIONS.name,):
            raise StoreUnavailable("throttled")

    async def story(stream: Stream) -> None:
        suite.store.watch(before=no_book)
        taken_over(other, clock, anna, login)
        assert await told(stream) is None
        for _ in range(3):
            clock.move(10 * SECOND)
            assert await told(stream, 0.2) is None
        suite.store.watch()
        assert await told(stream, 10) is not None

    listening(suite, login, story)


def lowered(suite: InProcessSuite) -> None:
    """Let one device be active."""
    set_policy(suite.store.inner, {LIMIT: "1"}, who="operator", why="a test", now=suite.clock())


def everybody_out(suite: InProcessSuite) -> None:
    """Make every session void."""
    raise_generation(suite.store.inner, who="operator", why="a test", now=suite.clock())


@pytest.mark.parametrize(("act", "reason"), [(lowered, "over-limit"), (everybody_out, "revoked")])
def test_what_ends_by_other_rules_is_told_at_once(
    build_suite: Build, act: Callable[[InProcessSuite], None], reason: str
) -> None:
    """No change of the account tells of it, and no process died."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna = suite.register()
    suite.log_in(anna)
    laptop = second(suite, anna)

    async def story(stream: Stream) -> None:
        act(suite)
        assert await told(stream) is None, "it is not in force here"
        suite.suite.policies.reread()
        notice = await told(stream, 10)
        assert notice is not None
        assert notice.reason == reason

    listening(suite, laptop, story)


def test_listening_alone_reads_no_book(suite: InProcessSuite, worker: Worker, clock: HandClock) -> None:
    """What a stream costs: while processes live, one look for all streams every ten seconds."""
    login = suite.log_in(suite.register())

    async def story(stream: Stream) -> None:
        for _ in range(6):
            clock.move(10 * SECOND)
            worker.heartbeat.beat()
            assert await told(stream, 0.1) is None
        assert book_reads(suite) == 0
        assert not suite.store.commits

    listening(suite, login, story)


def test_each_stream_is_read_once_an_hour_all_the_same(suite: InProcessSuite, worker: Worker, clock: HandClock) -> None:
    """What nobody noticed: here the hour is a moment."""
    anna = suite.register()
    login = suite.log_in(anna)

    async def run() -> None:
        watch = Watch(suite.suite.events, Hub(StreamLimits()), look=LONG, poll=0.2)
        running = asyncio.create_task(watch.run())
        stream = await watch.subscribe(RequestCredentials(login.access), "test")
        taken_over(worker.suite, clock, anna, login)
        assert await told(stream, 10) is not None
        running.cancel()

    asyncio.run(run())


def test_a_change_whose_answer_was_lost_is_told_all_the_same(
    suite: InProcessSuite, build_suite: Build, clock: HandClock
) -> None:
    """The client is answered 503, and the process, which lives, looks whether the change was made."""
    anna = suite.register()
    login = suite.log_in(anna)
    other = build_suite()
    laptop = other.pair(anna)
    background = other.suite.background
    background.start()

    made: list[StoreCall] = []

    def is_put(call: StoreCall) -> bool:
        return any(isinstance(write, Put) and write.table is SESSIONS for write in call.writes)

    def lost(call: StoreCall) -> None:
        if is_put(call):
            made.append(call)
            raise OutcomeUnknown("the answer was lost")

    def lost_before(call: StoreCall) -> None:
        if made and is_put(call):
            raise OutcomeUnknown("so is that of each other try")

    async def story(stream: Stream) -> None:
        other.store.watch(before=lost_before, after=lost)
        answer = await asyncio.to_thread(other.login, anna, laptop, force=True)
        assert answer.status_code == 503
        assert await told(stream, 10) is not None

    listening(suite, login, story)
    background.close()
    assert ended(suite.verify(login)) == "forced-out"


def test_what_long_dead_processes_left_is_deleted_by_the_next_that_starts(
    suite: InProcessSuite, worker: Worker, build_suite: Build, monkeypatch: pytest.MonkeyPatch, clock: HandClock
) -> None:
    """An engine may delete what has expired late, or never."""
    left = [item["id"] for item in heartbeats(suite)]
    clock.move(HOUR)
    next_one = Worker(build_suite, monkeypatch)
    assert worker
    assert next_one
    (found,) = heartbeats(suite)
    assert found["id"] not in left
