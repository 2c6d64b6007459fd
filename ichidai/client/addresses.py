"""Which address a call goes to: the suite may be one address, or four apps with an address each."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ichidai.client.errors import Answer, ServerIdentityError

DISCOVERY: Final = "/.well-known/ichidai.json"

_APPS: Final = {
    "registration": ("registration_endpoint", "/registration/"),
    "login": ("login_endpoint", "/login"),
    "session": ("verify_endpoint", "/session/verify"),
    "device": ("device_endpoint", "/device/register"),
}
"""The first segment of an app's paths; a member of the discovery document, and the path at its end."""


@dataclass(frozen=True, slots=True)
class AppAddresses:
    """Where each app is called.

    `given`: the address that the user named; it serves every path that no other app is known for. `apps`: the address
    of each app by the first segment of its paths, as the discovery document names it; empty where there is none.
    """

    given: str
    apps: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, given: str, about: Answer) -> AppAddresses:
        """Read a discovery document; members that are missing or no addresses count as absent.

        Raises ServerIdentityError where a server behind TLS names an address without TLS.
        """
        apps = {}
        for segment, (member, path) in _APPS.items():
            url = about.get(member)
            if isinstance(url, str) and url.endswith(path) and _is_address(url):
                apps[segment] = url.removesuffix(path)
        for url in apps.values():
            if given.startswith("https:") and not url.startswith("https:"):
                raise ServerIdentityError(f"{given} names an address without TLS: {url}.")
        return cls(given, apps)

    @property
    def is_divided(self) -> bool:
        """Whether the apps have addresses of their own that can be meant for this machine.

        One address for all may be known by another name here, as through a tunnel: then the given one is used. So it
        is where another machine names loopback addresses, which are that machine's own.
        """
        addresses = set(self.apps.values())
        is_ours = is_this_machine(self.given) or not any(is_this_machine(url) for url in addresses)
        return len(addresses) > 1 and is_ours

    def url(self, path: str) -> str:
        """Return the URL at which a path is called."""
        return (self.apps.get(_segment(path), self.given) if self.is_divided else self.given) + path

    def known_as(self, path_url: str, session: str) -> str:
        """Return the URL by which the suite knows a request, for a proof that names it.

        `path_url`: path and query as they were sent. `session`: the address that the session app knows itself by.
        """
        for segment, base in self.apps.items() if self.is_divided else ():
            path = path_url.removeprefix(urlsplit(base).path)
            if _segment(path) == segment:
                return base + path
        return session + path_url.removeprefix(urlsplit(self.given).path)


def is_app_path(path: str) -> bool:
    """Say whether a path is one of an app's, so that it matters where that app is."""
    return _segment(path) in _APPS


def is_this_machine(url: str) -> bool:
    """Say whether a URL is one of loopback."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _segment(path: str) -> str:
    return urlsplit(path).path.removeprefix("/").partition("/")[0]


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        return False
