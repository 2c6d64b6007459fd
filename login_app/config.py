"""Settings of login."""

from __future__ import annotations

from msgspec import Struct

from common.config import SettingsReader


class LoginSettings(Struct, frozen=True):
    """What the policy does not say. `certificate_bound`: a certificate that TLS proved binds the session to it."""

    certificate_bound: bool = False


def read_settings(reader: SettingsReader) -> LoginSettings:
    """Read them; faults stay with the reader."""
    return LoginSettings(certificate_bound=reader.boolean("ICHIDAI_CERTIFICATE_BOUND_TOKENS", default=False))
