"""The last chapter of the demo: a thief with the password and a laptop locks the owner out, and she takes it back."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from common.clock import system_clock
from common.crypto.otp import code_at, read_secret, step_at
from ichidai.cli.demo_checks import Step, StoryFailed, expect, expect_ended, refused
from ichidai.cli.demo_mail import Mailbox
from ichidai.client import Device, DeviceActive
from ichidai.client.http_transport import HttpTransport

_THIEFS_ADDRESS = "mallory@example.test"


@dataclass(frozen=True, slots=True)
class LockedOut:
    """The owner's device, logged in; another of hers, in a thief's hands; her address and her password.

    The thief knows the password.
    """

    step: Step
    base: str
    mailbox: Mailbox
    own: Device
    stolen: Device
    address: str
    password: str
    thiefs_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    new_password: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def tell(self) -> None:
        """Tell it. Raises StoryFailed, ClientError."""
        codes: list[str] = self.own.post("/registration/recovery-codes", {"password": self.password})["recovery_codes"]
        last_of_hers: int = self.own.get("/session/history")["events"][0]["change_no"]
        self.step(
            "Alice makes recovery codes and keeps them on paper.",
            "アリスはリカバリーコードを発行し、紙に控えておきます。",
        )
        self._taken_over()
        self._locked_out()
        self._objects(last_of_hers + 1)
        self._is_back(codes[0])

    def _taken_over(self) -> None:
        try:
            self.stolen.log_in(self.password)
            raise StoryFailed("the thief must be asked about the phone, and was let in")
        except DeviceActive as question:
            self.stolen.take_over(question, self.password)
        expect_ended(self.own, "taken-over", "the owner's")
        self.stolen.post("/registration/email", {"email": _THIEFS_ADDRESS, "password": self.password})
        self.mailbox.confirm(self.base, _THIEFS_ADDRESS)
        self.mailbox.link("object", self.address)
        self.step(
            "A thief who knows her password takes over on her unlocked laptop and gives the account another mail "
            "address. Hers is told, with a link to say that it was not her.",
            "パスワードを知る何者かが、開いたままのパソコンで使用を引き継ぎ、メールアドレスを変更します。元のアドレスには、"
            "「自分ではない」と申し立てるリンクが届きます。",
        )

    def _locked_out(self) -> None:
        confirmed = self._turn_factor_on()
        change = {
            "password": self.password,
            "new_password": self.thiefs_password,
            "otp": confirmed["recovery_codes"][0],
        }
        self.stolen.post("/registration/password", change)
        with refused("her password", 401, "bad-credentials"):
            self.own.log_in(self.password)
        self.step(
            "Then the thief turns two-step login on, which voids her codes, and sets another password: she is out, and "
            "her password is 401.",
            "さらに2段階認証を有効にして彼女のコードを無効にし、パスワードも変更します。アリスは締め出され、ログインは401です。",
        )

    def _turn_factor_on(self) -> dict[str, Any]:
        begun = self.stolen.post("/registration/otp/begin", {"password": self.password})
        code = code_at(read_secret(begun["secret"]), step_at(system_clock()))
        return dict(self.stolen.post("/registration/otp/confirm", {"enrolment": begun["enrolment"], "otp": code}))

    def _objects(self, change_no: int) -> None:
        self.own.object_to(change_no)
        expect_ended(self.stolen, "revoked", "the thief's")
        with refused("the thief's password", 401, "bad-credentials"):
            self.stolen.log_in(self.thiefs_password)
        with refused("the password alone, which the thief knows", 403, "password-reset-required"):
            self.stolen.log_in(self.password)
        self.step(
            "Her phone objects, signed by its key: the thief's very next request is 401, the second step, the thief's "
            "password and the laptop's right are gone, and the old password alone opens nothing.",
            "スマホがその鍵で署名して「自分ではない」と申し立てます。盗んだ人の次の要求は401になり、2段階認証と新しいパスワードは"
            "取り消され、パソコンの登録も解除されます。元のパスワードだけでは何も開きません。",
        )

    def _is_back(self, code: str) -> None:
        back = {"username": self.own.identity.username, "password": self.password, "recovery_code": code}
        form = {**back, "new_password": self.new_password, "device_name": "Browser"}
        HttpTransport(self.base).call("POST", "/registration/recover", form)
        self.own.log_in(self.new_password)
        with refused("a login on the stolen laptop", 401, "certificate-revoked"):
            self.stolen.log_in(self.new_password)
        expect(self.own.verify(), "she must be in")
        account = self.own.get("/registration/account")
        expect((account["email"], account["email_confirmed"]) == (self.address, True), "her address must be hers again")
        self.step(
            "One of her codes is good again: with it she sets a new password. She is in, with her own address, and the "
            "thief is out, whatever the thief knows.",
            "控えておいたコードは再び有効です。それで新しいパスワードを設定します。メールアドレスも元に戻り、アリスは使えます。"
            "何を知っていても、盗んだ人は締め出されます。",
        )
