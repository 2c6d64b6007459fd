"""The commands, each a few lines over what does the work."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from ichidai.cli import tables
from ichidai.cli.demo import Tongue, run_demo
from ichidai.cli.demo_server import NoServer
from ichidai.cli.demo_wire import StoryFailed
from ichidai.serving import CannotServe, serve
from ichidai.topology import Part

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(tables.app, name="tables")
_error = Console(stderr=True, soft_wrap=True)


@app.callback()
def _about() -> None:
    """Ichidai: accounts with devices, and at most N of them active at once."""


@app.command("serve")
def serve_command(
    part: Annotated[Part, typer.Argument(help="What to serve.")] = Part.ALL,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="The port; by default PORT, else the part's dev port.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes.")] = 1,
) -> None:
    """Serve the suite, or one of its apps. Settings come from the environment."""
    try:
        serve(part, host, port, workers)
    except CannotServe as error:
        _error.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None


@app.command("demo")
def demo_command(
    lang: Annotated[Tongue, typer.Option(help="The language of the telling.")] = Tongue.EN,
) -> None:
    """Tell the whole story in the terminal, over real HTTP, with a server of its own that is gone afterwards."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a letter shows another one
    try:
        run_demo(Console(highlight=False), lang)
    except (StoryFailed, NoServer) as error:
        _error.print(f"The story did not go as told: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _error.print("Stopped. The server is ended and its data is gone.", style="red")
        raise typer.Exit(130) from None


def main() -> None:
    """Run the command line."""
    app()
