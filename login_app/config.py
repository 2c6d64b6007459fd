"""Settings of login."""

from __future__ import annotations

from dataclasses import dataclass

from common.admission import ConcurrencyMode, DeviceProof
from common.config import SettingsReader


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """What happens at the limit, whether `force` is obeyed, and what a device must show.

    `certificate_bound`: a login with a certificate that TLS proved binds the session to it.
    """

    mode: ConcurrencyMode
    allow_force: bool
    device_proof: DeviceProof
    certificate_bound: bool = False


def read_settings(reader: SettingsReader) -> LoginSettings:
    """Read them; faults stay with the reader."""
    return LoginSettings(
        mode=ConcurrencyMode(reader.choice("ICHIDAI_CONCURRENCY_MODE", "ask", tuple(ConcurrencyMode))),
        allow_force=reader.boolean("ICHIDAI_ALLOW_FORCE", default=True),
        device_proof=DeviceProof(reader.choice("ICHIDAI_DEVICE_PROOF", "fingerprint", tuple(DeviceProof))),
        certificate_bound=reader.boolean("ICHIDAI_CERTIFICATE_BOUND_TOKENS", default=False),
    )
