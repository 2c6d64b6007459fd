"""Approval: before a takeover the users of the active devices are asked, and type what the asking device shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from common.account.account_metrics import APPROVALS
from common.account.approval import Approvals
from common.account.feed import FeedReader, hint_of
from common.storage.tables import THROTTLE
from tests.support.engines import ENGINES, Engine
from tests.support.signing import given_keys
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
from tests.usecases.signers import Signer
from tests.usecases.test_passkeys import enter, options_of, passkey_of
from tests.usecases.watched_store import StoreCall

ASK = {"ICHIDAI_TAKEOVER_APPROVAL": "ask"}
REFUSED, SPENT, QUESTION = (403, "approval-refused"), (410, "approval-spent"), (409, "device-active")

Open = Callable[..., InProcessSuite]


on_both = pytest.mark.parametrize("engines", ENGINES, indirect=True)
"""What lies in the store decides here; elsewhere SQLite is enough."""


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Engine]:
    """Return an engine, with a store for each limit; tests tell their accounts apart by name."""
    make = ENGINES[getattr(request, "param", "sqlite")]
    return {limit: make(tmp_path_factory.mktemp("engine")) for limit in ("1", "2")}


@pytest.fixture
def opened(
    new_suite: Build, engines: Mapping[str, Engine], tmp_path: Path, keys: Path, clock: HandClock
) -> Iterator[Open]:
    """Return what opens a suite that asks, on the engine."""
    with ExitStack() as suites:

        def build(limit: str = "1", **more: str) -> InProcessSuite:
            engine, folder = engines[limit], keys / f"{engines[limit].name}-{limit}"
            made = new_suite(
                tmp_path, folder, clock, store=engine.open(clock), MAX_CONCURRENT_DEVICES=limit, **ASK, **more
            )
            return suites.enter_context(closing(made))

        yield build


class Scene:
    """Somebody whose phone is active, with or without a tablet, and whose laptop asks."""

    def __init__(self, suite: InProcessSuite, *, with_tablet: bool = False) -> None:
        self.suite = suite
        self.anna = suite.register(f"anna-{uuid4().hex[:8]}")
        self.laptop = suite.pair(self.anna, "Laptop")
        self.phone = suite.log_in(self.anna)
        if with_tablet:
            self.tablet = suite.pair(self.anna, "Tablet")
            self.on_tablet = suite.log_in(self.anna, self.tablet)
        self.token = self.offered(suite.login(self.anna, self.laptop))["token"]

    @staticmethod
    def offered(question: TestResponse) -> Any:
        """Return the approval of a question, which has it in the takeover's place."""
        assert code_of(question) == QUESTION
        said = question.get_json()
        assert "takeover" not in said
        assert said["approval"]["url"].endswith("/login/approval")
        return said["approval"]

    def ask(self, token: str | None = None) -> TestResponse:
        """Ask for approval, or how that stands."""
        return self.suite.post("/login/approval", {"approval_token": token or self.token})

    def waiting(self, token: str | None = None) -> Any:
        """Ask, and wait."""
        answer = self.ask(token)
        assert answer.status_code == 202, answer.get_data(as_text=True)
        return answer.get_json()

    def shown(self, login: Login | None = None) -> Any:
        """Return what an active device is to show its user."""
        answer = self.suite.get("/login/approvals", (login or self.phone).access)
        assert answer.status_code == 200
        return answer.get_json()["approvals"]

    def answer(self, waiting: Any, login: Login | None = None, **said: Any) -> TestResponse:
        """Answer on an active device: by the digits of the other screen, or otherwise."""
        body = {"approval_id": waiting["approval_id"], **(said or {"digits": waiting["digits"]})}
        return self.suite.post("/login/approval/answer", body, (login or self.phone).access)

    def take_over(self, answer: TestResponse) -> TestResponse:
        """Send the takeover of an answer."""
        token = answer.get_json()["takeover"]["token"]
        body = {"takeover_token": token, "client_cert_fp": self.laptop.fingerprint}
        return self.suite.post("/login/takeover", body)

    def is_on(self, login: Login | None = None) -> bool:
        """Say whether a session lives."""
        return self.suite.verify(login or self.phone).status_code == 200


@pytest.fixture
def scene(opened: Open) -> Scene:
    """Return a phone that is active, and a laptop that may ask."""
    return Scene(opened())


def lines_of(caplog: pytest.LogCaptureFixture, of: str) -> list[tuple[str, str]]:
    """Return the steps of approvals as the log tells them: the account and what came of it."""
    told = [vars(record) for record in caplog.records if record.message == "approval"]
    return [(each["user_uuid"], each["outcome"]) for each in told if each["of"] == of]


def test_each_step_is_counted_and_a_line_once(opened: Open, clock: HandClock, caplog: pytest.LogCaptureFixture) -> None:
    """Asked, refused, unanswered, agreed: however often it is asked how that stands, or the same answer is given."""
    caplog.set_level("INFO")
    suite = opened()
    before = APPROVALS.snapshot()
    refused, unanswered, agreed = scenes = [Scene(suite) for _ in range(3)]
    waiting = [scene.waiting() for scene in scenes]
    for _ in range(2):
        assert refused.answer(waiting[0], refuse=True).status_code == 200
        assert code_of(refused.ask()) == REFUSED
    agreed.answer(waiting[2])
    assert [agreed.ask().status_code for _ in range(2)] == [200, 200]
    clock.move(31 * SECOND)
    assert [code_of(unanswered.ask()) for _ in range(2)] == [QUESTION, QUESTION]
    outcomes = {"asked": 3.0, "refused": 1.0, "agreed": 1.0, "unanswered": 1.0}
    after = APPROVALS.snapshot()
    counted = {each: after[("takeover", each)][0] - before.get(("takeover", each), (0,))[0] for each in outcomes}
    assert counted == outcomes
    names = ("asked", "asked", "asked", "refused", "agreed", "unanswered")
    whose = (*scenes, refused, agreed, unanswered)
    assert lines_of(caplog, "takeover") == [(scene.anna.uuid, name) for scene, name in zip(whose, names, strict=True)]


@on_both
def test_who_types_the_digits_lets_the_other_in(scene: Scene) -> None:
    """The phone is shown who asks and never the digits; the laptop then takes over, with nothing asked again."""
    before = scene.suite.book(scene.anna)
    waiting = scene.waiting()
    assert waiting["expires_in"] == 30
    assert len(waiting["digits"]) == 4
    assert waiting["digits"].isdigit()
    assert scene.waiting() == waiting  # asked again, it says what stands
    (shown,) = scene.shown()
    assert (shown["approval_id"], shown["device_name"]) == (waiting["approval_id"], "Laptop")
    assert waiting["digits"] not in str(shown)
    hints = FeedReader(scene.suite.store.inner).look(scene.suite.clock())
    assert hint_of(scene.phone.session_id) in hints
    assert scene.suite.book(scene.anna) == before  # an approval changes nothing of the account
    for _ in range(2):  # the same answer once more is the same
        assert scene.answer(waiting).status_code == 200
    assert scene.shown() == []
    assert scene.is_on()
    agreed = scene.ask()
    assert agreed.status_code == 200
    laptop = as_login(scene.take_over(agreed))
    assert ended(scene.suite.verify(scene.phone)) == "taken-over"
    assert scene.is_on(laptop)
    assert as_login(scene.take_over(agreed)).session_id == laptop.session_id  # its answer was lost
    assert code_of(scene.ask()) == (410, "takeover-spent")


@on_both
def test_who_refuses_is_left_alone_for_ten_minutes(scene: Scene, clock: HandClock) -> None:
    """The laptop is told so, with this token and with the next; the phone stays. Then it may ask again."""
    waiting = scene.waiting()
    for _ in range(2):
        assert scene.answer(waiting, refuse=True).status_code == 200
    assert code_of(scene.ask()) == REFUSED
    assert code_of(scene.answer(waiting)) == SPENT  # refused is refused
    assert scene.is_on()
    clock.move(10 * MINUTE - MILLISECOND)
    again = scene.offered(scene.suite.login(scene.anna, scene.laptop))["token"]
    assert code_of(scene.ask(again)) == REFUSED
    assert scene.shown() == []
    clock.move(MILLISECOND)
    assert scene.waiting(again)["approval_id"] != waiting["approval_id"]


@on_both
def test_who_is_silent_for_half_a_minute_holds_nobody_up(scene: Scene, clock: HandClock) -> None:
    """The question comes as it is without approval; a late answer changes nothing any more."""
    waiting = scene.waiting()
    clock.move(30 * SECOND - MILLISECOND)
    assert scene.waiting()["expires_in"] == 1
    assert len(scene.shown()) == 1
    clock.move(MILLISECOND)
    assert scene.shown() == []
    assert code_of(scene.answer(waiting, refuse=True)) == SPENT
    question = scene.ask()
    assert code_of(question) == QUESTION
    assert [each["device_name"] for each in question.get_json()["active"]] == ["Phone"]
    assert question.get_json()["takeover"]["expires_in"] == 120
    assert as_login(scene.take_over(question)).answer["evicted"][0]["device_name"] == "Phone"


def test_what_it_leads_to_ends_by_its_own_time(scene: Scene, clock: HandClock) -> None:
    """Two minutes after it was decided, however often it is asked for; and the first question may be old by then."""
    clock.move(119 * SECOND)
    waiting = scene.waiting()
    clock.move(29 * SECOND)
    assert scene.answer(waiting).status_code == 200
    assert scene.ask().get_json()["takeover"]["expires_in"] == 120
    clock.move(100 * SECOND)
    late = scene.ask()
    assert late.get_json()["takeover"]["expires_in"] == 20
    clock.move(20 * SECOND)
    assert code_of(scene.take_over(late)) == (410, "takeover-spent")
    assert scene.is_on()
    clock.move(MINUTE)
    assert code_of(scene.ask()) == (410, "takeover-spent")


@on_both
def test_three_times_other_digits_are_a_refusal(scene: Scene) -> None:
    """Who does not see the other screen cannot find them by trying; the right ones come too late then."""
    waiting = scene.waiting()
    wrong = f"{(int(waiting['digits']) + 1) % 10_000:04d}"
    for left in (2, 1, 0):
        refused = scene.answer(waiting, digits=wrong)
        assert code_of(refused) == (403, "digits-wrong")
        assert refused.get_json()["tries_left"] == left
    assert code_of(scene.answer(waiting)) == SPENT
    assert code_of(scene.ask()) == REFUSED
    assert scene.is_on()


def test_a_typing_error_is_no_refusal(scene: Scene) -> None:
    """Nor are digits that are none at all."""
    waiting = scene.waiting()
    for wrong in ("x", "\N{FULLWIDTH DIGIT ONE}" * 4):
        assert code_of(scene.answer(waiting, digits=wrong)) == (403, "digits-wrong")
    assert scene.answer(waiting).status_code == 200
    assert scene.ask().status_code == 200


@on_both
def test_three_times_in_ten_minutes(scene: Scene, clock: HandClock) -> None:
    """Nobody is worn down by questions: the fourth is 429, with when it may be asked again."""
    tokens = [scene.token]
    tokens += [scene.offered(scene.suite.login(scene.anna, scene.laptop))["token"] for _ in range(3)]
    assert len({scene.waiting(token)["approval_id"] for token in tokens[:3]}) == 3
    assert len(scene.shown()) == 3
    refused = scene.ask(tokens[3])
    assert code_of(refused) == (429, "too-many-attempts")
    assert 0 < refused.get_json()["retry_after"] <= 200
    assert scene.waiting(tokens[0])  # what waits already is counted no more
    clock.move(refused.get_json()["retry_after"] * SECOND)
    later = scene.offered(scene.suite.login(scene.anna, scene.laptop))["token"]
    assert scene.waiting(later)


@pytest.mark.parametrize(("path", "force"), [("/login", True), ("/login/force", None), ("/session/create", True)])
def test_nobody_is_forced_out(scene: Scene, path: str, force: object) -> None:
    """At no way in; and what the question of every one offers is the approval."""
    assert code_of(scene.suite.login(scene.anna, scene.laptop, path, force=force)) == (403, "force-disabled")
    if path != "/login/force":
        scene.offered(scene.suite.login(scene.anna, scene.laptop, path))
    assert scene.is_on()


@on_both
def test_when_the_account_has_moved_the_consent_is_void(scene: Scene) -> None:
    """The phone logged in anew: the laptop is asked anew, and what was agreed to before is worth nothing."""
    waiting = scene.waiting()
    assert scene.answer(waiting).status_code == 200
    agreed = scene.ask()
    phone = scene.suite.log_in(scene.anna)
    anew = scene.offered(scene.take_over(agreed))["token"]
    assert scene.offered(scene.ask())["token"] != scene.token
    assert scene.is_on(phone)
    (shown, other) = scene.waiting(anew), scene.shown(phone)
    assert [each["approval_id"] for each in other] == [shown["approval_id"]]


def test_a_session_that_ended_is_not_waited_for(scene: Scene) -> None:
    """Whose session has ended can neither agree nor refuse; with nobody in the way the laptop is in at once."""
    waiting = scene.waiting()
    assert scene.suite.post("/session/logout", token=scene.phone.access).status_code == 200
    assert ended(scene.answer(waiting, refuse=True)) == "logged-out"
    free = scene.ask()
    assert free.status_code == 200
    assert as_login(scene.take_over(free)).answer["evicted"] == []


def test_an_offer_to_an_empty_place_ends_nobody(scene: Scene) -> None:
    """Who logs in after it was given is asked, whatever was shown before."""
    scene.waiting()
    assert scene.suite.post("/session/logout", token=scene.phone.access).status_code == 200
    free = scene.ask()
    phone = scene.suite.log_in(scene.anna)
    scene.offered(scene.take_over(free))
    assert scene.is_on(phone)


def test_a_new_password_voids_it(scene: Scene) -> None:
    """Whoever asked with the old one has nothing left."""
    waiting = scene.waiting()
    body = {"password": PASSWORD, "new_password": "another long phrase"}
    phone = as_login(scene.suite.post("/registration/password", body, scene.phone.access))
    assert code_of(scene.ask()) == (410, "takeover-spent")
    scene.answer(waiting, phone)
    assert code_of(scene.ask()) == (410, "takeover-spent")
    assert scene.is_on(phone)


@on_both
def test_all_active_devices_must_agree(opened: Open) -> None:
    """One alone is not enough, and one refusal is; a third device's session is not asked at all."""
    suite = opened("2")
    scene = Scene(suite, with_tablet=True)
    tablet, on_tablet, token = scene.tablet, scene.on_tablet, scene.token
    waiting = scene.waiting()
    assert scene.shown() == scene.shown(on_tablet) != []
    assert scene.answer(waiting).status_code == 200
    assert scene.waiting(token)["digits"] == waiting["digits"]
    assert scene.shown() == []
    assert scene.shown(on_tablet) != []
    assert scene.answer(waiting, on_tablet).status_code == 200
    agreed = scene.ask(token)
    assert code_of(scene.answer(waiting, refuse=True)) == SPENT  # the laptop has been told
    laptop = as_login(scene.take_over(agreed))
    assert len(laptop.answer["evicted"]) == 2
    phone = suite.log_in(scene.anna)
    again = scene.offered(suite.login(scene.anna, tablet))["token"]
    second = scene.waiting(again)
    assert code_of(scene.answer(second, on_tablet)) == (401, "session-ended")
    assert scene.answer(second, phone).status_code == 200
    assert scene.answer(second, laptop, refuse=True).status_code == 200
    assert code_of(scene.ask(again)) == REFUSED
    assert scene.is_on(phone)
    assert scene.is_on(laptop)


def test_who_agreed_may_still_refuse_until_all_have(opened: Open) -> None:
    """And a device that leaves meanwhile is not waited for."""
    scene = Scene(opened("2"), with_tablet=True)
    waiting = scene.waiting()
    assert scene.answer(waiting).status_code == 200
    assert scene.answer(waiting, refuse=True).status_code == 200
    assert code_of(scene.ask()) == REFUSED
    assert scene.is_on()
    assert scene.is_on(scene.on_tablet)


def test_a_session_that_was_not_shown_has_no_say(opened: Open) -> None:
    """It began since: the laptop is asked anew, and nobody can have refused it before."""
    suite = opened("2")
    scene = Scene(suite, with_tablet=True)
    waiting = scene.waiting()
    assert suite.post("/session/logout", token=scene.on_tablet.access).status_code == 200
    later = suite.log_in(scene.anna, suite.pair(scene.anna, "Desktop"))
    assert scene.shown(later) == []
    for said in ({"refuse": True}, {"digits": waiting["digits"]}):
        assert code_of(scene.answer(waiting, later, **said)) == SPENT
    assert scene.waiting(scene.offered(scene.ask())["token"])


def test_where_the_limit_was_raised_a_login_is_enough(build_suite: Build) -> None:
    """Nobody is ended, and nobody has to agree, where one more is within the limit."""
    scene = Scene(build_suite(**ASK))
    scene.waiting()
    scene.suite = build_suite(MAX_CONCURRENT_DEVICES="2", **ASK)
    assert code_of(scene.ask()) == (410, "takeover-spent")
    assert scene.suite.login(scene.anna, scene.laptop).status_code == 200
    assert scene.is_on()


def test_another_account_has_no_say(scene: Scene) -> None:
    """A stranger who knows the id learns nothing and changes nothing; nor does a token of another kind start it."""
    waiting = scene.waiting()
    other = Scene(scene.suite)
    assert code_of(other.answer(waiting)) == SPENT
    assert other.shown() == []
    assert code_of(scene.suite.post("/login/approval/answer", {"approval_id": waiting["approval_id"]})) == (
        401,
        "token-missing",
    )
    assert code_of(scene.answer(waiting, digits="")) == (400, "missing-fields")
    for junk in ("junk", scene.phone.access, scene.phone.refresh):
        assert code_of(scene.ask(junk)) == (400, "takeover-invalid")
    as_takeover = {"takeover_token": scene.token, "client_cert_fp": scene.laptop.fingerprint}
    assert code_of(scene.suite.post("/login/takeover", as_takeover)) == (400, "takeover-invalid")
    assert scene.is_on()


def interposed(scene: Scene, act: Callable[[], object]) -> None:
    """Let something happen between the next read of the account's approvals and the write that follows from it."""
    done = []

    def before(call: StoreCall) -> None:
        if call.is_write and call.partition.startswith("approvals#") and not done:
            done.append(True)
            act()

    scene.suite.store.before = before


@on_both
class TestAtOnce:
    """Two things happen to one approval at the same moment: one of them is first, and the other finds it so."""

    def test_a_refusal_while_its_time_runs_out(self, scene: Scene, clock: HandClock) -> None:
        """Decided in time but written after the question was told: the refuser is told that it is over."""
        waiting = scene.waiting()
        told = []

        def asked_for() -> None:
            clock.move(30 * SECOND)
            told.append(scene.ask())

        interposed(scene, asked_for)
        refused = scene.answer(waiting, refuse=True)
        assert (code_of(told[0]), code_of(refused)) == (QUESTION, SPENT)
        assert scene.take_over(told[0]).status_code == 200

    def test_the_question_while_somebody_refuses(self, scene: Scene, clock: HandClock) -> None:
        """The refusal was written first: no takeover is told."""
        waiting = scene.waiting()
        clock.move(30 * SECOND)

        def refuse() -> None:
            clock.move(-SECOND)  # its host's clock is a second behind
            assert scene.answer(waiting, refuse=True).status_code == 200
            clock.move(SECOND)

        interposed(scene, refuse)
        assert code_of(scene.ask()) == REFUSED

    def test_a_refusal_while_the_agreement_is_told(self, scene: Scene) -> None:
        """Whichever is written first holds."""
        waiting = scene.waiting()
        assert scene.answer(waiting).status_code == 200
        interposed(scene, lambda: scene.answer(waiting, refuse=True))
        assert code_of(scene.ask()) == REFUSED

    def test_two_starts_of_one(self, scene: Scene) -> None:
        """It is one approval."""
        interposed(scene, scene.waiting)
        first = scene.waiting()
        assert [each["approval_id"] for each in scene.shown()] == [first["approval_id"]]

    def test_a_start_while_the_one_before_is_refused(self, scene: Scene) -> None:
        """The second is not begun: who was refused is not asked for again."""
        waiting = scene.waiting()
        again = scene.offered(scene.suite.login(scene.anna, scene.laptop))["token"]
        interposed(scene, lambda: scene.answer(waiting, refuse=True))
        assert code_of(scene.ask(again)) == REFUSED
        assert scene.shown() == []

    def test_a_logout_while_the_agreement_is_taken_over(self, scene: Scene) -> None:
        """The takeover ends nobody then, and is in."""
        waiting = scene.waiting()
        assert scene.answer(waiting).status_code == 200
        agreed = scene.ask()
        assert scene.suite.post("/session/logout", token=scene.phone.access).status_code == 200
        assert as_login(scene.take_over(agreed)).answer["evicted"] == []


def test_a_joining_device_asks_too(opened: Open) -> None:
    """By a QR code, and by a passkey: each takes over where its question said."""
    suite = opened()
    scene = Scene(suite)
    joining = {"username": scene.anna.username, "password": PASSWORD, "device_name": "Tablet"}
    joining["qr_code"] = suite.qr_code(scene.anna)
    token = scene.offered(suite.post("/device/register", joining))["token"]
    waiting = scene.waiting(token)
    (shown,) = scene.shown()
    assert shown["device_name"] is None
    assert scene.answer(waiting).status_code == 200
    takeover = scene.ask(token).get_json()["takeover"]
    assert takeover["url"].endswith("/device/register")
    tablet = as_login(suite.post("/device/register", {**joining, "takeover_token": takeover["token"]}))
    assert ended(suite.verify(scene.phone)) == "taken-over"
    passkey = passkey_of(suite, tablet, scene.anna)
    question = enter(suite, passkey.assertion(options_of(suite)), device_name="Browser")
    by_passkey = scene.offered(question)["token"]
    second = scene.waiting(by_passkey)
    assert scene.answer(second, tablet).status_code == 200
    takeover = scene.ask(by_passkey).get_json()["takeover"]
    assert takeover["url"].endswith("/login/passkey/finish")
    joined = {"takeover_token": takeover["token"], "device_name": "Browser"}
    assert suite.post("/login/passkey/finish", joined).status_code == 200
    assert ended(suite.verify(tablet)) == "taken-over"


def test_the_challenge_comes_with_the_takeover(build_suite: Build) -> None:
    """Where devices sign, the offer carries what is to be signed, after the agreement and not before."""
    before = build_suite(**ASK)
    anna = before.register()
    device = before.pair(anna)
    suite = build_suite(ICHIDAI_DEVICE_PROOF="signature", **ASK)
    phone = Signer(suite, anna, anna.first, given_keys(anna.first.answer))
    laptop = Signer(suite, anna, device, given_keys(device.answer))
    on_phone = as_login(phone.login())
    question = Scene.offered(laptop.login())
    waiting = suite.post("/login/approval", {"approval_token": question["token"]}).get_json()
    answer = {"approval_id": waiting["approval_id"], "digits": waiting["digits"]}
    assert suite.post("/login/approval/answer", answer, on_phone.access).status_code == 200
    takeover = suite.post("/login/approval", {"approval_token": question["token"]}).get_json()["takeover"]
    consent = {"takeover_token": takeover["token"], "client_cert_fp": device.fingerprint}
    assert code_of(suite.post("/login/takeover", consent)) == (401, "proof-required")
    consent["proof"] = laptop.proof(takeover["challenge"], "takeover", takeover["token"])
    assert suite.post("/login/takeover", consent).status_code == 200


def test_where_nobody_is_asked_the_question_is_as_it_was(build_suite: Build) -> None:
    """Off is the default; an approval that a process with the older policy asked for leads to the question."""
    asking = build_suite(**ASK)
    scene = Scene(asking)
    scene.waiting()
    plain = build_suite(ICHIDAI_TAKEOVER_APPROVAL="off")
    scene.suite = plain
    question = plain.login(scene.anna, scene.laptop)
    assert "approval" not in question.get_json()
    assert "takeover" in question.get_json()
    assert code_of(scene.ask()) == QUESTION
    assert "takeover" in scene.ask().get_json()


def test_an_item_holds_what_may_be_asked_at_once(scene: Scene) -> None:
    """Unknown members of a later release are carried; what can be forgotten is."""
    waiting = scene.waiting()
    key = THROTTLE.key(f"approvals#{scene.anna.uuid}")
    found: Any = scene.suite.store.inner.get(key)
    later = {**found, "colour": "red", "approvals": [{**each, "shape": "round"} for each in found["approvals"]]}
    scene.suite.store.inner.put(THROTTLE, later)
    assert scene.answer(waiting).status_code == 200
    carried: Any = scene.suite.store.inner.get(key)
    assert (carried["colour"], carried["approvals"][0]["shape"]) == ("red", "round")
    assert Approvals.from_list(carried["approvals"]).to_list() == carried["approvals"]
