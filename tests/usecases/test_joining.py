"""Joining without the password: the users of the active devices type what the joining browser shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from common.account.account_metrics import APPROVALS
from common.account.history import EventKind
from tests.support.engines import ENGINES, Engine
from tests.support.signing import enrolling, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    MILLISECOND,
    MINUTE,
    PASSWORD,
    SECOND,
    HandClock,
    InProcessSuite,
    Login,
    as_login,
    code_of,
    ended,
)
from tests.usecases.watched_store import StoreCall

ON = {"ICHIDAI_JOIN_BY_APPROVAL": "true"}
REFUSED, SPENT, QUESTION = (403, "approval-refused"), (410, "approval-spent"), (409, "device-active")
LIMITED = (429, "too-many-attempts")

Open = Callable[..., InProcessSuite]

on_both = pytest.mark.parametrize("engines", ENGINES, indirect=True)
"""What lies in the store decides here; elsewhere SQLite is enough."""


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Engine]:
    """Return an engine, with a store for each limit; tests tell their accounts and sources apart."""
    make = ENGINES[getattr(request, "param", "sqlite")]
    return {limit: make(tmp_path_factory.mktemp("engine")) for limit in ("1", "3")}


@pytest.fixture
def opened(
    new_suite: Build, engines: Mapping[str, Engine], tmp_path: Path, keys: Path, clock: HandClock
) -> Iterator[Open]:
    """Return what opens a suite in which browsers may join by approval, on the engine."""
    with ExitStack() as suites:

        def build(limit: str = "3", **more: str) -> InProcessSuite:
            engine, folder = engines[limit], keys / f"joining-{engines[limit].name}-{limit}"
            settings = {"MAX_CONCURRENT_DEVICES": limit, "ICHIDAI_TRUSTED_PROXIES": "127.0.0.0/8", **ON, **more}
            made = new_suite(tmp_path, folder, clock, store=engine.open(clock), **settings)
            return suites.enter_context(closing(made))

        yield build


def new_source() -> str:
    """Return an address from which nothing was asked yet."""
    made = uuid4().int
    return f"2001:db8:{made >> 16 & 0xFFFF:x}:{made & 0xFFFF:x}::1"


class Scene:
    """Somebody whose phone is active, and whose browser has neither password nor key."""

    def __init__(self, suite: InProcessSuite) -> None:
        self.suite = suite
        self.anna = suite.register(f"anna-{uuid4().hex[:8]}")
        self.phone = suite.log_in(self.anna)
        self.source = new_source()

    def join(self, token: str | None = None, **more: Any) -> TestResponse:
        """Ask to join, or how that stands."""
        body = {"username": self.anna.username, "device_name": "Browser", **more}
        body |= {"join_token": token} if token else {}
        return self.suite.post("/registration/join", body, X_Forwarded_For=self.source)

    def asked(self, **more: Any) -> Any:
        """Ask to join, and wait."""
        return waiting(self.join(**more))

    def shown(self, login: Login | None = None) -> Any:
        """Return what an active device is to show its user."""
        return self.suite.get("/login/approvals", (login or self.phone).access).get_json()["approvals"]

    def answer(self, asked: Any, login: Login | None = None, **said: Any) -> TestResponse:
        """Answer on an active device: by the digits of the other screen, or otherwise."""
        body = {"approval_id": asked["approval_id"], **(said or {"digits": asked["digits"]})}
        return self.suite.post("/login/approval/answer", body, (login or self.phone).access)


def waiting(answer: TestResponse) -> Any:
    """Return what a browser that waits was answered."""
    assert answer.status_code == 202, answer.get_data(as_text=True)
    return answer.get_json()


@pytest.fixture
def scene(opened: Open) -> Scene:
    """Return an active phone with a place beside it, and a browser that may ask."""
    return Scene(opened())


@on_both
def test_who_types_the_digits_lets_the_browser_in(scene: Scene) -> None:
    """It becomes a device and is logged in, once; the phone is told which one it is, and never the digits."""
    asked = scene.asked()
    assert asked["approve_qr_png"].startswith("data:image/png;base64,")
    assert (len(asked["digits"]), asked["expires_in"]) == (4, 30)
    (shown,) = scene.shown()
    assert (shown["approval_id"], shown["device_name"], shown["joins"]) == (asked["approval_id"], "Browser", True)
    assert asked["digits"] not in str(shown)
    again = waiting(scene.join(asked["join_token"]))
    assert again["digits"] == asked["digits"]
    assert "approve_qr_png" not in again
    for _ in range(2):  # the same answer once more is the same
        assert scene.answer(asked).status_code == 200
    browser = as_login(scene.join(asked["join_token"]))
    assert scene.suite.verify(browser).status_code == scene.suite.verify(scene.phone).status_code == 200
    kinds = [event.kind for record in scene.suite.history(scene.anna) for event in record.events]
    assert kinds[-2:] == [EventKind.DEVICE_ADDED, EventKind.LOGIN]
    assert code_of(scene.join(asked["join_token"])) == SPENT
    assert len(scene.suite.book(scene.anna).devices) == 2


@on_both
def test_who_refuses_keeps_the_browser_out(scene: Scene, clock: HandClock) -> None:
    """It is not told before the 30 seconds are over, and its source is shown to nobody for ten minutes."""
    asked = scene.asked()
    for _ in range(2):
        assert scene.answer(asked, refuse=True).status_code == 200
    assert waiting(scene.join(asked["join_token"]))
    assert code_of(scene.answer(asked)) == SPENT
    assert waiting(scene.join())
    assert scene.shown() == []
    clock.move(30 * SECOND)
    assert code_of(scene.join(asked["join_token"])) == REFUSED
    clock.move(10 * MINUTE)
    scene.phone = scene.suite.log_in(scene.anna)
    assert scene.asked()
    assert len(scene.shown()) == 1


def test_a_refusal_is_counted_and_a_line(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the account, for operators: the browser is not told yet."""
    caplog.set_level("INFO")
    before = APPROVALS.snapshot().get(("joining", "refused"), (0,))[0]
    asked = scene.asked()
    for _ in range(2):
        assert scene.answer(asked, refuse=True).status_code == 200
    assert APPROVALS.snapshot()["joining", "refused"][0] == before + 1
    told = [vars(record) for record in caplog.records if record.message == "approval"]
    lines = [(each["user_uuid"], each["of"], each["outcome"]) for each in told]
    assert lines == [(scene.anna.uuid, "joining", outcome) for outcome in ("asked", "refused")]


@on_both
def test_silence_lets_nobody_in(scene: Scene, clock: HandClock) -> None:
    """After 30 seconds the browser is told that nobody agreed, and a late answer changes nothing."""
    asked = scene.asked()
    clock.move(30 * SECOND - MILLISECOND)
    assert waiting(scene.join(asked["join_token"]))["expires_in"] == 1
    clock.move(MILLISECOND)
    refused = scene.join(asked["join_token"])
    assert code_of(refused) == REFUSED
    assert "30 seconds" in refused.get_json()["detail"]
    assert code_of(scene.answer(asked)) == SPENT
    assert code_of(scene.join(asked["join_token"])) == REFUSED
    clock.move(2 * MINUTE)
    assert code_of(scene.join(asked["join_token"])) == SPENT


def calls_of(suite: InProcessSuite, act: Callable[[], TestResponse]) -> tuple[list[str], Any]:
    """Return what a call asks of the store, and its answer."""
    calls: list[str] = []

    def note(call: StoreCall) -> None:
        calls.append(f"{call.verb} {call.tables}")

    suite.store.before = note
    answer = act()
    suite.store.before = lambda _call: None
    return calls, answer


@on_both
def test_a_stranger_learns_nothing(scene: Scene, clock: HandClock) -> None:
    """Unknown names, accounts that nobody is signed in to, and refusals: the same answers by the same calls."""
    suite, absent = scene.suite, Scene(scene.suite)
    assert suite.post("/session/logout", token=absent.phone.access).status_code == 200
    told: list[Any] = []
    for name in (scene.anna.username, absent.anna.username, f"nobody-{uuid4().hex[:8]}"):
        scene.source = new_source()
        asking, first = calls_of(suite, lambda name=name: scene.join(username=name))  # type: ignore[misc]
        asked = waiting(first)
        scene.answer(asked, refuse=True)
        looking, second = calls_of(suite, lambda name=name, asked=asked: scene.join(asked["join_token"], username=name))  # type: ignore[misc]
        left = waiting(second)["expires_in"]
        clock.move(30 * SECOND)
        last = scene.join(asked["join_token"], username=name)
        again = scene.join(username=name)
        told.append((asking, looking, sorted(asked), left, code_of(last), last.get_json()["detail"], again.status_code))
    assert told[0] == told[1] == told[2]


@on_both
def test_three_in_ten_minutes(scene: Scene) -> None:
    """For one account, and from one source; a name that is nobody's is counted as well."""
    for name in (scene.anna.username, f"nobody-{uuid4().hex[:8]}"):
        for _ in range(3):
            scene.source = new_source()
            asked = scene.asked(username=name)
        scene.source = new_source()
        refused = scene.join(username=name)
        assert code_of(refused) == LIMITED
        assert 0 < refused.get_json()["retry_after"] <= 200
    assert waiting(scene.join(asked["join_token"], username=name))  # what waits already is counted no more
    other = Scene(scene.suite)
    for _ in range(3):
        other.asked(username=f"other-{uuid4().hex[:8]}")
    assert code_of(other.join()) == LIMITED


@on_both
def test_all_active_devices_must_agree(scene: Scene, clock: HandClock) -> None:
    """One of two is not enough; a session that ended is not waited for, and what it agreed to counts no more."""
    suite = scene.suite
    tablet = suite.log_in(scene.anna, suite.pair(scene.anna, "Tablet"))
    asked = scene.asked()
    assert scene.answer(asked).status_code == 200
    assert waiting(scene.join(asked["join_token"]))
    assert suite.post("/session/logout", token=scene.phone.access).status_code == 200
    assert waiting(scene.join(asked["join_token"]))
    assert suite.post("/session/logout", token=tablet.access).status_code == 200
    assert waiting(scene.join(asked["join_token"]))
    clock.move(30 * SECOND)
    assert code_of(scene.join(asked["join_token"])) == REFUSED
    assert len(suite.book(scene.anna).devices) == 2


@on_both
def test_the_limit_and_its_question_stand_behind_it(opened: Open) -> None:
    """Where there is no place the browser is asked as every login is, and consents; nothing is bound before."""
    scene = Scene(opened("1"))
    asked = scene.asked()
    assert scene.answer(asked).status_code == 200
    question = scene.join(asked["join_token"])
    assert code_of(question) == QUESTION
    takeover = question.get_json()["takeover"]
    assert takeover["url"].endswith("/registration/join")
    assert len(scene.suite.book(scene.anna).devices) == 1
    elsewhere = Scene(scene.suite)
    other = elsewhere.asked()
    assert elsewhere.answer(other).status_code == 200
    foreign = elsewhere.join(other["join_token"], takeover_token=takeover["token"])
    assert code_of(foreign) == (403, "device-mismatch")
    browser = as_login(scene.join(asked["join_token"], takeover_token=takeover["token"]))
    assert ended(scene.suite.verify(scene.phone)) == "taken-over"
    assert scene.suite.verify(browser).status_code == 200


def test_before_a_takeover_the_active_device_may_be_asked_again(opened: Open) -> None:
    """Joining and taking the place are two questions where `ICHIDAI_TAKEOVER_APPROVAL` asks."""
    scene = Scene(opened("1", ICHIDAI_TAKEOVER_APPROVAL="ask"))
    asked = scene.asked()
    assert scene.answer(asked).status_code == 200
    approval = scene.join(asked["join_token"]).get_json()["approval"]
    body = {"approval_token": approval["token"]}
    second = waiting(scene.suite.post("/login/approval", body))
    (shown,) = scene.shown()
    assert shown["joins"] is False
    assert scene.answer(second).status_code == 200
    takeover = scene.suite.post("/login/approval", body).get_json()["takeover"]
    assert as_login(scene.join(asked["join_token"], takeover_token=takeover["token"]))


def test_a_new_password_voids_it(scene: Scene) -> None:
    """What was agreed to before lets nobody in."""
    asked = scene.asked()
    assert scene.answer(asked).status_code == 200
    body = {"password": PASSWORD, "new_password": "another long phrase"}
    assert scene.suite.post("/registration/password", body, scene.phone.access).status_code == 200
    assert code_of(scene.join(asked["join_token"])) == SPENT
    assert len(scene.suite.book(scene.anna).devices) == 1


def test_who_agreed_must_be_signed_in_still(scene: Scene) -> None:
    """The phone agreed and the browser was asked the question; then the phone's session ended."""
    tablet = scene.suite.log_in(scene.anna, scene.suite.pair(scene.anna, "Tablet"))
    assert scene.suite.post("/session/logout", token=tablet.access).status_code == 200
    asked = scene.asked()
    assert scene.answer(asked).status_code == 200
    assert code_of(scene.join(asked["join_token"], takeover_token="junk")) == (400, "takeover-invalid")
    assert scene.suite.post("/session/logout", token=scene.phone.access).status_code == 200
    assert code_of(scene.join(asked["join_token"])) == SPENT


def test_it_brings_its_own_key(scene: Scene) -> None:
    """The key is proven at each call, is bound as the one that asked, and no other takes its place."""
    own, other = (enrolling(p256_keys(), scene.anna.username) for _ in range(2))
    asked = scene.asked(**own)
    assert scene.answer(asked).status_code == 200
    assert code_of(scene.join(asked["join_token"])) == (403, "device-mismatch")
    assert code_of(scene.join(asked["join_token"], **other)) == (403, "device-mismatch")
    joined = scene.join(asked["join_token"], **own)
    assert joined.status_code == 200
    assert "private_keys" not in joined.get_json()


def test_it_stands_for_no_password_later(scene: Scene) -> None:
    """What asks for a recent password asks the browser that joined, for it never gave one."""
    asked = scene.asked()
    assert scene.answer(asked).status_code == 200
    browser = as_login(scene.join(asked["join_token"]))
    unbinding = {"device_id": scene.anna.first.device_id}
    assert code_of(scene.suite.post("/device/unbind", unbinding, browser.access)) == (403, "reauthenticate")


def test_tokens_of_another_kind_are_none(scene: Scene, clock: HandClock) -> None:
    """Nor is one sent for another name; and an approval's id says nothing to another account."""
    asked = scene.asked()
    for junk in ("junk", scene.phone.access):
        assert code_of(scene.join(junk)) == (400, "invalid-request")
    assert code_of(scene.join(asked["join_token"], username="another")) == (403, "device-mismatch")
    stranger = Scene(scene.suite)
    assert code_of(stranger.answer(asked)) == SPENT
    wrong = f"{(int(asked['digits']) + 1) % 10_000:04d}"
    for _ in range(3):
        assert code_of(scene.answer(asked, digits=wrong)) == (403, "digits-wrong")
    assert code_of(scene.answer(asked)) == SPENT
    clock.move(30 * SECOND)
    assert code_of(scene.join(asked["join_token"])) == REFUSED


def test_it_is_off_unless_it_is_switched_on(build_suite: Build) -> None:
    """Nobody is asked then, and the discovery document says so."""
    scene = Scene(build_suite())
    assert code_of(scene.join()) == (400, "not-supported")
    assert scene.shown() == []
    assert scene.suite.get("/.well-known/ichidai.json").get_json()["join_by_approval"] is False
