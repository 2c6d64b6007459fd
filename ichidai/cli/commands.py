"""The commands, each a few lines over what does the work."""

from __future__ import annotations

import gc
import importlib
import io
import signal
import sys
from functools import partial

import click

from ichidai.cli.language import Language
from ichidai.cli.options import enum_argument, enum_option
from ichidai.topology import App

_GROUPS = {
    "accounts": "ichidai.cli.accounts",
    "admin-keys": "ichidai.cli.admin_keys",
    "audit": "ichidai.cli.audit",
    "doctor": "ichidai.cli.doctor",
    "event-key": "ichidai.cli.event_key",
    "keys": "ichidai.cli.keys",
    "migrate": "ichidai.cli.migrate",
    "move": "ichidai.cli.move",
    "policy": "ichidai.cli.policy",
    "restore": "ichidai.cli.restore",
    "backup": "ichidai.cli.backup",
    "check-store": "ichidai.cli.check_store",
    "sweep": "ichidai.cli.sweep",
    "tables": "ichidai.cli.tables",
    "everybody-out": "ichidai.cli.generation",
    "ca": "ichidai.cli.authorities",
    "device": "ichidai.cli.device",
}


_SERVER_LIBRARIES = frozenset(
    {
        "altcha",
        "boto3",
        "botocore",
        "confusable_homoglyphs",
        "flask",
        "flask_cors",
        "granian",
        "itsdangerous",
        "PIL",
        "precis_i18n",
        "prometheus_client",
        "starlette",
        "structlog",
        "uvloop",
        "werkzeug",
        "webauthn",
        "zxingcpp",
    }
)
"""What the extra `server` installs; `ichidai device` and the reference client need none of it."""


def _tell_version(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's
    if asked:
        from ichidai.version import installed_version  # noqa: PLC0415 - nothing else needs it here

        click.echo(f"ichidai {installed_version()}")
        context.exit()


@click.group()
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_tell_version, help="Tell the version."
)
def app() -> None:
    """Ichidai: accounts with devices, and at most N of them active at once."""


@app.command("serve")
@enum_argument("part", App, default=App.ALL)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port; by default PORT, else the part's dev port.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="How many processes.")
@click.option(
    "--events-port",
    type=click.IntRange(1, 65535),
    help="The event streams' port beside `all` and `session`; by default port + 100.",
)
def serve_command(part: App, host: str, port: int | None, workers: int, events_port: int | None) -> None:
    """Serve the suite, or one of its apps. Settings come from the environment."""
    gc.disable()  # there is no garbage in what is imported: not to look for it saves a twelfth
    from ichidai.server.checks import CannotServe  # noqa: PLC0415 - other commands need no server
    from ichidai.server.serving import serve  # noqa: PLC0415

    gc.enable()
    try:
        serve(part, host, port, workers, events_port)
    except CannotServe as error:
        _complain(str(error))
        raise click.exceptions.Exit(2) from None


def entrance_command(part: str, name: str) -> click.Command:
    """Return the command that serves one app alone: `serve` with its part given."""
    callback = serve_command.callback
    if callback is None:
        raise AssertionError("`serve` does something")
    options = [option for option in serve_command.params if option.name != "part"]
    text = f"Serve the {part} app. Settings come from the environment."
    return click.Command(name, params=options, callback=partial(callback, App(part)), help=text)


@app.command("demo")
@enum_option("--lang", kind=Language, default=Language.EN, help="The language of the telling.")
def demo_command(lang: Language) -> None:
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
    asked = sys.argv[1] if sys.argv[1:2] and sys.argv[1] in (*app.commands, *_GROUPS, "--version") else None
    try:
        for name in _GROUPS:
            if asked in (name, None):
                _add_group(name, needed=asked is not None)
        app()
    except ModuleNotFoundError as missing:
        if not _is_of_server(missing):
            raise
        _complain(f"{missing.name} is not installed. All commands but `device` need: pip install 'ichidai[server]'")
        sys.exit(2)


def _add_group(name: str, *, needed: bool) -> None:
    """Add a group of commands; one that nobody asked for is left out where the server's libraries are missing."""
    try:
        app.add_command(importlib.import_module(_GROUPS[name]).app)
    except ModuleNotFoundError as missing:
        if needed or not _is_of_server(missing):
            raise


def _is_of_server(missing: ModuleNotFoundError) -> bool:
    return (missing.name or "").partition(".")[0] in _SERVER_LIBRARIES


def _complain(text: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - most runs have nothing to complain of

    Console(stderr=True, soft_wrap=True).print(text, style="red", markup=False, highlight=False)
