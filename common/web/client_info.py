"""Who is at the other end, as far as it can be known: the address behind trusted proxies, and a name for the device."""

from __future__ import annotations

import ipaddress
import logging
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from threading import Event

from flask import Request
from msgspec import Struct

from common.proof.dpop_service import DpopClient
from common.web.credentials import HeaderOf

_log = logging.getLogger(__name__)

_LONGEST_KNOWN = 64
"""Characters of an address: one of IPv6 with an IPv4 address in it and a zone (RFC 4007) is no longer."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class CertificateHeader(Struct, frozen=True):
    """The header in which a listed proxy forwards the client's certificate; None: no certificate is taken from any.

    Its value is `Client-Cert`'s (RFC 9440). Its name should be one that no client can guess: then what a client writes
    is never believed, whatever the proxy lets through.
    """

    name: str | None = None
    trusted: Sequence[Network] = ()

    def of(self, header: HeaderOf, peer: str) -> str | None:
        """Return what the header says, if it is there and a listed proxy sent it; from other clients it is ignored."""
        text = header(self.name) if self.name else None
        return text if text and is_trusted(peer, self.trusted) else None


_LONGEST_AGENT = 200
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))


def client_info_of(request: Request, trusted: Sequence[Network]) -> DpopClient:
    """Return where a request came from. `X-Forwarded-For` counts only as far as trusted proxies wrote it."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    address = address_of(request.remote_addr or "", forwarded, trusted)
    return DpopClient(address, _plain(request.headers.get("User-Agent", "")))


def address_of(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Walk back from the peer through the proxies we trust; the first address that is none of them is the client."""
    if forwarded and not trusted:
        _warn_of_proxy(peer)
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()] if trusted else []
    while hops and is_trusted(peer, trusted):
        peer = hops.pop()
    return peer if _parsed(peer) is not None else ""


_told = Event()


def _warn_of_proxy(peer: str) -> None:
    """Warn that a proxy seems to stand in front of a suite that was told of none; once in each process."""
    if _told.is_set():
        return
    _told.set()
    _log.warning(
        "A request came with X-Forwarded-For from %s, and ICHIDAI_TRUSTED_PROXIES is empty: all clients of that proxy "
        "count as one address, and share its login limits. Set ICHIDAI_TRUSTED_PROXIES to the proxy's address.",
        peer,
    )


def device_name_of(user_agent: str) -> str:
    """Return a name for a device that was given none, such as `Chrome on Windows`."""
    system = next((name for hint, name in _SYSTEMS if hint in user_agent), None)
    browser = next((name for hint, name in _BROWSERS if hint in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent.partition("/")[0].strip()[:64] or "Device"


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Say whether an address is one of the proxies that we believe."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    return _known(address) if len(address) <= _LONGEST_KNOWN else None


@lru_cache(maxsize=1024)
def _known(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Return a client's text without control characters, cut to a length that a history can bear."""
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")[:_LONGEST_AGENT]
