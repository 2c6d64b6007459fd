"""How the demo calls a server: each call must be answered just as the story says, or the story has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

Answer = Mapping[str, Any]

_SECONDS = 30


class StoryFailed(Exception):
    """A step did not go as told; the text tells what must have been, and what was answered."""


class Wire:
    """Calls to the server at `base`."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy has no business with this machine's own address

    def post(self, path: str, body: Answer | None = None, *, token: str = "", language: str = "") -> requests.Response:
        """Post JSON to a path, or to a whole address that the server gave. Raises StoryFailed."""
        return self._call("POST", path, body, token, language)

    def get(self, path: str, *, token: str = "") -> requests.Response:
        """Get a path. Raises StoryFailed."""
        return self._call("GET", path, None, token, "")

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _call(self, method: str, path: str, body: Answer | None, token: str, language: str) -> requests.Response:
        asked = {"Authorization": f"Bearer {token}" if token else "", "Accept-Language": language}
        headers = {name: value for name, value in asked.items() if value}
        url = path if path.startswith("http") else self._base + path
        try:
            return self._http.request(method, url, json=body, headers=headers, timeout=_SECONDS)
        except requests.RequestException as error:
            raise StoryFailed(f"{method} {url} was not answered: {error}") from error


def granted(reply: requests.Response) -> Answer:
    """Return the body of an answer that must be a success. Raises StoryFailed."""
    return _body(reply, 200, None)


def refused(reply: requests.Response, status: int, code: str) -> Answer:
    """Return the body of an answer that must be this refusal. Raises StoryFailed."""
    return _body(reply, status, code)


def ended(reply: requests.Response, reason: str) -> None:
    """Check that an answer says the session has ended, and why. Raises StoryFailed."""
    told = refused(reply, 401, "session-ended").get("reason")
    expect(told == reason, f"the reason must be {reason}, and was {told}")


def expect(condition: object, what: str) -> None:
    """Check something. Raises StoryFailed with `what` must have been."""
    if not condition:
        raise StoryFailed(what)


def _body(reply: requests.Response, status: int, code: str | None) -> Answer:
    try:
        body: Answer = reply.json()
    except requests.JSONDecodeError:
        body = {}
    call = f"{reply.request.method} {reply.request.path_url}"
    must = f"{status} {code}" if code else f"{status}"
    expect(
        (reply.status_code, body.get("code")) == (status, code),
        f"{call} must answer {must}, and answered {reply.status_code}: {reply.text[:500]}",
    )
    return body
