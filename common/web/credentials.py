"""What a request presents: its token and its proof, for the method and URL that the client meant.

No framework is needed: whatever serves a route can ask here, and gets the same answer.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from common.errors import Code, Refusal
from common.proof.dpop_service import RequestCredentials

HeaderOf = Callable[[str], str | None]
"""Returns a request's header by its name, None where it is not there."""


class Target(Struct, frozen=True):
    """What was called: its method, and its URL as clients know it."""

    method: str
    url: str


def read_credentials(header: HeaderOf, target: Target, certificate: str | None = None) -> RequestCredentials:
    """Return what `Authorization: Bearer …` (RFC 6750) or `DPoP …` (RFC 9449) holds. Raises Refusal(TOKEN_MISSING).

    `certificate`: the fingerprint of the client's, as a listed proxy tells.
    """
    scheme, _, token = (header("Authorization") or "").strip().partition(" ")
    if scheme.lower() not in ("bearer", "dpop") or not token.strip():
        raise Refusal(Code.TOKEN_MISSING)
    is_dpop = scheme.lower() == "dpop"
    return RequestCredentials(token.strip(), is_dpop, header("DPoP"), target.method, target.url, certificate)


def forwarded_target(header: HeaderOf, own: Target, *, is_trusted: bool) -> Target:
    """Return the request that a forward-auth proxy asks about, where one that is trusted tells of it; else our own.

    It tells so by `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`, all four of them.
    """
    told = [header(f"X-Forwarded-{name}") for name in ("Method", "Proto", "Host", "Uri")]
    if not is_trusted or not all(told):
        return own
    method, scheme, host, path = (text or "" for text in told)
    return Target(method, f"{scheme}://{host}{path}")
