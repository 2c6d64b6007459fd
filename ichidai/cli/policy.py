"""`ichidai policy …`: showing and setting what decides about sessions, for all hosts of a store, while servers run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from common.account.audit import AuditKind
from common.account.operator import MOST_WORDS, clean_reason
from common.account.policy_record import PolicyRecord
from common.account.policy_store import describe, read_record, recent_changes, set_policy
from common.account.policy_values import DEFAULTS, Values, differences
from common.clock import to_rfc3339
from common.config import SettingsError
from ichidai.cli.administering import operator_by
from ichidai.cli.operating import fail, opened, out, time_of

_NONE_YET = "This store has no policy yet: the first server that starts on it makes one of its settings."


@click.group("policy")
def app() -> None:
    """Show or set the session policy: one for all hosts of a store."""


@app.command("show")
def show() -> None:
    """Show the policy in force, where settings of hosts differ from it, and its last changes."""
    with opened() as (settings, store):
        record = read_record(store)
        if record is None:
            fail(_NONE_YET)
        changes = recent_changes(store, record)
    managed = "managed by command" if record.managed else "follows changed settings"
    out.print(f"policy {record.number}, {managed}")
    for name in DEFAULTS:
        out.print(f"  {name}={record.values.get(name, DEFAULTS[name])}")
    for line in _unlike(record, settings.policy):
        out.print(line)
    for change in changes:
        out.print(f"{change.number:>4}  {to_rfc3339(change.at)}  {describe(change)}")


@app.command("set")
@click.argument("assignments", metavar="NAME=VALUE...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why: it is kept with the change.")
def set_values(assignments: Sequence[str], reason: str) -> None:
    """Set values of the policy, in force on all hosts within five seconds; hosts' settings only warn from then on."""
    why = clean_reason(reason)
    if why is None:
        fail(f"--reason must say something, in {MOST_WORDS} characters at most.")
    values = _values(assignments)
    with opened() as (settings, store):
        try:
            now, operator = time_of(store), operator_by(settings, why)
            line = operator.line(AuditKind.POLICY_SET, now, **values)
            record = set_policy(store, values, who=operator.actor, why=operator.reason, now=now, line=line)
        except SettingsError as error:
            fail("\n".join(error.faults))
        except KeyError:
            fail(_NONE_YET)
    out.print(f"Policy {record.number} is in force on every host within five seconds: {describe(record.change)}")


def _values(assignments: Sequence[str]) -> dict[str, str]:
    """Return the values by name, or end the command with a sentence."""
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not value.strip() or name not in DEFAULTS:
            fail(f"{assignment!r} is no NAME=VALUE of the policy; NAME is one of: {', '.join(DEFAULTS)}")
        values[name] = value.strip()
    return values


def _unlike(record: PolicyRecord, own: Values) -> list[str]:
    """Return a line for each host whose settings are not the policy, and for this command's environment."""
    hosts = [*((f"host {host}", said) for host, said in record.hosts), ("this environment", own)]
    lines = []
    for host, said in hosts:
        unlike = differences(record.values, said)
        if unlike:
            lines.append(f"  {host} says {', '.join(f'{name}={value}' for name, value in unlike.items())}")
    return lines
