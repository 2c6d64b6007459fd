"""The demo: the whole story in the terminal, over real HTTP, each step one sentence, told only once it is checked.

Its devices are those of the reference client: their keys are post-quantum and made by themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from common.encoding import decode_base64
from ichidai.cli.demo_checks import StoryFailed, expect, expect_ended, refused
from ichidai.cli.demo_closing import TakenBack
from ichidai.cli.demo_mail import Mailbox, own_mailbox
from ichidai.cli.demo_server import NoServer, own_server
from ichidai.cli.demo_thief import LockedOut
from ichidai.cli.language import Language
from ichidai.cli.qr import qr_picture
from ichidai.client import ClientError, Device, DeviceActive, InMemoryState, KeyKind
from ichidai.client.http_transport import HttpTransport
from ichidai.client.keys import DeviceKeys
from ichidai.client.state import State

_ADDRESS = "alice@example.test"

__all__ = ["Narrator", "NoServer", "StoryFailed", "run_demo", "tell_story"]


class Narrator:
    """Tells the story on a console: numbered sentences, and below them what was seen."""

    def __init__(self, console: Console, language: Language) -> None:
        self._console = console
        self._language = language
        self._steps = 0

    def step(self, en: str, ja: str) -> None:
        """Tell a step that went as told."""
        self._steps += 1
        line = Table.grid(padding=(0, 1))
        sentence = Text(ja if self._language is Language.JA else en, overflow="fold")
        line.add_row(Text("✓", "green"), Text(f"{self._steps:2}", "dim"), sentence)
        self._console.print(line)

    def seen(self, thing: RenderableType) -> None:
        """Show what was seen in the step."""
        self._console.print(Padding(thing, (0, 0, 0, 5)))


def run_demo(console: Console, language: Language) -> None:
    """Start a server, tell the story, end the server. Raises StoryFailed, NoServer."""
    with own_mailbox() as mailbox, own_server(mailbox.url) as base:
        tell_story(base, mailbox, Narrator(console, language))


def tell_story(base: str, mailbox: Mailbox, narrator: Narrator) -> None:
    """Tell the story with a new account of a running server that sends its mails to a mailbox. Raises StoryFailed."""
    narrator.step(
        f"A server of its own answers on {base}; its data goes when the story ends.",
        f"専用のサーバーが {base} で動いています。データは終了時に消えます。",
    )
    try:
        with ExitStack() as opened:
            _Story(base, mailbox, narrator, opened).tell()
    except ClientError as error:
        raise StoryFailed(f"{type(error).__name__}: {error}") from error
    except (KeyError, ValueError) as error:
        raise StoryFailed(f"an answer lacks what the story reads in it: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Actor:
    """A device of the story, by the name that it has in it, and what it remembers."""

    name: str
    state_store: InMemoryState
    device: Device

    @property
    def fingerprint(self) -> str:
        """Its certificate's."""
        return self.device.identity.fingerprint

    @property
    def state(self) -> State:
        """What it remembers. Raises StoryFailed."""
        state = self.state_store.read()
        if state is None:
            raise StoryFailed(f"the {self.name} must remember itself")
        return state

    @property
    def refresh_token(self) -> str:
        """Its session's. Raises StoryFailed."""
        session = self.state.session
        if session is None:
            raise StoryFailed(f"the {self.name} must have a session")
        return session.refresh_token


@dataclass(frozen=True, slots=True)
class _Story:
    base: str
    mailbox: Mailbox
    narrator: Narrator
    opened: ExitStack
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def tell(self) -> None:
        phone, laptop, tablet = (self._actor(name) for name in ("Phone", "Laptop", "Tablet"))
        self._register_and_join(phone, laptop)
        self._log_in(phone)
        self._is_asked_and_refuses(phone, laptop)
        self._a_thief(phone, laptop)
        self._is_asked_and_consents(phone, laptop)
        self._stale_consent(phone, laptop, tablet)
        self._history(tablet)
        own, new_password = phone.device, secrets.token_urlsafe(12)
        TakenBack(self.narrator.step, own, tablet.device, self.password, new_password).tell()
        LockedOut(self.narrator.step, self.base, self.mailbox, own, laptop.device, _ADDRESS, new_password).tell()
        self.narrator.step("Everything went as told.", "すべて説明のとおりになりました。")

    def _actor(self, name: str, state_store: InMemoryState | None = None, language: str = "en") -> Actor:
        state_store = state_store or InMemoryState()
        return Actor(name, state_store, self.opened.enter_context(Device(state_store, self.base, language=language)))

    def _register_and_join(self, phone: Actor, laptop: Actor) -> None:
        code = phone.device.register("alice", _ADDRESS, self.password, device_name=phone.name).qr_code
        self.narrator.step(
            "Alice registers with her phone. It makes its own keys, ML-DSA-87 and sntrup761, shows the public halves, "
            "and gets a certificate over them, with this fingerprint:",
            "アリスがスマホで登録します。スマホは自分でML-DSA-87とsntrup761の鍵を作り、公開鍵だけを送って、証明書を受け取ります。"
            "証明書のフィンガープリント：",
        )
        self.narrator.seen(phone.fingerprint)
        self.mailbox.confirm(self.base, _ADDRESS)
        self.narrator.step(
            "A mail brings her a link, by which she confirms her address.",
            "メールで届いたリンクから、メールアドレスを確認します。",
        )
        expect(_read_qr(code)["fingerprint"] == phone.fingerprint, "the QR code names the phone's certificate")
        self.narrator.step(
            "The phone shows a QR code: good for ten minutes and one device.",
            "スマホがQRコードを表示します。10分間、1台にだけ使えます。",
        )
        self.narrator.seen(qr_picture(code))
        self._join(laptop, code)
        expect(laptop.fingerprint != phone.fingerprint, "each device has a certificate of its own")
        self.narrator.step(
            "Her laptop reads it, makes keys of its own, sends name and password along, and joins. Its fingerprint:",
            "パソコンがそれを読み取り、自分の鍵を作り、ユーザー名とパスワードを添えて送ると、端末として追加されます。"
            "フィンガープリント：",
        )
        self.narrator.seen(laptop.fingerprint)
        with refused("the same code", 410, "pairing-token-spent"):
            self._join(self._actor("Another"), code)
        self.narrator.step(
            "The same QR code again: 410, it is spent.", "同じQRコードをもう一度使うと410。使用済みです。"
        )

    def _join(self, actor: Actor, code: str) -> None:
        actor.device.join(code, "alice", self.password, device_name=actor.name)

    def _log_in(self, phone: Actor) -> None:
        phone.device.log_in(self.password)
        _is_in(phone)
        self.narrator.step(
            "Alice logs in on the phone: it opens a challenge that was sealed to it, signs it, and is in.",
            "アリスがスマホでログインします。スマホは自分宛てに封をされたチャレンジを開き、署名します。",
        )

    def _question(self, actor: Actor, active: str) -> DeviceActive:
        """Log in on a device that must be asked about another one; return the question."""
        return _asked(f"a login on the {actor.name}", active, lambda: actor.device.log_in(self.password))

    def _is_asked_and_refuses(self, phone: Actor, laptop: Actor) -> None:
        japanese = self._question(self._actor(laptop.name, laptop.state_store, "ja"), phone.name)
        english = self._question(laptop, phone.name)
        self.narrator.step(
            "She logs in on the laptop, and is asked: 409.", "パソコンでログインすると、確認されます（409）。"
        )
        active = f"{english.active[0].device_name}, {english.active[0].login_at}"
        self.narrator.seen(Panel(Text(f"{japanese.message}\n\n{english.message}\n\n{active}")))
        _is_in(phone)
        self.narrator.step(
            "She would rather not, so nothing is sent, and the phone is still in.",
            "やめておきます。何も送られず、スマホはログインしたままです。",
        )

    def _a_thief(self, phone: Actor, laptop: Actor) -> None:
        question, stolen = self._question(laptop, phone.name), laptop.state
        keys = replace(stolen.keys, signing=DeviceKeys.make(KeyKind.POST_QUANTUM).signing)
        thief = self._actor("Thief", InMemoryState(replace(stolen, keys=keys)))
        with refused("a login with another key", 401, "proof-invalid"):
            thief.device.log_in(self.password)
        with refused("a consent with another key", 401, "proof-invalid"):
            thief.device.take_over(question, self.password)
        _is_in(phone)
        self.narrator.step(
            "An attacker has her password and the laptop's certificate, but not its key: 401, also with a consent, and "
            "the phone is still in.",
            "パスワードとパソコンの証明書を手に入れた人も、鍵がなければ401です。同意を送っても401で、スマホはそのままです。",
        )

    def _is_asked_and_consents(self, phone: Actor, laptop: Actor) -> None:
        refresh_token, question = phone.refresh_token, self._question(laptop, phone.name)
        ended = laptop.device.take_over(question, self.password).ended
        expect(ended == [phone.name], "the consent ends the phone's session alone")
        self.narrator.step(
            "She logs in there again, is asked again, and consents, signed by the laptop's key: the laptop is in.",
            "もう一度ログインし、今度は「続ける」を選ぶと、パソコンの鍵で署名した同意が送られ、パソコンがログインします。",
        )
        expect_ended(phone.device, "taken-over", f"the {phone.name}'s")
        _is_in(laptop)
        self.narrator.step(
            "The phone's very next request: 401 session-ended, taken-over.",
            "スマホの次の要求は401 session-ended（taken-over）になります。",
        )
        with refused("its refresh token", 401, "session-ended"):
            HttpTransport(self.base).call("POST", "/session/refresh", {"refresh_token": refresh_token})
        self.narrator.step("Its refresh token: 401 as well.", "リフレッシュトークンも401です。")
        laptop.device.refresh()
        with refused("the same consent", 410, "takeover-spent"):
            laptop.device.take_over(question, self.password)
        self.narrator.step(
            "The laptop refreshes its session; the same consent again: 410, it is spent.",
            "パソコンがセッションを更新します。その後に同じ同意をもう一度送ると410。使用済みです。",
        )

    def _stale_consent(self, phone: Actor, laptop: Actor, tablet: Actor) -> None:
        question = self._question(phone, laptop.name)
        self.narrator.step(
            "Now the phone is asked about the laptop, and takes its time to answer.",
            "今度はスマホが、使用中のパソコンについて確認され、しばらく返事をしません。",
        )
        self._join(tablet, laptop.device.pairing_code(self.password).qr_code)
        ended = tablet.device.log_in(self.password, ask=lambda _question: True).ended
        expect(ended == [laptop.name], "the tablet ends the laptop's session alone")
        self.narrator.step(
            "Meanwhile a tablet joins by the laptop's QR code, is asked, consents, and is in instead of the laptop.",
            "その間にタブレットがパソコンのQRコードで追加され、確認に「続ける」と答えて、代わりにログインします。",
        )
        consent = partial(phone.device.take_over, question, self.password)
        _asked("a consent that was to end the laptop", tablet.name, consent)
        _is_in(tablet)
        self.narrator.step(
            "The phone's consent arrives, but it was to end the laptop: 409, asked anew, and the tablet is still in.",
            "そこへスマホの同意が届きますが、相手はパソコンでした。改めて確認（409）となり、タブレットはそのままです。",
        )

    def _history(self, tablet: Actor) -> None:
        events = tablet.device.get("/session/history")["events"][::-1]
        told = [(event["kind"], event["device_name"], event["reason"]) for event in events]
        expect(told == _HISTORY, f"the history must be {_HISTORY}, and is {told}")
        self.narrator.step("The account's history tells all of it.", "すべてがアカウントの履歴に残っています。")
        table = Table("at", "kind", "device", "reason")
        for event in events:
            table.add_row(event["at"], event["kind"], event["device_name"] or "", event["reason"] or "")
        self.narrator.seen(table)


_HISTORY = [
    ("registered", None, None),
    ("device-added", "Phone", None),
    ("email-confirmed", None, None),
    ("device-added", "Laptop", None),
    ("login", "Phone", None),
    ("session-ended", "Phone", "taken-over"),
    ("login", "Laptop", None),
    ("device-added", "Tablet", None),
    ("session-ended", "Laptop", "taken-over"),
    ("login", "Tablet", None),
]


def _asked(what: str, active: str, call: Callable[[], object]) -> DeviceActive:
    """Do what must be answered by a question about another device; return it. Raises StoryFailed."""
    try:
        call()
    except DeviceActive as question:
        shown = [each.device_name for each in question.active]
        expect(shown == [active], f"the question must show {active} alone, and shows {shown}")
        return question
    raise StoryFailed(f"{what} must be answered 409 device-active, and was let in")


def _is_in(actor: Actor) -> None:
    verified = actor.device.verify()
    expect(verified["device_id"] == actor.device.identity.device_id, "a session verifies as its device's")


def _read_qr(qr_code: str) -> dict[str, Any]:
    """Return what a QR code's text says: base64url of JSON."""
    read: dict[str, Any] = orjson.loads(decode_base64(qr_code))
    return read
