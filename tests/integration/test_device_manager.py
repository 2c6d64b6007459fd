"""Devices over HTTP: the five tests that were asked for by name, against four apps started by their own modules.

Two devices may be active at once here.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from functools import partial

import pytest

from tests.support.client import (
    QUESTION,
    Account,
    Client,
    Device,
    Login,
    all_at_once,
    device_of,
    granted,
    login_of,
    refused,
)
from tests.support.engines import ENGINES
from tests.support.servers import Suite


@pytest.fixture(params=ENGINES)
def client(request: pytest.FixtureRequest, entrances_on: Callable[[str], Suite]) -> Client:
    """Return a client of the four apps, each a process of its own, on each engine."""
    return entrances_on(request.param).client


def a_second_apart(account: Account, *devices: Device) -> list[Login]:
    """Log in on one device after another, with a second between any two, so that their times tell them apart too."""
    sessions = [account.login(devices[0])]
    for device in devices[1:]:
        time.sleep(1)  # this is what was asked for: login_at shifted by a pause
        sessions.append(account.login(device))
    return sessions


@pytest.mark.requirement("D08", "D18")
class TestDeviceManagerIntegration:
    """The device app and its three neighbours as processes of their own on one data folder."""

    @pytest.mark.requirement("D54", "D16", "D20", "D23", "D25", "D26", "D28", "D30", "D34", "D37", "D38", "D39")
    @pytest.mark.regression("X02", "X13")
    def test_register_device(self, client: Client) -> None:
        """A second device scans the first one's code, is registered and logged in, and is a device of its own."""
        account = client.register()
        first = account.login()
        answer = granted(account.try_join(account.phone.answer["qr_code"], "Tablet"))
        assert answer["uuid"] == answer["user_uuid"] == account.uuid
        assert uuid.UUID(answer["device_id"]).version == 4
        assert answer["is_active"] is True
        assert answer["registered_at"] <= answer["login_at"]
        assert answer["client_cert_fp"] != account.phone.fingerprint
        for token in (first.access, answer["access_token"]):
            assert granted(client.verify(token))["user_uuid"] == account.uuid
        refused(account.try_join("junk"), 400, "qr-invalid")

    @pytest.mark.requirement("D55", "D52", "D46", "D36")
    @pytest.mark.regression("X01", "X10")
    def test_list_device(self, client: Client) -> None:
        """The list names every bound device, which of them are active and since when, and whose token asks."""
        account = client.register()
        laptop, session = account.pair("Laptop"), account.login()
        phone, other = granted(client.get("/device/list", token=session.access))["devices"]
        assert (phone["device_id"], phone["device_name"], phone["role"]) == (
            account.phone.device_id,
            "Phone",
            "primary",
        )
        assert (phone["is_active"], phone["login_at"], phone["current"]) == (True, session.answer["login_at"], True)
        assert (other["device_id"], other["device_name"], other["role"]) == (laptop.device_id, "Laptop", "secondary")
        assert (other["is_active"], other["login_at"], other["current"]) == (False, None, False)
        refused(client.get("/device/list"), 401, "token-missing")

    @pytest.mark.requirement("D56")
    @pytest.mark.regression("X01", "X14", "X04")
    def test_unbind_device(self, client: Client) -> None:
        """An unbound device is out at once and cannot come back; unknown ones and the last one are refused."""
        account = client.register()
        laptop, session = account.pair(), account.login()
        gone = account.login(laptop)
        granted(client.post("/device/unbind", {"device_id": laptop.device_id}, token=session.access))
        assert refused(client.verify(gone.access), 401, "session-ended")["reason"] == "device-unbound"
        assert refused(client.refresh(gone.refresh), 401, "session-ended")["reason"] == "device-unbound"
        refused(account.try_login(laptop), 401, "certificate-revoked")
        refused(account.request_pairing(laptop), 403, "device-unknown")
        for device_id, status, code in [
            (laptop.device_id, 404, "not-found"),
            (str(uuid.uuid4()), 404, "not-found"),
            (account.phone.device_id, 409, "last-device"),
        ]:
            refused(client.post("/device/unbind", {"device_id": device_id}, token=session.access), status, code)
        refused(client.post("/device/unbind", {"device_id": account.phone.device_id}), 401, "token-missing")
        assert account.pair("New laptop").device_id != laptop.device_id

    @pytest.mark.requirement("D57", "D50", "D51", "D52", "D53")
    @pytest.mark.regression("X07", "X08", "X95", "X06")
    @pytest.mark.parametrize("first_in", [0, 1], ids=["device 1 first", "device 2 first"])
    @pytest.mark.parametrize("caller", [0, 1], ids=["called by the first", "called by the later"])
    def test_force_logout(self, client: Client, first_in: int, caller: int) -> None:
        """Only the device that logged in first stays, whichever was registered first and whoever calls."""
        account = client.register()
        devices = [account.phone, account.pair()]
        order = [devices[first_in], devices[1 - first_in]]
        earlier, later = a_second_apart(account, *order)
        assert earlier.answer["login_at"] < later.answer["login_at"]
        answer = granted(client.post("/device/force_logout", token=[earlier, later][caller].access))
        assert answer["kept"]["session_id"] == earlier.session_id
        assert answer["kept"]["device_id"] == order[0].device_id
        assert answer["kept"]["login_at"] == earlier.answer["login_at"]
        assert [session["session_id"] for session in answer["logged_out"]] == [later.session_id]
        granted(client.verify(earlier.access))
        assert refused(client.verify(later.access), 401, "session-ended")["reason"] == "forced-out"
        refused(client.refresh(later.refresh), 401, "session-ended")
        devices_now = granted(client.get("/device/list", token=earlier.access))["devices"]
        assert {device["device_id"] for device in devices_now if device["is_active"]} == {order[0].device_id}

    @pytest.mark.requirement("D58", "D49", "D17", "D40", "D41", "D42", "D43", "D44", "D45", "D47", "D48", "B17", "B30")
    @pytest.mark.regression("X03", "X04", "X16", "Y04")
    def test_reject_and_allow_with_force(self, client: Client) -> None:
        """At the limit a device is refused and nothing happens; with force it gets in and the earlier ones are out."""
        account = client.register()
        earlier = [account.login(), account.login(account.pair("Laptop"))]
        qr_code = account.pairing()["qr_code"]
        body = refused(account.try_join(qr_code), 409, "device-active")
        assert body["error"] == "他端末がアクティブです。切り替えますか？"
        assert body["message"] == QUESTION
        assert [device["device_name"] for device in body["active"]] == ["Phone", "Laptop"]
        for session in earlier:
            granted(client.verify(session.access))
        assert len(granted(client.get("/device/list", token=earlier[0].access))["devices"]) == 2
        forced = login_of(account.try_join(qr_code, force=True))
        assert {session["device_name"] for session in forced.answer["evicted"]} == {"Phone", "Laptop"}
        for session in earlier:
            assert refused(client.verify(session.access), 401, "session-ended")["reason"] == "forced-out"
        granted(client.verify(forced.access))
        again = account.login(force=True)
        assert again.answer["evicted"] == []
        assert device_of(granted(account.try_pair(account.pairing()["qr_code"]))).fingerprint


@pytest.mark.requirement("D24", "D14", "R58")
@pytest.mark.regression("X43", "X04", "X42")
def test_a_revocation_reaches_every_app_at_once(entrances: Suite) -> None:
    """After an unbinding no app takes the device for anything, and nothing stored says that it is good."""
    client = entrances.client
    account = client.register()
    laptop, session = account.pair(), account.login()
    gone, qr_code = account.login(laptop), account.pairing(laptop)["qr_code"]
    granted(client.post("/device/unbind", {"device_id": laptop.device_id}, token=session.access))
    for path in ("/login", "/login/force", "/session/create"):
        refused(account.try_login(laptop, path), 401, "certificate-revoked")
    form = {**account.credentials, "client_cert": laptop.answer["client_cert"]}
    refused(client.post("/login", form), 401, "certificate-revoked")
    refused(account.request_pairing(laptop), 403, "device-unknown")
    for code in (qr_code, laptop.answer["qr_code"]):
        refused(account.try_pair(code), 410, "pairing-token-spent")
        refused(account.try_join(code, force=True), 410, "pairing-token-spent")
    for path in ("/session/verify", "/session/list", "/device/list"):
        assert refused(client.get(path, token=gone.access), 401, "session-ended")["reason"] == "device-unbound"
    places = {place for place, item in entrances.rows().items() if laptop.fingerprint.encode() in item}
    assert places == {("SessionsTable", account.uuid, ""), ("DevicesTable", account.uuid, laptop.device_id)}
    row = json.loads(entrances.rows()["DevicesTable", account.uuid, laptop.device_id])
    assert row["revoked_at"] is not None


@pytest.mark.regression("X05", "X43")
def test_an_unbinding_beside_logins_leaves_nobody_in(pool: Callable[..., Suite]) -> None:
    """Logins of the device under way at once: whatever came first, afterwards no session of it lives."""
    client = pool(workers=2, MAX_CONCURRENT_DEVICES="3").client
    account = client.register()
    session = account.login()
    for _ in range(5):
        laptop = account.pair()
        unbind = partial(client.post, "/device/unbind", {"device_id": laptop.device_id}, token=session.access)
        logins = [partial(account.try_login, laptop)] * 4
        unbound, *replies = all_at_once([unbind, *logins])
        granted(unbound)
        assert {reply.status_code for reply in replies} <= {200, 401}
        for reply in replies:
            if reply.status_code == 200:
                refused(client.verify(reply.json()["access_token"]), 401, "session-ended")
        refused(account.try_login(laptop), 401, "certificate-revoked")
        (listed,) = granted(client.get("/session/list", token=session.access))["sessions"]
        assert listed["session_id"] == session.session_id
