"""What the service manager is told (`sd_notify(3)`): that the server answers, and that it is about to end.

A datagram to the socket that the manager names in `NOTIFY_SOCKET`; where it names none, as on any other system, nothing
is done. https://www.freedesktop.org/software/systemd/man/sd_notify.html
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY, STOPPING = "READY=1", "STOPPING=1"


def notify_manager(state: str) -> None:
    """Tell the service manager a state, if there is one that listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):  # a name without a file
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(state.encode(), address)
