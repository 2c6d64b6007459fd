"""The commands, each a few lines over what does the work."""

from __future__ import annotations

import gc
import importlib
import io
import signal
import sys

import click

from ichidai.cli.tongue import Tongue
from ichidai.cli.words import one_of, word
from ichidai.topology import Part

_GROUPS = {
    "accounts": "ichidai.cli.accounts",
    "keys": "ichidai.cli.keys",
    "tables": "ichidai.cli.tables",
    "ca": "ichidai.cli.authorities",
    "device": "ichidai.cli.device",
}


@click.group()
def app() -> None:
    """Ichidai: accounts with devices, and at most N of them active at once."""


@app.command("serve")
@one_of("part", Part, default=Part.ALL)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=int, help="The port; by default PORT, else the part's dev port.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes.")
@click.option(
    "--events-port",
    type=click.IntRange(1, 65535),
    help="The event streams' port beside `all` and `session`; by default port + 100.",
)
def serve_command(part: Part, host: str, port: int | None, workers: int, events_port: int | None) -> None:
    """Serve the suite, or one of its apps. Settings come from the environment."""
    gc.disable()  # there is no garbage in what is imported: not to look for it saves a twelfth
    from ichidai.serving import CannotServe, serve  # noqa: PLC0415 - other commands need no server

    gc.enable()
    try:
        serve(part, host, port, workers, events_port)
    except CannotServe as error:
        _complain(str(error))
        raise click.exceptions.Exit(2) from None


@app.command("demo")
@word("--lang", kind=Tongue, default=Tongue.EN, help="The language of the telling.")
def demo_command(lang: Tongue) -> None:
    """Tell the whole story in the terminal, over real HTTP, with a server of its own that is gone afterwards."""
    from rich.console import Console  # noqa: PLC0415 - nor does it need this

    from ichidai.cli.demo import NoServer, StoryFailed, run_demo  # noqa: PLC0415 - a server that starts needs no story

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter shows another one
    try:
        run_demo(Console(highlight=False), lang)
    except (StoryFailed, NoServer) as error:
        _complain(f"The story did not go as told: {error}")
        raise click.exceptions.Exit(1) from None
    except KeyboardInterrupt:
        _complain("Stopped. The server is ended and its data is gone.")
        raise click.exceptions.Exit(130) from None


def main() -> None:
    """Run the command line. What only other commands need is not imported."""
    asked = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in (*app.commands, *_GROUPS) else None
    for name, module in _GROUPS.items():
        if asked in (name, None):
            app.add_command(importlib.import_module(module).app)
    app()


def _complain(text: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - most runs have nothing to complain of

    Console(stderr=True, soft_wrap=True).print(text, style="red", markup=False, highlight=False)
