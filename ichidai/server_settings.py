"""Settings of the serving processes: what a connection may take."""

from __future__ import annotations

from msgspec import Struct

from common.config import SettingsReader
from common.web.fields import LARGEST
from common.web.rsgi import Bounds
from ichidai.process_log import LogSettings, read_log_settings

_LONGEST = 3600


class ServerSettings(Struct, frozen=True):
    """What a connection may take.

    `head_seconds`: how long it may take to send a head, or be idle. `connections`: how many a worker has at once.
    `drain_seconds`: how long it serves on after it was told to end. `worker_seconds` and `worker_megabytes`: at which
    age and memory a worker is replaced; 0: at none. `bounds`: what a request may take. `log`: how the log is written.
    `metrics_port`: where metrics are shown on `metrics_host`; 0: nowhere.
    `traces_endpoint`: where traces are sent; "": nowhere.
    """

    head_seconds: int
    connections: int
    drain_seconds: int
    worker_seconds: int
    worker_megabytes: int
    bounds: Bounds
    log: LogSettings
    metrics_host: str
    metrics_port: int
    traces_endpoint: str


def read_server_settings(reader: SettingsReader) -> ServerSettings:
    """Read them; faults stay with the reader."""
    return ServerSettings(
        head_seconds=reader.integer("ICHIDAI_HEAD_SECONDS", 10, 1, _LONGEST),
        connections=reader.integer("ICHIDAI_CONNECTIONS", 10_000, 1, 1_000_000),
        drain_seconds=reader.integer("ICHIDAI_DRAIN_SECONDS", 0, 0, _LONGEST),
        worker_seconds=reader.integer("ICHIDAI_WORKER_SECONDS", 0, 0, 31_536_000),
        worker_megabytes=reader.integer("ICHIDAI_WORKER_MEGABYTES", 0, 0, 1_048_576),
        bounds=Bounds(
            head_bytes=reader.integer("ICHIDAI_HEAD_BYTES", 32_768, 8192, 1_048_576),
            body_bytes=LARGEST,
            body_seconds=reader.integer("ICHIDAI_BODY_SECONDS", 15, 1, _LONGEST),
        ),
        log=read_log_settings(reader),
        metrics_host=reader.text("ICHIDAI_METRICS_HOST", "127.0.0.1"),
        metrics_port=reader.integer("ICHIDAI_METRICS_PORT", 0, 1, 65535),
        traces_endpoint=reader.text("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    )
