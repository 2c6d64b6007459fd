"""The commands, each a few lines over what does the work."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from ichidai.cli import authorities, keys, tables
from ichidai.cli.tongue import Tongue
from ichidai.serving import CannotServe, serve
from ichidai.topology import Part

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(keys.app, name="keys")
app.add_typer(tables.app, name="tables")
app.add_typer(authorities.app, name="ca")
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
    events_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="The event streams' port beside `all` and `session`; by default port + 100."
        ),
    ] = None,
) -> None:
    """Serve the suite, or one of its apps. Settings come from the environment."""
    try:
        serve(part, host, port, workers, events_port)
    except CannotServe as error:
        _error.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(2) from None


@app.command("demo")
def demo_command(
    lang: Annotated[Tongue, typer.Option(help="The language of the telling.")] = Tongue.EN,
) -> None:
    """Tell the whole story in the terminal, over real HTTP, with a server of its own that is gone afterwards."""
    from ichidai.cli.demo import NoServer, StoryFailed, run_demo  # noqa: PLC0415 - a server that starts needs no story

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


@app.command(
    "device",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def device_command(context: typer.Context) -> None:
    """Be a device of somebody's account: register, join, log in, take over, list."""
    from ichidai.cli.device import app as commands  # noqa: PLC0415 - a server that starts needs no client

    commands(args=context.args or ["--help"], prog_name=f"{context.find_root().info_name} device")


def main() -> None:
    """Run the command line."""
    app()
