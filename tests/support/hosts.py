"""Hosts of one store, and users who log in, verify and refresh on them while an operator changes keys."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import jwt
from typing_extensions import override

from tests.support.client import Account, Client, RetryingClient, login_of
from tests.support.servers import GENEROUS, Server, Suite, run_to_its_end, serve_command

PASSING = ("busy", "store-unavailable")
HOSTS = ("all", "second", "third", "fourth", "fifth")


class Hosts(Suite):
    """Servers of one store, each with a folder of its own, as if each were on a machine of its own; five at most."""

    def __init__(self, folder: Path, settings: Mapping[str, str], count: int = len(HOSTS)) -> None:
        super().__init__(dict.fromkeys(HOSTS[:count], partial(serve_command, "all")), {**GENEROUS, **settings}, folder)

    @override
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


def run_command(suite: Suite, *arguments: str) -> tuple[int, str]:
    """Run `ichidai …` as the operator does, on a host of his own; return its exit status and what it said."""
    settings = suite.settings | suite.own_settings("operator")
    return run_to_its_end([sys.executable, "-m", "ichidai", *arguments], settings, suite.folder)


def keys(suite: Suite, *arguments: str) -> str:
    """Run `ichidai keys …`, which must succeed; return what it said."""
    code, said = run_command(suite, "keys", *arguments)
    assert code == 0, said
    return said


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
        return bool(reply.status_code == status)

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


def patient(server: Server, deadline: float = 60) -> Client:
    """Return a client of one host, which asks again for so many seconds where that cannot reach its store for now."""
    return RetryingClient({"all": server.base}, deadline, PASSING)
