"""`ichidai move`: a store brought to the other engine and back, cut short and gone on with; what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from itertools import chain, count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from click.testing import CliRunner, Result
from werkzeug.test import TestResponse

from common.clock import system_clock, to_millis
from common.keys.key_provider import READ_EVERY_SECONDS, TRUSTED_SECONDS
from common.keys.key_registry import REGISTRY
from common.keys.store_move import Phase, check_writable, move_of
from common.keys.store_schema import SCHEMA, SchemaError
from common.storage import write_guard
from common.storage.engine_rules import end_of
from common.storage.opening import canonical_url, open_for_maintenance
from common.storage.port import Item, Key
from common.storage.tables import ALL, KEY_RING, THROTTLE
from common.storage.write_guard import RereadingGuard, always, guard_writes
from ichidai.cli.audit import app as audit
from ichidai.cli.check_store import app as check_store
from ichidai.cli.generation import app as everybody_out
from ichidai.cli.move import app as move
from ichidai.moving import copying, mover
from tests.support.engines import ENGINES, Engine, sqlite_engine
from tests.usecases.in_process_suite import HandClock, InProcessSuite, Login, Person, as_login, code_of, ended

if TYPE_CHECKING:
    from common.storage.sqlite.store import SqliteStore

Move = Callable[..., Result]
Serve = Callable[[Engine], InProcessSuite]


class CutShort(BaseException):
    """The command dies."""


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Engine, Engine]:
    """Return a source and an empty target: two files, unless the test names the engines."""
    names = getattr(request, "param", ("sqlite", "sqlite"))
    one, other = (ENGINES[name](tmp_path) for name in names)
    return one, other


@pytest.fixture
def serve(tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[Serve]:
    """Return what serves a store on the test's one host: keys and witness are those of the place before."""
    with ExitStack() as suites:

        def serve(engine: Engine) -> InProcessSuite:
            store = open_for_maintenance(engine.url, clock, engine.region, patient=True)
            suite = InProcessSuite(tmp_path / "host", keys, clock, store, wrap=lambda watched: watched.inner)
            return suites.enter_context(closing(suite))

        (tmp_path / "host").mkdir()
        yield serve


@pytest.fixture
def command(keys: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command a little after the suite's clock, waiting for nobody."""
    monkeypatch.setenv("ICHIDAI_KEYS_DIR", str(keys))
    monkeypatch.setattr(mover, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(mover, "UNSERVED_SECONDS", 0.0)

    def command(app: object, *words: str, on: Engine, expect: int = 0) -> Result:
        for name, value in on.settings.items():
            monkeypatch.setenv(name, value)
        ahead = clock.now - system_clock() + timedelta(seconds=1)
        monkeypatch.setenv("ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS", str(int(ahead.total_seconds())))
        result = CliRunner().invoke(app, words)  # type: ignore[arg-type]
        assert result.exit_code == expect, (result.output, result.exception)
        return result

    return command


@pytest.fixture
def run(command: Callable[..., Result], places: tuple[Engine, Engine]) -> Move:
    """Return what moves from the one place to the other, or from one that is named to another."""

    def run(*options: str, source: str | None = None, target: str | None = None, expect: int = 0) -> Result:
        urls = "--from", source or places[0].url, "--to", target or places[1].url
        region = next((place for place in places if place.region is not None), places[0])
        return command(move, *urls, "--yes", *options, on=region, expect=expect)

    return run


def content(engine: Engine) -> dict[Key, Item]:
    """Return all that lies in a store."""
    with closing(open_for_maintenance(engine.url, system_clock, engine.region, patient=True)) as store:
        return {table.key_of(item): item for table in ALL for page in store.pages(table) for item in page}


def unexpired(found: dict[Key, Item], clock: HandClock) -> dict[Key, Item]:
    """Return what has not expired by the time of a command; what has may stay behind."""
    by_then = to_millis(clock.now + timedelta(seconds=5))
    ends = {key: end_of(key.table, item) for key, item in found.items()}
    return {key: item for key, item in found.items() if (end := ends[key]) is None or end > by_then}


def phase(engine: Engine) -> Phase | None:
    """Return where a source is in its move."""
    with closing(engine.open()) as store:
        found = move_of(store.get(REGISTRY))
    return None if found is None else found.phase


class Crowd:
    """A few people with a session each, one of whom was evicted from another device."""

    def __init__(self, suite: InProcessSuite) -> None:
        self.people = [suite.register(name) for name in ("anna", "berta", "carla")]
        self.logins = [suite.log_in(person) for person in self.people]
        anna = self.people[0]
        self.laptop = suite.pair(anna)
        self.evicted, question = self.logins[0], suite.login(anna, self.laptop)
        self.logins[0] = self.taken(suite, question)
        self.question = suite.login(anna)
        self.qr_code = suite.qr_code(self.people[1])

    def taken(self, suite: InProcessSuite, question: TestResponse) -> Login:
        """Consent on the laptop."""
        return as_login(suite.take_over(question, self.laptop))

    def check(self, suite: InProcessSuite) -> None:
        """See every session live, the evicted one dead, and everybody able to go on."""
        for person, login in zip(self.people, self.logins, strict=True):
            assert suite.verify(login).status_code == 200
            assert suite.refresh(login.refresh).status_code == 200
            assert suite.log_in(person, self.laptop if person is self.people[0] else None).session_id
        assert ended(suite.verify(self.evicted)) == "taken-over"


def refreshed(suite: InProcessSuite, crowd: Crowd) -> None:
    """Log everybody in anew."""
    crowd.logins = [
        suite.log_in(person, crowd.laptop if person is crowd.people[0] else None) for person in crowd.people
    ]


@pytest.mark.parametrize("places", [("sqlite", "dynamodb")], indirect=True, ids=["DynamoDB"])
def test_everything_goes_to_the_other_engine_and_back(
    places: tuple[Engine, Engine],
    serve: Serve,
    run: Move,
    command: Callable[..., Result],
    clock: HandClock,
    tmp_path: Path,
) -> None:
    """Sessions, endings, a question that was asked and a QR code that was shown; nothing is left to check."""
    source, away = places
    crowd = Crowd(serve(source))
    before = unexpired(content(source), clock)
    told = json.loads(run("--json", "--reason", "a second host").stdout)
    there = unexpired(content(away), clock)
    ring, line = there.pop(REGISTRY), line_of_move(there)
    assert there.pop(line)["reason"] == "a second host"
    assert {**ring, "version": 0, "line": 0} == {**before.pop(REGISTRY), "version": 0, "line": 0}
    assert there == before
    assert {name: said["count"] for name, said in told["tables"].items()} == {
        table.name: sum(key.table == table for key in before) for table in ALL
    }
    assert canonical_url(away.url, away.region) in run().stdout, "run once more it says where the store is"
    with pytest.raises(SchemaError, match="was moved to"):
        serve(source)
    assert "set ICHIDAI_STORE_URL" in command(everybody_out, "--reason", "x", "--yes", on=source, expect=2).stderr

    third = sqlite_engine(tmp_path)
    run(source=away.url, target=third.url)
    back = unexpired(content(third), clock)
    for _ in range(2):
        back.pop(line_of_move(back))
    assert back.keys() - {REGISTRY} == before.keys()
    suite = serve(third)
    answer = suite.take_over(crowd.question, crowd.people[0].first)
    evicted, crowd.logins[0], crowd.laptop = crowd.logins[0], as_login(answer), crowd.people[0].first
    assert ended(suite.verify(evicted)) == "taken-over"
    paired = {**named(crowd.people[1]), "qr_code": crowd.qr_code, "device_name": "Tablet"}
    assert suite.post("/registration/", paired).status_code == 200
    crowd.check(suite)
    assert "0 damaged, 0 left over" in command(check_store, on=third).stdout
    assert command(audit, on=third).stdout.count("store-move") == 2


def line_of_move(found: dict[Key, Item]) -> Key:
    """Return where a line of the audit log tells of a move."""
    return next(key for key, item in found.items() if item.get("kind") == "store-move")


def named(person: Person) -> dict[str, str]:
    """Return what a person types."""
    return {"username": person.username, "password": person.password}


def test_back_again(places: tuple[Engine, Engine], serve: Serve, run: Move, tmp_path: Path) -> None:
    """To a third place, for the first one stays what was moved away; the host's witness has nothing to say."""
    crowd = Crowd(serve(places[0]))
    run()
    refreshed(serve(places[1]), crowd)
    assert "is not empty" in run(source=places[1].url, target=places[0].url, expect=2).stderr
    third = sqlite_engine(tmp_path)
    run(source=places[1].url, target=third.url)
    crowd.check(serve(third))


@pytest.mark.parametrize("step", ["copying", "fenced", "changes", "verified", "moved"])
def test_cut_short_it_goes_on(
    step: str, places: tuple[Engine, Engine], serve: Serve, run: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever step it dies: neither place is served that must not be, and the same command ends it."""
    suite = serve(places[0])
    crowd = Crowd(suite)
    with monkeypatch.context() as patched:
        cut_short(patched, step)
        with pytest.raises(CutShort):
            CliRunner().invoke(move, ["--from", places[0].url, "--to", places[1].url, "--yes"], catch_exceptions=False)
    with pytest.raises(SchemaError, match="is being moved here"):
        serve(places[1])
    reached = {"copying": Phase.COPYING, "moved": Phase.MOVED}.get(step, Phase.FENCED)
    assert phase(places[0]) is reached
    if reached is Phase.COPYING:  # it is served as always
        crowd.logins[1] = suite.log_in(crowd.people[1])
    run()
    crowd.check(serve(places[1]))


@pytest.mark.parametrize("step", ["copying", "fenced", "changes", "verified", "moved"])
def test_given_up_the_source_is_served_on(
    step: str, places: tuple[Engine, Engine], serve: Serve, run: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever step it dies: the source is written again, the target stays closed; and it can be tried once more."""
    crowd = Crowd(serve(places[0]))
    with monkeypatch.context() as patched:
        cut_short(patched, step)
        with pytest.raises(CutShort):
            CliRunner().invoke(move, ["--from", places[0].url, "--to", places[1].url, "--yes"], catch_exceptions=False)
    assert places[0].url.rpartition("/")[2] in run("--abandon").stdout
    suite = serve(places[0])
    refreshed(suite, crowd)
    with pytest.raises(SchemaError, match="is being moved here"):
        serve(places[1])
    assert "No move of this store" in run("--abandon", expect=2).stderr
    run()
    crowd.check(serve(places[1]))


def cut_short(patched: pytest.MonkeyPatch, step: str) -> None:
    """Let the command die: with half a table copied, or at a step."""

    def dying(what: Callable[..., Any], is_time: Callable[..., bool]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if is_time(*arguments, **named):
                raise CutShort
            return what(*arguments, **named)

        return call

    owner, name, is_time = DEATHS[step]
    patched.setattr(copying, "_SHARE", 2)
    patched.setattr(owner, name, dying(getattr(owner, name), is_time))


BATCHES = count()
DEATHS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "copying": (copying, "_write", lambda *_: next(BATCHES) % 6 == 5),
    "fenced": (mover.Mover, "_copy", lambda _self, *, consistent: consistent),
    "changes": (mover.Mover, "_verified", lambda _self: True),
    "verified": (mover.Mover, "_set", lambda _self, phase: phase is Phase.MOVED),
    "moved": (mover.Mover, "_open", lambda *_: True),
}


def at_verification(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once, when all is copied and before it is compared."""
    verified = mover.Mover._verified
    acts = iter((act,))

    def acting(self: mover.Mover) -> Any:
        for each in acts:
            each()
        return verified(self)

    monkeypatch.setattr(mover.Mover, "_verified", acting)


def test_behind_the_fence_what_is_read_holds(
    places: tuple[Engine, Engine], serve: Serve, run: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions are verified by the source, a host is ready, and what would change something is told to come back."""
    suite = serve(places[0])
    crowd = Crowd(suite)
    seen: dict[str, Any] = {}

    def look() -> None:
        watched = cast("SqliteStore", suite.suite.readiness._store)
        guard_writes(watched, RereadingGuard(watched, REGISTRY, check_writable).check)  # as one that reads it now
        seen["verified"] = suite.verify(crowd.logins[1]).status_code
        seen["login"] = suite.login(crowd.people[1])
        seen["refresh"] = suite.refresh(crowd.logins[1].refresh)
        suite.suite.readiness.refresh()
        seen["ready"] = suite.get("/ready").status_code

    at_verification(monkeypatch, look)
    run()
    assert (seen["verified"], seen["ready"]) == (200, 200)
    for name in ("login", "refresh"):
        assert code_of(seen[name]) == (503, "store-unavailable")
        assert int(seen[name].headers["Retry-After"]) >= 1
    crowd.check(serve(places[1]))


def test_a_writer_that_ignores_the_fence_is_found(
    places: tuple[Engine, Engine], serve: Serve, run: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: one that logs in all the same. The table and the account are named, and the next run takes it along."""
    suite = serve(places[0])
    crowd = Crowd(suite)
    guard_writes(cast("SqliteStore", suite.suite.readiness._store), always)

    def write() -> None:
        crowd.logins[1] = suite.log_in(crowd.people[1])

    at_verification(monkeypatch, write)
    said = run(expect=2).stderr
    assert f"SessionsTable: 1 items differ on both sides, such as {crowd.people[1].uuid}" in said.replace("\n", " ")
    with pytest.raises(SchemaError, match="is being moved here"):
        serve(places[1])
    run()
    crowd.check(serve(places[1]))


def test_a_target_that_is_written_is_found(
    places: tuple[Engine, Engine], serve: Serve, run: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item more, or one less, is no copy."""
    Crowd(serve(places[0]))
    with closing(places[1].open()) as target:
        stray = {"id": "stray"}
        at_verification(monkeypatch, lambda: target.put(KEY_RING, stray))
        assert "KeyRingTable: 1 items differ on both sides, such as stray" in run(expect=2).stderr
        run()
        assert target.get(KEY_RING.key("stray")) is None


def test_what_expires_while_it_is_compared_is_no_difference(
    places: tuple[Engine, Engine], serve: Serve, run: Move, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either engine deletes it when it likes. Planted: an item that is over before the comparing is."""
    Crowd(serve(places[0]))
    now = to_millis(clock.now)
    with closing(places[1].open()) as target:
        short: Item = {"bucket": "short", "expires_at": now + 5_000}
        at_verification(monkeypatch, lambda: target.put(THROTTLE, short))
        assert "ThrottleTable: 1 items differ" in run(expect=2).stderr
        times: Iterator[int] = repeat(now)

        def plant() -> None:
            nonlocal times
            target.put(THROTTLE, short)
            times = chain(repeat(now, ALL.index(THROTTLE) + 1), repeat(now + 10_000))

        monkeypatch.setattr(mover.Mover, "_cut", lambda _self: next(times))
        at_verification(monkeypatch, plant)
        run()


def test_a_run_that_was_overtaken_writes_nothing_more(
    places: tuple[Engine, Engine], serve: Serve, run: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: another run begins, and ends, while one stands still with all that it is about to write."""
    suite = serve(places[0])
    crowd = Crowd(suite)
    copy = mover.Mover._copy
    runs = iter((True,))

    def overtaken(self: mover.Mover, *, consistent: bool) -> copying.Copied:
        for _ in runs:
            run()
            refreshed(serve(places[1]), crowd)
            monkeypatch.setattr(write_guard, "REREAD_SECONDS", 0.0)  # as if it had stood for a second
        return copy(self, consistent=consistent)

    monkeypatch.setattr(mover.Mover, "_copy", overtaken)
    before: list[Any] = []
    at_verification(monkeypatch, lambda: before.append(None))
    assert "another run of this move has taken over" in run(expect=2).stderr
    assert len(before) == 1, "the first run compared nothing"
    crowd.check(serve(places[1]))


def test_what_is_refused(places: tuple[Engine, Engine], serve: Serve, run: Move, tmp_path: Path) -> None:
    """Each with a sentence, and nothing is changed by it."""
    source, _ = places
    other = sqlite_engine(tmp_path)
    assert "is not there" in run(expect=2).stderr
    crowd = Crowd(serve(source))
    before = content(source)
    for options, words in (
        ({"target": source.url}, "the same store"),
        ({"target": f"sqlite:///{tmp_path}/../{tmp_path.name}/{source.url.rpartition('/')[2]}"}, "the same store"),
        ({"target": "mysql://x"}, "is no store of this program"),
        ({"source": other.url}, "is not there"),
        ({"target": "dynamodb://x"}, "needs a region"),
    ):
        assert words in run(**options, expect=2).stderr.replace("\n", " "), words
    Path(other.url.removeprefix("sqlite:///")).touch()
    assert "holds no store" in run(source=other.url, target=sqlite_engine(tmp_path).url, expect=2).stderr
    assert content(source) == before
    with closing(other.open()) as store:
        store.put(KEY_RING, {"id": "something"})
    assert "is not empty" in run(target=other.url, expect=2).stderr
    assert content(source) == before
    with closing(source.open()) as store:
        ring = store.get(REGISTRY)
        assert ring is not None
        store.put(KEY_RING, {**ring, "schema": 1})
        assert "run `ichidai migrate`" in run(expect=2).stderr
        store.put(KEY_RING, ring)
    assert content(source) == before
    crowd.check(serve(source))


def test_one_move_at_a_time(
    places: tuple[Engine, Engine], serve: Serve, run: Move, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source goes to one place, and to a place goes one source; what has not arrived cannot be moved on."""
    Crowd(serve(places[0]))
    other, third = sqlite_engine(tmp_path), sqlite_engine(tmp_path)
    with monkeypatch.context() as patched:
        cut_short(patched, "fenced")
        with pytest.raises(CutShort):
            CliRunner().invoke(move, ["--from", places[0].url, "--to", places[1].url, "--yes"], catch_exceptions=False)
    assert "is being moved to" in run(target=third.url, expect=2).stderr
    assert "is being moved to" in run("--abandon", target=third.url, expect=2).stderr
    assert "has not arrived yet" in run(source=places[1].url, target=third.url, expect=2).stderr
    with closing(other.open()) as store:
        store.put(KEY_RING, {"id": "ring", "schema": SCHEMA, "digest": "x", "version": 1, "listed": [], "keys": ""})
    assert "Another store is being moved" in run(source=other.url, expect=2).stderr
    run()
    assert "the move is over" in run("--abandon", expect=2).stderr.lower()


@pytest.mark.parametrize(
    ("writes", "items", "is_little"), [(500, 600, True), (501, 10_000, False), (501, 10_020, True), (0, 0, True)]
)
def test_it_is_fenced_once_little_is_left_to_copy(writes: int, items: int, *, is_little: bool) -> None:
    """Little to write beside what has to be compared in any case: of a large store that is served, never nothing."""
    assert copying.Copied(writes, items).is_little == is_little


def test_the_times_are_those_that_are_told() -> None:
    """What a process trusts and waits for at most, and the five seconds of a retired key; docs/moving.md tells both."""
    assert mover.SETTLED_SECONDS >= TRUSTED_SECONDS + 2 * 3 + 2
    assert mover.UNSERVED_SECONDS >= TRUSTED_SECONDS + READ_EVERY_SECONDS + 1
