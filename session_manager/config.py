"""Settings of the session room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from common.config import SettingsReader
from common.liveness import SessionRules


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The limit and the idle time (`rules`), and how long a session and an access token live."""

    rules: SessionRules
    session_lifetime: timedelta
    access_token_lifetime: timedelta


def read_settings(reader: SettingsReader) -> SessionSettings:
    """Read them; faults stay with the reader."""
    return SessionSettings(
        rules=SessionRules(
            limit=reader.integer("MAX_CONCURRENT_DEVICES", 1, 0, 20),
            idle=reader.seconds("ICHIDAI_IDLE_SECONDS", 86_400),
        ),
        session_lifetime=reader.seconds("ICHIDAI_SESSION_SECONDS", 2_592_000),
        access_token_lifetime=reader.seconds("ICHIDAI_ACCESS_TOKEN_SECONDS", 600),
    )
