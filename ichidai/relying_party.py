"""For whom passkeys are made: the domain of the console's pages, or the one that an operator set."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from common.crypto.passkeys import RelyingParty
from ichidai.topology import origins_of

LOCALHOST = "localhost"
"""The one name of this machine for which browsers make passkeys: an address with digits is no domain."""

_DOMAIN = r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"


def relying_party(rp_id: str, origins: tuple[str, ...], console: str) -> RelyingParty | None:
    """Return the relying party; None where the console has an address without a name, and no domain was set.

    `rp_id` and `origins` are an operator's, "" and () where none are set; `console` is the base URL of the pages.
    """
    host = urlsplit(console).hostname or ""
    domain = rp_id or (LOCALHOST if _is_loopback(host) else host)
    if not is_domain(domain):
        return None
    own = tuple(origin for origin in origins_of(console) if is_of_domain(origin, domain))
    return RelyingParty(domain, tuple(dict.fromkeys((*origins, *own))))


def is_domain(text: str) -> bool:
    """Say whether a text can be an RP id: a domain name, in lower case and as DNS writes it, and no address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return re.fullmatch(_DOMAIN, text) is not None
    return False


def is_of_domain(origin: str, rp_id: str) -> bool:
    """Say whether pages of an origin may ask for a domain's passkeys: of itself, or of a domain below it."""
    host = urlsplit(origin).hostname or ""
    return host == rp_id or host.endswith(f".{rp_id}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
