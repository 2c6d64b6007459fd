"""The starts of what an owner does with the account, and what may be asked in each."""

from __future__ import annotations

from functools import cache

from common.account.history import EventKind
from tests.interleavings.operations import (
    change_password,
    close,
    log_in,
    log_out,
    pair,
    refresh,
    register,
    show_code,
    take_over,
)
from tests.interleavings.owners_acts import (
    ask_for_address,
    begin_passkey,
    change_username,
    confirm_address,
    end_every_session,
    finish_passkey,
    forget_password,
    log_in_by_passkey,
    make_codes,
    note_change,
    object_by_link,
    object_to,
    read_mail,
    recover,
    remove_passkey,
    reset_password,
    sign_by_passkey,
)
from tests.interleavings.process import Rules
from tests.interleavings.scenarios import Scenario, Start, scenario

ADDRESS = "anna@c.test"


@cache
def _robbed() -> Scenario:
    """Limit 2: A is logged in and has recovery codes; a thief's device B joined, is logged in and shows a QR code."""
    joined = (register("A"), log_in("A"), make_codes("A"), pair("B", "A"), note_change(EventKind.DEVICE_ADDED, "theft"))
    return scenario(Rules(2), *joined, log_in("B"), show_code("B"))


@cache
def _lost() -> Scenario:
    """Limit 1: A is logged in and has recovery codes; B is bound, has asked, and holds a consent."""
    return scenario(Rules(1), register("A"), pair("B", "A"), log_in("A"), make_codes("A"), log_in("B"))


@cache
def _forgotten() -> Scenario:
    """Limit 1: A is logged in and shows a QR code; B is bound and holds a consent; a link for a password was mailed."""
    start = (register("A"), pair("B", "A"), log_in("A"), show_code("A"), log_in("B"))
    return scenario(Rules(1), *start, forget_password("link"))


@cache
def _naming() -> Scenario:
    """Limit 2: A and B are logged in; a link was sent to another address."""
    start = (register("A"), pair("B", "A"), log_in("A"), log_in("B"))
    return scenario(Rules(2), *start, ask_for_address("A", ADDRESS), read_mail(ADDRESS))


@cache
def _passkeys() -> Scenario:
    """Limit 2: A and B are logged in; one passkey is there and has signed a login, another was made and not entered."""
    start = (register("A"), pair("B", "A"), log_in("A"), log_in("B"), make_codes("A"))
    entered = (begin_passkey("A", "one"), finish_passkey("A", "one"), sign_by_passkey("one"))
    return scenario(Rules(2), *start, *entered, begin_passkey("A", "another"))


OWNERS_STARTS = {
    "robbed": Start(
        _robbed,
        {
            "object": object_to("theft", "A"),
            "object by link": object_by_link("theft"),
            "end all": end_every_session("A"),
            "end all by the other": end_every_session("B", own_too=True),
            "login": log_in("B"),
            "refresh": refresh("B"),
            "password change": change_password("B"),
            "close": close("B"),
            "pair": pair("D", "B"),
        },
    ),
    "lost": Start(
        _lost,
        {
            "recover": recover("C"),
            "recover by another code": recover("D", 1),
            "new codes": make_codes("A", "new codes"),
            "takeover": take_over("B"),
            "password change": change_password("A"),
            "end all": end_every_session("A", own_too=True),
            "logout": log_out("A"),
        },
    ),
    "forgotten": Start(
        _forgotten,
        {
            "reset": reset_password("C", "link"),
            "reset that keeps devices": reset_password("D", "link", keep=True),
            "takeover": take_over("B"),
            "login": log_in("A"),
            "login afterwards": log_in("B", later=1),
            "refresh": refresh("A"),
            "password change": change_password("A"),
            "pair": pair("E", "A"),
            "close": close("A"),
        },
    ),
    "naming": Start(
        _naming,
        {
            "username": change_username("A", "anne"),
            "another username": change_username("B", "anja"),
            "email": ask_for_address("B", ADDRESS),
            "confirm": confirm_address(ADDRESS),
            "password change": change_password("B"),
            "close": close("B"),
        },
    ),
    "passkeys": Start(
        _passkeys,
        {
            "passkey": finish_passkey("A", "another"),
            "no passkey": remove_passkey("B", "one"),
            "login by passkey": log_in_by_passkey("B", "one"),
            "password change": change_password("B"),
            "recover": recover("C"),
        },
    ),
}
