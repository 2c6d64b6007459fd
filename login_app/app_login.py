"""The login app alone, on its dev port: `python -m login_app.app_login` (or `PORT`)."""

from __future__ import annotations

from ichidai.apps import login as create_app
from ichidai.serving import run_dev_server
from ichidai.topology import Part

__all__ = ["create_app"]

if __name__ == "__main__":
    run_dev_server(Part.LOGIN)
