"""Keys rotated and retired by the command, while two servers of two workers each are in use; on both engines."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.client import Account, Client, Login, granted, login_of, refused
from tests.engines import ENGINES
from tests.servers import GENEROUS, Suite, run_to_its_end, serve_command, until

Start = Callable[[Suite], Suite]

REFUSED_WITHIN_SECONDS = 5
"""What is promised of a retired key."""


def two_servers(folder: Path, settings: Mapping[str, str]) -> Suite:
    """Return two servers of two workers each over one store and one folder of keys, not started yet."""

    def command(port: int) -> list[str]:
        return serve_command("all", port, workers=2)

    return Suite({"all": command, "another": command}, GENEROUS | settings, folder)


def keys(suite: Suite, *arguments: str) -> str:
    """Run `ichidai keys …` as the operator does; return what it said."""
    code, said = run_to_its_end([sys.executable, "-m", "ichidai", "keys", *arguments], suite.settings, suite.folder)
    assert code == 0, said
    return said


def kid_of(token: str) -> str:
    """Return the name of the key that signed a token."""
    return str(jwt.get_unverified_header(token)["kid"])


class Use:
    """Two people who log in, verify and refresh without a pause, at one server and the other in turn."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = clients
        self._ending = threading.Event()
        self.answers: Counter[tuple[str, int]] = Counter()
        self.kids: set[str] = set()
        self.faults: list[str] = []

    def run(self, account: Account) -> None:
        """Be one of them until told to stop."""
        try:
            self._run(account)
        except BaseException as fault:  # noqa: BLE001 - the test is told whatever it was
            self.faults.append(repr(fault))

    def _run(self, account: Account) -> None:
        login = account.login()
        for turns, client in enumerate(cycle(self._clients), start=1):
            if self._ending.is_set():
                return
            self._noted("verify", client.verify(login.access))
            if turns % 3 == 0:
                login = login_of(self._noted("refresh", client.refresh(login.refresh)))
            if turns % 10 == 0:
                login = login_of(self._noted("login", account.try_login()))
            self.kids.add(kid_of(login.access))

    def _noted(self, what: str, reply: Any) -> Any:
        self.answers[what, reply.status_code] += 1
        if reply.status_code != 200:
            self.faults.append(f"{what}: {reply.status_code} {reply.text}")
        return reply

    @contextmanager
    def going_on(self, accounts: Sequence[Account]) -> Iterator[None]:
        """Let them go on while the block runs."""
        threads = [threading.Thread(target=self.run, args=(account,)) for account in accounts]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()


def refused_everywhere(clients: Sequence[Client], login: Login) -> None:
    """Ask again and again until the token is refused for good; fail if it is accepted after the promised time."""
    retired_at = time.monotonic()
    in_a_row = 0
    while in_a_row < 40:
        begun = time.monotonic()
        for client in clients:
            reply = client.verify(login.access)
            if reply.status_code == 401:
                refused(reply, 401, "invalid-token")
                in_a_row += 1
            else:
                granted(reply)
                in_a_row = 0
                assert begun - retired_at < REFUSED_WITHIN_SECONDS


@pytest.mark.pitfall("X65")
@pytest.mark.parametrize("engine", ENGINES)
def test_keys_are_rotated_and_retired_while_everybody_goes_on(tmp_path: Path, started: Start, engine: str) -> None:
    """No token is refused while a new key comes in; once the old one is retired its tokens are refused everywhere."""
    suite = started(two_servers(tmp_path / "house", ENGINES[engine](tmp_path).settings))
    clients = [Client({"all": server.base}) for server in suite.servers]
    accounts, witness = [client.register() for client in clients], clients[0].register()
    before = witness.login()
    old = kid_of(before.access)
    use = Use(clients)
    with use.going_on(accounts):
        new = keys(suite, "rotate", "--after", "15").split()[0]  # long enough for a slow machine to look meanwhile
        keys(suite, "rotate", "--for", "refresh", "--after", "15")
        until(lambda: {key["kid"] for key in clients[1].get("/.well-known/jwks.json").json()["keys"]} == {old, new}, "")
        assert use.kids <= {old}, "published, and not signing yet"
        until(lambda: new in use.kids, "somebody has a token of the new key")
        time.sleep(2)
    assert not use.faults
    assert {what for what, _ in use.answers} == {"verify", "refresh", "login"}
    assert kid_of(granted(clients[1].refresh(before.refresh))["access_token"]) == new
    granted(clients[0].verify(before.access))
    keys(suite, "retire", old)
    refused_everywhere(clients, before)
    granted(clients[0].verify(witness.login().access))
    shown = keys(suite, "show")
    states = {line.split()[0]: line.split()[5] for line in shown.splitlines()}
    assert (states[old], states[new]) == ("retired", "signs")


def test_the_commands_say_what_is_wrong(tmp_path: Path) -> None:
    """In a sentence, and nothing is made."""

    def said(*arguments: str, **settings: str) -> str:
        command = [sys.executable, "-m", "ichidai", "keys", *arguments]
        code, text = run_to_its_end(command, {"ICHIDAI_DATA_DIR": str(tmp_path / "data"), **settings}, tmp_path)
        assert code == 2, text
        assert "Traceback" not in text
        return text

    for arguments in (["show"], ["rotate"], ["retire", "x"]):
        assert "they are made at the first start" in said(*arguments)
    assert "x>=5" in said("rotate", "--after", "4")
    assert "ML-DSA-3" in said("rotate", "--algorithm", "ML-DSA-3")
    assert "ICHIDAI_NONSENSE" in said("show", ICHIDAI_NONSENSE="1")
    assert "There are no keys" in said("retire", "-begins-with-a-dash")
    assert not list(tmp_path.rglob("keyring*"))


@pytest.mark.row("R37")
def test_tokens_signed_with_ml_dsa(tmp_path: Path, started: Start) -> None:
    """A setting: the first key is an ML-DSA one, published as `AKP`; the tokens are long and do what others do."""
    settings = {"ICHIDAI_TOKEN_ALGORITHM": "ML-DSA-44"}
    suite = started(Suite({"all": lambda port: serve_command("all", port)}, GENEROUS | settings, tmp_path / "house"))
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
