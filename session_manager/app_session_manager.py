"""The session app alone, on its dev port: `python -m session_manager.app_session_manager` (or `PORT`)."""

from __future__ import annotations

from ichidai.apps import session as create_app
from ichidai.serving import run_dev_server
from ichidai.topology import Part

__all__ = ["create_app"]

if __name__ == "__main__":
    run_dev_server(Part.SESSION)
