"""One account, one place at a time: the four cases that were asked for, and what must hold around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import requests

from tests.support.client import (
    QUESTION,
    Account,
    Client,
    Device,
    Login,
    all_at_once,
    bearer,
    granted,
    login_of,
    refused,
)
from tests.support.servers import Suite

SIGNED_IN = [
    ("GET", "/session/verify"),
    ("GET", "/session/list"),
    ("GET", "/session/history"),
    ("POST", "/session/revoke"),
    ("GET", "/device/list"),
    ("POST", "/device/unbind"),
    ("POST", "/device/rename"),
    ("POST", "/device/force_logout"),
]


def two_devices(client: Client) -> tuple[Account, Device, Device]:
    """Return an account with a phone and a laptop."""
    account = client.register()
    return account, account.phone, account.pair("Laptop")


@pytest.mark.requirement(
    "B01", "B02", "B03", "B07", "B08", "B09", "B11", "B26", "B34", "B35", "D21", "D27", "D31", "D40", "D41"
)
@pytest.mark.requirement("D42", "D43", "B13", "B14", "B21", "B22", "B25", "B28")
@pytest.mark.regression("X06", "Y01", "Y06")
def test_continue_ends_the_earlier_session(client: Client) -> None:
    """Case 1: A is logged in, B is asked in the words that were given, says continue; A is out at once, B is in."""
    account, phone, laptop = two_devices(client)
    a = account.login(phone)
    asked = account.question(laptop)
    assert asked["error"] == "他端末がアクティブです。切り替えますか？"
    assert asked["message"] == QUESTION
    assert asked["active"] == [
        {"device_name": "Phone", "login_at": a.answer["login_at"], "last_seen_at": a.answer["login_at"]}
    ]
    b = login_of(account.take_over(asked, laptop))
    assert b.answer["evicted"] == [
        {"session_id": a.session_id, "device_name": "Phone", "login_at": a.answer["login_at"]}
    ]
    assert refused(client.verify(a.access), 401, "session-ended")["reason"] == "taken-over"
    granted(client.verify(b.access))


@pytest.mark.requirement("B10", "B36", "D44", "B02", "D51")
@pytest.mark.regression("Y06")
def test_cancel_leaves_the_earlier_session_alive(suite: Suite) -> None:
    """Case 2: B is asked and says no, which is to send nothing; A stays as it was and so does all that is stored."""
    client = suite.client
    account, phone, laptop = two_devices(client)
    a = account.login(phone)
    before = suite.rows()
    account.question(laptop)
    assert suite.rows() == before
    assert granted(client.verify(a.access))["session_id"] == a.session_id
    granted(client.refresh(a.refresh))


@pytest.mark.requirement("B05", "B06", "B11", "B14", "B28", "B37")
@pytest.mark.regression("X06", "Y01", "X15", "X01")
def test_a_forced_out_access_token_is_refused_everywhere(client: Client) -> None:
    """Case 3: the token that was good a moment ago gets 401 at every route that takes one."""
    account, phone, laptop = two_devices(client)
    a = account.login(phone)
    account.login(laptop, force=True)
    for method, path in SIGNED_IN:
        reply = client.call(method, path, token=a.access, json={} if method == "POST" else None)
        body = refused(reply, 401, "session-ended")
        assert body["reason"] == "forced-out", path


@pytest.mark.requirement("B05", "B38")
@pytest.mark.regression("Y03")
def test_a_forced_out_session_cannot_be_refreshed(client: Client) -> None:
    """Case 4: the refresh token of the ended session gives an error and never the newer session."""
    account, phone, laptop = two_devices(client)
    a = account.login(phone)
    b = account.login(laptop, force=True)
    body = refused(client.refresh(a.refresh), 401, "session-ended")
    assert body["reason"] == "forced-out"
    assert not {"access_token", "refresh_token"} & body.keys()
    granted(client.verify(b.access))


@pytest.mark.requirement("B17", "B23", "B27", "B30", "D17", "D29", "D35")
@pytest.mark.regression("X03", "Y04")
@pytest.mark.parametrize("path", ["/login/force", "/login", "/session/create"])
def test_a_forced_login_ends_the_others_and_nothing_else(client: Client, path: str) -> None:
    """Whichever way it comes in, the new session is good, the old one is out, and account and devices are intact."""
    account, phone, laptop = two_devices(client)
    a = account.login(phone)
    forced = account.login(laptop, path, **({} if path == "/login/force" else {"force": True}))
    assert granted(client.verify(forced.access))["device_id"] == laptop.device_id
    assert refused(client.verify(a.access), 401, "session-ended")["reason"] == "forced-out"
    back = account.login(phone, path, **({} if path == "/login/force" else {"force": True}))
    assert len(granted(client.get("/device/list", token=back.access))["devices"]) == 2
    refused(client.verify(forced.access), 401, "session-ended")


@pytest.mark.requirement("B12", "B15", "B24", "B29")
@pytest.mark.regression("X18")
def test_an_active_session_has_id_and_times(client: Client) -> None:
    """What is stored of a session: its id, its device, when it began and when it was last active."""
    account = client.register()
    session = account.login()
    (listed,) = granted(client.get("/session/list", token=session.access))["sessions"]
    assert listed == {
        "session_id": session.session_id,
        "device_id": account.phone.device_id,
        "device_name": "Phone",
        "login_at": session.answer["login_at"],
        "last_seen_at": session.answer["login_at"],
        "current": True,
    }


@pytest.mark.requirement("D33", "B29")
def test_the_same_device_again_is_no_conflict(client: Client) -> None:
    """Its own earlier session is replaced without a question, by a new one with new tokens."""
    account = client.register()
    first, second = account.login(), account.login()
    assert second.answer["evicted"] == []
    assert first.session_id != second.session_id
    assert refused(client.verify(first.access), 401, "session-ended")["reason"] == "replaced"
    granted(client.verify(second.access))
    assert len(granted(client.get("/device/list", token=second.access))["devices"]) == 1


@pytest.mark.requirement("B03")
def test_who_lost_may_come_back_by_asking_in_turn(client: Client) -> None:
    """The question goes to whoever comes; there and back again both times one session is live."""
    account, phone, laptop = two_devices(client)
    current = account.login(phone)
    for device in (laptop, phone, laptop):
        taken = login_of(account.take_over(account.question(device), device))
        refused(client.verify(current.access), 401, "session-ended")
        current = taken
    granted(client.verify(current.access))


@pytest.mark.requirement("B04")
def test_a_login_by_mail_meets_the_same_limit(client: Client) -> None:
    """Name or mail, it is one account."""
    account, phone, laptop = two_devices(client)
    account.login(phone)
    by_mail = {"email": account.email.upper(), "password": account.password, **laptop.proof}
    asked = refused(client.post("/login", by_mail), 409, "device-active")
    assert [session["device_name"] for session in asked["active"]] == ["Phone"]


@pytest.mark.requirement("B04")
def test_a_client_cannot_choose_its_session(client: Client) -> None:
    """A session id in the body is ignored: nobody can fix a session for another."""
    account = client.register()
    first = account.login()
    second = account.login(session_id=first.session_id, sid=first.session_id, device_id="mine")
    assert second.session_id != first.session_id
    assert second.device_id == account.phone.device_id


def test_no_cookie_and_no_token_in_an_address(client: Client) -> None:
    """Authority travels in the header alone: no answer sets a cookie, and a token in the address opens nothing."""
    account = client.register()
    reply = account.try_login()
    session = login_of(reply)
    assert "Set-Cookie" not in reply.headers
    refused(client.get(f"/session/verify?access_token={session.access}"), 401, "token-missing")
    cookies = {"access_token": session.access, "session": session.access}
    refused(client.get("/session/verify", cookies=cookies), 401, "token-missing")


def browser_login(account: Account) -> Callable[[], requests.Response]:
    """Return the login of one more browser, where no device proof is asked."""
    return partial(account.client.post, "/login", account.credentials)


def live(client: Client, sessions: list[Login]) -> list[Login]:
    """Return those sessions that are good now."""
    return [session for session in sessions if client.verify(session.access).status_code == 200]


@pytest.mark.requirement("B01", "D40", "D47")
@pytest.mark.regression("X05", "X09", "X16", "Y07")
@pytest.mark.parametrize("limit", [1, 3])
def test_of_many_logins_at_once_as_many_as_the_limit_get_in(pool: Callable[..., Suite], limit: int) -> None:
    """Twenty browsers at the same moment, two processes: `limit` are in, the others are asked, none gets an error."""
    client = pool(workers=2, ICHIDAI_DEVICE_PROOF="none", MAX_CONCURRENT_DEVICES=str(limit)).client
    account = client.register()
    replies = all_at_once([browser_login(account)] * 20)
    assert Counter(reply.status_code for reply in replies) == {200: limit, 409: 20 - limit}
    inside = [login_of(reply) for reply in replies if reply.status_code == 200]
    assert len(live(client, inside)) == limit
    listed = granted(client.get("/session/list", token=inside[0].access))["sessions"]
    assert {session["session_id"] for session in listed} == {session.session_id for session in inside}


@pytest.mark.regression("X05", "Y07")
def test_of_many_consents_at_once_one_gets_in(pool: Callable[..., Suite]) -> None:
    """Ten browsers are shown the same session and all consent at once: one takes it over, nine are asked anew."""
    client = pool(workers=2, ICHIDAI_DEVICE_PROOF="none", MAX_CONCURRENT_DEVICES="1").client
    account = client.register()
    first = login_of(browser_login(account)())
    asked = [refused(reply, 409, "device-active") for reply in all_at_once([browser_login(account)] * 10)]
    replies = all_at_once([partial(account.take_over, question, None) for question in asked])
    assert Counter(reply.status_code for reply in replies) == {200: 1, 409: 9}
    (winner,) = [login_of(reply) for reply in replies if reply.status_code == 200]
    assert [session["session_id"] for session in winner.answer["evicted"]] == [first.session_id]
    for reply in replies:
        if reply.status_code == 409:
            (shown,) = refused(reply, 409, "device-active")["active"]
            assert shown["login_at"] == winner.answer["login_at"]
    granted(client.verify(winner.access))
    refused(client.verify(first.access), 401, "session-ended")


@pytest.mark.regression("X05", "Y07", "X03")
def test_a_storm_of_logins_and_forced_logins_leaves_the_limit_whole(pool: Callable[..., Suite]) -> None:
    """Whatever is tried at once, every forced login is let in, and in the end one session is live."""
    client = pool(workers=2, ICHIDAI_DEVICE_PROOF="none", MAX_CONCURRENT_DEVICES="1").client
    account = client.register()
    forced = partial(client.post, "/login/force", account.credentials)
    logins: list[Callable[[], requests.Response]] = [browser_login(account), forced]
    replies = all_at_once(logins * 8)
    assert {reply.status_code for reply in replies[1::2]} == {200}
    assert {reply.status_code for reply in replies[::2]} <= {200, 409}
    inside = [login_of(reply) for reply in replies if reply.status_code == 200]
    assert len(live(client, inside)) == 1


@pytest.mark.regression("X05", "Y07")
def test_registered_devices_at_once_meet_the_limit_too(client: Client) -> None:
    """Six bound devices log in at the same moment: one is in."""
    account = client.register()
    devices = [account.phone, *(account.pair(f"Laptop {number}") for number in range(5))]
    replies = all_at_once([partial(account.try_login, device) for device in devices])
    assert Counter(reply.status_code for reply in replies) == {200: 1, 409: 5}


def test_the_ended_are_told_why(client: Client) -> None:
    """The 401 of an ended session says what happened, in the reader's language."""
    account, phone, laptop = two_devices(client)
    a = account.login(phone)
    account.take_over(account.question(laptop), laptop)
    english = client.get("/session/verify", headers={**bearer(a.access), "Accept-Language": "en"})
    japanese = client.get("/session/verify", headers={**bearer(a.access), "Accept-Language": "ja"})
    assert "Another device logged in" in refused(english, 401, "session-ended")["detail"]
    assert "別の端末が" in refused(japanese, 401, "session-ended")["detail"]
