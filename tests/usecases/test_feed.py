"""The feed and the streams over the whole suite: every ending is told, after its change and with its own reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from common.account.book import AccountState
from common.account.feed import FeedReader, hint_of
from common.account.history import Reason
from common.clock import to_rfc3339
from common.errors import Refusal
from common.proof.dpop_service import RequestCredentials
from common.storage.port import Condition, Item, StoreUnavailable, Table
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, FEED
from session_manager.event_hub import Hub, Stream
from session_manager.event_model import Notice, StreamLimits
from session_manager.event_watch import Watch
from tests.interleavings.bugs import Around
from tests.usecases.in_process_suite import (
    HOUR,
    IDLE,
    PASSWORD,
    SECOND,
    HandClock,
    InProcessSuite,
    Login,
    Person,
    ended,
)

Build = Callable[..., InProcessSuite]
Act = Callable[[InProcessSuite, HandClock, Person, Login], None]

QUICK, SLOW = 0.02, 60.0


def second(suite: InProcessSuite, anna: Person) -> Login:
    """Log in on a second device, by force if need be."""
    return suite.log_in(anna, suite.pair(anna), force=True)


def taken_over(suite: InProcessSuite, _clock: HandClock, anna: Person, _login: Login) -> None:
    """Consent on another device."""
    laptop = suite.pair(anna)
    assert suite.take_over(suite.login(anna, laptop), laptop).status_code == 200


def forced_out(suite: InProcessSuite, _clock: HandClock, anna: Person, _login: Login) -> None:
    """Log in on another device by force."""
    second(suite, anna)


def replaced(suite: InProcessSuite, _clock: HandClock, anna: Person, _login: Login) -> None:
    """Log in on the same device again."""
    suite.log_in(anna)


def logged_out(suite: InProcessSuite, _clock: HandClock, _anna: Person, login: Login) -> None:
    """Log out."""
    assert suite.post("/session/logout", token=login.access).status_code == 200


def refresh_reused(suite: InProcessSuite, clock: HandClock, _anna: Person, login: Login) -> None:
    """Use an old refresh token."""
    assert suite.refresh(login.refresh).status_code == 200
    clock.move(11 * SECOND)
    assert ended(suite.refresh(login.refresh)) == "refresh-reused"


def expired(suite: InProcessSuite, clock: HandClock, anna: Person, _login: Login) -> None:
    """Let it run out; the next login sweeps it up."""
    clock.move(25 * HOUR)
    suite.log_in(anna)


ONE_ACTIVE: dict[Reason, Act] = {
    Reason.TAKEN_OVER: taken_over,
    Reason.FORCED_OUT: forced_out,
    Reason.REPLACED: replaced,
    Reason.LOGGED_OUT: logged_out,
    Reason.REFRESH_REUSED: refresh_reused,
    Reason.EXPIRED: expired,
}


@pytest.mark.parametrize("reason", ONE_ACTIVE)
def test_every_ending_is_in_the_feed_as_it_is_in_the_history(
    suite: InProcessSuite, clock: HandClock, reason: Reason
) -> None:
    """A hint after the book was written, and before it lies in the history; the book knows the reason and the time."""
    anna = suite.register()
    login = suite.log_in(anna)
    suite.store.watch()
    ONE_ACTIVE[reason](suite, clock, anna, login)
    assert FeedReader(suite.store.inner).look(clock()) == {hint_of(login.session_id)}
    assert [(session, why) for session, why, _ in suite.endings(anna)] == [(login.session_id, reason)]
    (_, _, at), told = suite.endings(anna)[0], suite.suite.events.poll(anna.uuid, login.session_id)
    assert isinstance(told, Notice)
    assert (told.reason, told.at) == (reason, at)
    tables = [table for commit in suite.store.commits for table in commit.tables]
    told_at = tables.index(FEED.name)
    assert tables.count(FEED.name) == 1
    assert "SessionsTable" in tables[:told_at]
    assert tables[told_at + 1] == "LoginHistory"


BY: dict[Reason, str] = {Reason.TAKEN_OVER: "Laptop", Reason.FORCED_OUT: "Laptop", Reason.REPLACED: "Phone"}


@pytest.mark.parametrize("reason", ONE_ACTIVE)
def test_a_refusal_tells_what_a_stream_would_have_told(suite: InProcessSuite, clock: HandClock, reason: Reason) -> None:
    """Both tokens of a session that has ended: why, when, and the device that brought it about, where one did."""
    anna = suite.register()
    login = suite.log_in(anna)
    ONE_ACTIVE[reason](suite, clock, anna, login)
    ((_, _, at),) = suite.endings(anna)
    for answer in (suite.verify(login), suite.refresh(login.refresh)):
        assert ended(answer) == reason
        told = answer.get_json()
        assert (told["event_timestamp"], told["by_device"]) == (to_rfc3339(at), BY.get(reason))


def test_a_refusal_names_a_device_that_has_no_row(build_suite: Build) -> None:
    """Where no device is demanded its name is known from its login alone."""
    suite = build_suite(ICHIDAI_DEVICE_PROOF="none")
    anna = suite.register()
    login = suite.log_in(anna)
    body = {"username": anna.username, "password": PASSWORD, "force": True}
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    assert suite.post("/login", body, **agent).status_code == 200
    assert suite.verify(login).get_json()["by_device"] == "Firefox on Linux"


def test_a_session_that_merely_ran_out_was_ended_by_nobody(suite: InProcessSuite, clock: HandClock) -> None:
    """While no login has swept it up there is no record to tell of."""
    login = suite.log_in(suite.register())
    clock.move(25 * HOUR)
    answer = suite.verify(login)
    assert ended(answer) == "expired"
    assert "by_device" not in answer.get_json()


def unbound(suite: InProcessSuite, phone: Login, laptop: Login) -> None:
    """Take the other device off the account."""
    assert suite.post("/device/unbind", {"device_id": laptop.device_id}, phone.access).status_code == 200


def revoked(suite: InProcessSuite, phone: Login, laptop: Login) -> None:
    """End the other session."""
    assert suite.post("/session/revoke", {"session_id": laptop.session_id}, phone.access).status_code == 200


def kept_earliest(suite: InProcessSuite, phone: Login, _laptop: Login) -> None:
    """Keep the device that logged in first."""
    assert suite.post("/device/force_logout", token=phone.access).status_code == 200


@pytest.mark.parametrize(
    ("act", "reason"),
    [(unbound, Reason.DEVICE_UNBOUND), (revoked, Reason.REVOKED), (kept_earliest, Reason.FORCED_OUT)],
)
def test_so_is_what_one_device_does_to_another(build_suite: Build, act: Callable[..., None], reason: Reason) -> None:
    """With the device that did it."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna = suite.register()
    phone = suite.log_in(anna)
    suite.clock.move(SECOND)
    laptop = suite.log_in(anna, suite.pair(anna))
    act(suite, phone, laptop)
    assert FeedReader(suite.store.inner).look(suite.clock()) == {hint_of(laptop.session_id)}
    told = suite.suite.events.poll(anna.uuid, laptop.session_id)
    assert told == Notice(str(reason), suite.clock(), "Phone")


def test_several_endings_of_one_change_are_one_item(build_suite: Build) -> None:
    """However many sessions go at once, one write tells of them."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="0")
    anna = suite.register()
    logins = [suite.log_in(anna), *(suite.log_in(anna, suite.pair(anna, f"Device {n}")) for n in range(8))]
    suite.store.watch()
    assert suite.post("/device/force_logout", token=logins[0].access).status_code == 200
    assert FeedReader(suite.store.inner).look(suite.clock()) == {hint_of(login.session_id) for login in logins[1:]}
    assert [commit.tables for commit in suite.store.commits].count((FEED.name,)) == 1


class WithoutFeed(Around):
    """A planted bug: the store of a suite that forgets to write the feed."""

    def put(self, table: Table, item: Item, when: Condition = None) -> None:
        """Put nothing into the feed."""
        if table is not FEED:
            self.inner.put(table, item, when)


@pytest.fixture
def forgetful(build_suite: Build, tmp_path: Any, clock: HandClock) -> InProcessSuite:
    """Return a suite with the planted bug."""
    return build_suite(store=WithoutFeed(SqliteStore(tmp_path / "store.db", ALL, clock)))


async def outcome(stream: Stream, seconds: float) -> Notice | None:
    """Return the notice that a stream ends with, or None if it is still open after so long."""
    done, _ = await asyncio.wait((stream.ended,), timeout=seconds)
    return stream.ended.result() if done else None


def heard(
    suite: InProcessSuite, login: Login, act: Callable[[], object], *, look: float, seconds: float = 10.0
) -> Notice | None:
    """Listen, act, and return what was told within some time; `look` is how often a stream's own book is read."""

    async def listening() -> Notice | None:
        watch = Watch(suite.suite.events, Hub(StreamLimits()), feed=QUICK, poll=look)
        running = asyncio.create_task(watch.run())
        try:
            stream = await watch.subscribe(RequestCredentials(login.access), "test")
            act()
            return await outcome(stream, seconds)
        finally:
            running.cancel()

    return asyncio.run(listening())


def test_the_feed_alone_tells(suite: InProcessSuite, clock: HandClock) -> None:
    """Long before anybody looks into the book; with the name of the device."""
    anna = suite.register()
    login = suite.log_in(anna)
    notice = heard(suite, login, lambda: taken_over(suite, clock, anna, login), look=SLOW)
    assert notice == Notice("taken-over", clock(), "Laptop")


def test_without_the_feeds_write_nobody_is_told_in_time(forgetful: InProcessSuite, clock: HandClock) -> None:
    """The negative control: these tests do see a feed that is not written. The session is dead all the same."""
    anna = forgetful.register()
    login = forgetful.log_in(anna)
    act = lambda: taken_over(forgetful, clock, anna, login)  # noqa: E731 - it is short
    assert heard(forgetful, login, act, look=SLOW, seconds=1.0) is None
    assert ended(forgetful.verify(login)) == "taken-over"


def test_what_the_feed_missed_the_book_tells(forgetful: InProcessSuite, clock: HandClock) -> None:
    """The look that comes once a minute finds the ending, with its reason and the device that did it."""
    anna = forgetful.register()
    login = forgetful.log_in(anna)
    act = lambda: taken_over(forgetful, clock, anna, login)  # noqa: E731 - it is short
    assert heard(forgetful, login, act, look=0.2) == Notice("taken-over", clock(), "Laptop")


def test_what_nobody_wrote_down_the_book_tells(suite: InProcessSuite, clock: HandClock) -> None:
    """An expiry at its deadline, and an account that was closed by hand: no commit ended the session."""
    anna = suite.register()
    login = suite.log_in(anna)
    end = suite.book(anna).sessions[login.session_id].last_seen_at + IDLE
    assert heard(suite, login, lambda: clock.move(25 * HOUR), look=0.2) == Notice("expired", end)
    clock.move(-25 * HOUR)

    def close_account() -> None:
        from msgspec.structs import replace  # noqa: PLC0415 - used here alone

        suite.put_book(replace(suite.book(anna), state=AccountState.DISABLED))

    assert heard(suite, login, close_account, look=0.2) == Notice("revoked", clock())


def test_a_store_that_is_away_ends_no_stream(suite: InProcessSuite, clock: HandClock) -> None:
    """That a session has ended is never guessed; when the store is back, what happened is told."""
    anna = suite.register()
    login = suite.log_in(anna)

    def away(_call: object) -> None:
        raise StoreUnavailable("away")

    assert heard(suite, login, lambda: suite.store.watch(before=away), look=0.1, seconds=1.0) is None
    suite.store.watch()
    assert heard(suite, login, lambda: logged_out(suite, clock, anna, login), look=SLOW) == Notice(
        "logged-out", clock()
    )


def test_listening_is_no_activity_and_writes_nothing(suite: InProcessSuite, clock: HandClock) -> None:
    """Attack 27: a stream, however long it is open, keeps no session alive."""
    anna = suite.register()
    login = suite.log_in(anna)
    clock.move(300 * SECOND)
    before = suite.content()
    assert heard(suite, login, lambda: clock.move(60 * SECOND), look=0.05, seconds=0.5) is None
    assert suite.content() == before
    assert suite.book(anna).sessions[login.session_id].last_seen_at < clock() - 300 * SECOND


def test_one_read_serves_all_streams(suite: InProcessSuite, clock: HandClock) -> None:
    """What is asked of the store in a while does not grow with the streams."""

    async def reads_with(streams: int) -> int:
        watch = Watch(suite.suite.events, Hub(StreamLimits(session=1000, user=1000)), feed=0.1, poll=SLOW)
        running = asyncio.create_task(watch.run())
        for _ in range(streams):
            await watch.subscribe(RequestCredentials(login.access), "test")
        suite.store.watch()
        await asyncio.sleep(0.5)
        running.cancel()
        return len([call for call in suite.store.calls if call.verb == "query"])

    anna = suite.register()
    login = suite.log_in(anna)
    assert asyncio.run(reads_with(0)) == 0, "nobody listens, nothing is asked"
    assert asyncio.run(reads_with(200)) <= 6 * 8


def test_who_may_not_listen_is_refused_as_everywhere(suite: InProcessSuite, clock: HandClock) -> None:
    """An ended session with its reason."""
    anna = suite.register()
    login = suite.log_in(anna)
    logged_out(suite, clock, anna, login)
    with pytest.raises(Refusal, match="session-ended") as refused:
        heard(suite, login, lambda: None, look=SLOW)
    assert refused.value.extensions["session_reason"] == "logged-out"
