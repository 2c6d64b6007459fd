"""The feed and the streams over the whole suite: every ending is told, in its own commit and with its own reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from common.book import AccountState
from common.clock import to_rfc3339
from common.errors import Refusal
from common.feed import read_endings
from common.history import Reason
from common.possession import Presented
from common.storage.port import StoreUnavailable, Write
from common.storage.sqlite import SqliteStore
from common.storage.tables import ALL, FEED
from session_manager.event_hub import Hub, Stream
from session_manager.event_model import Notice, StreamLimits
from session_manager.event_watch import Watch
from tests.interleavings.bugs import Around
from tests.usecases.house import HOUR, PASSWORD, SECOND, HandClock, House, Login, Person, ended

Build = Callable[..., House]
Act = Callable[[House, HandClock, Person, Login], None]

QUICK, SLOW = 0.02, 60.0


def second(house: House, anna: Person) -> Login:
    """Log in on a second device, by force if need be."""
    return house.log_in(anna, house.pair(anna), force=True)


def taken_over(house: House, _clock: HandClock, anna: Person, _login: Login) -> None:
    """Consent on another device."""
    laptop = house.pair(anna)
    assert house.take_over(house.login(anna, laptop), laptop).status_code == 200


def forced_out(house: House, _clock: HandClock, anna: Person, _login: Login) -> None:
    """Log in on another device by force."""
    second(house, anna)


def replaced(house: House, _clock: HandClock, anna: Person, _login: Login) -> None:
    """Log in on the same device again."""
    house.log_in(anna)


def logged_out(house: House, _clock: HandClock, _anna: Person, login: Login) -> None:
    """Log out."""
    assert house.post("/session/logout", token=login.access).status_code == 200


def refresh_reused(house: House, clock: HandClock, _anna: Person, login: Login) -> None:
    """Use an old refresh token."""
    assert house.refresh(login.refresh).status_code == 200
    clock.move(11 * SECOND)
    assert ended(house.refresh(login.refresh)) == "refresh-reused"


def expired(house: House, clock: HandClock, anna: Person, _login: Login) -> None:
    """Let it run out; the next login sweeps it up."""
    clock.move(25 * HOUR)
    house.log_in(anna)


ONE_ACTIVE: dict[Reason, Act] = {
    Reason.TAKEN_OVER: taken_over,
    Reason.FORCED_OUT: forced_out,
    Reason.REPLACED: replaced,
    Reason.LOGGED_OUT: logged_out,
    Reason.REFRESH_REUSED: refresh_reused,
    Reason.EXPIRED: expired,
}


@pytest.mark.parametrize("reason", ONE_ACTIVE)
def test_every_ending_is_in_the_feed_as_it_is_in_the_history(house: House, clock: HandClock, reason: Reason) -> None:
    """The same session, reason and time, readable at the moment of the change; its commit is the ending's own."""
    anna = house.register()
    login = house.log_in(anna)
    house.store.watch()
    ONE_ACTIVE[reason](house, clock, anna, login)
    told = [(e.session_id, e.reason, e.at) for e in read_endings(house.store.inner, clock())]
    assert told == house.endings(anna)
    assert [(session, why) for session, why, _ in told] == [(login.session_id, reason)]
    (commit,) = [commit for commit in house.store.commits if FEED.name in commit.tables]
    assert {"SessionsTable", "LoginHistory"} <= set(commit.tables)


BY: dict[Reason, str] = {Reason.TAKEN_OVER: "Laptop", Reason.FORCED_OUT: "Laptop", Reason.REPLACED: "Phone"}


@pytest.mark.parametrize("reason", ONE_ACTIVE)
def test_a_refusal_tells_what_a_stream_would_have_told(house: House, clock: HandClock, reason: Reason) -> None:
    """Both tokens of a session that has ended: why, when, and the device that brought it about, where one did."""
    anna = house.register()
    login = house.log_in(anna)
    ONE_ACTIVE[reason](house, clock, anna, login)
    ((_, _, at),) = house.endings(anna)
    for answer in (house.verify(login), house.refresh(login.refresh)):
        assert ended(answer) == reason
        told = answer.get_json()
        assert (told["event_timestamp"], told["by_device"]) == (to_rfc3339(at), BY.get(reason))


def test_a_refusal_names_a_device_that_has_no_row(build_house: Build) -> None:
    """Where no device is demanded its name is known from its login alone."""
    house = build_house(ICHIDAI_DEVICE_PROOF="none")
    anna = house.register()
    login = house.log_in(anna)
    body = {"username": anna.username, "password": PASSWORD, "force": True}
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    assert house.post("/login", body, **agent).status_code == 200
    assert house.verify(login).get_json()["by_device"] == "Firefox on Linux"


def test_a_session_that_merely_ran_out_was_ended_by_nobody(house: House, clock: HandClock) -> None:
    """While no login has swept it up there is no record to tell of."""
    login = house.log_in(house.register())
    clock.move(25 * HOUR)
    answer = house.verify(login)
    assert ended(answer) == "expired"
    assert "by_device" not in answer.get_json()


def unbound(house: House, phone: Login, laptop: Login) -> None:
    """Take the other device off the account."""
    assert house.post("/device/unbind", {"device_id": laptop.device_id}, phone.access).status_code == 200


def revoked(house: House, phone: Login, laptop: Login) -> None:
    """End the other session."""
    assert house.post("/session/revoke", {"session_id": laptop.session_id}, phone.access).status_code == 200


def kept_earliest(house: House, phone: Login, _laptop: Login) -> None:
    """Keep the device that logged in first."""
    assert house.post("/device/force_logout", token=phone.access).status_code == 200


@pytest.mark.parametrize(
    ("act", "reason"),
    [(unbound, Reason.DEVICE_UNBOUND), (revoked, Reason.REVOKED), (kept_earliest, Reason.FORCED_OUT)],
)
def test_so_is_what_one_device_does_to_another(build_house: Build, act: Callable[..., None], reason: Reason) -> None:
    """With the device that did it."""
    house = build_house(MAX_CONCURRENT_DEVICES="2")
    anna = house.register()
    phone = house.log_in(anna)
    house.clock.move(SECOND)
    laptop = house.log_in(anna, house.pair(anna))
    act(house, phone, laptop)
    (told,) = read_endings(house.store.inner, house.clock())
    assert (told.session_id, told.reason, told.by) == (laptop.session_id, reason, phone.device_id)


def test_several_endings_of_one_change_are_one_item(build_house: Build) -> None:
    """However many sessions go at once, a commit stays small."""
    house = build_house(MAX_CONCURRENT_DEVICES="0")
    anna = house.register()
    logins = [house.log_in(anna), *(house.log_in(anna, house.pair(anna, f"Device {n}")) for n in range(8))]
    house.store.watch()
    assert house.post("/device/force_logout", token=logins[0].access).status_code == 200
    assert {told.session_id for told in read_endings(house.store.inner, house.clock())} == {
        login.session_id for login in logins[1:]
    }
    (commit,) = house.store.commits
    assert commit.tables.count(FEED.name) == 1


class WithoutFeed(Around):
    """A planted bug: the store of a suite that forgets to write the feed."""

    def commit(self, writes: Sequence[Write], request_id: str) -> None:
        """Commit all but the feed."""
        self.inner.commit([write for write in writes if write.key.table is not FEED], request_id)


@pytest.fixture
def forgetful(build_house: Build, tmp_path: Any, clock: HandClock) -> House:
    """Return a house with the planted bug."""
    return build_house(store=WithoutFeed(SqliteStore(tmp_path / "store.db", ALL, clock)))


async def outcome(stream: Stream, seconds: float) -> Notice | None:
    """Return the notice that a stream ends with, or None if it is still open after so long."""
    done, _ = await asyncio.wait((stream.ended,), timeout=seconds)
    return stream.ended.result() if done else None


def heard(
    house: House, login: Login, act: Callable[[], object], *, look: float, seconds: float = 10.0
) -> Notice | None:
    """Listen, act, and return what was told within some time; `look` is how often a stream's own book is read."""

    async def listening() -> Notice | None:
        watch = Watch(house.suite.events, Hub(StreamLimits()), feed=QUICK, look=look)
        running = asyncio.create_task(watch.run())
        try:
            stream = await watch.listen(Presented(login.access), "test")
            act()
            return await outcome(stream, seconds)
        finally:
            running.cancel()

    return asyncio.run(listening())


def test_the_feed_alone_tells(house: House, clock: HandClock) -> None:
    """Long before anybody looks into the book; with the name of the device."""
    anna = house.register()
    login = house.log_in(anna)
    notice = heard(house, login, lambda: taken_over(house, clock, anna, login), look=SLOW)
    assert notice == Notice("taken-over", clock(), "Laptop")


def test_without_the_feeds_write_nobody_is_told_in_time(forgetful: House, clock: HandClock) -> None:
    """The negative control: these tests do see a feed that is not written. The session is dead all the same."""
    anna = forgetful.register()
    login = forgetful.log_in(anna)
    act = lambda: taken_over(forgetful, clock, anna, login)  # noqa: E731 - it is short
    assert heard(forgetful, login, act, look=SLOW, seconds=1.0) is None
    assert ended(forgetful.verify(login)) == "taken-over"


def test_what_the_feed_missed_the_book_tells(forgetful: House, clock: HandClock) -> None:
    """The look that comes once a minute finds the ending, with its reason and the device that did it."""
    anna = forgetful.register()
    login = forgetful.log_in(anna)
    act = lambda: taken_over(forgetful, clock, anna, login)  # noqa: E731 - it is short
    assert heard(forgetful, login, act, look=0.2) == Notice("taken-over", clock(), "Laptop")


def test_what_nobody_wrote_down_the_book_tells(house: House, clock: HandClock) -> None:
    """An expiry at its deadline, and an account that was closed by hand: no commit ended the session."""
    anna = house.register()
    login = house.log_in(anna)
    end = house.book(anna).sessions[login.session_id].last_seen_at + 24 * HOUR
    assert heard(house, login, lambda: clock.move(25 * HOUR), look=0.2) == Notice("expired", end)
    clock.move(-25 * HOUR)

    def close_account() -> None:
        from msgspec.structs import replace  # noqa: PLC0415 - used here alone

        house.put_book(replace(house.book(anna), state=AccountState.DISABLED))

    assert heard(house, login, close_account, look=0.2) == Notice("revoked", clock())


def test_a_store_that_is_away_ends_no_stream(house: House, clock: HandClock) -> None:
    """That a session has ended is never guessed; when the store is back, what happened is told."""
    anna = house.register()
    login = house.log_in(anna)

    def away(_call: object) -> None:
        raise StoreUnavailable("away")

    assert heard(house, login, lambda: house.store.watch(before=away), look=0.1, seconds=1.0) is None
    house.store.watch()
    assert heard(house, login, lambda: logged_out(house, clock, anna, login), look=SLOW) == Notice(
        "logged-out", clock()
    )


def test_listening_is_no_activity_and_writes_nothing(house: House, clock: HandClock) -> None:
    """Attack 27: a stream, however long it is open, keeps no session alive."""
    anna = house.register()
    login = house.log_in(anna)
    clock.move(300 * SECOND)
    before = house.content()
    assert heard(house, login, lambda: clock.move(60 * SECOND), look=0.05, seconds=0.5) is None
    assert house.content() == before
    assert house.book(anna).sessions[login.session_id].last_seen_at < clock() - 300 * SECOND


def test_one_read_serves_all_streams(house: House, clock: HandClock) -> None:
    """What is asked of the store in a while does not grow with the streams."""

    async def reads_with(streams: int) -> int:
        watch = Watch(house.suite.events, Hub(StreamLimits(session=1000, user=1000)), feed=0.1, look=SLOW)
        running = asyncio.create_task(watch.run())
        for _ in range(streams):
            await watch.listen(Presented(login.access), "test")
        house.store.watch()
        await asyncio.sleep(0.5)
        running.cancel()
        return len([call for call in house.store.calls if call.verb == "query"])

    anna = house.register()
    login = house.log_in(anna)
    assert asyncio.run(reads_with(0)) == 0, "nobody listens, nothing is asked"
    assert asyncio.run(reads_with(200)) <= 6 * 8


def test_who_may_not_listen_is_refused_as_everywhere(house: House, clock: HandClock) -> None:
    """An ended session with its reason."""
    anna = house.register()
    login = house.log_in(anna)
    logged_out(house, clock, anna, login)
    with pytest.raises(Refusal, match="session-ended") as refused:
        heard(house, login, lambda: None, look=SLOW)
    assert refused.value.facts["session_reason"] == "logged-out"
