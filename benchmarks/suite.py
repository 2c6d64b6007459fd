"""Our own server under measurement, as `ichidai serve` runs it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from benchmarks.servers import WORKERS, Server

_GENEROUS = {
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "1000000",
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": "1000000",
    "ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "1000000",
    "ICHIDAI_REGISTRATIONS_SOURCE": "1000000",
}
"""All logins of a measurement come from one address."""


def settings_in(folder: Path, **more: str) -> dict[str, str]:
    """Return the settings of a suite whose data lies in a folder."""
    return {"ICHIDAI_DATA_DIR": str(folder / "data"), **_GENEROUS, **more}


def started(settings: Mapping[str, str], folder: Path, workers: int = WORKERS) -> Server:
    """Start the combined app and wait until it answers. Raises ServerFailed."""
    command = [sys.executable, "-m", "ichidai", "serve", "all", "--workers", str(workers), "--port"]
    server = Server(lambda port: [*command, str(port)], folder, settings, folder)
    server.wait()
    requests.get(f"{server.base}/health", timeout=30).raise_for_status()
    return server


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}
