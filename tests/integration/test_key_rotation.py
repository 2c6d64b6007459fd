"""Keys rotated and retired by the command while servers are in use.

Files on two servers of two workers each; sealed in the store on five hosts, on both engines.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jwt
import pytest

from common.keys.key_encryption import new_key_text
from tests.support.client import Client, Login, granted, refused
from tests.support.engines import ENGINES
from tests.support.hosts import Hosts, Use, keys, kid_of, patient
from tests.support.servers import GENEROUS, Suite, run_to_its_end, serve_command, until

Start = Callable[[Suite], Suite]

REFUSED_WITHIN_SECONDS = 5
"""What is promised of a retired key, on a busy machine too: a process trusts what it read for four seconds."""


def two_servers(folder: Path, settings: Mapping[str, str]) -> Suite:
    """Return two servers of two workers each over one store and one folder of keys, not started yet."""

    def command(port: int) -> list[str]:
        return serve_command("all", port, workers=2)

    return Suite({"all": command, "another": command}, GENEROUS | settings, folder)


def rotated(suite: Suite) -> str:
    """Make a new key for access tokens, which signs in a while; return its name. On a slow machine more is said."""
    found = re.search(r"^(\S+) is published", keys(suite, "rotate", "--after", "15"), re.MULTILINE)
    assert found
    return found[1]


def refused_everywhere(clients: Sequence[Client], login: Login) -> None:
    """Ask again and again until the token is refused for good; fail if it is accepted after the promised time."""
    retired_at = time.monotonic()
    in_a_row = 0
    while in_a_row < 20 * len(clients):
        for client in clients:
            begun = time.monotonic()
            reply = client.verify(login.access)
            if reply.status_code == 401:
                refused(reply, 401, "invalid-token")
                in_a_row += 1
            else:
                granted(reply)
                in_a_row = 0
                assert begun - retired_at < REFUSED_WITHIN_SECONDS


@pytest.mark.regression("X65")
def test_keys_are_rotated_and_retired_while_everybody_goes_on(tmp_path: Path, started: Start) -> None:
    """No token is refused while a new key comes in; once the old one is retired its tokens are refused everywhere."""
    suite = started(two_servers(tmp_path / "suite", ENGINES["sqlite"](tmp_path).settings))
    clients = [Client({"all": server.base}) for server in suite.servers]
    accounts, witness = [client.register() for client in clients], clients[0].register()
    before = witness.login()
    old = kid_of(before.access)
    use = Use(clients)
    with use.going_on(accounts):
        new = rotated(suite)  # long enough for a slow machine to look meanwhile
        keys(suite, "rotate", "--for", "refresh", "--after", "15")
        until(lambda: {key["kid"] for key in clients[1].get("/.well-known/jwks.json").json()["keys"]} == {old, new}, "")
        assert use.kids <= {old}, "published, and not signing yet"
        until(lambda: new in use.kids, "somebody has a token of the new key")
        time.sleep(2)
    assert not use.faults
    assert {what for what, status in use.answers if status == 200} == {"verify", "refresh", "login"}
    assert kid_of(granted(clients[1].refresh(before.refresh))["access_token"]) == new
    granted(clients[0].verify(before.access))
    keys(suite, "retire", old)
    refused_everywhere(clients, before)
    granted(clients[0].verify(witness.login().access))
    shown = keys(suite, "show")
    states = {words[0]: words[5] for words in map(str.split, shown.splitlines()) if words[0] in (old, new)}
    assert states == {old: "retired", new: "signs"}


@pytest.mark.parametrize("engine", ENGINES)
def test_five_hosts_with_sealed_keys(tmp_path: Path, started: Start, engine: str) -> None:
    """Started at once on empty tables with nothing but the key-encrypting key; rotated, wrapped anew and retired.

    Under load, and no key is carried anywhere. What a good key signed is good on all hosts, what a retired one signed
    on none; nothing else is ever refused, and a host that has the new key-encrypting key alone starts.
    """
    first, second = new_key_text(), new_key_text()
    hosts = Hosts(tmp_path / "hosts", ENGINES[engine](tmp_path).settings | {"ICHIDAI_SEALING_KEY": first})
    started(hosts)
    clients = [patient(server) for server in hosts.servers]
    assert len({str(client.get("/.well-known/jwks.json").json()["keys"]) for client in clients}) == 1
    accounts, witness = [clients[0].register(), clients[1].register()], clients[2].register()
    before, late = witness.login(), clients[3].register()
    old = kid_of(before.access)
    use = Use([Client({"all": server.base}) for server in hosts.servers])
    with use.going_on(accounts):
        new = rotated(hosts)
        keys(hosts, "rotate", "--for", "refresh", "--after", "15")
        keys(hosts, "rewrap", "--to", second)
        until(lambda: new in use.kids or use.faults, "somebody has a token of the new key")
        for client in clients:
            granted(client.verify(before.access))
        hosts.settings["ICHIDAI_SEALING_KEY"] = second
        keys(hosts, "rewrap", "--alone")
        use.retired.add(old)
        keys(hosts, "retire", old)
        refused_everywhere(clients, before)
    assert not use.faults
    assert {what for what, status in use.answers if status == 200} == {"verify", "refresh", "login"}
    hosts.restart("fifth")
    after = late.login()
    assert kid_of(after.access) == new
    for client in [*clients[:4], patient(hosts.servers[4])]:
        granted(client.verify(after.access))
        refused(client.verify(before.access), 401, "invalid-token")
    assert not list(hosts.folder.rglob("keyring*"))
    assert not list(hosts.folder.rglob("authorities*"))
    assert "Traceback" not in hosts.output


def test_the_commands_say_what_is_wrong(tmp_path: Path) -> None:
    """In a sentence, and nothing is made."""

    def said(*arguments: str, **settings: str) -> str:
        command = [sys.executable, "-m", "ichidai", "keys", *arguments]
        code, text = run_to_its_end(command, {"ICHIDAI_DATA_DIR": str(tmp_path / "data"), **settings}, tmp_path)
        assert code == 2, text
        assert "Traceback" not in text
        return text

    assert "There is no store sqlite:" in said("show")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ichidai.sqlite").touch()  # a store on which no server has started yet
    for arguments in (["show"], ["rotate"], ["retire", "x"]):
        assert "they are made at the first start" in said(*arguments)
    assert "x>=5" in said("rotate", "--after", "4")
    assert "ML-DSA-3" in said("rotate", "--algorithm", "ML-DSA-3")
    assert "ICHIDAI_NONSENSE" in said("show", ICHIDAI_NONSENSE="1")
    assert "There are no keys" in said("retire", "-begins-with-a-dash")
    assert not list(tmp_path.rglob("keyring*"))


@pytest.mark.requirement("R37")
def test_tokens_signed_with_ml_dsa(tmp_path: Path, started: Start) -> None:
    """A setting: the first key is an ML-DSA one, published as `AKP`; the tokens are long and do what others do."""
    settings = {"ICHIDAI_TOKEN_ALGORITHM": "ML-DSA-44"}
    suite = started(Suite({"all": lambda port: serve_command("all", port)}, GENEROUS | settings, tmp_path / "suite"))
    client = suite.client
    login = client.register().login()
    (key,) = client.get("/.well-known/jwks.json").json()["keys"]
    header = jwt.get_unverified_header(login.access)
    assert header == {"alg": "ML-DSA-44", "kid": key["kid"], "typ": "at+jwt"}
    assert (key["kty"], key["alg"]) == ("AKP", "ML-DSA-44")
    assert granted(client.verify(login.access))["session_id"] == login.session_id
    granted(client.refresh(login.refresh))
    forged = login.access[:-2] + ("AA" if login.access[-2:] != "AA" else "BA")
    refused(client.verify(forged), 401, "invalid-token")
