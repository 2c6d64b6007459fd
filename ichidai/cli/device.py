"""`ichidai device …`: this machine as a device of somebody's account, by the reference client."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.table import Column, Table

from ichidai.cli.qr import qr_picture
from ichidai.cli.words import word
from ichidai.client import (
    ClientError,
    Device,
    DeviceActive,
    HasDevice,
    KeyKind,
    NoDevice,
    NotLoggedIn,
    PairingCode,
    Problem,
    SessionEnded,
    Unreachable,
    open_device,
)


class Exit(IntEnum):
    """How a command ended, for scripts."""

    REFUSED = 1
    UNUSABLE = 2
    IN_USE = 3
    NOT_LOGGED_IN = 4
    UNREACHABLE = 5


_EPILOG = (
    "Exit status: 0 done; 1 refused; 2 the file or what was typed cannot be used; 3 the account is in use elsewhere; "
    "4 not logged in, or not any more; 5 the suite does not answer. "
    "Passwords and codes are asked for, or read from standard input, a line each."
)
_TRY_LATER = (429, 503)
_OTHERS: Mapping[type[Exception], tuple[str, Exit]] = {
    HasDevice: (" Choose another --file.", Exit.UNUSABLE),
    NoDevice: (" `ichidai device register` or `join` makes one.", Exit.UNUSABLE),
    NotLoggedIn: (" `ichidai device login` logs in.", Exit.NOT_LOGGED_IN),
    Unreachable: ("", Exit.UNREACHABLE),
}

_out = Console(soft_wrap=True, highlight=False, markup=False)
_error = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")

_DEFAULT_FILE = Path(click.get_app_dir("ichidai")) / "device.json"

_file = click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=_DEFAULT_FILE,
    help="Where the device's keys and session are kept.",
)
_url = click.option("--url", help="The suite's address; by default where the device joined.")
_keys = word("--keys", kind=KeyKind, default=KeyKind.POST_QUANTUM, help="What keys the device makes.")
_name = click.option("--device-name", help="What the device is called.")
_otp = click.option("--otp", help="A code of the second factor; asked for where it is needed.")
_username = click.option("--username", prompt=True)


@click.group("device", epilog=_EPILOG)
def app() -> None:
    """Be a device of somebody's account: register, join, log in, take over, list."""


@app.command("register")
@_username
@click.option("--email", prompt=True)
@_name
@_keys
@_url
@_file
def register(username: str, email: str, device_name: str | None, keys: KeyKind, url: str | None, file: Path) -> None:
    """Make an account with this device as its first."""
    with _device(file, url) as device:
        password = _secret("New password: ", twice=True)
        code = device.register(username, email, password, device_name=device_name, keys=keys)
        _told(device, file)
        _show(code)


@app.command("join")
@_username
@click.argument("code", default="")
@_name
@_keys
@_url
@_otp
@_file
def join(
    username: str, code: str, device_name: str | None, keys: KeyKind, url: str | None, otp: str | None, file: Path
) -> None:
    """Make this a further device of an account; log it in afterwards.

    CODE is what another device shows, or its address.
    """
    with _device(file, url, otp) as device:
        device.join(code or _line("Code: "), username, _secret(), device_name=device_name, keys=keys)
        _told(device, file)


@app.command("login")
@_url
@_otp
@_file
def login(url: str | None, otp: str | None, file: Path) -> None:
    """Log in. Where somebody sits at a terminal, they are asked if the account is in use elsewhere."""
    _log_in(file, url, otp, asks=sys.stdin.isatty())


@app.command("takeover")
@_url
@_otp
@_file
def takeover(url: str | None, otp: str | None, file: Path) -> None:
    """Log in; if the account is in use elsewhere, ask, and end just the sessions that were shown."""
    _log_in(file, url, otp, asks=True)


@app.command("status")
@_file
def status(file: Path) -> None:
    """Tell which device this is, and whether it is logged in."""
    with _device(file) as device:
        me = device.identity
        _out.print(f"{me.device_name or 'A device'} ({me.device_id}) of {me.username}, {me.issuer}")
        _out.print(f"certificate {me.fingerprint}")
        session = device.verify()
        _out.print(f"Logged in since {session['login_at']}.")


@app.command("verify")
@_file
def verify(file: Path) -> None:
    """Print the session as the suite sees it, as JSON."""
    with _device(file) as device:
        _out.print(json.dumps(dict(device.verify()), indent=1, ensure_ascii=False))


@app.command("pair")
@_otp
@_file
def pair(otp: str | None, file: Path) -> None:
    """Show a code for another device: good for ten minutes, and once."""
    with _device(file, otp=otp) as device:
        _show(device.pairing_code(_secret()))


@app.command("list")
@_file
def list_devices(file: Path) -> None:
    """List the account's devices."""
    with _device(file) as device:
        table = Table(Column("device_id", no_wrap=True), "name", "registered", "last seen", "")
        for each in device.devices():
            said = (each["device_id"], each["device_name"], each["registered_at"], each["last_seen_at"] or "")
            table.add_row(*said, _marks(each))
        _out.print(table)


@app.command("unbind")
@click.argument("device_id")
@_otp
@_file
def unbind(device_id: str, otp: str | None, file: Path) -> None:
    """Take a device off the account: its session ends, its certificate is revoked. `list` shows its DEVICE_ID."""
    with _device(file, otp=otp) as device:
        try:
            device.unbind(device_id)
        except Problem as problem:
            if problem.code != "reauthenticate":
                raise
            device.unbind(device_id, _secret())
        _out.print("It is off the account.")


@app.command("renew")
@_otp
@_file
def renew(otp: str | None, file: Path) -> None:
    """Get a new certificate over the same key."""
    with _device(file, otp=otp) as device:
        _out.print(f"certificate {device.renew(_secret()).fingerprint}")


@app.command("otp-on")
@_file
def otp_on(file: Path) -> None:
    """Let the account ask for a code of an authenticator app beside the password, on all its devices."""
    with _device(file) as device:
        asked = device.post("/registration/otp/begin", {"password": _secret()})
        _out.print("Scan this with the app, or type the letters below it:")
        _out.print(qr_picture(asked["uri"]))
        _out.print(asked["secret"])
        first = {"enrolment": asked["enrolment"], "otp": _line("The app's code: ")}
        codes = device.post("/registration/otp/confirm", first)["recovery_codes"]
        _out.print("It is on. Keep these: each stands for one code of the app, once, and nobody will show them again.")
        for code in codes:
            _out.print(code)


@app.command("otp-off")
@_otp
@_file
def otp_off(otp: str | None, file: Path) -> None:
    """Let the account ask for the password alone again."""
    with _device(file, otp=otp) as device:
        device.post("/registration/otp/remove", {"password": _secret()})
        _out.print("It is off.")


@app.command("logout")
@_file
def logout(file: Path) -> None:
    """End this device's session."""
    with _device(file) as device:
        device.log_out()
        _out.print("Logged out.")


def _log_in(file: Path, url: str | None, otp: str | None, *, asks: bool) -> None:
    with _device(file, url, otp) as device:
        entered = device.log_in(_secret(), ask=_asked if asks else None)
        _out.print(f"Logged in since {entered.login_at}.")
        for name in entered.ended:
            _out.print(f"{name or 'A device'} is logged out.")


def _asked(question: DeviceActive) -> bool:
    """Show who is active and ask, as the console does; only a yes is one."""
    _out.print(question.message)
    _show_active(question, _out)
    return _line("[y/N] ").strip().casefold() in ("y", "yes")


def _show_active(question: DeviceActive, where: Console) -> None:
    for each in question.active:
        name = each.device_name or "A device"
        where.print(f"  {name}, logged in {each.login_at}, last seen {each.last_seen_at}")


def _told(device: Device, file: Path) -> None:
    me = device.identity
    _out.print(f"This is device {me.device_id} of {me.username} now. Its keys are in {file}; nobody else has them.")


def _show(code: PairingCode) -> None:
    _out.print(f"For another device, once, until {code.expires_at}:")
    _out.print(qr_picture(code.qr_code))
    _out.print(code.qr_code)


def _marks(device: Mapping[str, object]) -> str:
    names = {"current": "this one", "is_active": "active", "certificate_revoked": "revoked"}
    return ", ".join(said for name, said in names.items() if device.get(name))


def _secret(prompt: str = "Password: ", *, twice: bool = False) -> str:
    """Return a password: typed unseen, or a line of standard input. An argument could be read by others."""
    if not sys.stdin.isatty():
        return _line("")
    first = getpass.getpass(prompt)
    if twice and getpass.getpass("Once more: ") != first:
        _fail("These are two passwords.", Exit.UNUSABLE)
    return first


def _line(prompt: str) -> str:
    """Return a line of standard input."""
    if sys.stdin.isatty():
        return input(prompt)
    line = sys.stdin.readline()
    if not line:
        _fail("Standard input has ended.", Exit.UNUSABLE)
    return line.rstrip("\r\n")


@contextmanager
def _device(file: Path, url: str | None = None, otp: str | None = None) -> Iterator[Device]:
    """Open the device of a file; what keeps a command from its end ends it with a sentence and a status."""
    given = iter([otp] if otp else [])
    try:
        with open_device(file, url, language="en", otp=lambda: next(given, "") or _line("Code: ")) as device:
            yield device
    except (ClientError, EOFError) as error:
        _fail(*_ending(error))


def _ending(error: ClientError | EOFError) -> tuple[str, Exit]:
    """Return the sentence and the status with which a command ends."""
    match error:
        case DeviceActive():
            _show_active(error, _error)
            hint = " `ichidai device takeover` asks and takes over." if error.takeover else ""
            return f"{error} Nothing has changed.{hint}", Exit.IN_USE
        case SessionEnded():
            said = "You were logged out elsewhere. " if error.elsewhere else ""
            return f"{said}{error} ({error.reason})", Exit.NOT_LOGGED_IN
        case Problem():
            return f"{error} ({error.code})", Exit.UNREACHABLE if error.status in _TRY_LATER else Exit.REFUSED
        case EOFError():
            return "Standard input has ended.", Exit.UNUSABLE
        case _:
            hint, status = _OTHERS.get(type(error), ("", Exit.UNUSABLE))
            return f"{error}{hint}", status


def _fail(text: str, status: Exit) -> NoReturn:
    _error.print(text)
    raise click.exceptions.Exit(status)
