"""Settings of the device room."""

from __future__ import annotations

from dataclasses import dataclass

from common.config import SettingsReader


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """How many devices an account may have bound (`max_devices`), live or not."""

    max_devices: int


def read_settings(reader: SettingsReader) -> DeviceSettings:
    """Read them; faults stay with the reader."""
    return DeviceSettings(max_devices=reader.integer("ICHIDAI_MAX_DEVICES", 10, 1, 20))
