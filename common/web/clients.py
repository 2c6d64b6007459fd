"""Who is at the other end, as far as it can be known: the address behind trusted proxies, and a name for the device."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Sequence

from flask import Request

from common.history import Origin

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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


def origin_of(request: Request, trusted: Sequence[Network]) -> Origin:
    """Return where a request came from. `X-Forwarded-For` counts only as far as trusted proxies wrote it."""
    return Origin(_address(request, trusted), _plain(request.headers.get("User-Agent", "")))


def device_name_of(user_agent: str) -> str:
    """Return a name for a device that was given none, such as `Chrome on Windows`."""
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), None)
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent.partition("/")[0].strip()[:64] or "Device"


def _address(request: Request, trusted: Sequence[Network]) -> str:
    """Walk back from the peer through the proxies we trust; the first address that is none of them is the client."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()] if trusted else []
    address = request.remote_addr or ""
    while hops and _is_trusted(address, trusted):
        address = hops.pop()
    return address if _parsed(address) is not None else ""


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Return a client's text without control characters, cut to a length that a history can bear."""
    return "".join(c for c in text if unicodedata.category(c)[0] != "C")[:_LONGEST_AGENT]
