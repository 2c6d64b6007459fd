"""A client that writes down every call: what was asked of which server, when, and what came back."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.proof.recording import Call, Operation, Recorder, call_line
from tests.proof.timeline import OBJECTING
from tests.support.client import bearer

PATHS = {
    Operation.REGISTER: "/registration/",
    Operation.PAIR: "/registration/",
    Operation.REQUEST_PAIRING_TOKEN: "/registration/request_pairing_token",
    Operation.LOGIN: "/login",
    Operation.TAKEOVER: "/login/takeover",
    Operation.VERIFY: "/session/verify",
    Operation.LIST: "/session/list",
    Operation.REFRESH: "/session/refresh",
    Operation.LOGOUT: "/session/logout",
    Operation.REVOKE: "/session/revoke",
    Operation.DEVICE_REGISTER: "/device/register",
    Operation.UNBIND: "/device/unbind",
    Operation.REVOKE_CERTIFICATE: "/device/revoke_certificate",
    Operation.RENAME: "/device/rename",
    Operation.FORCE_LOGOUT: "/device/force_logout",
    Operation.CLOSE: "/registration/close",
    Operation.REOPEN: "/registration/reopen",
    Operation.END_ALL: "/session/end-all",
    Operation.PASSWORD_CHANGE: "/registration/password",
    Operation.USERNAME: "/registration/username",
    Operation.RECOVERY_CODES: "/registration/recovery-codes",
    Operation.RECOVER: "/registration/recover",
    Operation.FORGOT: "/registration/password/forgot",
    Operation.RESET: "/registration/password/reset",
    Operation.EMAIL: "/registration/email",
    Operation.EMAIL_CONFIRM: "/registration/email/confirm",
    **dict.fromkeys(OBJECTING, "/registration/objection"),
    Operation.OTP_ON: "/registration/otp/confirm",
    Operation.OTP_OFF: "/registration/otp/remove",
    Operation.PASSKEY_ADD: "/registration/passkeys/finish",
    Operation.PASSKEY_REMOVE: "/registration/passkeys/",
    Operation.APPROVAL: "/login/approval",
    Operation.APPROVAL_ANSWER: "/login/approval/answer",
    Operation.JOIN: "/registration/join",
}
_METHODS = {Operation.VERIFY: "GET", Operation.LIST: "GET", Operation.PASSKEY_REMOVE: "DELETE"}
_TIMEOUT_SECONDS = 30.0
_NEW_CONNECTION = 0.05


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `status` is None when nothing did."""

    status: int | None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it was granted."""
        return self.status == 200


class Caller:
    """One client of several servers. It asks any of them, keeps connections, and now and then takes a new one.

    A kept connection stays with one worker of its server; the new ones reach the others.
    """

    def __init__(self, name: str, ports: Sequence[int], file: Path, rng: Random, first: int = 0, step: int = 1) -> None:
        """`source`, an address, may be set: servers that trust this machine as a proxy take it for the caller's."""
        self.ports = tuple(ports)
        self.source = ""
        self._file = file.open("a", encoding="utf-8")
        self._rng = rng
        self._recorder = Recorder(name, first, step)
        self._place = 0
        self._connections: dict[int, http.client.HTTPConnection] = {}

    def call(
        self,
        operation: Operation,
        sent: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        user: str = "",
        device_id: str | None = None,
        port: int | None = None,
        about: str = "",
        password_no: int = 0,
        new_password_no: int | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Make a call, at any server unless `port` names one, and write it down.

        `about`: how its path ends; `facts`: what was asked that its body does not tell.
        """
        port = port or self._rng.choice(self.ports)
        start = time.monotonic()
        reply = self._sent(port, _METHODS.get(operation, "POST"), PATHS[operation] + about, sent, token)
        end = None if reply.status is None else time.monotonic()
        numbers = {"password_no": password_no, "new_password_no": new_password_no}
        known = {"user": user, "device_id": device_id, **numbers}
        asked: dict[str, Any] = {"sent": sent, "bearer": token, "answer": reply.body, "facts": facts}
        self._write(
            self._recorder.call(self._place, operation, start=start, end=end, status=reply.status, **known, **asked)
        )
        return reply

    def prepare(self, method: str, path: str, token: str, sent: Mapping[str, Any] | None = None) -> Reply:
        """Make a signed-in call that changes nothing, and leave it out of the record."""
        return self._sent(self._rng.choice(self.ports), method, path, sent, token)

    def send_and_leave(self, operation: Operation, sent: Mapping[str, Any], *, user: str = "") -> None:
        """Send a call and hang up before its answer; it is written down as one that was never answered."""
        connection = self._connected(self._rng.choice(self.ports))
        start = time.monotonic()
        connection.request("POST", PATHS[operation], json.dumps(sent), self._headers(None))
        connection.close()
        self._write(
            self._recorder.call(self._place, operation, start=start, end=None, status=None, user=user, sent=sent)
        )

    def close(self) -> None:
        """Hang up and finish the file."""
        for connection in self._connections.values():
            connection.close()
        self._file.close()

    def _write(self, call: Call) -> None:
        self._place += 1
        self._file.write(call_line(call) + "\n")
        self._file.flush()

    def _sent(self, port: int, method: str, path: str, sent: Mapping[str, Any] | None, token: str | None) -> Reply:
        if self._rng.random() < _NEW_CONNECTION:
            self._hang_up(port)
        connection = self._connected(port)
        try:
            connection.request(method, path, None if sent is None else json.dumps(sent), self._headers(token))
            answer = connection.getresponse()
            return Reply(answer.status, _object(answer.read()))
        except (OSError, http.client.HTTPException):
            self._hang_up(port)
            return Reply(None)

    def _headers(self, token: str | None) -> dict[str, str]:
        source = {"X-Forwarded-For": self.source} if self.source else {}
        return {"Content-Type": "application/json", **source, **({} if token is None else bearer(token))}

    def _connected(self, port: int) -> http.client.HTTPConnection:
        if port not in self._connections:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
            with suppress(OSError):  # whoever sends over it will notice
                connection.connect()
            self._connections[port] = connection
        return self._connections[port]

    def _hang_up(self, port: int) -> None:
        if connection := self._connections.pop(port, None):
            connection.close()


def _object(raw: bytes) -> Mapping[str, Any]:
    body = json.loads(raw)
    return body if isinstance(body, Mapping) else {}
