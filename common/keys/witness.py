"""The witness: a small file beside a host's keys that says how far the host has seen its store come.

No backup of ours contains it: a store that was restored is older than its witness, and so it is noticed. Processes of
one host share the file; it is replaced as a whole.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from common.keys.generation import Witnessed
from common.keys.key_file import replace_key_file
from common.keys.keyring import KeyRingError

FILE_NAME = "witness.json"
ACCEPT = "`ichidai restore accept --reason TEXT`"

_FORMAT = 1
_log = logging.getLogger(__name__)


class WitnessFile:
    """The file of one host."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_told = False

    def read(self) -> Witnessed | None:
        """Return what was seen; None where nothing was yet. Raises KeyRingError for a file that is not whole."""
        try:
            content = json.loads(self.path.read_text(encoding="ascii"))
            if content["format"] != _FORMAT:
                raise ValueError(content["format"])
            generation, progress, ring = (int(content[name]) for name in ("generation", "progress", "ring"))
            return Witnessed(str(content["store"]), generation, progress, str(content["mark"]), ring)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KeyRingError(
                f"The witness {self.path} cannot be read ({type(error).__name__}), so nobody can tell whether the "
                f"store was restored from a backup. Run {ACCEPT}: it makes the file anew."
            ) from error

    def write(self, seen: Witnessed) -> None:
        """Keep what was seen. Where the folder cannot be written to, the log says so once."""
        content = {
            "format": _FORMAT,
            "store": seen.store,
            "generation": seen.generation,
            "progress": seen.progress,
            "mark": seen.mark,
            "ring": seen.ring,
        }
        try:
            replace_key_file(self.path, content)
        except OSError as error:
            if not self._is_told:
                _log.warning("no witness can be kept, so a restored store will not be noticed: %s", error)
            self._is_told = True
        else:
            self._is_told = False

    def read_if_whole(self) -> Witnessed | None:
        """Return what was seen; None, too, for a file that is not whole: a process that serves will mend it."""
        try:
            return self.read()
        except KeyRingError:
            return None

    def advance(self, seen: Witnessed) -> None:
        """Keep what was seen, unless another process of this host has seen as much."""
        known = self.read_if_whole()
        if known is None or (known.generation, known.progress, known.ring) < (
            seen.generation,
            seen.progress,
            seen.ring,
        ):
            self.write(seen)
