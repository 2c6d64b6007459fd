"""Reading settings from a mapping, once, at start. All faults are collected and reported together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

PREFIX = "ICHIDAI_"
TEST_PREFIX = "ICHIDAI_TEST_"

RENAMED: Mapping[str, str] = {
    "ICHIDAI_GUESSES_ACCOUNT_SOURCE": "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE",
    "ICHIDAI_GUESSES_ACCOUNT": "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT",
    "ICHIDAI_GUESSES_SOURCE": "ICHIDAI_LOGIN_ATTEMPTS_SOURCE",
    "ICHIDAI_GUESSES_OTP": "ICHIDAI_LOGIN_ATTEMPTS_OTP",
    "ICHIDAI_UNPROVEN_EVICTIONS": "ICHIDAI_EVICTIONS_BEFORE_SIGNATURE",
}
"""Settings of release 0.1.0 that have another name now. The old name is still read, with a warning."""

_log = logging.getLogger(__name__)

_MANY_DIGITS = 20  # no setting needs so many, and Python refuses to read very many


class SettingsError(Exception):
    """The settings cannot be used. `faults` holds one sentence for each thing to mend."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("The settings cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


def with_new_names(source: Mapping[str, str]) -> dict[str, str]:
    """Return the settings under their names of today; where both names are there, the new one counts."""
    found = {name: value for name, value in source.items() if name not in RENAMED}
    for old, new in RENAMED.items():
        if old in source:
            _log.warning("%s is called %s now: rename it", old, new)
            found.setdefault(new, source[old])
    return found


class SettingsReader:
    """Reads named settings out of a mapping, remembers what was asked for, and what was wrong with it.

    Each reading method returns the default when the name is absent, empty or faulty, so that one pass finds every
    fault; `finish` raises them all. It decides nothing about what a setting means.
    """

    def __init__(self, source: Mapping[str, str]) -> None:
        self._source = source
        self._asked: set[str] = set()
        self._faults: list[str] = []

    @property
    def asked(self) -> frozenset[str]:
        """The names that were asked for until now."""
        return frozenset(self._asked)

    def text(self, name: str, default: str) -> str:
        """Read a text with the white space around it removed."""
        self._asked.add(name)
        return self._source.get(name, "").strip() or default

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of texts separated by commas; () when absent."""
        return tuple(part.strip() for part in self.text(name, "").split(",") if part.strip())

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Read a whole number from `low` to `high`."""
        raw = self.text(name, "")
        if not raw:
            return default
        digits = raw.isascii() and raw.isdigit() and len(raw) < _MANY_DIGITS
        if not (digits and low <= int(raw) <= high):
            self.fault(f"{name} must be a whole number from {low} to {high}, not {raw!r}")
            return default
        return int(raw)

    def seconds(self, name: str, default: int, low: int = 1, high: int = 315_360_000) -> timedelta:
        """Read a duration in whole seconds, by default from one second to ten years."""
        return timedelta(seconds=self.integer(name, default, low, high))

    def boolean(self, name: str, *, default: bool) -> bool:
        """Read `true` or `false`."""
        return self.choice(name, "true" if default else "false", ("true", "false")) == "true"

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """Read one of a few words."""
        value = self.text(name, default)
        if value not in choices:
            self.fault(f"{name} must be one of {', '.join(choices)}, not {value!r}")
            return default
        return value

    def fault(self, sentence: str) -> None:
        """Remember a fault that a caller found in a value."""
        self._faults.append(sentence)

    def finish(self) -> None:
        """Raise `SettingsError` when anything was wrong, a name of ours that nobody asked for included."""
        unknown = sorted(
            name
            for name in self._source
            if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX) and name not in self._asked
        )
        self._faults += [f"{name} is not a setting of this program; see docs/settings.md" for name in unknown]
        if self._faults:
            raise SettingsError(tuple(self._faults))
