"""`ichidai device …`: this machine as a device of a user's account, by the reference client."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click
from rich.table import Column, Table

from ichidai.cli.asking import ask_line, ask_unseen
from ichidai.cli.device_terminal import opened_device, out, show_active
from ichidai.cli.options import enum_option
from ichidai.cli.qr import qr_picture
from ichidai.client import Device, DeviceActive, KeyKind, LoginResult, PairingCode, Problem

_EPILOG = (
    "Exit status: 0 done; 1 refused; 2 the file or what was typed cannot be used; 3 the account is in use elsewhere; "
    "4 not logged in, or not any more; 5 the suite does not answer. "
    "Passwords and codes are asked for, or read from standard input, a line each."
)
_DEFAULT_FILE = Path(click.get_app_dir("ichidai")) / "device.json"

_file = click.option(
    "--file",
    type=click.Path(path_type=Path),
    default=_DEFAULT_FILE,
    help="Where the device's keys and session are kept.",
)
_url = click.option("--url", help="The suite's address; by default where the device joined.")
_keys = enum_option("--keys", kind=KeyKind, default=KeyKind.POST_QUANTUM, help="What keys the device makes.")
_name = click.option("--device-name", help="What the device is called.")
_otp = click.option("--otp", help="A code of the second factor; asked for where it is needed.")
_username = click.option("--username", prompt=True)


@click.group("device", epilog=_EPILOG)
def app() -> None:
    """Be a device of a user's account: register, join, log in, take over, list."""


@app.command("register")
@_username
@click.option("--email", prompt=True)
@_name
@_keys
@_url
@click.option("--invitation", help="An invitation, or its link, where registration is closed.")
@_file
def register(
    username: str,
    email: str,
    device_name: str | None,
    keys: KeyKind,
    url: str | None,
    invitation: str | None,
    file: Path,
) -> None:
    """Make an account with this device as its first."""
    with opened_device(file, url) as device:
        password = ask_unseen("New password", twice=True)
        code = device.register(username, email, password, device_name=device_name, keys=keys, invitation=invitation)
        _told(device, file)
        _show(code)


@app.command("join")
@_username
@click.argument("code", default="")
@click.option("--by-approval", is_flag=True, help="By digits that are typed on the active devices, and logged in.")
@_name
@_keys
@_url
@_otp
@_file
def join(
    username: str,
    code: str,
    device_name: str | None,
    keys: KeyKind,
    url: str | None,
    otp: str | None,
    file: Path,
    *,
    by_approval: bool,
) -> None:
    """Make this a further device of an account; log it in afterwards.

    CODE is what another device shows, or its address. With --by-approval neither code nor password is asked for: the
    users of the active devices type the digits that are shown here. Not every suite allows it.
    """
    if by_approval and (code or otp):
        raise click.UsageError("--by-approval takes neither CODE nor --otp.")
    with opened_device(file, url, otp) as device:
        if by_approval:
            login = device.join_by_approval(username, _show_digits, ask=_asked, device_name=device_name, keys=keys)
            _told(device, file)
            _logged_in(login)
            return
        device.join(code or ask_line("Code: "), username, ask_unseen("Password"), device_name=device_name, keys=keys)
        _told(device, file)


@app.command("login")
@_url
@_otp
@_file
def login(url: str | None, otp: str | None, file: Path) -> None:
    """Log in. At a terminal the user is asked if the account is in use elsewhere."""
    _log_in(file, url, otp, asks=sys.stdin.isatty())


@app.command("takeover")
@_url
@_otp
@_file
def takeover(url: str | None, otp: str | None, file: Path) -> None:
    """Log in; if the account is in use elsewhere, ask, and end just the sessions that were shown."""
    _log_in(file, url, otp, asks=True)


@app.command("approve")
@click.option("--refuse", is_flag=True, help="Refuse it; it may ask again after ten minutes.")
@_file
def approve(file: Path, *, refuse: bool) -> None:
    """Let another device take this one's place or join the account, by the digits that it shows."""
    with opened_device(file) as device:
        asked = device.approvals()
        for each in asked:
            wish = "to join the account" if each.get("joins") else "this device's place"
            out.print(f"{each['device_name'] or 'A new device'} wants {wish} ({each['expires_in']} s).")
            if refuse:
                device.refuse(each["approval_id"])
            else:
                device.approve(each["approval_id"], ask_line("Its digits: ").strip())
        out.print(("Refused." if refuse else "It is let in.") if asked else "No device asks.")


@app.command("status")
@_file
def status(file: Path) -> None:
    """Tell which device this is, and whether it is logged in."""
    with opened_device(file) as device:
        me = device.identity
        out.print(f"{me.device_name or 'A device'} ({me.device_id}) of {me.username}, {me.issuer}")
        out.print(f"certificate {me.fingerprint}")
        session = device.verify()
        out.print(f"Logged in since {session['login_at']}.")


@app.command("verify")
@_file
def verify(file: Path) -> None:
    """Print the session as the suite sees it, as JSON."""
    with opened_device(file) as device:
        out.print(json.dumps(dict(device.verify()), indent=1, ensure_ascii=False))


@app.command("pair")
@_otp
@_file
def pair(otp: str | None, file: Path) -> None:
    """Show a code for another device: good for ten minutes, and once."""
    with opened_device(file, otp=otp) as device:
        _show(device.pairing_code(ask_unseen("Password")))


@app.command("list")
@_file
def list_devices(file: Path) -> None:
    """List the account's devices."""
    with opened_device(file) as device:
        table = Table(Column("device_id", no_wrap=True), "name", "registered", "last seen", "")
        for each in device.devices():
            said = (each["device_id"], each["device_name"], each["registered_at"], each["last_seen_at"] or "")
            table.add_row(*said, _marks(each))
        out.print(table)


@app.command("unbind")
@click.argument("device_id")
@_otp
@_file
def unbind(device_id: str, otp: str | None, file: Path) -> None:
    """Take a device off the account: its session ends, its certificate is revoked. `list` shows its DEVICE_ID."""
    with opened_device(file, otp=otp) as device:
        try:
            device.unbind(device_id)
        except Problem as problem:
            if problem.code != "reauthenticate":
                raise
            device.unbind(device_id, ask_unseen("Password"))
        out.print("It is off the account.")


@app.command("renew")
@_otp
@_file
def renew(otp: str | None, file: Path) -> None:
    """Get a new certificate over the same key."""
    with opened_device(file, otp=otp) as device:
        out.print(f"certificate {device.renew(ask_unseen('Password')).fingerprint}")


@app.command("otp-on")
@_file
def otp_on(file: Path) -> None:
    """Let the account ask for a code of an authenticator app beside the password, on all its devices."""
    with opened_device(file) as device:
        asked = device.post("/registration/otp/begin", {"password": ask_unseen("Password")})
        out.print("Scan this with the app, or type the letters below it:")
        out.print(qr_picture(asked["uri"]))
        out.print(asked["secret"])
        first = {"enrolment": asked["enrolment"], "otp": ask_line("The app's code: ")}
        codes = device.post("/registration/otp/confirm", first)["recovery_codes"]
        out.print("It is on. Keep these: each stands for one code of the app, once, and nobody will show them again.")
        for code in codes:
            out.print(code)


@app.command("otp-off")
@_otp
@_file
def otp_off(otp: str | None, file: Path) -> None:
    """Let the account ask for the password alone again."""
    with opened_device(file, otp=otp) as device:
        device.post("/registration/otp/remove", {"password": ask_unseen("Password")})
        out.print("It is off.")


@app.command("close-account")
@click.option("--yes", is_flag=True, help="Do not ask back.")
@_otp
@_file
def close_account(otp: str | None, file: Path, *, yes: bool) -> None:
    """Close the account: every session ends, and after some days all that is kept about it is erased."""
    with opened_device(file, otp=otp) as device:
        if not yes:
            click.confirm(f"Close the account {device.identity.username}?", abort=True)
        until = device.close_account(ask_unseen("Password"))
        out.print(f"The account is closed. `ichidai device reopen-account` opens it again until {until}.")


@app.command("reopen-account")
@_otp
@_file
def reopen_account(otp: str | None, file: Path) -> None:
    """Open a closed account again; log in afterwards."""
    with opened_device(file, otp=otp) as device:
        device.reopen_account(ask_unseen("Password"))
        out.print("The account is open again.")


@app.command("logout")
@_file
def logout(file: Path) -> None:
    """End this device's session."""
    with opened_device(file) as device:
        device.log_out()
        out.print("Logged out.")


def _log_in(file: Path, url: str | None, otp: str | None, *, asks: bool) -> None:
    with opened_device(file, url, otp) as device:
        _logged_in(device.log_in(ask_unseen("Password"), ask=_asked if asks else None, show_digits=_show_digits))


def _logged_in(login: LoginResult) -> None:
    out.print(f"Logged in since {login.login_at}.")
    for name in login.ended:
        out.print(f"{name or 'A device'} is logged out.")


def _asked(question: DeviceActive) -> bool:
    """Show who is active and ask, as the console does; only a yes is one."""
    out.print(question.message)
    show_active(question, out)
    return ask_line("[y/N] ").strip().casefold() in ("y", "yes")


def _show_digits(digits: str) -> None:
    out.print(f"Type {digits} on the active device, within half a minute.")


def _told(device: Device, file: Path) -> None:
    me = device.identity
    out.print(f"This is device {me.device_id} of {me.username} now. Its keys are in {file}; nobody else has them.")


def _show(code: PairingCode) -> None:
    out.print(f"For another device, once, until {code.expires_at}:")
    out.print(qr_picture(code.qr_link))
    out.print(code.qr_code)


def _marks(device: Mapping[str, object]) -> str:
    names = {"current": "this one", "is_active": "active", "certificate_revoked": "revoked"}
    return ", ".join(said for name, said in names.items() if device.get(name))
