"""Joining without the password over HTTP: in one process and in four, on both engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from tests.integration.test_events import LATEST, is_up, socket_url
from tests.support.client import Account, Login, granted, login_of, refused
from tests.support.engines import ENGINES
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, four_served, until

ON = {"ICHIDAI_JOIN_BY_APPROVAL": "true", "MAX_CONCURRENT_DEVICES": "1"}
TRIES = 3
"""How often a browser may ask in ten minutes: on a machine that is busy for 30 seconds one try is lost."""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("deployment", [combined, four_served])
def test_a_browser_joins_and_takes_over(
    engine: str, deployment: Callable[..., Suite], tmp_path: Path, started: Callable[[Suite], Suite]
) -> None:
    """The phone's user types its digits; the limit's question is behind it, and a stranger's name is answered alike."""
    settings = ENGINES[engine](tmp_path).settings
    client = started(deployment(tmp_path / "suite", **settings, **ON)).client
    assert client.get("/.well-known/ichidai.json").json()["join_by_approval"] is True
    anna = client.register()
    phone = anna.login()
    asking, question = approved(anna, phone)
    takeover = question["takeover"]
    browser = login_of(requests.post(takeover["url"], json={**asking, "takeover_token": takeover["token"]}, timeout=60))
    granted(client.verify(browser.access))
    ended = refused(client.verify(phone.access), 401, "session-ended")
    assert (ended["reason"], ended["by_device"]) == ("taken-over", "Browser")
    refused(client.post("/registration/join", asking), 410, "approval-spent")


def approved(anna: Account, phone: Login) -> tuple[dict[str, str], Any]:
    """Return what a browser sends that the phone's user approved, and what it is asked then."""
    client = anna.client
    for _ in range(TRIES):
        asking = {"username": anna.username, "device_name": "Browser"}
        asked = client.post("/registration/join", asking)
        assert asked.status_code == 202, asked.text
        asking["join_token"] = asked.json()["join_token"]
        client.post(
            "/login/approval/answer",
            {name: asked.json()[name] for name in ("approval_id", "digits")},
            token=phone.access,
        )
        found = client.post("/registration/join", asking)
        if found.status_code == 409:
            return asking, refused(found, 409, "device-active")
    raise AssertionError(found.text)


def test_the_active_device_hears_of_it_on_its_stream(tmp_path: Path, started: Callable[[Suite], Suite]) -> None:
    """The event says that a device joins, and which; the digits are not in it."""
    settings = {**ON, "ICHIDAI_EVENTS_PORT": str(free_port())}
    client = started(combined(tmp_path, **settings)).client
    until(lambda: is_up(client), "the streams answer")
    anna = client.register()
    phone = anna.login()
    with connect(socket_url(client)) as socket_:
        socket_.send(json.dumps({"access_token": phone.access}))
        assert json.loads(socket_.recv(LATEST))["event"] == "open"
        asked = client.post("/registration/join", {"username": anna.username, "device_name": "Browser"}).json()
        notice = json.loads(socket_.recv(LATEST))
    assert (notice["event"], notice["data"]["approval_id"]) == ("approval-requested", asked["approval_id"])
    assert (notice["data"]["device_name"], notice["data"]["joins"]) == ("Browser", True)
    assert asked["digits"] not in notice["data"].values()
