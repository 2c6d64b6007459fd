"""Keys rotated and retired by the command while servers are in use.

Files on two servers of two workers each; sealed in the store on five hosts, on both engines.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import jwt
import pytest

from common.keys.key_encryption import new_key_text
from tests.support.client import Account, Client, Login, RetryingClient, granted, login_of, refused
from tests.support.engines import ENGINES
from tests.support.servers import GENEROUS, Server, Suite, run_to_its_end, serve_command, until

Start = Callable[[Suite], Suite]

REFUSED_WITHIN_SECONDS = 5
"""What is promised of a retired key, on a busy machine too: a process trusts what it read for four seconds."""

PASSING = ("busy", "store-unavailable")
HOSTS = ("all", "second", "third", "fourth", "fifth")


def two_servers(folder: Path, settings: Mapping[str, str]) -> Suite:
    """Return two servers of two workers each over one store and one folder of keys, not started yet."""

    def command(port: int) -> list[str]:
        return serve_command("all", port, workers=2)

    return Suite({"all": command, "another": command}, GENEROUS | settings, folder)


class Hosts(Suite):
    """Five servers of one store, each with a folder of its own, as if each were on a machine of its own."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        super().__init__(dict.fromkeys(HOSTS, partial(serve_command, "all")), GENEROUS | settings, folder)

    def own_settings(self, part: str) -> dict[str, str]:
        """See `Suite`: a folder for each."""
        return {"ICHIDAI_DATA_DIR": str(self.folder / f"data-{part}")}

    def restart(self, part: str, **changed: str) -> None:
        """Stop a host and start it anew with other settings."""
        place = HOSTS.index(part)
        self.servers[place].stop()
        self.settings |= changed
        self.servers[place] = self._launch(part)
        self.servers[place].wait()


def keys(suite: Suite, *arguments: str) -> str:
    """Run `ichidai keys …` as the operator does; return what it said."""
    settings = suite.settings | suite.own_settings("operator")
    code, said = run_to_its_end([sys.executable, "-m", "ichidai", "keys", *arguments], settings, suite.folder)
    assert code == 0, said
    return said


def rotated(suite: Suite) -> str:
    """Make a new key for access tokens, which signs in a while; return its name. On a slow machine more is said."""
    found = re.search(r"^(\S+) is published", keys(suite, "rotate", "--after", "15"), re.MULTILINE)
    assert found
    return found[1]


def kid_of(token: str) -> str:
    """Return the name of the key that signed a token."""
    return str(jwt.get_unverified_header(token)["kid"])


class Use:
    """People who log in, verify and refresh without a pause, at one server and the others in turn.

    A token whose key is in `retired` may be refused, as a token that is not good any more; then it is refreshed.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = clients
        self._ending = threading.Event()
        self.answers: Counter[tuple[str, int]] = Counter()
        self.kids: set[str] = set()
        self.retired: set[str] = set()
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
            reply = client.verify(login.access)
            is_refused = kid_of(login.access) in self.retired and reply.status_code == 401
            self._is_good("verify", reply, 401 if is_refused else 200)
            if turns % 3 == 0 or is_refused:
                refreshed = client.refresh(login.refresh)
                login = login_of(refreshed) if self._is_good("refresh", refreshed) else account.login()
            if turns % 10 == 0:
                reply = account.try_login()
                login = login_of(reply) if self._is_good("login", reply) else login
            self.kids.add(kid_of(login.access))

    def _is_good(self, what: str, reply: Any, status: int = 200) -> bool:
        """Note an answer. A store that cannot be reached for now is told, and no fault of what is tested here."""
        self.answers[what, reply.status_code] += 1
        is_away = reply.status_code == 503 and reply.json()["code"] in PASSING
        if reply.status_code != status and not is_away:
            self.faults.append(f"{what}: {reply.status_code} {reply.text}")
        return reply.status_code == status

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


def patient(server: Server) -> Client:
    """Return a client of one host, which asks again where that cannot reach its store for now."""
    return RetryingClient({"all": server.base}, codes=PASSING)


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
