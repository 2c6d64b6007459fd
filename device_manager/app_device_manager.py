"""The device app alone, on its dev port: `python -m device_manager.app_device_manager` (or `PORT`)."""

from __future__ import annotations

from ichidai.apps import device as create_app
from ichidai.serving import run_dev_server
from ichidai.topology import Part

__all__ = ["create_app"]

if __name__ == "__main__":
    run_dev_server(Part.DEVICE)
