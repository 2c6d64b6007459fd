"""The consent: bound to the sessions shown, the device that asked and its time; and every mode and limit around it."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.client import Account, Client, Device, Login, all_at_once, granted, login_of, refused
from tests.support.servers import Suite, combined

Pool = Callable[..., Suite]
Way = Callable[[Account, Device, str], requests.Response]


def three_devices(client: Client) -> tuple[Account, Device, Device, Device]:
    """Return an account with three devices."""
    account = client.register()
    return account, account.phone, account.pair("Laptop"), account.pair("Tablet")


def expected_to_live(client: Client, *sessions: Login) -> None:
    """Check that sessions are good."""
    for session in sessions:
        granted(client.verify(session.access))


@pytest.mark.requirement("B03", "B10", "D41")
@pytest.mark.regression("Y04", "X05")
def test_a_stale_consent_ends_nobody(suite: Suite) -> None:
    """Shown A, then B replaced A, then the consent arrives: asked anew about B, and B is untouched."""
    client = suite.client
    account, phone, laptop, tablet = three_devices(client)
    account.login(phone)
    asked = account.question(tablet)
    b = login_of(account.take_over(account.question(laptop), laptop))
    before = suite.rows()
    again = refused(account.take_over(asked, tablet), 409, "device-active")
    assert [session["device_name"] for session in again["active"]] == ["Laptop"]
    assert suite.rows() == before
    expected_to_live(client, b)
    c = login_of(account.take_over(again, tablet))
    assert [session["session_id"] for session in c.answer["evicted"]] == [b.session_id]


def test_a_consent_holds_when_who_was_shown_left_already(client: Client) -> None:
    """The limit is free again by then: the consent lets in and ends nobody."""
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    asked = account.question(laptop)
    granted(client.post("/session/logout", token=a.access))
    assert login_of(account.take_over(asked, laptop)).answer["evicted"] == []


def test_a_refresh_of_the_shown_session_does_not_void_the_consent(client: Client) -> None:
    """It is the same session still."""
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    asked = account.question(laptop)
    renewed = granted(client.refresh(a.refresh))
    login_of(account.take_over(asked, laptop))
    for token in (a.access, renewed["access_token"]):
        refused(client.verify(token), 401, "session-ended")
    refused(client.refresh(renewed["refresh_token"]), 401, "session-ended")


def test_a_new_login_of_the_shown_device_voids_the_consent(client: Client) -> None:
    """It is another session, which nobody agreed to end."""
    account, phone, laptop, _ = three_devices(client)
    account.login(phone)
    asked = account.question(laptop)
    again = account.login(phone)
    refused(account.take_over(asked, laptop), 409, "device-active")
    expected_to_live(client, again)


@pytest.mark.regression("X35")
def test_a_consent_works_once(client: Client) -> None:
    """Sent again it gives the same session; once that was refreshed, or has ended, it is 410, also in a free place."""
    account, phone, laptop, _ = three_devices(client)
    account.login(phone)
    asked = account.question(laptop)
    b = login_of(account.take_over(asked, laptop))
    again = login_of(account.take_over(asked, laptop))
    assert (again.session_id, again.answer["evicted"]) == (b.session_id, [])
    granted(client.refresh(again.refresh))
    refused(account.take_over(asked, laptop), 410, "takeover-spent")
    expected_to_live(client, b)
    granted(client.post("/session/logout", token=b.access))
    refused(account.take_over(asked, laptop), 410, "takeover-spent")


@pytest.mark.regression("X35", "X05")
def test_the_same_consent_twenty_times_at_once_opens_one_session(pool: Pool) -> None:
    """With two processes: all are given that session, which is good, and the phone's ended once."""
    client = pool(workers=2).client
    account, phone, laptop, _ = three_devices(client)
    account.login(phone)
    asked = account.question(laptop)
    replies = all_at_once([partial(account.take_over, asked, laptop)] * 20)
    assert Counter(reply.status_code for reply in replies) == {200: 20}
    (winner,) = {login_of(reply).session_id: login_of(reply) for reply in replies}.values()
    assert Counter(len(reply.json()["evicted"]) for reply in replies) == {1: 1, 0: 19}
    expected_to_live(client, winner)


def test_a_consent_from_another_device_is_refused(suite: Suite) -> None:
    """A stolen token is of no use on a device that did not ask, whoever's it is; the asker may still use it."""
    client = suite.client
    account, phone, laptop, tablet = three_devices(client)
    stranger = client.register()
    a = account.login(phone)
    asked = account.question(laptop)
    before = suite.rows()
    for device in (tablet, phone, stranger.phone):
        refused(account.take_over(asked, device), 403, "device-mismatch")
    missing = client.post("/login/takeover", {"takeover_token": asked["takeover"]["token"]})
    refused(missing, 400, "missing-fields")
    assert suite.rows() == before
    expected_to_live(client, a)
    login_of(account.take_over(asked, laptop))


def test_a_consent_of_a_device_that_was_unbound_is_refused(client: Client) -> None:
    """What is no longer bound does not come in."""
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    asked = account.question(laptop)
    granted(client.post("/device/unbind", {"device_id": laptop.device_id}, token=a.access))
    refused(account.take_over(asked, laptop), 403, "device-mismatch")
    expected_to_live(client, a)


def tampered(token: str) -> dict[str, Any]:
    """Return texts that are no takeover token of ours, though some look much like one."""
    payload, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(payload.lstrip(".") + "==")
    other = base64.urlsafe_b64encode(raw[:-1] + b" ").rstrip(b"=").decode()
    return {
        "cut at the end": token[:-1],
        "cut in the middle": token[: len(token) // 2],
        "cut at the front": token[1:],
        "without signature": payload,
        "empty signature": payload + ".",
        "other payload": f"{other}.{signature}",
        "other signature": f"{payload}.{'A' * len(signature)}",
        "one bit more": token[:-1] + chr(ord(token[-1]) ^ 1),
        "a letter more": token + "A",
        "padded": token + "=",
        "made up": "made up",
        "dots": "...",
        "no ASCII": "券" * 20,
        "NUL": "\x00",
        "long": "A" * 60_000,
    }


def test_a_forged_or_cut_consent_is_refused(suite: Suite) -> None:
    """Only what we sealed counts; nothing changes."""
    client = suite.client
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    asked = account.question(laptop)
    before = suite.rows()
    for how, forged in tampered(asked["takeover"]["token"]).items():
        reply = client.post("/login/takeover", {"takeover_token": forged, **laptop.proof})
        assert (how, refused(reply, 400, "takeover-invalid")["status"]) == (how, 400)
    assert suite.rows() == before
    expected_to_live(client, a)


@pytest.mark.regression("X64")
def test_other_tokens_are_no_consent(client: Client) -> None:
    """Access tokens, refresh tokens and pairing tokens of the same person open no takeover."""
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    pairing = account.pairing(phone)
    for token in (a.access, a.refresh, pairing["pairing_token"], pairing["qr_code"], a.session_id):
        reply = client.post("/login/takeover", {"takeover_token": token, **laptop.proof})
        refused(reply, 400, "takeover-invalid")
    expected_to_live(client, a)


@pytest.mark.regression("X64")
def test_the_consent_of_one_endpoint_is_none_at_the_other(client: Client) -> None:
    """One of /device/register is refused at /login/takeover, and the other way round; each still works at its own."""
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    qr_code = account.pairing(phone)["qr_code"]
    of_login = account.question(laptop)
    of_register = refused(account.try_join(qr_code), 409, "device-active")
    assert of_login["takeover"]["url"].endswith("/login/takeover")
    assert of_register["takeover"]["url"].endswith("/device/register")
    foreign = {"takeover_token": of_register["takeover"]["token"], **laptop.proof}
    refused(client.post("/login/takeover", foreign), 400, "takeover-invalid")
    join = partial(account.try_join, qr_code)
    refused(join(takeover_token=of_login["takeover"]["token"]), 400, "takeover-invalid")
    expected_to_live(client, a)
    joined = login_of(join(takeover_token=of_register["takeover"]["token"]))
    assert [session["session_id"] for session in joined.answer["evicted"]] == [a.session_id]


@pytest.mark.requirement("D20", "D48")
def test_the_consent_of_a_registration_is_bound_to_its_pairing_token(client: Client) -> None:
    """With another pairing token it is refused, and neither token is used up by that."""
    account = client.register()
    a = account.login()
    one, other = account.pairing()["qr_code"], account.pairing()["qr_code"]
    asked = refused(account.try_join(one), 409, "device-active")
    consent = {"takeover_token": asked["takeover"]["token"]}
    refused(account.try_join(other, **consent), 403, "device-mismatch")
    expected_to_live(client, a)
    login_of(account.try_join(one, **consent))
    refused(account.try_join(one, **consent), 410, "pairing-token-spent")


@pytest.mark.requirement("B08")
def test_the_offer_of_a_takeover(client: Client) -> None:
    """Two minutes, an absolute address that no Host header can bend, and nothing of it that names a session's id."""
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    asked = refused(account.try_login(laptop), 409, "device-active")
    assert asked["takeover"].keys() == {"token", "expires_in", "url"}
    assert 100 < asked["takeover"]["expires_in"] <= 120
    assert asked["takeover"]["url"] == client.url("/login/takeover")
    form = {**account.credentials, **laptop.proof}
    bent = refused(client.post("/login", form, headers={"Host": "evil.test"}), 409, "device-active")
    assert bent["takeover"]["url"] == asked["takeover"]["url"]
    assert "evil.test" not in bent["type"]
    shown = {name: value for name, value in asked.items() if name != "takeover"}
    assert a.session_id not in str(shown)


# --- Every way in ------------------------------------------------------------------------------------------------


def as_form(account: Account, device: Device, _qr: str) -> requests.Response:
    """Log in by an HTML form."""
    return account.client.call("POST", "/login", data={**account.credentials, **device.proof})


def by_certificate(account: Account, device: Device, _qr: str) -> requests.Response:
    """Log in with the certificate itself."""
    form = {**account.credentials, "client_cert": device.answer["certificate"]["pem"]}
    return account.client.post("/login", form)


def by_mail(account: Account, device: Device, _qr: str) -> requests.Response:
    """Log in by mail address."""
    return account.client.post("/login", {"email": account.email, "password": account.password, **device.proof})


def forceless(account: Account, device: Device, _qr: str) -> requests.Response:
    """Log in and say no to force in so many words."""
    return account.try_login(device, force=False)


WAYS: dict[str, Way] = {
    "login": lambda account, device, _qr: account.try_login(device),
    "login with a slash": lambda account, device, _qr: account.try_login(device, "/login/"),
    "login by form": as_form,
    "login by certificate": by_certificate,
    "login by mail": by_mail,
    "login, force false": forceless,
    "session/create": lambda account, device, _qr: account.try_login(device, "/session/create"),
    "session/create with a slash": lambda account, device, _qr: account.try_login(device, "/session/create/"),
    "device/register": lambda account, _device, qr: account.try_join(qr),
    "device/register by form": lambda account, _device, qr: account.client.call(
        "POST", "/device/register", data={**account.credentials, "qr_code": qr}
    ),
}


@pytest.mark.requirement("D34", "D35", "D47", "D48", "D29", "D44", "B01")
@pytest.mark.regression("X16", "X64", "X05", "Y06")
@pytest.mark.parametrize("limit", [1, 2])
def test_every_way_in_meets_the_limit(pool: Pool, limit: int) -> None:
    """Whatever makes a session is refused at the limit, and changes nothing that is stored."""
    suite = pool(MAX_CONCURRENT_DEVICES=str(limit))
    client = suite.client
    account, phone, laptop, tablet = three_devices(client)
    inside = [account.login(device) for device in (phone, laptop)[:limit]]
    qr_code = account.pairing(phone)["qr_code"]
    before = suite.rows()
    for name, way in WAYS.items():
        asked = refused(way(account, tablet, qr_code), 409, "device-active")
        shown = [session["device_name"] for session in asked["active"]]
        assert (name, shown) == (name, ["Phone", "Laptop"][:limit])
        assert suite.rows() == before, name
    expected_to_live(client, *inside)


@pytest.mark.regression("X64", "Y03")
def test_what_makes_no_session_makes_none(client: Client) -> None:
    """Pairing without a login and refreshing let nobody in beside the one that is live."""
    account = client.register()
    a = account.login()
    answer = granted(account.try_pair(account.pairing()["qr_code"]))
    assert "access_token" not in answer
    granted(client.refresh(a.refresh))
    (listed,) = granted(client.get("/session/list", token=a.access))["sessions"]
    assert listed["session_id"] == a.session_id


# --- Modes and limits --------------------------------------------------------------------------------------------


@pytest.mark.requirement("D45", "D47")
@pytest.mark.regression("X08", "X09")
def test_mode_reject_offers_nothing_and_force_changes_nothing(pool: Pool) -> None:
    """409 without a takeover, by every way and with force as well; who is in stays in."""
    client = pool(ICHIDAI_CONCURRENCY_MODE="reject").client
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    qr_code = account.pairing(phone)["qr_code"]
    replies = [way(account, laptop, qr_code) for way in WAYS.values()]
    replies += [account.try_login(laptop, path, force=True) for path in ("/login", "/login/force", "/session/create")]
    replies += [account.try_join(qr_code, force=True)]
    for reply in replies:
        asked = refused(reply, 409, "device-active")
        assert "takeover" not in asked
        assert [session["device_name"] for session in asked["active"]] == ["Phone"]
    expected_to_live(client, a)
    granted(client.post("/session/logout", token=a.access))
    account.login(laptop)


@pytest.mark.requirement("D45", "D47")
@pytest.mark.regression("X08", "X09")
def test_mode_evict_ends_as_few_of_the_earliest_as_needed(pool: Pool) -> None:
    """The third of two ends the first, and nobody is asked."""
    client = pool(ICHIDAI_CONCURRENCY_MODE="evict", MAX_CONCURRENT_DEVICES="2").client
    account, phone, laptop, tablet = three_devices(client)
    a, b, c = (account.login(device) for device in (phone, laptop, tablet))
    assert [session["session_id"] for session in c.answer["evicted"]] == [a.session_id]
    assert refused(client.verify(a.access), 401, "session-ended")["reason"] == "evicted"
    expected_to_live(client, b, c)
    joined = login_of(account.try_join(account.pairing(laptop)["qr_code"], "Fourth"))
    assert [session["session_id"] for session in joined.answer["evicted"]] == [b.session_id]


@pytest.mark.requirement("D40")
@pytest.mark.regression("X09")
@pytest.mark.parametrize("limit", [2, 3])
def test_the_limit_is_a_setting(pool: Pool, limit: int) -> None:
    """As many as it says are in, the next one is asked and shown them all, and its consent ends them all."""
    client = pool(MAX_CONCURRENT_DEVICES=str(limit)).client
    account = client.register()
    names = ["Phone", "Laptop", "Tablet"][:limit]
    devices = [account.phone, *(account.pair(name) for name in names[1:])]
    inside = [account.login(device) for device in devices]
    candidate = account.pair("Newcomer")
    asked = account.question(candidate)
    assert [session["device_name"] for session in asked["active"]] == names
    session = login_of(account.take_over(asked, candidate))
    assert {ended["session_id"] for ended in session.answer["evicted"]} == {each.session_id for each in inside}
    for ended in inside:
        refused(client.verify(ended.access), 401, "session-ended")
    expected_to_live(client, session)


@pytest.mark.requirement("D40")
def test_a_limit_of_zero_is_none(pool: Pool) -> None:
    """Everybody is in, and force ends nobody."""
    client = pool(MAX_CONCURRENT_DEVICES="0").client
    account, *devices = three_devices(client)
    inside = [account.login(device) for device in devices]
    inside.append(login_of(account.try_join(account.pairing()["qr_code"], force=True)))
    assert inside[-1].answer["evicted"] == []
    expected_to_live(client, *inside)


@pytest.mark.regression("X09")
def test_a_lowered_limit_refuses_the_later_ones(tmp_path: Path, started: Callable[[Suite], Suite]) -> None:
    """After a restart with a lower limit the earliest stay and the others are over it, for good."""
    suite = started(combined(tmp_path / "suite", MAX_CONCURRENT_DEVICES="3"))
    client = suite.client
    account, *devices = three_devices(client)
    first, *others = [account.login(device) for device in devices]
    suite.stop()
    suite.start(MAX_CONCURRENT_DEVICES="1")
    expected_to_live(client, first)
    for session in others:
        assert refused(client.verify(session.access), 401, "session-ended")["reason"] == "over-limit"
        assert refused(client.refresh(session.refresh), 401, "session-ended")["reason"] == "over-limit"
    (listed,) = granted(client.get("/session/list", token=first.access))["sessions"]
    assert listed["session_id"] == first.session_id
    granted(client.post("/session/logout", token=first.access))
    for session in others:
        assert refused(client.verify(session.access), 401, "session-ended")["reason"] == "over-limit"
    account.login(devices[0])


def test_force_can_be_switched_off(pool: Pool) -> None:
    """Then every forced way is 403, nobody is ended, and the question still offers a takeover."""
    suite = pool(ICHIDAI_ALLOW_FORCE="false")
    client = suite.client
    account, phone, laptop, _ = three_devices(client)
    a = account.login(phone)
    qr_code = account.pairing(phone)["qr_code"]
    before = suite.rows()
    for path in ("/login", "/login/force", "/session/create"):
        refused(account.try_login(laptop, path, force=True), 403, "force-disabled")
    refused(account.try_join(qr_code, force=True), 403, "force-disabled")
    assert suite.rows() == before
    expected_to_live(client, a)
    login_of(account.take_over(account.question(laptop), laptop))


# --- Without device proof ----------------------------------------------------------------------------------------


@pytest.mark.requirement("B04", "B13", "B35")
class TestWithoutDeviceProof:
    """`ICHIDAI_DEVICE_PROOF=none`: any browser, known again by its device token."""

    @pytest.fixture
    def client(self, pool: Pool) -> Client:
        """Return a client of a suite that asks for no certificate."""
        return pool(ICHIDAI_DEVICE_PROOF="none").client

    def test_a_takeover_needs_the_token_alone(self, client: Client) -> None:
        """Two browsers: the second is asked, consents with nothing but the token, and the first is out."""
        account = client.register()
        one = login_of(client.post("/login", account.credentials, headers={"User-Agent": "Firefox/1 (Windows)"}))
        asked = refused(client.post("/login", account.credentials), 409, "device-active")
        assert [session["device_name"] for session in asked["active"]] == ["Firefox on Windows"]
        other = login_of(account.take_over(asked, None))
        assert other.device_id != one.device_id
        assert refused(client.verify(one.access), 401, "session-ended")["reason"] == "taken-over"
        again = login_of(account.take_over(asked, None))
        assert (again.session_id, again.device_id) == (other.session_id, other.device_id)

    def test_a_device_token_makes_it_the_same_browser(self, client: Client) -> None:
        """With it a login replaces the browser's own session; another's, or a made-up one, is another browser."""
        account = client.register()
        first = login_of(client.post("/login", account.credentials))
        again = {**account.credentials, "device_token": first.answer["device_token"]}
        second = login_of(client.post("/login", again))
        assert second.device_id == first.device_id
        assert refused(client.verify(first.access), 401, "session-ended")["reason"] == "replaced"
        for made_up in ("made up", second.refresh, second.device_id):
            reply = client.post("/login", {**account.credentials, "device_token": made_up})
            refused(reply, 409, "device-active")
        expected_to_live(client, second)

    def test_another_persons_device_token_opens_nothing_of_theirs(self, client: Client) -> None:
        """It names a browser and no person."""
        alice, bob = client.register(), client.register()
        hers = login_of(client.post("/login", alice.credentials))
        his = login_of(client.post("/login", {**bob.credentials, "device_token": hers.answer["device_token"]}))
        assert granted(client.verify(his.access))["user_uuid"] == bob.uuid
        expected_to_live(client, hers)

    def test_a_browser_is_no_registered_device(self, client: Client) -> None:
        """It has no row, stands in no list of devices, and counts against the limit all the same."""
        account = client.register()
        session = login_of(client.post("/login", account.credentials))
        (listed,) = granted(client.get("/device/list", token=session.access))["devices"]
        assert (listed["device_id"], listed["is_active"]) == (account.phone.device_id, False)
        refused(account.try_login(), 409, "device-active")

    def test_a_certificate_is_still_a_device(self, client: Client) -> None:
        """A registered device logs in as itself, gets no device token, and one of another user is refused."""
        account, stranger = client.register(), client.register()
        session = account.login()
        assert session.device_id == account.phone.device_id
        assert "device_token" not in session.answer
        refused(account.try_login(stranger.phone), 401, "certificate-mismatch")
