"""What is looked at before a server is started, so that every fault is one clear sentence."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from ichidai.topology import DOMAINS, Addresses

PORT_PATIENCE = 3.0

_FORBIDDEN = (errno.EACCES, errno.EPERM)


class CannotServe(Exception):
    """The server cannot start; the text tells a user why."""


def ip_of(host: str) -> str:
    """Return the IP address of a host that `--host` names, IPv4 where there is one. Raises CannotServe."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _not_ours(host) from None
    return min((family != socket.AF_INET, str(address[0])) for family, _, _, _, address in found)[1]


def wait_for_port(host: str, port: int, option: str) -> None:
    """Wait a moment for a port that a killed server's workers are about to leave. Raises CannotServe."""
    end = time.monotonic() + PORT_PATIENCE
    while not _is_free(host, port):
        if time.monotonic() > end:
            raise CannotServe(f"Port {port} on {host} is in use: choose another with {option}, or end what uses it.")
        time.sleep(0.1)


def check_apart(port: int, events_port: int) -> None:
    """Check that the event streams have a port of their own. Raises CannotServe."""
    if port == events_port:
        raise CannotServe(
            f"The app and the event streams cannot both listen on port {port}: "
            "choose another with --port, or with --events-port or ICHIDAI_EVENTS_PORT."
        )


def unreachable(host: str, where: Addresses) -> str | None:
    """Return a warning where a server listens for other machines and hands out addresses that name this one."""
    if _is_loopback(host):
        return None
    given = {where.console, *(where.url(domain, "") for domain in DOMAINS)}
    given = {url for url in given if _is_loopback(urlsplit(url).hostname)}
    if not given:
        return None
    return (
        f"This server listens on {host}, but the addresses that it hands out lead other machines to themselves "
        f"({', '.join(sorted(given))}): set ICHIDAI_PUBLIC_URL to the address that they reach it by."
    )


def check_folder(folder: Path) -> None:
    """Check that keys can lie in a folder that is there or will be made. Raises CannotServe."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        text = f"The data folder cannot be opened: {nearest} is a file."
        raise CannotServe(f"{text} Set ICHIDAI_DATA_DIR (or ICHIDAI_KEYS_DIR) to a folder.")


def _is_free(host: str, port: int) -> bool:
    """Say whether nobody listens there. The server itself would share a taken port without a word.

    Raises CannotServe for an address that no server of this machine can listen on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _not_ours(host) from None
            if error.errno in _FORBIDDEN:
                raise CannotServe(f"Port {port} needs more rights than this user has: choose one above 1023.") from None
            return False
    with suppress(OSError), socket.create_connection((host, port), timeout=0.2):
        return False
    return True


def _not_ours(host: str) -> CannotServe:
    return CannotServe(
        f"{host!r} is no address of this machine: give --host one of its own, such as 127.0.0.1, or 0.0.0.0 for all."
    )


def _is_loopback(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"
