"""A client of the wire contract for tests: what a person with a few devices does, and what an answer must look like."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from typing_extensions import override

R = TypeVar("R")

PASSWORD = "correct horse battery 42"

QUESTION = (
    "このアカウントは別の場所で使用中です。こちらにログインすると、以前のセッションは自動的にログアウトされます。"
    "続けますか？"
)
"""The words of the dialog as they were given."""

_MEMBERS = {"type": str, "title": str, "status": int, "code": str, "detail": str, "success": bool, "error": str}


def unique(stem: str = "user") -> str:
    """Return a name that no other test uses."""
    return f"{stem}-{uuid4().hex[:16]}"


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries an access token."""
    return {"Authorization": f"Bearer {token}"}


def all_at_once(calls: Sequence[Callable[[], R]]) -> list[R]:
    """Make calls at the same time, each in a thread of its own; return what each gave, in order."""
    gate = Barrier(len(calls))

    def after_the_gate(call: Callable[[], R]) -> R:
        gate.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(after_the_gate, calls))


def granted(reply: requests.Response) -> Any:
    """Return the body of a success."""
    assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
    assert reply.headers["Content-Type"] == "application/json", reply.headers
    body = reply.json()
    assert body["success"] is True, body
    return body


def refused(reply: requests.Response, status: int, code: str) -> Any:
    """Return the body of a refusal after checking all that the contract says of every problem document."""
    told = f"{reply.status_code} {reply.headers} {reply.text}"
    assert reply.headers["Content-Type"] == "application/problem+json", told
    body = reply.json()
    assert (reply.status_code, body["status"], body["code"]) == (status, status, code), told
    assert all(type(body[name]) is kind for name, kind in _MEMBERS.items()), told
    assert body["success"] is False, told
    assert body["error"] == body["detail"] != "", told
    assert urlsplit(body["type"]).scheme in ("http", "https"), told
    assert body["type"].endswith(f"/problems/{code}"), told
    assert ("WWW-Authenticate" in reply.headers) == (status == 401), told
    assert ("Retry-After" in reply.headers) == (status in (429, 503)), told
    assert "no-store" in reply.headers["Cache-Control"], told
    return body


class Client:
    """Calls the routes, each at the server that has it: one under `all`, or one for each domain."""

    def __init__(self, bases: Mapping[str, str]) -> None:
        self._bases = bases

    def url(self, path: str) -> str:
        """Return the address of a path; an absolute address is left as it is."""
        if path.startswith("http"):
            return path
        domain = path.strip("/").split("/")[0].split("?")[0]
        own = self._bases.get("session" if domain == ".well-known" else domain)
        return (own or self._bases.get("all") or next(iter(self._bases.values()))) + path

    def page_url(self, path: str) -> str:
        """Return the address of a page of the combined app, which by default is at this machine's name."""
        return self.url(path).replace("//127.0.0.1:", "//localhost:")

    def call(self, method: str, path: str, *, token: str | None = None, **more: Any) -> requests.Response:
        """Call a route; `token` goes into the Authorization header, the rest is for requests."""
        headers = {**({} if token is None else bearer(token)), **more.pop("headers", {})}
        return requests.request(method, self.url(path), headers=headers, timeout=60, allow_redirects=False, **more)

    def post(self, path: str, body: object = None, *, token: str | None = None, **more: Any) -> requests.Response:
        """Post a JSON body, or none."""
        return self.call("POST", path, token=token, **({} if body is None else {"json": body}), **more)

    def get(self, path: str, *, token: str | None = None, **more: Any) -> requests.Response:
        """Get a route."""
        return self.call("GET", path, token=token, **more)

    def verify(self, token: str) -> requests.Response:
        """Ask whether an access token is good."""
        return self.get("/session/verify", token=token)

    def refresh(self, refresh_token: str) -> requests.Response:
        """Use a refresh token."""
        return self.post("/session/refresh", {"refresh_token": refresh_token})

    def register(self, username: str | None = None, **fields: Any) -> Account:
        """Register a new account with its first device, a phone."""
        username = username or unique()
        form = {"username": username, "email": f"{unique('mail')}@b.test", "password": PASSWORD, "device_name": "Phone"}
        answer = granted(self.post("/registration/", form | fields))
        sent = form | fields
        return Account(self, sent["username"], sent["email"], sent["password"], answer["uuid"], device_of(answer))


TOO_BUSY = ("busy", "store-unavailable")
"""The codes of 503 that a machine under load may give for a moment; of the second nobody knows what has happened."""


class RetryingClient(Client):
    """A client that waits as long as `Retry-After` says while the servers are busy, as a program should.

    For flows that log in several users at once: on a slow machine 503 `busy` is a true answer to one of them, and it
    says that nothing has happened. `deadline`: seconds after which the answer is handed on. `codes`: of which 503.
    """

    def __init__(self, bases: Mapping[str, str], deadline: float = 60, codes: Sequence[str] = ("busy",)) -> None:
        super().__init__(bases)
        self._deadline = deadline
        self._codes = codes

    @override
    def call(self, method: str, path: str, *, token: str | None = None, **more: Any) -> requests.Response:
        """Call a route, again after each such 503 until the deadline."""
        until = time.monotonic() + self._deadline
        while True:
            reply = super().call(method, path, token=token, **more)
            busy = reply.status_code == 503 and reply.json()["code"] in self._codes
            if not busy or time.monotonic() > until:
                return reply
            time.sleep(int(reply.headers["Retry-After"]))


@dataclass(frozen=True, slots=True)
class Device:
    """A device as its registration answered."""

    device_id: str
    fingerprint: str
    answer: Mapping[str, Any] = field(repr=False)

    @property
    def proof(self) -> dict[str, str]:
        """What shows at a login that it is this device."""
        return {"client_cert_fp": self.fingerprint}


def device_of(answer: Mapping[str, Any]) -> Device:
    """Return the device of a registration's answer."""
    return Device(answer["device_id"], answer["client_cert_fp"], answer)


@dataclass(frozen=True, slots=True)
class Login:
    """A session as its login answered."""

    access: str
    refresh: str
    session_id: str
    device_id: str
    answer: Mapping[str, Any] = field(repr=False)


def login_of(reply: requests.Response) -> Login:
    """Return the session of a login that succeeded."""
    answer = granted(reply)
    return Login(answer["access_token"], answer["refresh_token"], answer["session_id"], answer["device_id"], answer)


@dataclass(frozen=True, slots=True)
class Account:
    """A registered person with the first device."""

    client: Client
    username: str
    email: str
    password: str
    uuid: str
    phone: Device

    @property
    def credentials(self) -> dict[str, str]:
        """What proves the person."""
        return {"username": self.username, "password": self.password}

    def request_pairing(self, by: Device | None = None) -> requests.Response:
        """Ask for a pairing token from a device, the first one by default."""
        asking = self.credentials | (by or self.phone).proof
        return self.client.post("/registration/request_pairing_token", asking)

    def pairing(self, by: Device | None = None) -> Any:
        """Return a new pairing token."""
        return granted(self.request_pairing(by))

    def try_pair(self, qr_code: str, device_name: str = "Laptop", **more: Any) -> requests.Response:
        """Join with another device by a QR code, without logging it in."""
        form = {**self.credentials, "qr_code": qr_code, "device_name": device_name, **more}
        return self.client.post("/registration/", form)

    def pair(self, device_name: str = "Laptop", by: Device | None = None) -> Device:
        """Bind another device."""
        return device_of(granted(self.try_pair(self.pairing(by)["qr_code"], device_name)))

    def try_join(self, qr_code: str, device_name: str = "Tablet", **more: Any) -> requests.Response:
        """Join with another device by a QR code and log it in."""
        form = {**self.credentials, "qr_code": qr_code, "device_name": device_name, **more}
        return self.client.post("/device/register", form)

    def try_login(self, device: Device | None = None, path: str = "/login", **more: Any) -> requests.Response:
        """Log in on a device, the first one by default."""
        return self.client.post(path, {**self.credentials, **(device or self.phone).proof, **more})

    def login(self, device: Device | None = None, path: str = "/login", **more: Any) -> Login:
        """Log in on a device that is let in."""
        return login_of(self.try_login(device, path, **more))

    def question(self, device: Device, **more: Any) -> Any:
        """Log in on a device that is asked; return what it is asked."""
        return refused(self.try_login(device, **more), 409, "device-active")

    def take_over(self, question: Mapping[str, Any], device: Device | None) -> requests.Response:
        """Consent, from a device."""
        takeover = question["takeover"]
        proof = {} if device is None else device.proof
        return self.client.post(takeover["url"], {"takeover_token": takeover["token"], **proof})
