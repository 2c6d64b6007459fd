"""What a use case answers of a device that joined an account and is logged in, whichever package let it in."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from common.account.admission import LoginResult
from common.account.devices import NewDevice


class JoinedDevice(Protocol):
    """A device that joined and is logged in."""

    @property
    def device(self) -> NewDevice:
        """The device."""

    @property
    def registered_at(self) -> datetime:
        """When it joined."""

    @property
    def login_result(self) -> LoginResult:
        """Its session."""
