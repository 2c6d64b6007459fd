"""What keeps a client's call from its end. Every text is for people; every type is for programs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Answer = Mapping[str, Any]
"""A JSON object that the server sent. It may have fields that nobody here knows."""

_EARLY_SECONDS = 5.0  # on the way
_ELSEWHERE = frozenset({"taken-over", "forced-out", "evicted"})


class ClientError(Exception):
    """Anything below."""


class DeviceFileError(ClientError):
    """The device's file cannot be used as it is."""


class DeviceExistsError(ClientError):
    """There is a device already where a new one was to be made."""


class NoDevice(ClientError):
    """There is no device yet: register or join first."""


class NotLoggedIn(ClientError):
    """The device has no session."""


class Unreachable(ClientError):
    """No answer came. Whether the server did anything is not known."""


class ServerIdentityError(ClientError):
    """The server answered what it must not: another issuer, or a certificate over another key."""


class Problem(ClientError):
    """A refusal of the server, by its `code`; `document` is all it said. `retry_after`: seconds, where it said so."""

    def __init__(self, status: int, document: Answer, retry_after: int | None = None) -> None:
        super().__init__(str(document.get("detail") or f"The server answered {status}."))
        self.status = status
        self.code = str(document.get("code", ""))
        self.document = document
        self.retry_after = retry_after
        self._came_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class ActiveDevice:
    """A device that is in use; times as RFC 3339 has them."""

    device_name: str
    login_at: str
    last_seen_at: str


class DeviceActive(Problem):
    """The account is in use elsewhere, and the user must be asked. Nothing has changed so far.

    `message` and `active` are what must be shown; a consent ends just those sessions. Where the active devices' users
    are asked first there is `approval` in the place of `takeover`.
    """

    _is_signed = False

    @property
    def message(self) -> str:
        """The question, in words."""
        return str(self.document.get("message", self))

    @property
    def active(self) -> tuple[ActiveDevice, ...]:
        """Who would be ended."""
        shown = self.document.get("active", ())
        return tuple(
            ActiveDevice(*(str(each.get(name) or "") for name in ("device_name", "login_at", "last_seen_at")))
            for each in shown
        )

    @property
    def takeover(self) -> Answer | None:
        """What a consent needs; None where the suite lets nobody switch."""
        return self.document.get("takeover")

    @property
    def approval(self) -> Answer | None:
        """What asks the active devices' users; None where they are not asked."""
        return self.document.get("approval")

    @property
    def challenge(self) -> Answer | None:
        """What the device must sign to consent; None once it was signed or has lapsed."""
        challenge: Answer | None = (self.takeover or {}).get("challenge")
        if challenge is None or self._is_signed:
            return None
        if time.monotonic() - self._came_at > challenge["expires_in"] - _EARLY_SECONDS:
            return None
        return challenge

    def spend_challenge(self) -> Answer | None:
        """Return the challenge for its one signature: a consent that is sent again needs another."""
        challenge, self._is_signed = self.challenge, True
        return challenge


class SessionEnded(Problem):
    """The session is over; no refresh brings it back. Log in again, if the user wants to."""

    @property
    def reason(self) -> str:
        """Why, as `docs/errors.md` lists them; there may be others one day."""
        return str(self.document.get("reason", "ended"))

    @property
    def elsewhere(self) -> bool:
        """Whether it ended because another device logged in."""
        return self.reason in _ELSEWHERE


_TYPES: Mapping[object, type[Problem]] = {"device-active": DeviceActive, "session-ended": SessionEnded}


def problem_of(status: int, document: Answer, retry_after: int | None) -> Problem:
    """Return a refusal as the type that its code has."""
    return _TYPES.get(document.get("code"), Problem)(status, document, retry_after)
