"""`ichidai move`: a store brought to another engine or place, with nobody logged out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
import orjson

from common.account.audit import AuditKind
from common.keys.keyring import KeyRingError
from common.storage.opening import StoreUrlError, canonical_url, is_there, open_for_maintenance, open_tables
from common.storage.port import StoreUnavailable
from common.storage.store_clock import measure_clock
from ichidai.cli.administering import operator_by
from ichidai.cli.operating import error, fail, out, settings_by_environment
from ichidai.cli.reasons import words_option
from ichidai.moving.mover import Mover, MoveRefused, Places, TableMoved
from ichidai.settings import Settings, read_test_overrides

_ASKED = """\
Move {} to {}?
Servers go on until all but the last changes are copied. Then nothing can be changed for about half a minute, and some
seconds more for each thousand accounts, while all is compared. Once it agrees no server uses the source any more: start
them on the target then."""


@click.command("move")
@click.option("--from", "source", required=True, metavar="URL", help="Where the store is.")
@click.option("--to", "target", required=True, metavar="URL", help="Where it is to be: an empty place.")
@click.option("--abandon", is_flag=True, help="Give up a move that has not come to its end: the source is used on.")
@click.option("--yes", is_flag=True, help="Do not ask back.")
@click.option("--json", "as_json", is_flag=True, help="Say at the end what was moved, as one JSON object.")
@words_option
def app(source: str, target: str, reason: str, *, abandon: bool, yes: bool, as_json: bool) -> None:
    """Move a store to another engine or place while servers run. Cut short, the same command goes on.

    Every table is compared item by item before the switch; tokens, sessions and keys stay good. Exit status: 0 it is
    moved, or the move was given up; 2 it is not, and the text says why.
    """
    settings = settings_by_environment()
    tell = _silent if as_json else out.print
    with _opened(settings, source, target, tell, is_checked=not abandon) as (mover, places):
        if abandon:
            mover.abandon()
            out.print(f"The move is given up: servers go on with {places.source_url}.")
            return
        if mover.is_done():
            moved: Sequence[TableMoved] = ()
        else:
            if not yes:
                click.confirm(_ASKED.format(places.source_url, places.target_url), abort=True, err=True)
            facts = {"from": places.source_url, "to": places.target_url}
            line = operator_by(settings, reason or "move").line(AuditKind.STORE_MOVED, mover.now(), **facts)
            moved = mover.move(line)
        _conclude(places, moved, mover.fenced_seconds, as_json=as_json)


@contextmanager
def _opened(
    settings: Settings, source: str, target: str, tell: Callable[[str], None], *, is_checked: bool
) -> Iterator[tuple[Mover, Places]]:
    """Open both stores; what goes wrong then ends the command with a sentence."""
    region = settings.registration.aws_region or None
    clock = read_test_overrides(os.environ).clock
    try:
        urls = canonical_url(source, region), canonical_url(target, region)
        if urls[0] == urls[1]:
            fail("--from and --to are the same store.")
        if not is_there(source):
            fail(f"{urls[0]} is not there.")
        tables = open_tables(target, region) if is_checked else None
        for fault in () if tables is None else tables.check():
            error.print(f"--to: {fault}.")
            fail("Run `ichidai tables create` with ICHIDAI_STORE_URL set to the target.")
        stores = [open_for_maintenance(url, clock, region, patient=True) for url in urls]
        try:
            measure_clock(clock, stores[0])
            places = Places(stores[0], urls[0], stores[1], urls[1])
            yield Mover(places, clock, tell), places
        finally:
            for store in stores:
                store.close()
    except (StoreUrlError, MoveRefused, KeyRingError, StoreUnavailable, OSError) as fault:
        fail(str(fault))


def _silent(_line: str) -> None:
    pass


def _conclude(places: Places, moved: Sequence[TableMoved], fenced: float, *, as_json: bool) -> None:
    if as_json:
        tables = {each.table: {"count": each.count, "digest": each.digest} for each in moved}
        told = {
            "from": places.source_url,
            "to": places.target_url,
            "tables": tables,
            "fenced_seconds": round(fenced, 1),
        }
        click.echo(orjson.dumps(told).decode())
        return
    for each in moved:
        out.print(f"{each.table}: {each.count} items on both sides, digest {each.digest[:16]}")
    if moved:
        out.print(f"Nothing could be changed for {fenced:.0f} s.")
    out.print(f"The store is at {places.target_url} now: set ICHIDAI_STORE_URL to that and start the servers.")
