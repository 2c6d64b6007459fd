"""Which apps there are, where they answer on a developer's machine, and which address each is known by."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct


class Part(StrEnum):
    """What one server serves: everything, one domain, or the event streams of the session domain."""

    ALL = "all"
    REGISTRATION = "registration"
    LOGIN = "login"
    SESSION = "session"
    DEVICE = "device"
    EVENTS = "events"


DOMAINS = (Part.REGISTRATION, Part.LOGIN, Part.SESSION, Part.DEVICE)

WITH_STREAMS = (Part.ALL, Part.SESSION)
"""The apps that a server of event streams is started beside."""

DEV_PORTS: Mapping[Part, int] = {
    Part.ALL: 8000,
    Part.REGISTRATION: 5000,
    Part.LOGIN: 6010,
    Part.SESSION: 5001,
    Part.DEVICE: 5002,
    Part.EVENTS: 8100,
}

DEV_ISSUER = f"http://127.0.0.1:{DEV_PORTS[Part.ALL]}"
"""The issuer where none is set. It names no real port, so that four apps on any ports agree on it."""

_HIGHEST_PORT = 65_535


class Addresses(Struct, frozen=True):
    """The base URL of each domain, and the issuer. None of them ever comes from a request's Host header.

    `events`: the base URL of the event streams, "" where nobody serves them.
    """

    bases: Mapping[Part, str]
    issuer: str
    events: str = ""

    def url(self, domain: Part, path: str) -> str:
        """Return the absolute URL of a path of a domain."""
        return self.bases[domain] + path

    @property
    def events_url(self) -> str:
        """The absolute URL of the event streams, as a client that signs its requests must name it."""
        return (self.events or self.bases[Part.SESSION]) + "/session/events"

    def url_of(self, path: str) -> str:
        """Return the absolute URL of a path, at the domain that its first part names."""
        name = path.strip("/").partition("/")[0]
        return self.url(Part(name) if name in DOMAINS else Part.SESSION, path)


def addresses(
    public_url: str, issuer: str, serving: Part, port: int, *, events_url: str = "", events_port: int = 0
) -> Addresses:
    """Return the addresses: all under `public_url` where it is set, else on this machine's dev ports.

    `serving` and `port` say what this process serves and where, which is the address of that part. `events_url` and
    `events_port` (0: nobody serves them here) tell of the event streams.
    """
    events = _events(public_url, events_url, port, events_port)
    if public_url:
        return Addresses(dict.fromkeys(DOMAINS, public_url), issuer or public_url, events)
    here = f"http://127.0.0.1:{port}"
    bases = {
        domain: here if serving in (Part.ALL, domain) else f"http://127.0.0.1:{DEV_PORTS[domain]}" for domain in DOMAINS
    }
    return Addresses(bases, issuer or DEV_ISSUER, events)


def port_of_events(port: int) -> int:
    """Return where event streams are served beside an app on `port`, unless a setting says otherwise."""
    apart = DEV_PORTS[Part.EVENTS] - DEV_PORTS[Part.ALL]
    return port + apart if port + apart <= _HIGHEST_PORT else port - apart


def origins_of(public_url: str, port: int) -> tuple[str, ...]:
    """Return the web origins under which a browser may have our pages open."""
    if not public_url:
        return (f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    parts = urlsplit(public_url)
    return (f"{parts.scheme}://{parts.netloc.lower()}",)


def _events(public_url: str, events_url: str, port: int, events_port: int) -> str:
    """Return the base URL of the streams: as set; else where a proxy stands in front, its own; else their own port.

    A public URL that names the app's very port is no proxy's: then nobody routes, and the streams are beside it.
    """
    parts = urlsplit(public_url)
    if events_url or (public_url and parts.port != port):
        return events_url or public_url
    if not events_port:
        return ""
    host = parts.hostname or "127.0.0.1"
    return f"{parts.scheme or 'http'}://{f'[{host}]' if ':' in host else host}:{events_port}"
