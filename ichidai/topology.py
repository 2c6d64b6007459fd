"""Which apps there are, where they answer on a developer's machine, and which address each is known by."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct


class App(StrEnum):
    """What one server serves: everything, one domain, the event streams of the session domain, or the admin app.

    The admin app is part of no other: it is served where operators are, by itself.
    """

    ALL = "all"
    REGISTRATION = "registration"
    LOGIN = "login"
    SESSION = "session"
    DEVICE = "device"
    EVENTS = "events"
    ADMIN = "admin"


DOMAINS = (App.REGISTRATION, App.LOGIN, App.SESSION, App.DEVICE)

WITH_STREAMS = (App.ALL, App.SESSION)
"""The apps that a server of event streams is started beside."""

DEV_PORTS: Mapping[App, int] = {
    App.ALL: 8000,
    App.REGISTRATION: 5000,
    App.LOGIN: 6010,
    App.SESSION: 5001,
    App.DEVICE: 5002,
    App.EVENTS: 8100,
    App.ADMIN: 8200,
}

DEV_ISSUER = f"http://127.0.0.1:{DEV_PORTS[App.ALL]}"
"""The issuer where none is set: a name on which all apps agree, whatever their ports, not an address."""

JOIN_PATH = "/registration/#join="
"""Where the console takes a pairing code from an address: in the fragment, which no server sees."""

INVITE_PATH = "/registration/#invite="
"""Where the console takes an invitation from an address, likewise."""

_HIGHEST_PORT = 65_535
_LOOPBACK = ("127.0.0.1", "localhost")


class AddressSettings(Struct, frozen=True):
    """The addresses that an operator set; what is "" or absent is derived. None ever comes from a Host header."""

    public_url: str = ""
    issuer: str = ""
    console_url: str = ""
    events_url: str = ""
    app_urls: Mapping[App, str] = {}


class Addresses(Struct, frozen=True):
    """Where the suite is reached: the base URL of each domain, of the console and of this process, and the issuer.

    `events`: the base URL of the event streams, "" where nobody serves them.
    """

    bases: Mapping[App, str]
    issuer: str
    console: str
    own: str
    events: str = ""

    def url(self, domain: App, path: str) -> str:
        """Return the absolute URL of a path of a domain."""
        return self.bases[domain] + path

    @property
    def events_url(self) -> str:
        """The absolute URL of the event streams, as a client that signs its requests must name it."""
        return (self.events or self.bases[App.SESSION]) + "/session/events"

    @property
    def join_url(self) -> str:
        """The address that a QR code holds, up to the code itself."""
        return self.console + JOIN_PATH

    @property
    def origins(self) -> tuple[str, ...]:
        """The web origins of the suite's own addresses, whose pages may call every app; loopback in both spellings."""
        every = (*self.bases.values(), self.console)
        return tuple(dict.fromkeys(client for url in every for client in origins_of(url)))

    def url_of(self, path: str) -> str:
        """Return the absolute URL of a path, at the domain that its first part names."""
        name = path.strip("/").partition("/")[0]
        return self.url(App(name) if name in DOMAINS else App.SESSION, path)


def addresses(named: AddressSettings, serving: App, port: int, events_port: int | None = None) -> Addresses:
    """Return the addresses: those that were set, else all under the public URL, else this machine's dev ports.

    `serving` and `port` say what this process serves and where, which by default is the address of that part.
    `events_port`: that of the event streams where it was set, 0 where nobody serves them.
    """
    here = f"http://127.0.0.1:{port}"

    def base(domain: App) -> str:
        if url := named.app_urls.get(domain) or named.public_url:
            return url
        return here if serving in (App.ALL, domain) else f"http://127.0.0.1:{DEV_PORTS[domain]}"

    bases = {domain: base(domain) for domain in DOMAINS}
    whole = named.public_url or here
    return Addresses(
        bases,
        named.issuer or named.public_url or DEV_ISSUER,
        named.console_url or _pages(named, whole if serving is App.ALL else bases[App.REGISTRATION]),
        (named.app_urls.get(App.ADMIN) or here) if serving is App.ADMIN else bases.get(serving, whole),
        named.events_url or _events(named, bases[App.SESSION], serving, port, events_port),
    )


def _pages(named: AddressSettings, base: str) -> str:
    """Return where the pages of an app are: where nobody named it, at this machine's name, not at its number.

    Browsers make passkeys for names alone.
    """
    is_named = named.public_url or named.app_urls.get(App.REGISTRATION)
    return base if is_named else base.replace("//127.0.0.1:", "//localhost:")


def is_same_place(one: str, other: str) -> bool:
    """Say whether two base URLs are of one origin, loopback in either spelling."""
    return origins_of(one) == origins_of(other)


def console_address(named: AddressSettings) -> str:
    """Return where the pages are, for who serves none: as set, or else the combined app's dev address."""
    return addresses(named, App.ALL, DEV_PORTS[App.ALL]).console


def port_of_events(port: int) -> int:
    """Return where event streams are served beside an app on `port`, unless a setting says otherwise."""
    apart = DEV_PORTS[App.EVENTS] - DEV_PORTS[App.ALL]
    return port + apart if port + apart <= _HIGHEST_PORT else port - apart


def hosts_of(url: str) -> tuple[str, ...]:
    """Return what a `Host` header names where this URL is meant; of a loopback address both spellings."""
    return tuple(origin.partition("//")[2] for origin in origins_of(url))


def origins_of(url: str) -> tuple[str, ...]:
    """Return the web origin of a URL; of a loopback address both spellings, since a browser holds them apart."""
    parts = urlsplit(url)
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, standard) else ""
    hosts = _LOOPBACK if parts.hostname in _LOOPBACK else (_host(parts.hostname or ""),)
    return tuple(f"{parts.scheme}://{host}{port}" for host in hosts)


def _events(named: AddressSettings, session: str, serving: App, port: int, events_port: int | None) -> str:
    """Return the base URL of the streams: a port of their own beside the session app's, or what a proxy routes.

    An address without a port is a proxy's. So is a public URL, unless it names the very port of an app with streams.
    """
    parts = urlsplit(session)
    is_public = not named.app_urls.get(App.SESSION) and bool(named.public_url)
    is_beside = serving in WITH_STREAMS and parts.port == port
    if parts.port is None or (is_public and not is_beside):
        return session
    if events_port == 0:
        return ""
    return f"{parts.scheme}://{_host(parts.hostname or '')}:{events_port or port_of_events(parts.port)}"


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name
