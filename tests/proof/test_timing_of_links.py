"""F13 for links: who asks for one, or sends one that is forged, learns from no answer whether an account is there.

In the CI size the work before the answer is compared, not the time: it is all that could differ. The long one measures.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import pytest
from werkzeug.test import TestResponse

from common.ids import new_id
from registration import mailing
from registration.later import Later
from registration.mail_model import MailKind
from registration.mailing import MailLink, token_of
from tests.proof.figures import figure, is_long
from tests.proof.test_timing import GENEROUS, TELLING, interleaved, welch
from tests.usecases.in_process_suite import HOUR, HandClock, InProcessSuite

SIZE = 3_000 if is_long() else 5

Asks = tuple[Callable[[], TestResponse], Callable[[], TestResponse]]


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that is moved by hand."""
    return HandClock()


@pytest.fixture
def suite(tmp_path: Path, clock: HandClock) -> Iterator[InProcessSuite]:
    """Return a suite that has mails, of which none leaves."""
    settings = {**GENEROUS, "ICHIDAI_MAIL": "smtp://127.0.0.1:9"}
    with closing(InProcessSuite(tmp_path, tmp_path, clock, **settings)) as suite:
        yield suite


@pytest.fixture
def between(suite: InProcessSuite, clock: HandClock) -> Callable[[], None]:
    """Return what waits until nothing is left of a call but its answer, and until every counter is full again."""

    def rest() -> None:
        assert suite.suite.mailing.later.finish(20)
        clock.move(HOUR)

    return rest


@pytest.fixture
def neutral(suite: InProcessSuite, between: Callable[[], None]) -> Callable[[], None]:
    """Return the same with one more request after it: what the last one left behind is felt by that and by no other."""

    def rest() -> None:
        between()
        suite.post("/registration/password/forgot", {"username": "nobody-2"})
        between()

    return rest


def _forgetting(suite: InProcessSuite) -> Asks:
    """Return requests for a link: for a name that nobody has, and for one whose address is confirmed."""
    somebody = suite.register("somebody")
    ours = suite.suite.mailing
    link = MailLink(MailKind.CONFIRM, somebody.uuid, "somebody@example.test", "", 0)
    confirmed = suite.post("/registration/email/confirm", {"token": token_of(ours, link)})
    assert confirmed.status_code == 200, confirmed.get_data(as_text=True)

    def ask(username: str) -> Callable[[], TestResponse]:
        return lambda: suite.post("/registration/password/forgot", {"username": username})

    return ask("nobody-1"), ask("somebody")


def _resetting(suite: InProcessSuite) -> Asks:
    """Return resets by forged links: of an account that is not there, and of one that is."""
    somebody, ours = suite.register("somebody"), suite.suite.mailing

    def ask(user_uuid: str) -> Callable[[], TestResponse]:
        whole = token_of(ours, MailLink(MailKind.RESET, user_uuid, "somebody@example.test", "", 0))
        forged = whole[:-6] + ("A" * 6 if whole[-6:] != "A" * 6 else "B" * 6)
        body = {"token": forged, "new_password": "an altogether new phrase", "device_name": "New"}
        return lambda: suite.post("/registration/password/reset", body)

    return ask(new_id()), ask(somebody.uuid)


@pytest.fixture(params=[_forgetting, _resetting], ids=["forgot", "reset"])
def asks(request: pytest.FixtureRequest, suite: InProcessSuite) -> Asks:
    """Return what is asked for an account that is not there and for one that is."""
    found: Asks = request.param(suite)
    return found


def work(suite: InProcessSuite, ask: Callable[[], TestResponse], between: Callable[[], None]) -> tuple[object, ...]:
    """Return the answer, and what the store was asked for before it was given; what comes after it is held back."""
    between()
    gate = threading.Event()

    def hold() -> None:
        gate.wait(20)

    suite.suite.mailing.later.run(hold)
    suite.store.watch()
    answer = ask()
    calls = [(call.verb, call.tables) for call in suite.store.calls]
    gate.set()
    between()
    return answer.status_code, list(answer.headers), answer.get_data(), calls


def test_the_answer_and_the_work_are_the_same(suite: InProcessSuite, asks: Asks, between: Callable[[], None]) -> None:
    """I24: byte by byte, and call by call; a request is counted, a forged link costs the store nothing."""
    unknown, known = (work(suite, ask, between) for ask in asks)
    assert unknown == known
    tables = {table for _, named in known[-1] for table in named}  # type: ignore[attr-defined]
    assert tables <= {"ThrottleTable"}


def test_the_time_is_the_same(
    request: pytest.FixtureRequest, asks: Asks, neutral: Callable[[], None], chance: Random
) -> None:
    """I24: in the long size until Welch's t-test could tell; otherwise a few, and nothing is asserted of their time."""
    call = request.node.callspec.id
    t, numbers = _compared(*interleaved(asks, SIZE, chance, call, neutral))
    is_telling = is_long() and abs(t) >= TELLING
    figure("F13", f"{call}: an account that is not there and one that is", f"{SIZE:,} each", int(is_telling), numbers)
    assert not is_telling, numbers


def test_the_next_request_takes_the_same_time(
    suite: InProcessSuite, neutral: Callable[[], None], chance: Random
) -> None:
    """I24: what is done for an account that is there is not felt by the caller's next request either."""
    t, numbers = _compared(*_next_requests(suite, SIZE, chance, neutral))
    is_telling = is_long() and abs(t) >= TELLING
    what = "forgot and the request after it: an account that is not there and one that is"
    figure("F13", what, f"{SIZE:,} each", int(is_telling), numbers)
    assert not is_telling, numbers


def test_an_account_that_is_looked_up_at_once_is_caught(
    suite: InProcessSuite, neutral: Callable[[], None], chance: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is felt by the request after it. Some tries show it."""
    monkeypatch.setattr(mailing, "FORGOTTEN_WITHIN_SECONDS", 0.0)
    t, numbers = _compared(*_next_requests(suite, 300, chance, neutral))
    assert abs(t) >= TELLING, numbers


def _next_requests(
    suite: InProcessSuite, count: int, chance: Random, neutral: Callable[[], None]
) -> tuple[list[float], list[float]]:
    """Return how long a request took right after one for a link to nobody, and to an account that is there."""
    asks = _forgetting(suite)
    following = partial(suite.post, "/registration/password/forgot", {"username": "nobody-3"})
    return interleaved((following, following), count, chance, "next", neutral, before=asks)


def _compared(unknown: list[float], known: list[float]) -> tuple[float, str]:
    """Return Welch's t of two samples, and what the figure says of them."""
    t = welch(unknown, known)
    middles = [statistics.median(sample) * 1e6 for sample in (unknown, known)]
    return t, f"t = {t:.2f}; medians {middles[0]:.0f} and {middles[1]:.0f} µs"


def test_a_link_that_is_sent_before_the_answer_is_caught(
    suite: InProcessSuite, between: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classic mistake: who is there waits for the mail to be written. One call shows it."""
    asks = _forgetting(suite)
    monkeypatch.setattr(Later, "run", lambda _later, task, **_: task())
    calls = []
    for ask in asks:
        suite.store.watch()
        assert ask().status_code == 200
        calls.append([call.verb for call in suite.store.calls])
    assert calls[0] != calls[1]
