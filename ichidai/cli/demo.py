"""The demo: the whole story in the terminal, over real HTTP, each step one sentence, told only once it is checked."""

from __future__ import annotations

import base64
import hashlib
import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson
import qrcode
import requests
from qrcode.constants import ERROR_CORRECT_L
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ichidai.cli.demo_server import own_server
from ichidai.cli.demo_wire import Answer, StoryFailed, Wire, ended, expect, granted, refused


class Tongue(StrEnum):
    """The language in which the story is told."""

    EN = "en"
    JA = "ja"


class Teller:
    """Tells the story on a console: numbered sentences, and below them what was seen."""

    def __init__(self, console: Console, tongue: Tongue) -> None:
        self._console = console
        self._tongue = tongue
        self._steps = 0

    def step(self, en: str, ja: str) -> None:
        """Tell a step that went as told."""
        self._steps += 1
        line = Table.grid(padding=(0, 1))
        sentence = Text(ja if self._tongue is Tongue.JA else en, overflow="fold")
        line.add_row(Text("✓", "green"), Text(f"{self._steps:2}", "dim"), sentence)
        self._console.print(line)

    def seen(self, thing: RenderableType) -> None:
        """Show what was seen in the step."""
        self._console.print(Padding(thing, (0, 0, 0, 5)))


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the story: its name, its fingerprint, and the QR code it was given to show."""

    name: str
    fingerprint: str
    qr_code: str = ""

    @property
    def proof(self) -> dict[str, str]:
        """What shows at a login that it is this device."""
        return {"client_cert_fp": self.fingerprint}


def run_demo(console: Console, tongue: Tongue) -> None:
    """Start a server, tell the story, end the server. Raises StoryFailed, NoServer."""
    with own_server() as base:
        tell_story(base, Teller(console, tongue))


def tell_story(base: str, teller: Teller) -> None:
    """Tell the story with a new account of a running server. Raises StoryFailed."""
    wire = Wire(base)
    try:
        teller.step(
            f"A server of its own answers on {base}; its data goes when the story ends.",
            f"専用のサーバーが {base} で動いています。データは終了時に消えます。",
        )
        _Story(wire, teller, {"username": "alice", "password": secrets.token_urlsafe(12)}).tell()
    except (KeyError, ValueError) as error:
        raise StoryFailed(f"an answer lacks what the story reads in it: {error!r}") from error
    finally:
        wire.close()


@dataclass(frozen=True, slots=True)
class _Story:
    wire: Wire
    teller: Teller
    alice: dict[str, str]

    def tell(self) -> None:
        phone = self._register()
        laptop = self._join(phone)
        on_phone = self._log_in(phone)
        self._is_asked_and_refuses(laptop, on_phone)
        self._is_asked_and_consents(laptop, on_phone)
        self._history(self._stale_consent(phone, laptop))
        self.teller.step("Everything went as told.", "すべて説明のとおりになりました。")

    def _register(self) -> Device:
        answer = granted(
            self.wire.post("/registration/", {**self.alice, "email": "alice@example.test", "device_name": "Phone"})
        )
        phone = _device("Phone", answer)
        self.teller.step(
            "Alice registers with her phone. It gets keys and a certificate of its own, with this fingerprint:",
            "アリスがスマホで登録します。スマホ専用の鍵と証明書が作られました。証明書のフィンガープリント：",
        )
        self.teller.seen(phone.fingerprint)
        return phone

    def _join(self, phone: Device) -> Device:
        read = _read_qr(phone.qr_code)
        expect(read["fingerprint"] == phone.fingerprint, "the QR code names the phone's certificate")
        self.teller.step(
            "The phone shows a QR code: good for ten minutes and one device.",
            "スマホがQRコードを表示します。10分間、1台にだけ使えます。",
        )
        self.teller.seen(_qr_picture(phone.qr_code))
        form = {**self.alice, "qr_code": phone.qr_code, "device_name": "Laptop"}
        laptop = _device("Laptop", granted(self.wire.post("/registration/", form)))
        expect(laptop.fingerprint != phone.fingerprint, "each device has a certificate of its own")
        self.teller.step(
            "Her laptop reads it, sends it with her name and password, and joins. Its own fingerprint:",
            "パソコンがそれを読み取り、ユーザー名とパスワードを添えて送ると、端末として追加されます。フィンガープリント：",
        )
        self.teller.seen(laptop.fingerprint)
        refused(self.wire.post("/registration/", form), 410, "pairing-token-spent")
        self.teller.step("The same QR code again: 410, it is spent.", "同じQRコードをもう一度使うと410。使用済みです。")
        return laptop

    def _log_in(self, phone: Device) -> Answer:
        session = granted(self.wire.post("/login", self.alice | phone.proof))
        self._is_in(session)
        self.teller.step("Alice logs in on the phone, and is in.", "アリスがスマホでログインします。")
        return session

    def _ask(self, device: Device, active: str, language: str = "") -> Answer:
        """Log in on a device that must be asked about another one; return the question."""
        reply = self.wire.post("/login", self.alice | device.proof, language=language)
        question = refused(reply, 409, "device-active")
        shown = _names(question["active"])
        expect(shown == [active], f"the question must show {active} alone, and shows {shown}")
        return question

    def _is_asked_and_refuses(self, laptop: Device, on_phone: Answer) -> None:
        japanese, english = self._ask(laptop, "Phone", "ja"), self._ask(laptop, "Phone", "en")
        self.teller.step(
            "She logs in on the laptop, and is asked: 409.", "パソコンでログインすると、確認されます（409）。"
        )
        active = f"{japanese['active'][0]['device_name']}, {japanese['active'][0]['login_at']}"
        self.teller.seen(Panel(Text(f"{japanese['message']}\n\n{english['message']}\n\n{active}")))
        self._is_in(on_phone)
        self.teller.step(
            "She would rather not, so nothing is sent, and the phone is still in.",
            "やめておきます。何も送られず、スマホはログインしたままです。",
        )

    def _consent(self, question: Answer, device: Device) -> requests.Response:
        takeover = question["takeover"]
        return self.wire.post(takeover["url"], {"takeover_token": takeover["token"], **device.proof})

    def _is_asked_and_consents(self, laptop: Device, on_phone: Answer) -> None:
        question = self._ask(laptop, "Phone")
        on_laptop = granted(self._consent(question, laptop))
        expect(_names(on_laptop["evicted"]) == ["Phone"], "the consent ends the phone's session alone")
        self.teller.step(
            "She logs in there again, is asked again, and consents: the laptop is in.",
            "もう一度ログインし、今度は「続ける」を選ぶと、パソコンがログインします。",
        )
        ended(self.wire.get("/session/verify", token=on_phone["access_token"]), "taken-over")
        self._is_in(on_laptop)
        self.teller.step(
            "The phone's very next request: 401 session-ended, taken-over.",
            "スマホの次の要求は401 session-ended（taken-over）になります。",
        )
        ended(self.wire.post("/session/refresh", {"refresh_token": on_phone["refresh_token"]}), "taken-over")
        self.teller.step("Its refresh token: 401 as well.", "リフレッシュトークンも401です。")
        refused(self._consent(question, laptop), 410, "takeover-spent")
        self.teller.step("The same consent again: 410, it is spent.", "同じ同意をもう一度送ると410。使用済みです。")

    def _stale_consent(self, phone: Device, laptop: Device) -> Answer:
        question = self._ask(phone, "Laptop")
        self.teller.step(
            "Now the phone is asked about the laptop, and takes its time to answer.",
            "今度はスマホが、使用中のパソコンについて確認され、しばらく返事をしません。",
        )
        on_tablet = self._join_and_take_over(laptop)
        again = refused(self._consent(question, phone), 409, "device-active")
        expect(_names(again["active"]) == ["Tablet"], "the question anew shows the tablet alone")
        self._is_in(on_tablet)
        self.teller.step(
            "The phone's consent arrives, but it was to end the laptop: 409, asked anew, and the tablet is still in.",
            "そこへスマホの同意が届きますが、相手はパソコンでした。改めて確認（409）となり、タブレットはそのままです。",
        )
        return on_tablet

    def _join_and_take_over(self, laptop: Device) -> Answer:
        pairing = granted(self.wire.post("/registration/request_pairing_token", self.alice | laptop.proof))
        form = {**self.alice, "qr_code": pairing["qr_code"], "device_name": "Tablet"}
        question = refused(self.wire.post("/device/register", form), 409, "device-active")
        consent = {**form, "takeover_token": question["takeover"]["token"]}
        on_tablet = granted(self.wire.post("/device/register", consent))
        expect(_names(on_tablet["evicted"]) == ["Laptop"], "the tablet ends the laptop's session alone")
        self.teller.step(
            "Meanwhile a tablet joins by the laptop's QR code, is asked, consents, and is in instead of the laptop.",
            "その間にタブレットがパソコンのQRコードで追加され、確認に「続ける」と答えて、代わりにログインします。",
        )
        return on_tablet

    def _history(self, on_tablet: Answer) -> None:
        events = granted(self.wire.get("/session/history", token=on_tablet["access_token"]))["events"][::-1]
        told = [(event["kind"], event["device_name"], event["reason"]) for event in events]
        expect(told == _HISTORY, f"the history must be {_HISTORY}, and is {told}")
        self.teller.step("The account's history tells all of it.", "すべてがアカウントの履歴に残っています。")
        table = Table("at", "kind", "device", "reason")
        for event in events:
            table.add_row(event["at"], event["kind"], event["device_name"] or "", event["reason"] or "")
        self.teller.seen(table)

    def _is_in(self, session: Answer) -> None:
        verified = granted(self.wire.get("/session/verify", token=session["access_token"]))
        expect(verified["session_id"] == session["session_id"], "a session verifies as itself")


_HISTORY = [
    ("registered", None, None),
    ("device-added", "Phone", None),
    ("device-added", "Laptop", None),
    ("login", "Phone", None),
    ("session-ended", "Phone", "taken-over"),
    ("login", "Laptop", None),
    ("device-added", "Tablet", None),
    ("session-ended", "Laptop", "taken-over"),
    ("login", "Tablet", None),
]


def _device(name: str, answer: Answer) -> Device:
    """Return a device as its registration answered, once its fingerprint is seen to be its certificate's."""
    computed = hashlib.sha256(base64.b64decode(answer["client_cert"])).hexdigest()
    expect(answer["client_cert_fp"] == computed, "the fingerprint is the SHA-256 of the certificate")
    keys = answer["private_keys"]
    expect(keys["signing"] and keys["kem"], "the private keys that the server made are returned")
    return Device(name, computed, answer["qr_code"])


def _names(sessions: Sequence[Answer]) -> list[str]:
    return [session["device_name"] for session in sessions]


def _read_qr(qr_code: str) -> Answer:
    """Return what a QR code's text says: base64url of JSON."""
    read: Answer = orjson.loads(base64.urlsafe_b64decode(qr_code + "=" * (-len(qr_code) % 4)))
    return read


def _qr_picture(text: str) -> Text:
    """Draw a QR code in half blocks, black on white whatever the terminal's colours are."""
    code, drawn = qrcode.QRCode(error_correction=ERROR_CORRECT_L, border=2), io.StringIO()
    code.add_data(text)
    code.print_ascii(out=drawn)
    return Text(drawn.getvalue().rstrip("\n"), "black on white", no_wrap=True)
