"""Settings of the device room."""

from __future__ import annotations

from msgspec import Struct

from common.config import SettingsReader


class DeviceSettings(Struct, frozen=True):
    """How many devices an account may have bound (`max_devices`), live or not."""

    max_devices: int


def read_settings(reader: SettingsReader) -> DeviceSettings:
    """Read them; faults stay with the reader."""
    return DeviceSettings(max_devices=reader.integer("ICHIDAI_MAX_DEVICES", 10, 1, 20))
