"""A device's state in a file that nobody else may read: JSON, mode 0600, always whole.

On Windows, which has no such modes, the file has the rights of its folder: keep it in the user's own.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from ichidai.client.errors import DeviceFileError
from ichidai.client.state import State

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class DeviceFile:
    """A state store at a path; its folder is made when it is missing."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser()

    def read(self) -> State | None:
        """Return the state; None where there is no file. Raises DeviceFileError, also where others may read it."""
        try:
            with self.path.open(encoding="ascii") as file:
                self._check_private(file.fileno())
                content = json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._fault(f"cannot be read ({type(error).__name__})") from error
        try:
            return State.from_json(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._fault(f"is no device's file ({type(error).__name__}: {error})") from error

    def write(self, state: State | None) -> None:
        """Replace the file by one with this state, at once and for good; None removes it. Raises DeviceFileError."""
        place = self.path.resolve()  # a link stays a link
        try:
            if state is None:
                place.unlink(missing_ok=True)
                return
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = place.with_name(f".{place.name}.{os.getpid()}.{secrets.token_hex(4)}")
            try:
                _write_privately(draft, json.dumps(state.to_json(), indent=1))
                draft.replace(place)
            finally:
                draft.unlink(missing_ok=True)
            _sync_folder(place.parent)
        except OSError as error:
            raise self._fault(f"cannot be written ({error.strerror or type(error).__name__})") from error

    def _check_private(self, descriptor: int) -> None:
        if os.name == "nt":
            return
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & _OTHERS:
            raise self._fault(f"may be read by others, and holds private keys. If it was not: chmod 600 '{self.path}'")

    def _fault(self, what: str) -> DeviceFileError:
        return DeviceFileError(f"The device's file {self.path} {what}.")


def _write_privately(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Let the replacement last a power cut, where folders can be synced."""
    if os.name == "nt":
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
