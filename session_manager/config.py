"""Settings of the session room."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct, field

from common.config import SettingsReader
from common.crypto.signing import Algorithm
from common.liveness import SessionRules
from session_manager.event_model import StreamLimits

_MOST_STREAMS = 1_000_000


class SessionSettings(Struct, frozen=True):
    """The limit and the idle time (`rules`), how long sessions and tokens live, what signs, how many may listen.

    `certificate_bound`: a session is bound to its device's certificate from the moment at which it is shown (RFC 8705).
    """

    rules: SessionRules
    session_lifetime: timedelta
    access_token_lifetime: timedelta
    token_algorithm: Algorithm = Algorithm.ES256
    streams: StreamLimits = field(default_factory=StreamLimits)
    certificate_bound: bool = False


def read_settings(reader: SettingsReader) -> SessionSettings:
    """Read them; faults stay with the reader."""
    usual = StreamLimits()
    return SessionSettings(
        rules=SessionRules(
            limit=reader.integer("MAX_CONCURRENT_DEVICES", 1, 0, 20),
            idle=reader.seconds("ICHIDAI_IDLE_SECONDS", 86_400),
        ),
        session_lifetime=reader.seconds("ICHIDAI_SESSION_SECONDS", 2_592_000),
        access_token_lifetime=reader.seconds("ICHIDAI_ACCESS_TOKEN_SECONDS", 600),
        token_algorithm=Algorithm(reader.choice("ICHIDAI_TOKEN_ALGORITHM", Algorithm.ES256, tuple(Algorithm))),
        streams=StreamLimits(
            session=reader.integer("ICHIDAI_STREAMS_SESSION", usual.session, 1, _MOST_STREAMS),
            user=reader.integer("ICHIDAI_STREAMS_USER", usual.user, 1, _MOST_STREAMS),
            source=reader.integer("ICHIDAI_STREAMS_SOURCE", usual.source, 1, _MOST_STREAMS),
            total=reader.integer("ICHIDAI_STREAMS", usual.total, 1, _MOST_STREAMS),
        ),
        certificate_bound=reader.boolean("ICHIDAI_CERTIFICATE_BOUND_TOKENS", default=False),
    )
