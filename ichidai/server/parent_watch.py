"""Workers that end when their server is killed, so that none keeps the port with an old state of the program."""

from __future__ import annotations

import os
import threading
import time

_LOOK_EVERY = 0.25


def end_with_parent() -> None:
    """Let this process end soon after its parent has; on Windows, where that cannot be seen so, do nothing."""
    parent = os.getppid()
    if os.name == "nt" or parent == 1:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
