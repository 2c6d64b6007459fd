"""The reference client: how a Python program is a device of a user's account. `docs/client.md` tells how to use it.

    with open_device("~/.config/product/device.json", "https://accounts.example.com") as device:
        device.register("alice", "alice@example.com", password, device_name="Laptop")
        device.log_in(password, ask=lambda question: confirm(question.message, question.active))
        device.get("/device/list")

It needs no server of ours in its process: requests and cryptography are all it stands on.
"""

from __future__ import annotations

from pathlib import Path

from common.crypto.certificates import KeyKind
from ichidai.client.approval import Ask, ShowDigits
from ichidai.client.device import Device, LoginResult
from ichidai.client.device_file import DeviceFile
from ichidai.client.enrolment import PairingCode, UnreadableCode
from ichidai.client.errors import (
    ActiveDevice,
    ClientError,
    DeviceActive,
    DeviceExistsError,
    DeviceFileError,
    NoDevice,
    NotLoggedIn,
    Problem,
    ServerIdentityError,
    SessionEnded,
    Unreachable,
)
from ichidai.client.http_transport import MAX_WAIT_SECONDS, AskCode
from ichidai.client.state import Identity, InMemoryState, State, StateStore

__all__ = [
    "ActiveDevice",
    "Ask",
    "AskCode",
    "ClientError",
    "Device",
    "DeviceActive",
    "DeviceExistsError",
    "DeviceFile",
    "DeviceFileError",
    "Identity",
    "InMemoryState",
    "KeyKind",
    "LoginResult",
    "NoDevice",
    "NotLoggedIn",
    "PairingCode",
    "Problem",
    "ServerIdentityError",
    "SessionEnded",
    "ShowDigits",
    "State",
    "StateStore",
    "Unreachable",
    "UnreadableCode",
    "open_device",
]


def open_device(
    path: Path | str,
    url: str | None = None,
    *,
    language: str | None = None,
    max_wait: float = MAX_WAIT_SECONDS,
    otp: AskCode | None = None,
) -> Device:
    """Return the device of a file (of one that is not there yet: a device to come). Raises DeviceFileError."""
    return Device(DeviceFile(path), url, language=language, max_wait=max_wait, otp=otp)
