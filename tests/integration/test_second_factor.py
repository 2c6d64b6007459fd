"""A second factor over real HTTP, on both engines: the four apps, the reference client, and both command lines."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from ichidai.cli.device import app
from ichidai.client import DeviceActive, InMemoryState, Problem
from ichidai.client.device import Device as OwnDevice
from tests.integration.test_pairing import scanned as text_in
from tests.support.authenticator import Authenticator, early_in_a_step, scanned
from tests.support.client import PASSWORD, Account, granted, login_of, refused, unique
from tests.support.engines import ENGINES
from tests.support.servers import Suite

pytestmark = pytest.mark.requirement("R72")

STEP = timedelta(seconds=30)


def now() -> datetime:
    """Return the servers' time."""
    return datetime.now(UTC)


def switched_on(account: Account, token: str) -> tuple[Authenticator, list[str], datetime]:
    """Switch it on with the code of the step before; two more are good then, and nobody need wait."""
    call = account.client.post
    asked = granted(call("/registration/otp/begin", {"password": PASSWORD}, token=token))
    assert text_in(asked["qr_png"]) == asked["uri"]
    phone, begun = scanned(asked["uri"]), early_in_a_step()
    body = {"enrolment": asked["enrolment"], "otp": phone.code(begun, -1)}
    return phone, granted(call("/registration/otp/confirm", body, token=token))["recovery_codes"], begun


def oathtool() -> str:
    """Return where oathtool is, or skip; `ICHIDAI_TEST_REQUIRE=all` forbids the skip."""
    found = shutil.which("oathtool")
    if found is None and os.environ.get("ICHIDAI_TEST_REQUIRE") == "all":
        pytest.fail("oathtool is not here, and ICHIDAI_TEST_REQUIRE=all demands it")
    if found is None:
        pytest.skip("oathtool is not installed (Debian: oathtool): no code of its making is tried")
    return found


def code_of(tool: str, uri: str, at: datetime) -> str:
    """Return the code that oathtool makes of the secret that an app is shown."""
    (secret,) = parse_qs(urlsplit(uri).query)["secret"]
    made = [tool, "--totp", "--base32", f"--now=@{int(at.timestamp())}", "-"]
    return subprocess.run(made, input=secret, capture_output=True, text=True, check=True).stdout.strip()


def test_the_codes_are_those_of_oathtool(suite: Suite) -> None:
    """Switched on and let in by codes that a program of other people's makes of what was shown."""
    tool, account = oathtool(), suite.client.register()
    token, call = account.login().access, account.client.post
    asked = granted(call("/registration/otp/begin", {"password": PASSWORD}, token=token))
    begun = early_in_a_step()
    body = {"enrolment": asked["enrolment"], "otp": code_of(tool, asked["uri"], begun - STEP)}
    granted(call("/registration/otp/confirm", body, token=token))
    credentials = {**account.credentials, **account.phone.proof}
    refused(call("/login", {**credentials, "otp": code_of(tool, asked["uri"], begun - STEP)}), 401, "otp-invalid")
    login_of(call("/login", {**credentials, "otp": code_of(tool, asked["uri"], begun)}))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_whole_story(entrances_on: Callable[[str], Suite], engine: str) -> None:
    """On, a login at one app, a takeover, a device that joins at another, off."""
    client = entrances_on(engine).client
    account = client.register()
    session = account.login()
    phone, recovery_codes, begun = switched_on(account, session.access)
    body = {**account.credentials, **account.phone.proof}
    refused(client.post("/login", body), 401, "otp-required")
    refused(client.post("/login", {**body, "otp": phone.code(begun, -1)}), 401, "otp-invalid")
    login = login_of(client.post("/login", {**body, "otp": phone.code(begun)}))
    refused(client.post("/session/create", {**body, "otp": phone.code(begun)}), 401, "otp-invalid")
    shown = granted(client.post("/registration/request_pairing_token", {**body, "otp": recovery_codes[0]}))
    joining = {**account.credentials, "qr_code": shown["qr_code"]}
    refused(client.post("/device/register", joining), 401, "otp-required")
    granted(client.post("/device/register", {**joining, "otp": recovery_codes[1]}))
    told = granted(client.get("/registration/otp", token=login.access))
    assert (told["active"], told["recovery_codes_left"]) == (True, 8)
    off = {"password": PASSWORD, "otp": phone.code(begun, 1)}
    granted(client.post("/registration/otp/remove", off, token=login.access))
    kinds = [event["kind"] for event in granted(client.get("/session/history", token=login.access))["events"]]
    assert [kind for kind in kinds if "otp" in kind or "recovery" in kind] == [
        "otp-disabled", "recovery-code-used", "recovery-code-used", "otp-enabled",
    ]  # fmt: skip
    login_of(client.post("/login", body))


def yes(_question: DeviceActive) -> bool:
    """Consent."""
    return True


def test_the_reference_client_asks_for_a_code_where_one_is_needed(suite: Suite) -> None:
    """Once for each challenge and each joining; a consent needs none; without anybody to ask it is a Problem."""
    base, given = suite.servers[0].base, iter([""])
    asked = 0

    def otp() -> str:
        nonlocal asked
        asked += 1
        return next(given)

    name = unique()
    with OwnDevice(InMemoryState(), base, otp=otp) as phone, OwnDevice(InMemoryState(), base, otp=otp) as laptop:
        phone.register(name, f"{name}@b.test", PASSWORD)
        phone.log_in(PASSWORD)
        begun = phone.post("/registration/otp/begin", {"password": PASSWORD})
        first = {"enrolment": begun["enrolment"], "otp": scanned(begun["uri"]).code(now())}
        given = iter(phone.post("/registration/otp/confirm", first)["recovery_codes"])
        code = phone.pairing_code(PASSWORD)
        laptop.join(code.qr_code, name, PASSWORD)
        laptop.log_in(PASSWORD, ask=yes)
        laptop.renew(PASSWORD)
        assert asked == 4
    with OwnDevice(InMemoryState(), base) as third, pytest.raises(Problem) as refusal:
        third.join(code.qr_code, name, PASSWORD)
    assert refusal.value.code == "otp-required"


def test_a_person_at_the_command_line(suite: Suite, tmp_path: Path) -> None:
    """Switches it on with what is shown, logs in with a code that is asked for, or given, and switches it off."""
    file = ("--file", str(tmp_path / "device.json"))

    def run(command: str, *arguments: str, lines: tuple[str, ...] = (PASSWORD,), status: int = 0) -> str:
        done = CliRunner().invoke(app, [command, *arguments, *file], input="".join(f"{line}\n" for line in lines))
        assert done.exit_code == status, done.output
        return done.output

    name = unique()
    run("register", "--username", name, "--email", f"{name}@b.test", "--keys", "p-256", "--url", suite.servers[0].base)
    run("login")
    codes = at_a_terminal("otp-on", *file)
    run("login", lines=(PASSWORD, codes[0]))
    run("login", "--otp", codes[1])
    assert "otp-invalid" in run("login", "--otp", codes[1], status=1)
    assert "has ended" in run("login", status=2)
    assert "It is off." in run("otp-off", lines=(PASSWORD, codes[2]))
    run("login")


def at_a_terminal(*arguments: str) -> list[str]:
    """Switch it on as somebody who reads what is shown and types the app's code; return the recovery codes."""
    command = [sys.executable, "-m", "ichidai", "device", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, encoding="utf-8"
    ) as person:
        assert person.stdin is not None
        assert person.stdout is not None
        print(PASSWORD, file=person.stdin, flush=True)
        secret = next(line.strip() for line in person.stdout if re.fullmatch("[A-Z2-7]{32}", line.strip()))
        print(Authenticator(base64.b32decode(secret), "", "").code(now()), file=person.stdin, flush=True)
        said = person.stdout.read()
    assert person.returncode == 0
    return said.split()[-10:]


def operator(suite: Suite, *arguments: str) -> tuple[int, str]:
    """Run `ichidai accounts` on the suite's data."""
    command = [sys.executable, "-m", "ichidai", "accounts", *arguments]
    environment = {**os.environ, "ICHIDAI_DATA_DIR": str(suite.data)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_an_operator_resets_it_for_who_lost_both(suite: Suite) -> None:
    """While the servers run; the history tells so. A name that is wrong, or has none, is told."""
    account = suite.client.register()
    session = account.login()
    switched_on(account, session.access)
    body = {**account.credentials, **account.phone.proof}
    refused(suite.client.post("/login", body), 401, "otp-required")
    sure = ("--reason", "lost phone and codes", "--yes")
    status, said = operator(suite, "reset-otp", account.username, *sure)
    assert (status, "the password alone" in said) == (0, True)
    assert granted(suite.client.get("/session/history", token=session.access))["events"][0]["kind"] == "otp-disabled"
    login_of(suite.client.post("/login", body))
    assert operator(suite, "reset-otp", account.username, *sure)[0] == 1
    assert operator(suite, "reset-otp", unique(), *sure)[0] == 3
