"""Settings of the device manager. How many devices an account may have is the policy's to say."""

from __future__ import annotations

from msgspec import Struct

from common.config import SettingsReader


class DeviceSettings(Struct, frozen=True):
    """The bucket where the authorities' certificates and the revocation list are published (`""`: nowhere)."""

    s3_bucket: str


def read_settings(reader: SettingsReader) -> DeviceSettings:
    """Read them; faults stay with the reader."""
    return DeviceSettings(s3_bucket=reader.text("S3_BUCKET", ""))
