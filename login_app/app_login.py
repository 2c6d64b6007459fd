"""The login app alone: `python -m login_app.app_login [--host 127.0.0.1] [--port 6010]`."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # started by its path: our packages lie beside this folder, and its modules must not hide others
    sys.path[:] = [str(Path(__file__).resolve().parents[1]), *sys.path[1:]]

from ichidai import entrance

create_app = entrance.factory("login")

if __name__ == "__main__":
    entrance.run("login", "login_app.app_login")
