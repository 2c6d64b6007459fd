"""A new generation of the store: nothing that was given out before is good, and a restored store serves nobody."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from common.account.history import OperatorAct, Reason
from common.clock import system_clock
from common.keys.generation_store import RestoredStoreError, read_generation
from common.keys.keyring import KeyRingError
from common.keys.witness import WitnessFile
from common.storage.port import StoreReplaced
from ichidai.cli.backup import app as backup_command
from ichidai.cli.generation import app as everybody_out
from ichidai.cli.restore import app as restore
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    MINUTE,
    PASSWORD,
    Device,
    HandClock,
    InProcessSuite,
    Login,
    Person,
    as_login,
    code_of,
    ended,
)
from tests.usecases.signers import first_of
from tests.usecases.test_second_factor import enrolled

COMMANDS = {"restore": restore, "everybody-out": everybody_out, "backup": backup_command}
WHY = "the backup of Monday"
Run = Callable[..., Result]


@pytest.fixture
def run(suite: InProcessSuite, tmp_path: Path, keys: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs a command on the suite's store, by its clock, with keys of its own: it makes new ones."""
    own = tmp_path / "operator-keys"
    shutil.copytree(keys, own)
    ahead = clock.now - system_clock() + timedelta(seconds=1)
    monkeypatch.setenv("ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS", str(int(ahead.total_seconds())))
    monkeypatch.setenv("ICHIDAI_TEST_CHEAP_HASH", "true")
    monkeypatch.setenv("ICHIDAI_KEYS_DIR", str(own))
    monkeypatch.setenv("ICHIDAI_WITNESS_FILE", str(tmp_path / "witness.json"))
    monkeypatch.setenv("ICHIDAI_STORE_URL", f"sqlite:///{suite.file}")

    def run(*arguments: str, expect: int = 0) -> Result:
        result = CliRunner().invoke(COMMANDS[arguments[0]], arguments[1:])
        assert result.exit_code == expect, (result.output, result.exception)
        return result

    return run


def a_second_later(suite: InProcessSuite) -> None:
    """Let the suite read policy and generation, as a serving process does once a second."""
    suite.suite.policies.follow()


def copied(suite: InProcessSuite, to: Path) -> Path:
    """Back the store up."""
    with closing(sqlite3.connect(suite.file)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


def roll_back(suite: InProcessSuite, backup: Path) -> None:
    """Bring a backup back into the very file that the suite has open."""
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(suite.file)) as target:
        source.backup(target)


def accept(run: Run, suite: InProcessSuite) -> None:
    """Accept the store as it is, and let the suite learn of it."""
    run("restore", "accept", "--reason", WHY, "--yes")
    a_second_later(suite)


def refused(suite: InProcessSuite, login: Login) -> None:
    """See that nobody is told anything: neither that a session is good, nor that it has ended."""
    for path in ("/session/verify", "/device/list", "/ready"):
        assert suite.get(path, login.access).status_code == 503, path
    assert suite.refresh(login.refresh).status_code == 503


def test_everybody_is_out_and_nothing_of_before_is_good(
    suite: InProcessSuite, run: Run, anna: Person, laptop: Device
) -> None:
    """Tokens, the question at the limit, challenges, pairing codes, recovery codes; then they log in as if new."""
    login = suite.log_in(anna)
    made = suite.post("/registration/recovery-codes", {"password": PASSWORD}, login.access)
    assert made.status_code == 200, made.get_data(as_text=True)
    question = suite.login(anna, laptop)
    assert code_of(question) == (409, "device-active")
    pairing = suite.qr_code(anna)
    carl = suite.register("carl")
    without_session = suite.qr_code(carl)
    ben = suite.register("ben")
    idle = suite.log_in(ben)

    said = run("everybody-out", "--reason", WHY, "--yes").stdout
    assert "on every host within five seconds" in said
    a_second_later(suite)

    for each in (login, idle):
        assert ended(suite.verify(each)) == "revoked"
        assert ended(suite.refresh(each.refresh)) == "revoked"
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    joining = {"username": "anna", "password": PASSWORD, "qr_code": pairing, "device_name": "Tablet"}
    assert code_of(suite.post("/registration/", joining)) == (410, "pairing-token-spent")
    joining |= {"username": "carl", "qr_code": without_session}
    assert code_of(suite.post("/registration/", joining)) == (410, "pairing-token-spent")
    recovering = {
        "username": "anna",
        "password": PASSWORD,
        "recovery_code": made.get_json()["recovery_codes"][0],
        "new_password": "another long phrase",
        "device_name": "Browser",
    }
    assert code_of(suite.post("/registration/recover", recovering)) == (401, "recovery-code-invalid")

    again = suite.log_in(anna, laptop)  # nobody counts as active
    assert suite.verify(again).status_code == 200
    assert (again.answer["recovery_codes_void"], "void" in again.answer["message"]) == (True, True)
    assert "recovery_codes_void" not in suite.log_in(ben).answer
    (event,) = [event for event in suite.history(anna)[-1].events if event.session_id == login.session_id]
    assert (event.reason, event.act) == (Reason.REVOKED, OperatorAct.EVERYBODY_OUT)
    assert ended(suite.verify(login)) == "revoked", "and the history says so"
    assert suite.qr_code(anna) != pairing


def test_new_things_work_once_in_the_new_generation(
    suite: InProcessSuite, run: Run, anna: Person, laptop: Device
) -> None:
    """A question, a pairing code and recovery codes of after it are good; those of an app's code of before are not."""
    run("everybody-out", "--reason", WHY, "--yes")
    a_second_later(suite)
    login = suite.log_in(anna)
    question = suite.login(anna, laptop)
    taken = as_login(suite.take_over(question, laptop))
    assert suite.refresh(taken.refresh).status_code == 200
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    assert ended(suite.verify(login)) == "taken-over"
    tablet = suite.pair(anna, "Tablet")
    assert tablet.device_id
    fresh = suite.log_in(anna, laptop)
    codes = suite.post("/registration/recovery-codes", {"password": PASSWORD}, fresh.access).get_json()
    assert suite.get("/registration/account", fresh.access).get_json()["recovery_codes_left"] == 10, codes


def test_a_challenge_of_before_is_spent(build_suite: Build, run: Run) -> None:
    """One that was asked for, and answered rightly after it; a new one is good."""
    signing = build_suite(ICHIDAI_DEVICE_PROOF="signature")
    signer = first_of(signing, "carl")
    before = signer.proof(signer.asked("login"), "login", None)
    run("everybody-out", "--reason", WHY, "--yes")
    a_second_later(signing)
    assert code_of(signing.login(signer.person, signer.device, proof=before)) == (401, "challenge-spent")
    after = signer.proof(signer.asked("login"), "login", None)
    assert signing.login(signer.person, signer.device, proof=after).status_code == 200


def test_a_code_of_the_app_cannot_be_used_again(suite: InProcessSuite, run: Run, anna: Person, tmp_path: Path) -> None:
    """The backup does not know that it was used. A later code is good, and the login tells that the others are void."""
    careful = enrolled(suite, anna)
    backup = copied(suite, tmp_path / "backup.db")
    moment, code, ahead = suite.clock.now, careful.code(), careful.app.code(suite.clock(), 1)
    for used in (code, ahead):
        assert careful.log_in(used).status_code == 200
    roll_back(suite, backup)
    suite.clock.now = moment  # the command has the clock of the test's beginning
    run("restore", "accept", "--reason", WHY, "--yes")
    a_second_later(suite)
    for used in (code, ahead, careful.recovery_codes[0]):
        assert code_of(careful.log_in(used)) == (401, "otp-invalid")
    suite.clock.move(MINUTE)
    assert as_login(careful.log_in(careful.code())).answer["recovery_codes_void"] is True


def test_a_store_that_is_rolled_back_under_its_server_serves_nobody(
    suite: InProcessSuite, run: Run, anna: Person, laptop: Device, tmp_path: Path
) -> None:
    """Until it is accepted. Then what the backup held is void, and what was lost is too."""
    evicted = suite.log_in(anna)
    a_second_later(suite)
    backup = copied(suite, tmp_path / "backup.db")
    question = suite.login(anna, laptop)
    taken = suite.take_over(question, laptop)
    session = Login(*(taken.get_json()[n] for n in ("access_token", "refresh_token", "session_id", "device_id")), {})
    assert ended(suite.verify(evicted)) == "taken-over"
    a_second_later(suite)

    roll_back(suite, backup)
    with pytest.raises(StoreReplaced, match="ichidai restore accept"):
        a_second_later(suite)
    for each in (evicted, session):
        refused(suite, each)
    assert suite.login(anna).status_code == 503

    accept(run, suite)
    for each in (evicted, session):
        assert ended(suite.verify(each)) == "revoked"
        assert ended(suite.refresh(each.refresh)) == "revoked"
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    assert suite.verify(suite.log_in(anna)).status_code == 200
    assert suite.get("/ready").status_code == 200


def test_a_file_that_was_replaced_serves_nobody_however_new_it_is(
    suite: InProcessSuite, run: Run, anna: Person, tmp_path: Path
) -> None:
    """The processes open what lies there, and go on once it is accepted."""
    login = suite.log_in(anna)
    a_second_later(suite)
    backup = copied(suite, tmp_path / "backup.db")
    backup.replace(suite.file)
    for leftover in suite.file.parent.glob("store.db-*"):
        leftover.unlink()
    with pytest.raises(StoreReplaced, match="replaced"):
        a_second_later(suite)
    refused(suite, login)
    with pytest.raises(StoreReplaced, match="replaced"):
        a_second_later(suite)
    accept(run, suite)
    assert ended(suite.verify(login)) == "revoked"
    assert suite.verify(suite.log_in(anna)).status_code == 200


def test_a_process_that_learns_last_asks_for_the_generation_first(
    suite: InProcessSuite, build_suite: Build, run: Run, anna: Person
) -> None:
    """Where the account, or a token, is of a later generation than the process knows."""
    late = build_suite()
    run("everybody-out", "--reason", WHY, "--yes")
    a_second_later(suite)
    login = suite.log_in(anna)
    assert late.verify(login).status_code == 200
    other = build_suite()
    question = suite.login(anna, suite.pair(anna))
    assert code_of(question) == (409, "device-active")
    assert code_of(other.take_over(question, anna.first))[1] != "takeover-spent"


def test_progress_is_marked_once_for_many_changes_and_never_for_a_verification(
    suite: InProcessSuite, anna: Person
) -> None:
    """And nothing is written while nothing changes."""

    def progress() -> int:
        found = read_generation(suite.store.inner)
        assert found is not None
        return found.progress

    a_second_later(suite)
    before, login = progress(), suite.log_in(anna)
    suite.log_in(anna)
    login = suite.log_in(anna)
    a_second_later(suite)
    assert progress() == before + 1
    suite.store.watch()
    assert suite.verify(login).status_code == 200
    for _ in range(3):
        a_second_later(suite)
    assert (progress(), suite.store.commits) == (before + 1, [])


class TestStart:
    """What a server refuses before it has written anything."""

    def test_a_store_older_than_the_witness(
        self, suite: InProcessSuite, build_suite: Build, run: Run, anna: Person, tmp_path: Path
    ) -> None:
        """The sentence names the command; after it the server starts."""
        backup = copied(suite, tmp_path / "backup.db")
        suite.log_in(anna)
        a_second_later(suite)
        suite.close()
        backup.replace(suite.file)
        with pytest.raises(RestoredStoreError, match=r"older than this host has seen it.*ichidai restore accept"):
            build_suite()
        run("restore", "accept", "--reason", WHY, "--yes")
        assert build_suite().log_in(anna)

    def test_an_empty_store_beside_a_used_one(
        self, suite: InProcessSuite, build_suite: Build, run: Run, anna: Person
    ) -> None:
        """Nothing is made in it."""
        suite.log_in(anna)
        suite.close()
        suite.file.unlink()
        with pytest.raises(RestoredStoreError, match=r"empty.*ichidai restore accept"):
            build_suite()
        with pytest.raises(RestoredStoreError):
            build_suite()
        run("restore", "accept", "--reason", WHY, "--yes")
        assert build_suite().register("ben")

    @pytest.mark.parametrize("left", [0, 20])
    def test_a_witness_that_was_cut_off(
        self, suite: InProcessSuite, build_suite: Build, run: Run, tmp_path: Path, left: int
    ) -> None:
        """It may have said that the store is old. A process that runs mends it by what it knows."""
        witness = tmp_path / "witness.json"
        witness.write_bytes(witness.read_bytes()[:left])
        with pytest.raises(KeyRingError, match="ichidai restore accept"):
            build_suite()
        run("restore", "accept", "--reason", WHY, "--yes")
        assert build_suite().register("ben")
        a_second_later(suite)
        assert WitnessFile(witness).read() is not None

    def test_the_same_store_again(self, suite: InProcessSuite, build_suite: Build, anna: Person) -> None:
        """However often."""
        login = suite.log_in(anna)
        suite.close()
        for _ in range(2):
            assert build_suite().verify(login).status_code == 200


def test_accepting_can_take_devices_and_passwords_away(
    suite: InProcessSuite, run: Run, anna: Person, laptop: Device
) -> None:
    """Who was out when the backup was made may know both."""
    said = run("restore", "accept", "--reason", WHY, "--yes", "--unbind-all", "--reset-passwords").stdout
    assert "Devices that are unbound: 2." in said
    assert "Passwords that are void: 1." in said
    assert "passwords and second factors as they were then" in said
    a_second_later(suite)
    assert code_of(suite.login(anna, laptop)) == (401, "bad-credentials")
    assert suite.book(anna).devices == {}


def test_the_commands_ask_back_and_want_a_reason(suite: InProcessSuite, run: Run) -> None:
    """Without an answer nothing is done."""
    for words in (("restore", "accept"), ("everybody-out",)):
        run(*words, "--reason", WHY, expect=1)
        run(*words, "--yes", expect=2)
    found = read_generation(suite.store.inner)
    assert found is not None
    assert found.number == 0


class TestBackup:
    """`ichidai backup FILE` and `ichidai restore from FILE`, while the suite has the store open."""

    def test_a_backup_brings_back_what_it_held_and_nothing_is_good(
        self, suite: InProcessSuite, run: Run, anna: Person, laptop: Device, tmp_path: Path
    ) -> None:
        """In the very file that the suite has open; it serves nobody until that is accepted."""
        backup, secret = tmp_path / "monday.backup", tmp_path / "passphrase"
        secret.write_text("twelve letters at least\n")
        login = suite.log_in(anna)
        a_second_later(suite)
        run("backup", str(backup), "--passphrase-file", str(secret))
        suite.register("ben")
        a_second_later(suite)
        run("restore", "from", str(backup), "--yes")
        with pytest.raises(StoreReplaced):
            a_second_later(suite)
        refused(suite, login)
        accept(run, suite)
        assert ended(suite.verify(login)) == "revoked"
        assert suite.verify(suite.log_in(anna, laptop)).status_code == 200
        assert code_of(suite.login(dataclasses.replace(anna, username="ben"))) == (401, "bad-credentials")

    def test_it_serves_nobody_even_where_nothing_was_lost(
        self, suite: InProcessSuite, build_suite: Build, run: Run, anna: Person, tmp_path: Path
    ) -> None:
        """Nor on a host that had no witness: whoever restores must accept."""
        login = suite.log_in(anna)
        a_second_later(suite)
        run("backup", str(tmp_path / "copy"), "--without-keys")
        suite.close()
        (tmp_path / "witness.json").unlink()
        run("restore", "from", str(tmp_path / "copy"), "--yes")
        with pytest.raises(RestoredStoreError):
            build_suite()
        run("restore", "accept", "--reason", WHY, "--yes")
        assert ended(build_suite().verify(login)) == "revoked"

    def test_keys_are_sealed_or_left_out_and_the_witness_never_in_it(
        self, suite: InProcessSuite, run: Run, anna: Person, tmp_path: Path
    ) -> None:
        """An empty host gets the very same keys by the passphrase, and by no other."""
        keys, secret, wrong = tmp_path / "operator-keys", tmp_path / "passphrase", tmp_path / "wrong"
        secret.write_text("twelve letters at least")
        wrong.write_text("thirteen letters or so")
        sealed, bare = tmp_path / "sealed", tmp_path / "bare"
        run("backup", str(sealed), "--passphrase-file", str(secret))
        run("backup", str(bare), "--without-keys")
        was = {path.name: path.read_bytes() for path in keys.glob("*.json")}
        hidden = json.loads(was["keyring.json"])["macs"]["names"].encode()
        for backup in (sealed, bare):
            assert stat.S_IMODE(backup.stat().st_mode) == 0o600
            assert hidden not in backup.read_bytes()
            assert b'progress": 0' not in backup.read_bytes()
        for path in keys.glob("*.json"):
            path.unlink()
        before = suite.content()
        run("restore", "from", str(sealed), "--yes", "--passphrase-file", str(wrong), expect=2)
        assert (suite.content(), list(keys.glob("*.json"))) == (before, [])
        run("restore", "from", str(sealed), "--yes", "--passphrase-file", str(secret))
        assert {path.name: path.read_bytes() for path in keys.glob("*.json")} == was
        assert anna.uuid

    def test_what_is_no_backup_changes_nothing(
        self, suite: InProcessSuite, run: Run, anna: Person, tmp_path: Path
    ) -> None:
        """A file of another kind, a plain copy, a damaged page, a file that is there already."""
        good, other = tmp_path / "good", tmp_path / "other"
        run("backup", str(good), "--without-keys")
        run("backup", str(good), "--without-keys", expect=2)
        before, content = suite.content(), good.read_bytes()
        middle = len(content) // 2
        for damaged in (
            b"",
            b"no database",
            content[:middle],
            content[:middle] + b"x" * 5000 + content[middle + 5000 :],
        ):
            other.write_bytes(damaged)
            run("restore", "from", str(other), "--yes", expect=2)
        run("restore", "from", str(copied(suite, tmp_path / "plain")), "--yes", expect=2)
        assert suite.content() == before
        assert suite.verify(suite.log_in(anna)).status_code == 200
