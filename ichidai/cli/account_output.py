"""How accounts are shown in a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import click
import orjson

from ichidai.account_facts import Facts
from ichidai.cli.operating import out


def print_summaries(summaries: Sequence[Facts], *, as_json: bool) -> None:
    """Print one line for each account: with JSON an object, else what names it."""
    for each in summaries:
        if as_json:
            click.echo(orjson.dumps(each).decode())
        else:
            out.print(f"{each['uuid']}  {each['state']}  {shown(each['username'])}  {shown(each['email'])}")


def print_details(facts: Facts, *, as_json: bool) -> None:
    """Print an account with its devices, sessions and history."""
    if as_json:
        click.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
        return
    out.print(f"{shown(facts['username'])}  {shown(facts['email'])}")
    out.print(f"  uuid {facts['uuid']}, {facts['state']}, registered {facts['created_at']}")
    if facts["closed_until"]:
        out.print(f"  closed: it can be reopened until {facts['closed_until']}, then it is erased")
    out.print(f"  second factor: {'on' if facts['second_factor'] else 'off'}")
    _section("Devices", [_device(each) for each in facts["devices"]])
    _section("Sessions", [_session(each) for each in facts["sessions"]])
    _section("History", [_event(each) for each in facts["history"]])


def shown(text: str | None) -> str:
    """Return a text of a user as a terminal may show it: what would move the cursor is written out."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text or "-")


def _section(title: str, lines: Sequence[str]) -> None:
    out.print(f"{title}: {'none' if not lines else ''}".rstrip())
    for line in lines:
        out.print(f"  {line}")


def _device(facts: Facts) -> str:
    state = "bound" if facts["bound"] and not facts["revoked_at"] else f"revoked {facts['revoked_at']}"
    return f"{facts['device_id']}  {facts['role']}  {shown(facts['device_name'])}  {state}"


def _session(facts: Facts) -> str:
    seen = f"since {facts['login_at']}, last seen {facts['last_seen_at']}"
    return f"{facts['session_id']}  {shown(facts['device_name'])}  {seen}"


def _event(facts: Facts) -> str:
    told = [facts["at"], facts["kind"], facts.get("reason"), facts.get("act") and f"by an operator ({facts['act']})"]
    return "  ".join(str(each) for each in [*told, shown(facts["device_name"]), shown(facts["ip"])] if each)
