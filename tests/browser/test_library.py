"""The client library alone, as another front end would use it: `/console/ichidai.js` and nothing of the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.window import Person, Window, somebody
from tests.support.client import PASSWORD
from tests.support.servers import until

Windows = Callable[..., Window]

BEGIN = """async () => {
  document.body.replaceChildren();
  const { Ichidai, Problem } = await import("/console/ichidai.js");
  window.ichidai = new Ichidai({ language: "en" });
  window.Problem = Problem;
  window.endings = [];
  ichidai.onSessionEnded((ending) => endings.push(ending));
}"""


def front_end(window: Window) -> Page:
    """Open a page that has the library and nothing else of ours running."""
    window.page.goto("/docs")
    window.page.evaluate(BEGIN)
    return window.page


def told(person: Person, **more: str) -> dict[str, Any]:
    """Return what a person types in."""
    return {"username": person.username, "password": person.password, **more}


@pytest.mark.requirement("B17", "B30", "B21")
@pytest.mark.parametrize("consents", [True, False])
def test_a_front_end_of_somebody_else(open_window: Windows, *, consents: bool) -> None:
    """Register, pair, log in, be asked, be told: each is one call."""
    person, one, other = somebody(), front_end(open_window()), front_end(open_window())
    registered = one.evaluate("(fields) => ichidai.register(fields)", told(person, email=person.email))
    paired = other.evaluate("(fields) => ichidai.pair(fields)", told(person, qr_code=registered["qr_code"]))
    assert paired["device_id"] != registered["device_id"]
    granted = one.evaluate("(fields) => ichidai.logIn(fields)", told(person))
    assert one.evaluate("ichidai.session")["session_id"] == granted["session_id"]

    unasked = "(fields) => ichidai.logIn(fields).catch((problem) => [problem instanceof Problem, problem.code])"
    assert other.evaluate(unasked, told(person)) == [True, "device-active"]
    other.evaluate(
        "(answer) => ichidai.onTakeoverQuestion(async (question) => ((window.question = question), answer))", consents
    )
    answer = other.evaluate("(fields) => ichidai.logIn(fields)", told(person))
    assert len(other.evaluate("question.active")) == 1
    if consents:
        assert [ended["session_id"] for ended in answer["evicted"]] == [granted["session_id"]]
        until(lambda: one.evaluate("endings.length"), "the first front end was told", 10)
        assert one.evaluate("endings[0].reason") == "taken-over"
        assert one.evaluate("ichidai.session") is None
    else:
        assert answer is None
        assert one.evaluate("ichidai.get('/device/list').then(({ devices }) => devices.length)") == 2


def test_what_goes_wrong_is_a_problem(window: Window) -> None:
    """A refusal with its code; no server, with `unreachable`; a call without a session, with `session-ended`."""
    page = front_end(window)
    code = "(call) => call.catch(({ name, code, status }) => [name, code, status])"
    bad = f"({code})(ichidai.logIn({{ username: 'nobody', password: '{PASSWORD}', fingerprint: '0'.repeat(64) }}))"
    assert page.evaluate(bad) == ["Problem", "bad-credentials", 401]
    assert page.evaluate(f"({code})(ichidai.get('/device/list'))") == ["Problem", "session-ended", 401]
    window.context.set_offline(offline=True)
    assert page.evaluate(f"({code})(ichidai.register({{}}))")[1:] == ["unreachable", 0]
    window.complaints.clear()  # Chromium notes that it is offline
