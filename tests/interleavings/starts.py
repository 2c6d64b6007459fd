"""The starts that matter, and what may be asked in each: the rows of the tables that are explored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from common.account.admission import ConcurrencyMode
from common.proof.statements import Purpose
from tests.interleavings.approval_starts import APPROVAL_STARTS
from tests.interleavings.operations import (
    answer,
    be_challenged,
    change_password,
    close,
    join,
    keep_first,
    log_in,
    log_out,
    pair,
    refresh,
    register,
    remember,
    remember_code,
    rename,
    renew,
    reopen,
    revoke,
    revoke_certificate,
    show_code,
    take_over,
    touch,
    unbind,
    verify,
)
from tests.interleavings.owners_starts import OWNERS_STARTS
from tests.interleavings.process import Rules
from tests.interleavings.scenarios import Scenario, Start, scenario

SEED = 20261121
"""What the long size draws its samples from."""

CENTRAL = ("login", "takeover", "refresh", "logout", "unbind", "force_logout")
"""The operations of which three clients are put together."""


@cache
def _asked() -> Scenario:
    """Limit 1: A is logged in and shows a QR code; B has asked and holds a consent."""
    return scenario(Rules(1), register("A"), pair("B", "A"), log_in("A"), log_in("B"), show_code("A"))


@cache
def _two() -> Scenario:
    """Limit 2: A and, after it, B are logged in; B shows a QR code; C has asked and holds a consent for both."""
    joined = (register("A"), pair("B", "A"), show_code("A"), pair("C", "A"))
    return scenario(Rules(2), *joined, log_in("A"), log_in("B"), log_in("C"), show_code("B"))


@cache
def _empty() -> Scenario:
    """Limit 1: A, B and C are bound and none is logged in; A shows a QR code."""
    joined = (register("A"), pair("B", "A"), show_code("A"), pair("C", "A"))
    return scenario(Rules(1), *joined, show_code("A"))


@cache
def _stale() -> Scenario:
    """Limit 1: B holds a consent for A's session, but C is logged in since."""
    joined = (register("A"), pair("B", "A"), show_code("A"), pair("C", "A"))
    return scenario(Rules(1), *joined, log_in("A"), log_in("B"), log_out("A"), log_in("C"))


@cache
def _stolen() -> Scenario:
    """Limit 1: A has refreshed twice, and somebody has its first refresh token; B holds a consent."""
    start = (register("A"), pair("B", "A"), log_in("A"), remember("A", "thief"))
    return scenario(Rules(1), *start, refresh("A"), refresh("A"), log_in("B"))


@cache
def _evicting() -> Scenario:
    """Mode evict, limit 2: A and B are logged in, C is bound."""
    joined = (register("A"), pair("B", "A"), show_code("A"), pair("C", "A"))
    return scenario(Rules(2, ConcurrencyMode.EVICT), *joined, log_in("A"), log_in("B"))


@cache
def _full() -> Scenario:
    """Limit 1, at most 3 devices: A and B are bound, A is logged in and shows two QR codes: one place is left."""
    start = (register("A"), pair("B", "A"), log_in("A"), show_code("A"), remember_code("A", "A2"), show_code("A"))
    return scenario(Rules(1, max_devices=3), *start)


@cache
def _proving() -> Scenario:
    """Limit 2: A is logged in; B is bound and has signed a challenge."""
    return scenario(Rules(2), register("A"), pair("B", "A"), log_in("A"), be_challenged("B"))


@cache
def _renewing() -> Scenario:
    """Limit 2: A and B are logged in; B has signed two challenges, of one certificate, to renew it."""
    start = (register("A"), pair("B", "A"), log_in("A"), log_in("B"))
    signed = (be_challenged("B", Purpose.RENEW), be_challenged("B", Purpose.RENEW, "B2"))
    return scenario(Rules(2), *start, *signed)


@cache
def _bound() -> Scenario:
    """Limit 1, devices show their certificates in TLS: A is logged in and its token bound; B holds a consent."""
    start = (register("A"), pair("B", "A"), log_in("A"), remember("A", "A before"), log_in("B"))
    return scenario(Rules(1, bound=True), *start)


@cache
def _closing() -> Scenario:
    """Limit 1: A is logged in; B has asked and holds a consent."""
    return scenario(Rules(1), register("A"), pair("B", "A"), log_in("A"), log_in("B"))


@cache
def _closed() -> Scenario:
    """The same, and A shows a QR code; then A has closed the account."""
    start = (register("A"), pair("B", "A"), log_in("A"), log_in("B"), show_code("A"))
    return scenario(Rules(1), *start, close("A"))


STARTS: Mapping[str, Start] = {
    "asked": Start(
        _asked,
        {
            "login": log_in("B"),
            "takeover": take_over("B"),
            "refresh": refresh("A"),
            "logout": log_out("A"),
            "unbind": unbind("A", "B"),
            "force_logout": keep_first("A"),
            "login again": log_in("A"),
            "forced login": log_in("B", force=True),
            "revoke": revoke("A", "A"),
            "rename": rename("A", "B"),
            "pair": pair("C", "A"),
            "device register": join("D", "A"),
            "forced device register": join("D", "A", force=True),
            "request pairing token": show_code("A"),
            "touch": touch("A"),
            "password change": change_password("A"),
        },
    ),
    "two": Start(
        _two,
        {
            "login": log_in("C"),
            "takeover": take_over("C"),
            "refresh": refresh("B"),
            "logout": log_out("B"),
            "unbind": unbind("A", "B"),
            "force_logout": keep_first("B"),
            "login again": log_in("B"),
            "forced login": log_in("C", force=True),
            "revoke": revoke("A", "B"),
            "rename": rename("A", "B"),
            "pair": pair("D", "B"),
            "device register": join("D", "B"),
            "forced device register": join("D", "B", force=True),
            "request pairing token": show_code("B"),
            "touch": touch("B"),
            "revoke certificate": revoke_certificate("A", "B"),
        },
    ),
    "empty": Start(
        _empty,
        {
            "login": log_in("A"),
            "another login": log_in("B"),
            "forced login": log_in("C", force=True),
            "pair": pair("D", "A"),
            "device register": join("E", "A"),
            "request pairing token": show_code("A"),
        },
    ),
    "stale": Start(
        _stale,
        {
            "takeover": take_over("B"),
            "login": log_in("A"),
            "logout": log_out("C"),
            "refresh": refresh("C"),
            "unbind": unbind("C", "B"),
        },
    ),
    "stolen": Start(
        _stolen,
        {
            "theft": refresh("thief"),
            "refresh": refresh("A"),
            "takeover": take_over("B"),
            "login again": log_in("A"),
            "logout": log_out("A"),
            "touch": touch("A"),
        },
    ),
    "evicting": Start(
        _evicting,
        {
            "login": log_in("C"),
            "login again": log_in("A"),
            "refresh": refresh("A"),
            "logout": log_out("B"),
            "unbind": unbind("A", "B"),
            "force_logout": keep_first("B"),
        },
    ),
    "proving": Start(
        _proving,
        {
            "signed login": answer("B"),
            "login": log_in("B"),
            "unbind": unbind("A", "B"),
            "force_logout": keep_first("A"),
            "password change": change_password("A"),
        },
    ),
    "renewing": Start(
        _renewing,
        {
            "renew": renew("B"),
            "renew by another proof": renew("B", "B2"),
            "renew blindly": renew("B", "B2", telling=False),
            "login": log_in("B"),
            "refresh": refresh("B"),
            "rename": rename("A", "B"),
            "unbind": unbind("A", "B"),
            "revoke certificate": revoke_certificate("A", "B"),
            "force_logout": keep_first("A"),
            "request pairing token": show_code("B"),
        },
    ),
    "bound": Start(
        _bound,
        {
            "renew": renew("A"),
            "refresh": refresh("A"),
            "login again": log_in("A"),
            "takeover": take_over("B"),
            "renew the other": renew("B"),
            "verify": verify("A"),
            "verify as before": verify("A before"),
            "refresh as before": refresh("A before"),
            "touch": touch("A"),
            "logout": log_out("A"),
            "revoke certificate": revoke_certificate("A", "B"),
        },
    ),
    "closing": Start(
        _closing,
        {
            "close": close("A"),
            "reopen": reopen(),
            "login": log_in("B"),
            "login afterwards": log_in("B", later=1),
            "takeover": take_over("B"),
            "refresh": refresh("A"),
            "password change": change_password("A"),
        },
    ),
    "closed": Start(
        _closed,
        {
            "reopen": reopen(),
            "login": log_in("B", later=1),
            "takeover": take_over("B"),
            "refresh": refresh("A"),
            "pair": pair("C", "A"),
        },
    ),
    "full": Start(
        _full,
        {
            "pair": pair("C", "A"),
            "another pair": pair("D", "A2"),
            "device register": join("E", "A", force=True),
            "unbind": unbind("A", "B"),
            "revoke certificate": revoke_certificate("A", "B"),
            "logout": log_out("A"),
        },
    ),
    **OWNERS_STARTS,
    **APPROVAL_STARTS,
}
