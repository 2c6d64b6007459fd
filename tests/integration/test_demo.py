"""`ichidai demo`: it tells each step, only once it is checked, and leaves nothing behind."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from rich.console import Console

from ichidai.cli.demo import Narrator, tell_story
from ichidai.cli.demo_checks import StoryFailed
from ichidai.cli.demo_mail import own_mailbox
from ichidai.cli.language import Language
from tests.support.client import QUESTION
from tests.support.servers import Suite, environment, is_listened_to, run_to_its_end

DEMO = [sys.executable, "-m", "ichidai", "demo"]
STEPS = 27

TOLD = {
    "en": [
        "registers with her phone. It makes its own keys, ML-DSA-87 and sntrup761",
        "A mail brings her a link, by which she confirms her address",
        "shows a QR code",
        "Her laptop reads it, makes keys of its own",
        "410, it is spent",
        "logs in on the phone: it opens a challenge that was sealed to it, signs it",
        "is asked: 409",
        "the phone is still in",
        "but not its key: 401",
        "consents, signed by the laptop's key: the laptop is in",
        "very next request: 401 session-ended, taken-over",
        "Its refresh token: 401",
        "the same consent again: 410",
        "Meanwhile a tablet joins",
        "409, asked anew, and the tablet is still in",
        "history tells all",
        "closes the account: every session ends, and a login is 403 account-closed",
        "reopens it with her password",
        "changes the password. The thief gets 401",
        "gives the account another mail address. Hers is told",
        "turns two-step login on, which voids her codes, and sets another password",
        "Her phone objects, signed by its key: the thief's very next request is 401",
        "with it she sets a new password. She is in, with her own address, and the thief is out",
        "Everything went as told",
    ],
    "ja": [
        "スマホで登録",
        "メールアドレスを確認します",
        "QRコードを表示",
        "端末として追加",
        "使用済み",
        "確認されます（409）",
        "鍵がなければ401",
        "401 session-ended（taken-over）",
        "タブレットはそのまま",
        "アカウントを閉鎖します",
        "パスワードで再開します",
        "盗んだ人は401",
        "「自分ではない」と申し立てるリンクが届きます",
        "アリスは締め出され",
        "「自分ではない」と申し立てます",
        "盗んだ人は締め出されます",
        "すべて説明のとおり",
    ],
}

HALF_BLOCKS = {" ": (255, 255), "\xa0": (255, 255), "▀": (0, 255), "▄": (255, 0), "█": (0, 0)}
"""What each letter of the drawn QR code paints: the upper and the lower half."""


@pytest.mark.requirement("R37", "R73")
@pytest.mark.parametrize("language", TOLD)
def test_the_demo_tells_each_step(tmp_path: Path, language: str) -> None:
    """In order, with what was seen; the exit code is 0; its data is gone."""
    settings = {"COLUMNS": "250", "TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    stray = {"ICHIDAI_CONCURRENCY_MODE": "evict", "MAX_CONCURRENT_DEVICES": "7"}  # the demo has settings of its own
    code, output = run_to_its_end([*DEMO, "--lang", language], settings | stray, tmp_path)
    assert code == 0, output
    places = [output.find(words) for words in TOLD[language]]
    assert -1 not in places, output
    assert places == sorted(places)
    assert len(re.findall(r"^✓ +\d+ ", output, re.MULTILINE)) == STEPS
    assert len(set(re.findall(r"^ +([0-9a-f]{64}) *$", output, re.MULTILINE))) == 2
    assert QUESTION in output
    assert "This account is in use elsewhere." in output
    assert len(re.findall(r"session-ended +│ \w+ +│ taken-over", output)) == 2
    assert set(_drawn_qr(output)) == {"uuid", "token", "fingerprint", "not_after"}
    assert not list(tmp_path.iterdir())


def test_the_demo_fails_when_a_step_does_not_go_as_told(pool: Callable[..., Suite]) -> None:
    """Where two devices may be active nobody is asked; the story stops there and says so."""
    told = io.StringIO()
    with own_mailbox() as mailbox:
        server = pool(MAX_CONCURRENT_DEVICES="2", ICHIDAI_MAIL=mailbox.url).servers[0]
        narrator = Narrator(Console(file=told, width=250), Language.EN)
        with pytest.raises(StoryFailed, match=r"a login on the Laptop must be answered 409 device-active, and was let"):
            tell_story(server.base, mailbox, narrator)
    assert "logs in on the phone" in told.getvalue()
    assert "is asked: 409" not in told.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="only on POSIX: Ctrl-C is a signal")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_server_too(tmp_path: Path, sent: signal.Signals) -> None:
    """Whoever stops the demo in its midst finds neither a server nor data afterwards."""
    settings = {"COLUMNS": "250", "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or a child of tests run with `&` never hears it
    with subprocess.Popen(
        DEMO, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as demo:
        assert demo.stdout is not None
        first = demo.stdout.readline()
        demo.send_signal(sent)
        rest = demo.stdout.read()
        assert demo.wait(timeout=30) == 130, first + rest
    assert "Stopped" in rest
    port = re.search(r"127\.0\.0\.1:(\d+)", first)
    assert port is not None, first
    assert not is_listened_to(int(port[1]))
    assert not list(tmp_path.iterdir())


def _drawn_qr(output: str) -> dict[str, str]:
    """Scan the QR code that the terminal shows."""
    lines = [line for line in output.splitlines() if line.strip() and set(line) <= set(HALF_BLOCKS)]
    width, height = max(map(len, lines)), 2 * len(lines)
    picture = Image.new("L", (width + 8, height + 8), 255)
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            for half, shade in enumerate(HALF_BLOCKS[letter]):
                picture.putpixel((column + 4, 2 * row + half + 4), shade)
    whole = picture.resize((picture.width * 4, picture.height * 4))
    (found,) = zxingcpp.read_barcodes(whole, formats=zxingcpp.BarcodeFormat.QRCode)
    told: dict[str, str] = json.loads(base64.urlsafe_b64decode(found.text + "=" * (-len(found.text) % 4)))
    return told
