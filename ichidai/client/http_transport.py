"""Calls over HTTP: JSON in and out, every failure an exception, and retries where a server asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import requests

from ichidai.client.addresses import DISCOVERY, AppAddresses, is_app_path, is_this_machine
from ichidai.client.errors import Answer, Problem, Unreachable, problem_of

MAX_WAIT_SECONDS: Final = 10.0
"""How long a call waits in all, where nobody says otherwise."""

AskCode: TypeAlias = Callable[[], str]
"""Asks the user for a code of the second factor, or a recovery code."""

Auth: TypeAlias = Callable[[requests.PreparedRequest], requests.PreparedRequest]
"""Gives a request its authority."""

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 30.0
_LEAST_WAIT = 0.2
_LONGEST_RETRY_AFTER = 5  # digits
_NONCE_WANTED = "use-dpop-nonce"
_CODE_WANTED = "otp-required"
_GOOD, _TOO_MANY, _UNAVAILABLE = (200, 202), 429, 503


def anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is. It stands where requests would otherwise take a password out of a `.netrc`."""
    return request


def bearer(token: str) -> Auth:
    """Return what puts an access token into a request's header (RFC 6750)."""

    def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return authorise


class HttpTransport:
    """Calls to the suite at `base`. Its sentences come in `language` (`en`, `ja`; None: as it likes).

    Where the apps have an address each, `base` is any of them: the first call of an app's path reads the discovery
    document there. Where a server says `Retry-After` with 429 or 503, the call is repeated, as long as all waits
    together stay within `max_wait` seconds; a longer one is not waited for. `pause` waits. Where the password alone is
    not enough, `otp` is asked for a code and the call is sent with it.
    """

    def __init__(
        self,
        base: str,
        *,
        language: str | None = None,
        max_wait: float = MAX_WAIT_SECONDS,
        pause: Callable[[float], None] = time.sleep,
        otp: AskCode | None = None,
    ) -> None:
        self.base = base.rstrip("/")
        self._retry_budget = max_wait
        self._pause = pause
        self._otp = otp
        self._addresses: AppAddresses | None = None
        self._http = requests.Session()
        self._http.trust_env = not is_this_machine(self.base)  # a proxy has no business with its own addresses
        self._http.auth = anonymous
        if language:
            self._http.headers["Accept-Language"] = language

    def call(
        self,
        method: str,
        path: str,
        body: Answer | None = None,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = False,
    ) -> Answer:
        """Return what a call answers. Raises Problem, Unreachable.

        `idempotent`: doing it twice does no harm, so that it is repeated when no answer came.
        """
        left = self._retry_budget
        while True:
            try:
                return self._once(method, path, body, auth, headers)
            except (Problem, Unreachable) as failure:
                wait = _wait(failure, idempotent=idempotent)
                if wait is None or wait > left:
                    raise
            left -= wait
            self._pause(wait)

    def discovery(self) -> Answer:
        """Return what the suite says of itself, read anew. Raises Problem, Unreachable, ServerIdentityError."""
        about = self.call("GET", DISCOVERY, idempotent=True)
        self._addresses = AppAddresses.read(self.base, about)
        return about

    def addresses(self) -> AppAddresses:
        """Return where each app is; without a discovery document all are at `base`. Raises as `discovery`."""
        if self._addresses is None:
            reply = self._request("GET", self.base + DISCOVERY, None, None, None)
            try:
                self._addresses = AppAddresses.read(self.base, _read(reply))
            except Problem as problem:
                if problem.status in (_TOO_MANY, _UNAVAILABLE):
                    raise  # it may have one in a moment
                self._addresses = AppAddresses(self.base)
        return self._addresses

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _once(
        self, method: str, path: str, body: Answer | None, auth: Auth | None, headers: Mapping[str, str] | None
    ) -> Answer:
        try:
            return self._signed(method, path, body, auth, headers)
        except Problem as problem:
            if problem.code != _CODE_WANTED or self._otp is None:
                raise
        return self._signed(method, path, {**(body or {}), "otp": self._otp()}, auth, headers)

    def _signed(
        self, method: str, path: str, body: Answer | None, auth: Auth | None, headers: Mapping[str, str] | None
    ) -> Answer:
        try:
            return _read(self._sent(method, path, body, auth, headers))
        except Problem as problem:
            if problem.code != _NONCE_WANTED:
                raise
        return _read(self._sent(method, path, body, auth, headers))  # whose proof names the nonce that was told

    def _sent(
        self, method: str, path: str, body: Answer | None, auth: Auth | None, headers: Mapping[str, str] | None
    ) -> requests.Response:
        url = self.addresses().url(path) if is_app_path(path) else self.base + path
        return self._request(method, url, body, auth, headers)

    def _request(
        self, method: str, url: str, body: Answer | None, auth: Auth | None, headers: Mapping[str, str] | None
    ) -> requests.Response:
        try:
            return self._http.request(
                method,
                url,
                json=body,
                auth=auth,
                headers=headers,
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
                allow_redirects=False,  # to wherever: what is sent here is for this server
            )
        except requests.RequestException as error:
            address = urlsplit(url)
            said = f"{address.scheme}://{address.netloc} does not answer ({type(error).__name__})."
            raise Unreachable(said) from error


def _read(reply: requests.Response) -> Answer:
    try:
        document = reply.json()
    except requests.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        detail = f"The answer ({reply.status_code}) cannot be read: is this the suite's address?"
        document = {"code": "unreadable", "detail": detail}
    elif reply.status_code in _GOOD:
        return document
    raise problem_of(reply.status_code, document, _retry_after(reply))


def _retry_after(reply: requests.Response) -> int | None:
    """Return the header's seconds; None for none, for a date, and for what is too long to be meant."""
    text = reply.headers.get("Retry-After", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_RETRY_AFTER else None


def _wait(failure: Problem | Unreachable, *, idempotent: bool) -> float | None:
    """Return how long to wait before a call is repeated; None when it is not."""
    if isinstance(failure, Unreachable):
        return 1.0 if idempotent else None
    if failure.status in (_TOO_MANY, _UNAVAILABLE) and failure.retry_after is not None:
        return max(float(failure.retry_after), _LEAST_WAIT)
    return None
