"""The commands, each a few lines over what does the work."""

from __future__ import annotations

import gc
import importlib
import io
import signal
import sys
from typing import Annotated

import typer

from ichidai.cli.tongue import Tongue
from ichidai.topology import Part

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
_GROUPS = {
    "accounts": "ichidai.cli.accounts",
    "keys": "ichidai.cli.keys",
    "tables": "ichidai.cli.tables",
    "ca": "ichidai.cli.authorities",
}
_SERVE = "serve"


@app.callback()
def _about() -> None:
    """Ichidai: accounts with devices, and at most N of them active at once."""


@app.command(_SERVE)
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
    gc.disable()  # there is no garbage in what is imported: not to look for it saves a twelfth
    from ichidai.serving import CannotServe, serve  # noqa: PLC0415 - other commands need no server

    gc.enable()
    try:
        serve(part, host, port, workers, events_port)
    except CannotServe as error:
        _complain(str(error))
        raise typer.Exit(2) from None


@app.command("demo")
def demo_command(
    lang: Annotated[Tongue, typer.Option(help="The language of the telling.")] = Tongue.EN,
) -> None:
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
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _complain("Stopped. The server is ended and its data is gone.")
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
    """Run the command line. A server is started without what the other commands need."""
    if sys.argv[1:2] != [_SERVE]:
        for name, module in _GROUPS.items():
            app.add_typer(importlib.import_module(module).app, name=name)
    app()


def _complain(text: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - most runs have nothing to complain of

    Console(stderr=True, soft_wrap=True).print(text, style="red", markup=False, highlight=False)
