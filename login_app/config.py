"""Settings of login."""

from __future__ import annotations

from msgspec import Struct

from common.admission import ConcurrencyMode, DeviceProof
from common.config import SettingsReader


class LoginSettings(Struct, frozen=True):
    """What happens at the limit, whether `force` is obeyed, and what a device must show.

    `certificate_bound`: a login with a certificate that TLS proved binds the session to it. `unproven_evictions`: how
    many within ten minutes need no signature; 0: none ever needs one for being one of many.
    """

    mode: ConcurrencyMode
    allow_force: bool
    device_proof: DeviceProof
    certificate_bound: bool = False
    unproven_evictions: int = 0


def read_settings(reader: SettingsReader) -> LoginSettings:
    """Read them; faults stay with the reader."""
    settings = LoginSettings(
        mode=ConcurrencyMode(reader.choice("ICHIDAI_CONCURRENCY_MODE", "ask", tuple(ConcurrencyMode))),
        allow_force=reader.boolean("ICHIDAI_ALLOW_FORCE", default=True),
        device_proof=DeviceProof(reader.choice("ICHIDAI_DEVICE_PROOF", "fingerprint", tuple(DeviceProof))),
        certificate_bound=reader.boolean("ICHIDAI_CERTIFICATE_BOUND_TOKENS", default=False),
        unproven_evictions=reader.integer("ICHIDAI_UNPROVEN_EVICTIONS", 0, 0, 100),
    )
    if settings.unproven_evictions and settings.device_proof is DeviceProof.NONE:
        reader.fault(
            "ICHIDAI_UNPROVEN_EVICTIONS asks for signatures, but with ICHIDAI_DEVICE_PROOF=none nobody has a key"
        )
    return settings
