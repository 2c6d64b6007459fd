"""The registration app alone, on its dev port: `python -m registration.app_registration` (or `PORT`)."""

from __future__ import annotations

from ichidai.apps import registration as create_app
from ichidai.serving import run_dev_server
from ichidai.topology import Part

__all__ = ["create_app"]

if __name__ == "__main__":
    run_dev_server(Part.REGISTRATION)
