"""The reference client: how a Python program is a device of somebody's account. `docs/client.md` tells how to use it.

    with open_device("~/.config/product/device.json", "https://accounts.example.com") as device:
        device.register("alice", "alice@example.com", password, device_name="Laptop")
        device.log_in(password, ask=lambda question: confirm(question.message, question.active))
        device.get("/device/list")

It needs no server of ours in its process: requests and cryptography are all it stands on.
"""

from __future__ import annotations

from pathlib import Path

from common.crypto.certificates import KeyKind
from ichidai.client.device import Ask, Device, Entered
from ichidai.client.device_file import DeviceFile
from ichidai.client.enrolling import PairingCode, UnreadableCode
from ichidai.client.failures import (
    ActiveDevice,
    ClientError,
    DeviceActive,
    DeviceFileFault,
    HasDevice,
    NoDevice,
    NotLoggedIn,
    Problem,
    SessionEnded,
    Unreachable,
    Untrustworthy,
)
from ichidai.client.state import Identity, Memory, State, Vault
from ichidai.client.wire import PATIENCE_SECONDS, AskCode

__all__ = [
    "ActiveDevice",
    "Ask",
    "AskCode",
    "ClientError",
    "Device",
    "DeviceActive",
    "DeviceFile",
    "DeviceFileFault",
    "Entered",
    "HasDevice",
    "Identity",
    "KeyKind",
    "Memory",
    "NoDevice",
    "NotLoggedIn",
    "PairingCode",
    "Problem",
    "SessionEnded",
    "State",
    "Unreachable",
    "UnreadableCode",
    "Untrustworthy",
    "Vault",
    "open_device",
]


def open_device(
    path: Path | str,
    url: str | None = None,
    *,
    language: str | None = None,
    patience: float = PATIENCE_SECONDS,
    otp: AskCode | None = None,
) -> Device:
    """Return the device of a file (of one that is not there yet: a device to come). Raises DeviceFileFault."""
    return Device(DeviceFile(path), url, language=language, patience=patience, otp=otp)
