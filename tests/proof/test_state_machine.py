"""F19: whatever people do, in any order, is answered as the model says, and alike on both engines (I30).

Hypothesis invents the sequences and shrinks one that fails. They run in this process through the whole suite; the clock
is moved, and limit and mode are changed as an operator changes the policy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from werkzeug.test import TestResponse

from common.account import liveness
from common.account.admission import Admit, ConsentToEnd, Decision
from common.account.book import Session as BookSession
from common.account.policy_store import PolicyProvider, set_policy
from common.account.policy_values import LIMIT
from device_manager.concurrency_policy import decide
from ichidai.wiring import shared
from registration import schemas
from session_manager import session_service
from session_manager.session_model import Repeated, Rotation, rotate
from tests.proof import figures
from tests.proof.figures import figure, is_long
from tests.proof.model import GRACE, IDLE, LIFETIME, MOST_DEVICES, Answer, Model, Session
from tests.support.engines import ENGINES
from tests.usecases.in_process_suite import PASSWORD, T0, HandClock, InProcessSuite

RULES = [(1, "ask"), (2, "ask"), (1, "evict"), (2, "reject"), (3, "ask")]
WAITS = [5, 11, 61, 121, 601, 13 * 3600, 25 * 3600]
SETTINGS = {
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "1000000",
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": "1000000",
    "ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "1000000",
    "ICHIDAI_REGISTRATIONS_SOURCE": "1000000",
    "ICHIDAI_MAX_DEVICES": str(MOST_DEVICES),
    "ICHIDAI_IDLE_SECONDS": str(IDLE),
    "ICHIDAI_SESSION_SECONDS": str(LIFETIME),
}
OFTEN = {"login": 6, "change devices": 3, "take over": 5, "verify": 4, "list": 2, "keep the first": 1, "unbind": 1}
OFTEN |= {"log out": 1, "refresh": 5, "show": 2, "redeem": 2, "wait": 5, "change the rules": 1}
ORDER = [deed for deed, often in OFTEN.items() for _ in range(often)]
"""What is done how often."""

NEEDED = {
    **dict.fromkeys(("verify", "list", "keep the first", "unbind", "log out"), "accesses"),
    "take over": "consents",
    "refresh": "refreshes",
    "redeem": "codes",
}
"""What one must hold to do it; who has none logs in."""


Build = Callable[..., "Street"]


@dataclass
class Street:
    """The suites: one for each engine, with one clock."""

    clock: HandClock
    engines: list[InProcessSuite]
    people: int = 0
    steps: int = 0

    def set_policy(self, limit: int, mode: str) -> None:
        """Change the policy as the operator's command does; every suite has read it when this returns."""
        values = {LIMIT: str(limit), "ICHIDAI_CONCURRENCY_MODE": mode}
        for suite in self.engines:
            set_policy(suite.store.inner, values, who="operator", why="another rule", now=T0)
            assert isinstance(suite.suite.policies, PolicyProvider)
            suite.suite.policies.reread()


@pytest.fixture
def street_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Return what builds the suites on some engines."""
    monkeypatch.setattr(schemas, "qr_png", lambda _: "data:")  # to draw them takes most of the time
    with ExitStack() as built:

        def on(*kinds: str) -> Street:
            clock = HandClock()
            return Street(clock, [suite(clock, kind) for kind in kinds])

        def suite(clock: HandClock, kind: str) -> InProcessSuite:
            store = None if kind == "sqlite" else ENGINES[kind](tmp_path).open()
            host = tmp_path / kind  # no two hosts have one folder: what one saw of its store lies in it
            host.mkdir()
            return built.enter_context(closing(InProcessSuite(host, host, clock, store, **SETTINGS)))

        yield on


@dataclass
class Held:
    """What a client holds: the same of each engine, and by what the model knows it (a session, a time or a turn)."""

    raw: list[Any]
    number: int = 0
    mark: int = 0


class People(RuleBasedStateMachine):
    """One person with some devices, and the model beside."""

    street: Street

    @initialize(number=st.integers(0, len(RULES) - 1))
    def join(self, number: int) -> None:
        """Register somebody with two devices."""
        self.street.clock.now = T0
        self.street.people += 1
        self.street.set_policy(*RULES[number])
        self.model = Model(*RULES[number])
        self.credentials = {"username": f"user{self.street.people}", "password": PASSWORD}
        self.accesses, self.refreshes, self.consents, self.codes = (
            list[Held](),
            list[Held](),
            list[Held](),
            list[Held](),
        )
        form = {**self.credentials, "email": f"{self.street.people}@b.test", "device_name": "0"}
        self.devices = [Held(self.asked("/registration/", Answer(200), form))]
        self.show(0)
        self.redeem(0, enter=False, force=False)

    @rule(deed=st.sampled_from(ORDER), which=st.integers(0, 5), other=st.integers(0, 5), yes=st.booleans())
    def act(self, deed: str, which: int, other: int, *, yes: bool) -> None:
        """Do one thing. One rule for all: of several, hypothesis leaves some out of each life."""
        needed = NEEDED.get(deed)
        DEEDS[deed if needed is None or getattr(self, needed) else "login"](self, which, other, yes)

    # What they do.

    def login(self, device: int, *, force: bool) -> None:
        """Log in on a device."""
        device %= len(self.devices)
        expected = self.model.login(device, force=force)
        self.entered(
            self.asked("/login", expected, self.credentials | {"force": force}, self.certificate(device)), expected
        )

    def take_over(self, consent: int, stranger: int) -> None:
        """Consent to what some device was shown, on that device or on the next one."""
        place = -1 - consent % len(self.consents)
        agreed = self.model.consents[place]
        device = (agreed.device + stranger) % len(self.devices)
        expected, raw = self.model.take_over(agreed, device), self.consents[place].raw
        tokens = [{"takeover_token": each} for each in raw]
        self.entered(self.asked("/login/takeover", expected, {}, tokens, self.certificate(device)), expected)

    def verify(self, token: int) -> None:
        """Use an access token."""
        self.signed_in("/session/verify", token, lambda _: Answer(200), get=True)

    def sessions(self, token: int) -> None:
        """List who is active."""
        everybody = lambda _: Answer(200, told=[session.device for session in self.model.live()])  # noqa: E731
        self.signed_in("/session/list", token, everybody, get=True, active=False)

    def keep_first(self, token: int) -> None:
        """End all but the earliest session."""
        self.signed_in("/device/force_logout", token, self.model.keep_first)

    def unbind(self, token: int, device: int) -> None:
        """Remove a device."""
        device %= len(self.devices)
        ids = [{"device_id": answer["device_id"], "password": PASSWORD} for answer in self.devices[device].raw]
        self.signed_in("/device/unbind", token, lambda _: self.model.unbind(device), ids)

    def logout(self, token: int) -> None:
        """End one's own session."""
        held = self.accesses[-1 - token % len(self.accesses)]
        self.asked("/session/logout", self.model.logout(held.number), tokens=held.raw)

    def refresh(self, token: int) -> None:
        """Use a refresh token, perhaps an old one."""
        held = self.refreshes[-1 - token % len(self.refreshes)]
        expected = self.model.refresh(held.number, held.mark)
        sent = [{"refresh_token": each} for each in held.raw]
        answers = self.asked("/session/refresh", expected, {}, sent)
        if expected.status == 200:
            self.hold_tokens(answers, held.number)

    def show(self, device: int) -> None:
        """Show a QR code on a device."""
        device %= len(self.devices)
        expected = self.model.issue(device)
        answers = self.asked(
            "/registration/request_pairing_token", expected, self.credentials, self.certificate(device)
        )
        if expected.status == 200:
            self.codes.append(Held([answer["qr_code"] for answer in answers]))

    def redeem(self, code: int, *, enter: bool, force: bool) -> None:
        """Join with a new device."""
        place = -1 - code % len(self.codes)
        expected = self.model.redeem(self.model.pairings[place], enter=enter, force=force)
        form = self.credentials | {"device_name": str(len(self.devices)), "force": force}
        codes = [{"qr_code": each} for each in self.codes[place].raw]
        answers = self.asked("/device/register" if enter else "/registration/", expected, form, codes)
        if expected.status == 200:
            self.devices.append(Held(answers))
            if enter:
                self.entered(answers, expected)
            else:
                self.codes.append(Held([answer["qr_code"] for answer in answers]))

    def change_devices(self, device: int, *, agree: bool) -> None:
        """Log in on one device, then on the next one, and agree to what is shown, or force it."""
        self.login(device, force=True)
        self.login(device + 1, force=not agree)
        if agree and self.consents:
            self.take_over(0, 0)

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.model.now += seconds
        self.street.clock.move(timedelta(seconds=seconds))

    def change_the_rules(self, number: int) -> None:
        """Put another limit and mode in force."""
        self.street.set_policy(*RULES[number])
        self.model.change_policy(*RULES[number])

    # How it is sent and seen.

    def certificate(self, device: int) -> list[dict[str, str]]:
        """Return what shows a device, for each engine."""
        return [{"client_cert_fp": answer["client_cert_fp"]} for answer in self.devices[device].raw]

    def signed_in(
        self,
        path: str,
        token: int,
        act: Callable[[Session], Answer],
        *more: list[dict[str, str]],
        get: bool = False,
        active: bool = True,
    ) -> None:
        """Do something with an access token."""
        held = self.accesses[-1 - token % len(self.accesses)]
        caller = self.model.caller(held.number, held.mark, active=active)
        expected = caller if isinstance(caller, Answer) else act(caller)
        self.asked(path, expected, None if get else {}, *more, tokens=held.raw)

    def entered(self, answers: list[Any], expected: Answer) -> None:
        """Keep what a way in has given: tokens, or a question."""
        if expected.status == 200:
            self.hold_tokens(answers, self.model.entered_as)
        elif all("takeover" in answer for answer in answers):
            self.consents.append(Held([answer["takeover"]["token"] for answer in answers]))

    def hold_tokens(self, answers: list[Any], number: int) -> None:
        """Keep a pair of tokens."""
        generation = next(session.generation for session in self.model.book if session.number == number)
        self.accesses.append(Held([answer["access_token"] for answer in answers], number, self.model.now))
        self.refreshes.append(Held([answer["refresh_token"] for answer in answers], number, generation))

    def asked(
        self,
        path: str,
        expected: Answer,
        body: Mapping[str, Any] | None = None,
        *more: list[dict[str, str]],
        tokens: list[str] | None = None,
    ) -> list[Any]:
        """Send a body (`more`: what differs between the engines); each must answer as the model. Return the answers."""
        self.street.steps += 1
        answers = []
        for place, suite in enumerate(self.street.engines):
            own = (
                None
                if body is None
                else {**body, **{key: value for each in more for key, value in each[place].items()}}
            )
            token = None if tokens is None else tokens[place]
            reply = (
                suite.get(path, token) if own is None and path != "/session/logout" else suite.post(path, own, token)
            )
            suite.wait_a_second()
            assert seen(reply) == expected, f"engine {place}: {reply.get_data(as_text=True)[:300]}"
            answers.append(reply.get_json())
        return answers


DEEDS: Mapping[str, Callable[[People, int, int, bool], None]] = {
    "login": lambda one, which, other, yes: one.login(which, force=yes and other < 2),
    "change devices": lambda one, which, _other, yes: one.change_devices(which, agree=yes),
    "take over": lambda one, which, other, _yes: one.take_over(which // 2, int(other == 0)),
    "verify": lambda one, which, _other, _yes: one.verify(which),
    "list": lambda one, which, _other, _yes: one.sessions(which),
    "keep the first": lambda one, which, _other, _yes: one.keep_first(which),
    "unbind": lambda one, which, other, _yes: one.unbind(which // 2, other),
    "log out": lambda one, which, _other, _yes: one.logout(which),
    "refresh": lambda one, which, _other, _yes: one.refresh(which // 2),
    "show": lambda one, which, _other, _yes: one.show(which),
    "redeem": lambda one, which, other, yes: one.redeem(which // 2, enter=yes, force=other < 3),
    "wait": lambda one, which, other, _yes: one.wait(WAITS[(which + other) % len(WAITS)]),
    "change the rules": lambda one, which, _other, _yes: one.change_the_rules(which % len(RULES)),
}


def seen(reply: TestResponse) -> Answer:
    """Return an answer as the model gives it: devices by their numbers, which are their names."""
    body = reply.get_json()
    code = body.get("code", "")
    listed = body.get("evicted", body.get("active", body.get("sessions")))
    if "kept" in body:
        listed = [body["kept"], *body["logged_out"]]
    told = [int(each["device_name"]) for each in listed] if isinstance(listed, list) else ()
    return Answer(reply.status_code, body["reason"] if code == "session-ended" else code, told)


def run(street: Street, examples: int, steps: int, *, shrink: bool = True) -> None:
    """Let hypothesis invent so many lives of so many steps."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    mine = seed(figures.seed())(type("Life", (People,), {"street": street}))
    run_state_machine_as_test(mine, settings=chosen)


SIZES = {
    ("sqlite",): ((60, 50), (1000, 50)),
    ("sqlite", "dynamodb"): ((6, 40), (60, 50)),
}
"""Lives, and steps of each: the CI size, the long size. DynamoDB Local takes ten times as long."""


@pytest.mark.parametrize("kinds", SIZES, ids="+".join)
def test_every_life_is_as_the_model_says(street_on: Build, kinds: tuple[str, ...]) -> None:
    """Every answer is the model's, and the same on all engines."""
    street, (lives, steps) = street_on(*kinds), SIZES[kinds][is_long()]
    try:
        run(street, lives, steps)
    finally:
        what = f"lives invented by hypothesis against the model, {' and '.join(kinds)}"
        wrong = int(sys.exc_info()[0] is not None)
        figure("F19", what, f"{street.people:,} × {steps} steps, {street.steps:,} calls on each", wrong)


def test_a_used_consent_is_spent_where_nobody_is_asked(street_on: Build) -> None:
    """One life of a thousand: a session was opened or refreshed, then mode `reject` below the limit came into force."""
    one = type("Life", (People,), {"street": street_on("sqlite")})()
    for agree in (False, True):
        one.join(number=RULES.index((1, "ask")))
        one.login(0, force=False)
        one.login(1, force=False)
        if agree:
            one.take_over(0, 0)
            one.refresh(0)
        else:
            one.login(0, force=False)
        one.change_the_rules(RULES.index((2, "reject")))
        one.take_over(0, 0)


def consent_by_count(live: Sequence[BookSession], device_id: str, **more: Any) -> Decision:
    """Take a consent for one to any so many sessions, whoever they are."""
    others = tuple(session for session in live if session.device_id != device_id)
    consent = more["consent"]
    if isinstance(consent, ConsentToEnd) and len(others) <= len(consent.session_ids):
        return Admit(evicted=others)
    return decide(live, device_id, **more)


def endless_grace(session: BookSession, generation: int, now: datetime) -> Rotation:
    """Answer the previous refresh token for ever."""
    return Repeated(session) if generation == session.generation - 1 else rotate(session, generation, now)


PLANTED = {
    "consent by count": (shared, "decide", consent_by_count),
    "a session expires late": (liveness, "session_expiry", lambda session, _rules: session.ends_at),
}


def test_an_endless_grace_is_found(street_on: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one life that is told here: hypothesis may need hundreds until one of them waits at the right place."""
    one = type("Life", (People,), {"street": street_on("sqlite")})()

    def live() -> None:
        one.join(number=RULES.index((1, "ask")))
        one.login(0, force=True)
        one.refresh(0)
        one.wait(GRACE + 1)
        one.refresh(1)

    live()
    monkeypatch.setattr(session_service, "rotate", endless_grace)
    with pytest.raises(AssertionError, match="engine 0"):
        live()


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_mistake_is_found(street_on: Build, monkeypatch: pytest.MonkeyPatch, planted: str) -> None:
    """The machine can fail: it finds these."""
    module, name, mistake = PLANTED[planted]
    monkeypatch.setattr(module, name, mistake)
    with pytest.raises(AssertionError, match="engine 0"):
        run(street_on("sqlite"), 1000, 50, shrink=False)
