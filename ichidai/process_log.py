"""How this process writes its log: lines of JSON, or for a console. Whatever logs, logs by the standard library."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import Any, TextIO

from msgspec import Struct

from common.config import SettingsReader


class LogFormat(StrEnum):
    """The form of a line."""

    CONSOLE = "console"
    JSON = "json"


class LogSettings(Struct, frozen=True):
    """The form of the log, and the least level that is told."""

    format: LogFormat
    level: str


LEVELS = ("debug", "info", "warning", "error")


def read_log_settings(reader: SettingsReader) -> LogSettings:
    """Read them; faults stay with the reader."""
    return LogSettings(
        LogFormat(reader.choice("ICHIDAI_LOG", LogFormat.CONSOLE, tuple(LogFormat))),
        reader.choice("ICHIDAI_LOG_LEVEL", "info", LEVELS),
    )


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Let everything that this process logs be written to stderr (or a stream) in one form. May be called again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(settings.format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries tell what is wrong, and nothing else
    for name in ("common", "device_manager", "ichidai", "login_app", "registration", "session_manager"):
        logging.getLogger(name).setLevel(settings.level.upper())


def _formatter(form: LogFormat) -> logging.Formatter:
    import structlog  # noqa: PLC0415 - a server needs it, other commands do not

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form is LogFormat.JSON:
        last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]
    formatter: logging.Formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    return formatter
