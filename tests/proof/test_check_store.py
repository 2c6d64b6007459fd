"""`ichidai check-store` beside servers in a storm: a fine store is called fine, and damage is found all the same."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
from click.testing import CliRunner

from common.storage.tables import DEVICES, NAMES
from ichidai.cli.check_store import app as check_store
from registration.account_model import mail_claim
from tests.proof.figures import figure, is_long
from tests.proof.storm import EVERYTHING, Fleet, caller_of, rage, read_people
from tests.proof.users import Person, register
from tests.support.engines import ENGINES
from tests.support.servers import until

PEOPLE, CALLS, CLIENTS = 3, 240, 3
LOOKS, TRIES, COULD_NOT_LOOK = 2, 20, 2


def checked(*options: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command; return its status and the damage that it has found. A busy engine may not answer at once."""
    for _ in range(TRIES):
        result = CliRunner().invoke(check_store, [*options, "--json"])
        if result.exit_code != COULD_NOT_LOOK:
            break
    assert result.exit_code in (0, 1), (result.output, result.exception)
    found = map(json.loads, result.stdout.splitlines())
    return result.exit_code, [each for each in found if each["weight"] == "damage"]


def found_is(planted: set[tuple[str, str]]) -> bool:
    """Say whether all that was planted is found; nothing else may be."""
    status, found = checked()
    named = {(each["kind"], each["user_uuid"]) for each in found}
    assert (status, named <= planted) == (1, True), found
    return named == planted


class Load(threading.Thread):
    """One storm after another in the background, each with people of its own, until it is told to end."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        super().__init__()
        self._fleet = fleet
        self._folder = folder
        self._ending = threading.Event()

    def run(self) -> None:
        """Let it rage."""
        for number in count():
            if self._ending.is_set():
                return
            storm = {"calls": CALLS, "people": PEOPLE, "devices": 2, "weights": EVERYTHING, "clients": CLIENTS}
            with suppress(RuntimeError):  # on a busy machine; what is judged here is not the storm
                rage(self._fleet, self._folder / str(number), number, **storm)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()

    def people(self) -> list[Person]:
        """Return the people of the newest storm, once all are there."""
        while True:
            newest = max(self._folder.glob("*"), key=lambda folder: int(folder.name), default=self._folder)
            if len(list(newest.glob("*.person"))) == PEOPLE:
                with suppress(ValueError):  # the last file is not whole yet
                    return read_people(newest, PEOPLE)
            assert self.is_alive()
            time.sleep(0.1)


@pytest.mark.parametrize("name", ENGINES if is_long() else ["sqlite"])
def test_a_check_in_a_storm(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F28: nothing is called damage that is under way; what is planted meanwhile is found, mended, and gone."""
    engine = ENGINES[name](tmp_path)
    fleet = Fleet(tmp_path, engine, 2, 1, MAX_CONCURRENT_DEVICES="2")
    for setting, value in {**fleet.suite.settings, **engine.settings}.items():
        monkeypatch.setenv(setting, value)
    rng = Random("17")
    try:
        with closing(caller_of(CLIENTS, fleet.ports, tmp_path, rng)) as caller:
            bystander = register(caller, rng, 1)
        with Load(fleet, tmp_path / "storms") as load:
            load.people()
            looks = [checked() for _ in range(LOOKS)]
            assert looks == [(0, [])] * LOOKS

            stormed = load.people()[0]
            with closing(engine.open()) as store:
                store.delete(NAMES.key(mail_claim(f"{stormed.username}@b.test")))
                store.delete(DEVICES.key(bystander.uuid, bystander.devices[0][0]))
            planted = {("claim-missing", stormed.uuid), ("device-missing", bystander.uuid)}
            until(lambda: found_is(planted), "both are found")  # a scan may miss what was written a moment ago
            until(lambda: checked("--mend")[0] == 0, "both are mended")  # a stormed account is busy
            assert checked() == (0, [])
    finally:
        fleet.stop()
    assert checked() == (0, [])
    figure("F28", f"a store is checked and mended in a storm, {name}", f"{LOOKS + 4} checks", 0, "")
