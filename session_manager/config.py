"""Settings of the session manager."""

from __future__ import annotations

from msgspec import Struct, field

from common.config import SettingsReader
from common.crypto.jws import Algorithm
from session_manager.event_model import StreamLimits

_MOST_STREAMS = 1_000_000


class SessionSettings(Struct, frozen=True):
    """What signs access tokens, and how many may listen. How long sessions live is the policy's to say.

    `certificate_bound`: a session is bound to its device's certificate from the moment at which it is shown (RFC 8705).
    """

    token_algorithm: Algorithm = Algorithm.ES256
    streams: StreamLimits = field(default_factory=StreamLimits)
    certificate_bound: bool = False


def read_settings(reader: SettingsReader) -> SessionSettings:
    """Read them; faults stay with the reader."""
    usual = StreamLimits()
    return SessionSettings(
        token_algorithm=Algorithm(reader.choice("ICHIDAI_TOKEN_ALGORITHM", Algorithm.ES256, tuple(Algorithm))),
        streams=StreamLimits(
            session=reader.integer("ICHIDAI_STREAMS_SESSION", usual.session, 1, _MOST_STREAMS),
            user=reader.integer("ICHIDAI_STREAMS_USER", usual.user, 1, _MOST_STREAMS),
            source=reader.integer("ICHIDAI_STREAMS_SOURCE", usual.source, 1, _MOST_STREAMS),
            total=reader.integer("ICHIDAI_STREAMS", usual.total, 1, _MOST_STREAMS),
        ),
        certificate_bound=reader.boolean("ICHIDAI_CERTIFICATE_BOUND_TOKENS", default=False),
    )
