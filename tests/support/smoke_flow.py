"""The whole story over HTTP: registered, paired, logged in, asked, refused, consented, out at the very next call."""

from __future__ import annotations

from tests.support.client import QUESTION, Client, Login, device_of, granted, login_of, refused


def run_smoke_flow(client: Client) -> None:
    """Play the story with a new account and check each step. One device may be active."""
    account = client.register(device_name="Phone")
    laptop = device_of(granted(account.try_pair(account.phone.answer["qr_code"], "Laptop")))
    a = account.login()
    assert granted(client.verify(a.access))["username"] == account.username

    asked = account.question(laptop)
    assert (asked["message"], [shown["device_name"] for shown in asked["active"]]) == (QUESTION, ["Phone"])
    granted(client.verify(a.access))  # asked, and nothing has happened

    b = login_of(account.take_over(asked, laptop))
    assert [ended["session_id"] for ended in b.answer["evicted"]] == [a.session_id]
    _is_out(client, a, "taken-over")
    renewed = granted(client.refresh(b.refresh))
    assert granted(client.verify(renewed["access_token"]))["session_id"] == b.session_id

    qr_code = account.pairing(laptop)["qr_code"]
    asked = refused(account.try_join(qr_code, "Tablet"), 409, "device-active")
    c = login_of(account.try_join(qr_code, "Tablet", takeover_token=asked["takeover"]["token"]))
    _is_out(client, b, "taken-over")
    _three_devices_and_one_active(client, c)

    granted(client.post("/device/unbind", {"device_id": laptop.device_id}, token=c.access))
    refused(account.try_login(laptop), 401, "certificate-revoked")
    granted(client.post("/device/rename", {"device_id": c.device_id, "device_name": "Pad"}, token=c.access))
    kept = granted(client.post("/device/force_logout", token=c.access))
    assert (kept["kept"]["device_name"], kept["logged_out"]) == ("Pad", [])
    forced = account.login(path="/login/force")
    _is_out(client, c, "forced-out")
    granted(client.post("/session/logout", token=forced.access))
    _is_out(client, forced, "logged-out")


def _is_out(client: Client, session: Login, reason: str) -> None:
    """Check that neither token of a session is good for anything."""
    for reply in (client.verify(session.access), client.refresh(session.refresh)):
        assert refused(reply, 401, "session-ended")["reason"] == reason
    refused(client.get("/device/list", token=session.access), 401, "session-ended")


def _three_devices_and_one_active(client: Client, session: Login) -> None:
    devices = granted(client.get("/device/list", token=session.access))["devices"]
    assert [device["device_name"] for device in devices] == ["Phone", "Laptop", "Tablet"]
    assert [device["is_active"] for device in devices] == [False, False, True]
    (listed,) = granted(client.get("/session/list", token=session.access))["sessions"]
    assert listed["session_id"] == session.session_id
    kinds = [event["kind"] for event in granted(client.get("/session/history", token=session.access))["events"]]
    assert kinds[::-1] == [
        "registered",
        "device-added",
        "device-added",
        "login",
        "session-ended",
        "login",
        "device-added",
        "session-ended",
        "login",
    ]
