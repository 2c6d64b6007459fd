"""`ichidai audit`: what the audit log tells."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import click
import orjson

from common.clock import from_iso8601
from ichidai.account_facts import Facts
from ichidai.administration import Administration, audit_facts
from ichidai.cli.account_output import shown
from ichidai.cli.accounts import nobody
from ichidai.cli.administering import administering
from ichidai.cli.operating import out
from ichidai.cli.reasons import age


def _since(_context: click.Context, _parameter: click.Parameter, value: str) -> timedelta | datetime:
    """Read `30d`, `12h`, `5m`, or a date or time in ISO 8601 (UTC where it names no zone)."""
    ago = age(value)
    if ago is not None:
        return ago
    try:
        return from_iso8601(value)
    except ValueError:
        raise click.BadParameter("give 30d, 12h, 5m, or a date such as 2026-11-22") from None


@click.command("audit")
@click.option("--since", default="7d", show_default=True, callback=_since, help="From when on: 30d, 12h, 2026-11-22.")
@click.option("--user", "who", help="Only what is about this account: a name, a mail address or a uuid.")
@click.option("--whole", is_flag=True, help="With --user: also what its user did, and the logins that were refused.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def app(since: timedelta | datetime, who: str | None, *, whole: bool, as_json: bool) -> None:
    """Print the audit log: who did what to whom, when and why."""
    if whole and who is None:
        raise click.UsageError("--whole is about one account: give --user too")
    with administering() as administration:
        views = [] if who is None else administration.find(who)
        if who is not None and not views:
            nobody(who)
        accounts: list[str | None] = [view.account.uuid for view in views]
        first = since if isinstance(since, datetime) else administration.now() - since
        for user_uuid in accounts or [None]:
            for facts in _lines(administration, first, user_uuid, whole=whole):
                if as_json:
                    click.echo(orjson.dumps(facts).decode())
                else:
                    out.print("  ".join(shown(str(text)) for text in facts.values() if text))


def _lines(administration: Administration, first: datetime, user_uuid: str | None, *, whole: bool) -> Iterable[Facts]:
    if whole and user_uuid is not None:
        return administration.whole_audit(first, user_uuid)
    return map(audit_facts, administration.audit(first, user_uuid))
