"""Serving as release 0.1 did, for the proof that hostile connections did harm there: `… served_as_before PORT`."""

from __future__ import annotations

import os
import sys

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from ichidai.apps import create_app


def load() -> object:
    """Return the app for a worker."""
    return create_app().wsgi_app


def main() -> None:
    """Serve, four threads a worker, each of which reads the bodies itself."""
    os.environ["PORT"] = sys.argv[1]
    sys.stdout.write(f"it answers on port {sys.argv[1]}\n")  # so tests know that it is this one
    Granian(
        "ichidai",
        port=int(sys.argv[1]),
        interface=Interfaces.WSGI,
        blocking_threads=4,
        log_level=LogLevels.error,
    ).serve(target_loader=load, wrap_loader=False)


if __name__ == "__main__":
    main()
