"""`ichidai doctor`: what is wrong with this host, each a sentence with its remedy."""

from __future__ import annotations

import os

import click
import orjson

from common.storage.port import StoreUnavailable
from ichidai.cli.operating import error, out
from ichidai.diagnosis import Weight, diagnose


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def app(*, as_json: bool) -> None:
    """Look for what is wrong with this host's settings, files, keys, store and clock; change nothing.

    It needs no running server. Exit status: 0 nothing, or advice only; 1 a fault; 2 it could not look.
    """
    weights = set()
    try:
        for finding in diagnose(os.environ):
            weights.add(finding.weight)
            line = {"weight": str(finding.weight), "about": finding.about, "text": finding.text}
            if as_json:
                click.echo(orjson.dumps(line).decode())
            else:
                out.print(f"{finding.weight}  {finding.about}: {finding.text}")
    except (StoreUnavailable, OSError) as fault:
        error.print(f"It could not look at the store: {fault}")
        raise click.exceptions.Exit(2) from None
    if Weight.FAULT in weights:
        raise click.exceptions.Exit(1)
    if not as_json:
        out.print("Nothing is wrong." if not weights else "Nothing is wrong that keeps the suite from serving.")
