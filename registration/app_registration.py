"""The registration app alone: `python -m registration.app_registration [--host 127.0.0.1] [--port 5000]`."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started by its path: our packages lie beside this folder, and its modules must not hide others
    sys.path[:] = [str(Path(__file__).resolve().parents[1]), *sys.path[1:]]

from ichidai import entrance

create_app = entrance.factory("registration")

if __name__ == "__main__":
    entrance.run("registration", "registration.app_registration")
