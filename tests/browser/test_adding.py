"""Another device joins: a code on one screen, read by the other."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

import ichidai.console
from tests.browser.window import Window, somebody
from tests.support.client import Client, granted
from tests.support.external_tools import MissingTool, npm_package
from tests.support.servers import Suite

Windows = Callable[..., Window]
QR = ("qr@0.7.0", "632ef43ecb74f7eb5f578e978068bcbfba0fbba36101e79c079a6d95f24d8865")
NAME = "currentlyLoggedinFingerprint"


@pytest.mark.requirement("R65", "R67", "R69", "D09", "D10", "D11", "D12", "D13", "D14")
def test_pairing_by_a_picture(open_window: Windows, tmp_path: Path) -> None:
    """The whole way: the button knows the device by localStorage, the code is drawn, the laptop reads it."""
    person, phone, laptop = somebody(), open_window(), open_window()
    phone.register(person)
    phone.log_in(person)
    fingerprint = phone.page.evaluate(f"localStorage.getItem({NAME!r})")
    assert len(bytes.fromhex(fingerprint)) == 32

    phone.button("Add a device").click()
    phone.fill({"Password": person.password})
    with phone.page.expect_request("**/registration/request_pairing_token") as asked:
        phone.button("Show the code").click()
    sent = json.loads(asked.value.post_data or "")
    assert set(sent.pop("proof")) == {"challenge_id", "signature"}
    assert sent == {"username": person.username, "password": person.password, "client_cert_fp": fingerprint}
    picture = phone.page.get_by_role("img", name="QR code that lets another device join")
    expect(picture).to_be_visible()
    expect(phone.button("Print")).to_be_visible()
    expect(phone.page.get_by_role("timer")).to_have_text("9:59")
    link = phone.page.get_by_label("QR code text").input_value()
    code = link.partition("/registration/#join=")[2]
    assert set(json.loads(base64.urlsafe_b64decode(code + "=="))) >= {"uuid", "token"}

    picture.screenshot(path=tmp_path / "code.png")
    laptop.page.goto("/")
    laptop.page.get_by_role("link", name="Add this device by QR code").click()
    laptop.page.get_by_label("Choose a picture").set_input_files(tmp_path / "code.png")
    expect(laptop.page.get_by_label("QR code text")).to_have_value(link)
    laptop.fill({"Username": person.username, "Password": person.password, "Device name": "Laptop"})
    laptop.button("Add this device").click()
    laptop.registered()
    expect(phone.page.get_by_text("\u2068Laptop\u2069 has joined")).to_be_visible()
    expect(picture).to_be_hidden()
    phone.page.get_by_role("link", name="Devices", exact=True).click()
    for name in ("Phone", "Laptop"):
        expect(phone.page.get_by_role("heading", name=name)).to_be_visible()


@pytest.mark.requirement("R66", "R68")
def test_the_button_knows_the_device_in_use(window: Window, client: Client) -> None:
    """Of two accounts that use this browser it is the one that is logged in; the code that it shows can be printed."""
    anna, bert = somebody(), somebody()
    for person in (anna, bert):
        window.register(person)
    window.log_in(anna)
    listed = granted(client.get("/device/list", token=window.tokens["access_token"]))["devices"]
    in_use = next(device["fingerprint"] for device in listed if device["current"])
    assert window.page.evaluate(f"localStorage.getItem({NAME!r})") == in_use
    with window.page.expect_request("**/registration/request_pairing_token") as asked:
        window.show_code(anna)
    assert json.loads(asked.value.post_data or "")["client_cert_fp"] == in_use
    window.page.evaluate("() => { window.print = () => { window.printed = true; }; }")
    window.button("Print").click()
    assert window.page.evaluate("window.printed") is True


def test_what_is_said_of_a_wrong_password_and_a_spent_code(open_window: Windows) -> None:
    """Each with what to do; nothing else was asked for than the password, so nothing else is doubted."""
    person, phone, laptop, tablet = somebody(), open_window(), open_window(), open_window()
    phone.register(person)
    phone.log_in(person)
    phone.button("Add a device").click()
    phone.fill({"Password": "not the password"})
    phone.button("Show the code").click()
    phone.is_refused("Password", "The password is wrong.")
    phone.fill({"Password": person.password})
    phone.button("Show the code").click()
    expect(phone.page.get_by_role("img", name="QR code that lets another device join")).to_be_visible()
    code = phone.page.get_by_label("QR code text").input_value()
    laptop.join(person, code)
    tablet.page.goto("/registration/#join")
    tablet.fill({"QR code text": code, "Username": person.username, "Password": person.password})
    tablet.button("Add this device").click()
    tablet.is_refused("QR code text", "Show a new one on a device that is logged in.")


def filmed(qr_png: str, path: Path) -> None:
    """Write a film of a code held before a camera, as Chromium's pretended camera plays it (a row of JPEG pictures)."""
    code = Image.open(io.BytesIO(base64.b64decode(qr_png.split(",")[1]))).convert("RGB").resize((380, 380))
    picture = Image.new("RGB", (640, 480), "#c8c8c8")
    picture.paste(code, (130, 50))
    frame = io.BytesIO()
    picture.save(frame, "JPEG", quality=90)
    path.write_bytes(frame.getvalue() * 5)


def test_joining_by_the_camera(open_window: Windows, suite: Suite, tmp_path: Path) -> None:
    """The camera is used only while it is asked to, and what it reads is filled in."""
    account = suite.client.register()
    code = account.pairing()
    filmed(code["qr_png"], tmp_path / "code.mjpeg")
    window = open_window(
        switches=(
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={tmp_path / 'code.mjpeg'}",
        )
    )
    window.page.goto("/registration/#join")
    window.button("Scan with the camera").click()
    expect(window.page.get_by_label("QR code text")).to_have_value(code["qr_link"], timeout=30_000)
    expect(window.page.get_by_label("What the camera sees")).to_be_hidden()
    expect(window.page.get_by_label("Username")).to_be_focused()


def test_where_there_is_no_camera_and_no_code(window: Window, tmp_path: Path) -> None:
    """Both are said, and pasting is left."""
    Image.new("RGB", (300, 300), "white").save(tmp_path / "white.png")
    window.page.goto("/registration/#join")
    window.button("Scan with the camera").click()
    expect(window.page.get_by_role("alert")).to_contain_text("The camera cannot be used.")
    window.page.get_by_label("Choose a picture").set_input_files(tmp_path / "white.png")
    expect(window.page.get_by_role("alert")).to_have_text("No QR code was found in the picture.")
    window.fill({"QR code text": "no code", "Username": "nobody", "Password": "whatever it is"})
    window.button("Add this device").click()
    expect(window.page.get_by_role("alert").last).to_have_text("Wrong username or password.")


def test_the_decoder_is_the_package() -> None:
    """What we carry of `qr` is what its registry has, byte for byte."""
    try:
        package = npm_package(*QR, "the decoder's own files")
    except MissingTool as part:
        pytest.skip(f"missing part: {part}")
    ours = Path(ichidai.console.__file__).parent / "static" / "vendor" / "qr"
    for file in ours.iterdir():
        assert file.read_bytes() == (package / file.name).read_bytes()
