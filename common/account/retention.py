"""How long what is personal is kept of what happened, and how much of where a request came from. Pure."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from common.account.history import ClientInfo, HistoryRecord
from common.clock import to_millis
from common.storage.port import Item

_IPV4_NETWORK, _IPV6_NETWORK = 24, 48


class AddressDetail(StrEnum):
    """What is recorded of a request's origin: address and user agent, the address's network alone, or nothing."""

    FULL = "full"
    NETWORK = "network"
    NONE = "none"


class Retention(Struct, frozen=True):
    """For how long the history (None: for ever) and failed logins are kept, and what of the addresses in both."""

    history: timedelta | None = None
    failures: timedelta = timedelta(days=90)
    addresses: AddressDetail = AddressDetail.FULL

    def origin_of(self, client: ClientInfo) -> ClientInfo:
        """Return what is recorded of where a request came from: a `ClientInfo`, whatever else `client` carries."""
        if self.addresses is AddressDetail.FULL:
            return ClientInfo(client.ip, client.user_agent)
        return ClientInfo(_network_of(client.ip) if self.addresses is AddressDetail.NETWORK else "")

    def end_of(self, record: HistoryRecord) -> Item:
        """Return the member of a record's item that says until when it is kept, if there is an end."""
        if self.history is None or not record.events:
            return {}
        return {"expires_at": to_millis(record.events[-1].at + self.history)}

    def end_of_failure(self, at: datetime) -> datetime:
        """Return until when a failed login is kept."""
        return at + self.failures


FOR_EVER = Retention()
"""Where nobody says otherwise: for tests and commands."""


def _network_of(address: str) -> str:
    """Return the first address of the network that an address is in; "" for what is no address."""
    try:
        prefix = _IPV4_NETWORK if ipaddress.ip_address(address).version == 4 else _IPV6_NETWORK  # noqa: PLR2004
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, prefix), strict=False).network_address)
