"""Who may speak with the admin app: the operator who shows a key, at the app's own address alone."""

from __future__ import annotations

from collections.abc import Callable

from flask import request

from common.clock import to_rfc3339
from common.errors import Code, Refusal
from common.web.endpoints import AdmittedOperator
from ichidai.admin.keys import AdminKeys, Role
from ichidai.topology import hosts_of, origins_of


def admitted_operator(keys: AdminKeys, text: str, role: str, ip: str) -> AdmittedOperator:
    """Return who shows a key. Raises as `AdminKeys.admit`."""
    key = keys.admit(text, Role(role), ip)
    return AdmittedOperator(key.name, str(key.role), None if key.expires_at is None else to_rfc3339(key.expires_at))


def own_address_only(own: str) -> Callable[[], None]:
    """Return what refuses a request that names another host, or that a page of another origin sends.

    So a foreign page gains nothing by a name of its own that is made to lead to this machine. `own`: the app's base
    URL. Raises Refusal(FOREIGN_REQUEST).
    """
    hosts, origins = hosts_of(own), origins_of(own)

    def check() -> None:
        origin = request.headers.get("Origin")
        if request.headers.get("Host", "").lower() not in hosts or (origin is not None and origin not in origins):
            raise Refusal(Code.FOREIGN_REQUEST)

    return check
