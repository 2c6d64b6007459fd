"""Which apps there are, where they answer on a developer's machine, and which address each is known by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What one server serves: everything, or one domain."""

    ALL = "all"
    REGISTRATION = "registration"
    LOGIN = "login"
    SESSION = "session"
    DEVICE = "device"


DOMAINS = (Part.REGISTRATION, Part.LOGIN, Part.SESSION, Part.DEVICE)

DEV_PORTS: Mapping[Part, int] = {
    Part.ALL: 8000,
    Part.REGISTRATION: 5000,
    Part.LOGIN: 6010,
    Part.SESSION: 5001,
    Part.DEVICE: 5002,
}

DEV_ISSUER = f"http://127.0.0.1:{DEV_PORTS[Part.ALL]}"
"""The issuer where none is set. It names no real port, so that four apps on any ports agree on it."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The base URL of each domain, and the issuer. None of them ever comes from a request's Host header."""

    bases: Mapping[Part, str]
    issuer: str

    def url(self, domain: Part, path: str) -> str:
        """Return the absolute URL of a path of a domain."""
        return self.bases[domain] + path


def addresses(public_url: str, issuer: str, serving: Part, port: int) -> Addresses:
    """Return the addresses: all under `public_url` where it is set, else on this machine's dev ports.

    `serving` and `port` say what this process serves and where, which is the address of that part.
    """
    if public_url:
        return Addresses(dict.fromkeys(DOMAINS, public_url), issuer or public_url)
    here = f"http://127.0.0.1:{port}"
    bases = {
        domain: here if serving in (Part.ALL, domain) else f"http://127.0.0.1:{DEV_PORTS[domain]}" for domain in DOMAINS
    }
    return Addresses(bases, issuer or DEV_ISSUER)
