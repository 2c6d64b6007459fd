"""A chapter of the demo: a thief closes the account, and its owner takes it back."""

from __future__ import annotations

from dataclasses import dataclass

from ichidai.cli.demo_checks import Step, expect, expect_ended, refused
from ichidai.client import Device

_DEVICES = ("Phone", "Laptop", "Tablet")


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The owner's device; another of hers, unlocked in a thief's hands; her password, and the next one."""

    step: Step
    own: Device
    stolen: Device
    password: str
    new_password: str

    def tell(self) -> None:
        """Tell it. Raises StoryFailed, ClientError."""
        self._closed()
        self._reopened()
        self._thief_is_out()

    def _closed(self) -> None:
        self.stolen.close_account(self.password)
        expect_ended(self.stolen, "revoked", "a closed account's")
        with refused("a login to a closed account", 403, "account-closed"):
            self.own.log_in(self.password)
        self.step(
            "A thief takes the unlocked tablet, knows her password too, and closes the account: every session ends, "
            "and a login is 403 account-closed.",
            "盗んだタブレットとパスワードを使って、何者かがアカウントを閉鎖します。すべてのセッションが終わり、"
            "ログインは403 account-closedです。",
        )

    def _reopened(self) -> None:
        self.own.reopen_account(self.password)
        self.own.log_in(self.password)
        names = [device["device_name"] for device in self.own.devices()]
        expect(names == list(_DEVICES), f"nothing of the account must be lost, and it has the devices {names}")
        self.step(
            "Alice reopens it with her password: it is as it was, and she is in on her phone.",
            "アリスがパスワードで再開します。アカウントは元のままで、スマホでログインできます。",
        )

    def _thief_is_out(self) -> None:
        self.own.unbind(self.stolen.identity.device_id, self.password)
        self.own.post("/registration/password", {"password": self.password, "new_password": self.new_password})
        with refused("the old password", 401, "bad-credentials"):
            self.stolen.log_in(self.password)
        self.own.verify()
        self.step(
            "She removes the tablet and changes the password. The thief gets 401; she goes on.",
            "タブレットの登録を解除し、パスワードを変更します。盗んだ人は401になり、アリスはそのまま使えます。",
        )
