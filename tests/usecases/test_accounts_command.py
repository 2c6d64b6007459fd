"""`ichidai accounts` and `ichidai audit` beside a running suite, on both engines."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import pytest
from click.testing import CliRunner, Result

from common.account.feed import hint_of
from common.account.heartbeat import HeartbeatWriter
from common.account.history import Event, EventKind, OperatorAct, Reason
from common.account.laying_down import LayingDown
from common.clock import system_clock
from common.storage.tables import FEED, USERS
from ichidai.cli.accounts import app as accounts
from ichidai.cli.admin_keys import app as admin_keys
from ichidai.cli.audit import app as audit
from ichidai.cli.policy import app as policy
from session_manager.event_model import Notice
from tests.support.engines import ENGINES, Engine
from tests.usecases.in_process_suite import SECOND, HandClock, InProcessSuite, Person, code_of, ended

WHY = "ticket 4711: caller's identity was checked"
NEW_PASSWORD = "another long phrase"

Run = Callable[..., Result]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return each engine in turn; tests tell their accounts apart by name."""
    return ENGINES[request.param](tmp_path_factory.mktemp("engine"))


@pytest.fixture
def suite(engine: Engine, tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[InProcessSuite]:
    """Return a suite on the engine that lets two devices be active at once."""
    settings = {"MAX_CONCURRENT_DEVICES": "2", "SNS_TOPIC_ARN": "dummy"}
    with closing(InProcessSuite(tmp_path, keys / engine.name, clock, store=engine.open(clock), **settings)) as suite:
        yield suite


@pytest.fixture
def anna(suite: InProcessSuite) -> Person:
    """Return a registered person of this test alone."""
    return suite.register(f"anna-{uuid4().hex[:8]}")


@pytest.fixture
def run(engine: Engine, keys: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs `ichidai accounts …` (or `audit …`) on the suite's store, a little after the suite's clock."""
    monkeypatch.setenv("ICHIDAI_TEST_CHEAP_HASH", "true")
    monkeypatch.setenv("ICHIDAI_KEYS_DIR", str(keys))
    for name, value in engine.settings.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, expect: int = 0, typed: str = "") -> Result:
        ahead = clock.now - system_clock() + timedelta(seconds=1)
        monkeypatch.setenv("ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS", str(int(ahead.total_seconds())))
        group, arguments = (audit, arguments[1:]) if arguments[0] == "audit" else (accounts, arguments)
        result = CliRunner().invoke(group, arguments, input=typed)
        assert result.exit_code == expect, (result.output, result.exception)
        return result

    return run


def told(result: Result) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(result.stdout)


def act(run: Run, who: str, *words: str) -> Any:
    """Act on an account without being asked back."""
    name, *more = words
    sure = [] if name in ("enable", "export") else ["--yes"]
    as_json = [] if name == "export" else ["--json"]
    return told(run(name, who, *more, "--reason", WHY, *sure, *as_json))


def lines_about(run: Run, who: str) -> list[tuple[str, str]]:
    """Return kind and reason of each line of the audit log about an account."""
    found = [json.loads(line) for line in run("audit", "--user", who, "--json").stdout.splitlines()]
    assert all("@" in each["actor"] for each in found)
    return [(each["kind"], each["reason"]) for each in found]


def last_events(suite: InProcessSuite, person: Person) -> list[Event]:
    """Return the events of the account's last change."""
    return list(suite.history(person)[-1].events)


def test_an_account_is_found_by_name_mail_and_uuid(run: Run, anna: Person) -> None:
    """However the name is written; nobody is exit status 3."""
    for who in (anna.username, anna.username.upper(), f"{anna.username}@example.test", anna.uuid, anna.uuid.upper()):
        assert told(run("find", who, "--json"))["uuid"] == anna.uuid
    for command in ("find", "show"):
        assert "no account nobody-of-this-name in " in run(command, "nobody-of-this-name", expect=3).stderr
    assert run("disable", "nobody-of-this-name", "--reason", WHY, "--yes", expect=3).stdout == ""
    asked = run("disable", "nobody-of-this-name", "--reason", WHY, expect=3, typed="y\n")
    assert "[y/N]" not in asked.output  # it is looked for before anybody is asked back
    run("audit", "--user", "nobody-of-this-name", expect=3)


def test_show_tells_devices_sessions_and_history(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """And nothing that would let anybody in."""
    login = suite.log_in(anna)
    shown = told(run("show", anna.username, "--json"))
    assert (shown["state"], shown["second_factor"]) == ("active", False)
    assert [device["device_id"] for device in shown["devices"]] == [anna.first.device_id]
    assert [session["session_id"] for session in shown["sessions"]] == [login.session_id]
    assert [event["kind"] for event in shown["history"]][:1] == ["login"]
    text = run("show", anna.username).stdout
    assert login.session_id in text
    for secret in (login.access, login.refresh, anna.password):
        assert secret not in text
        assert secret not in str(shown)


def test_list_pages_through_all_accounts(run: Run, suite: InProcessSuite) -> None:
    """Each once, and by state."""
    people = [suite.register(f"listed-{uuid4().hex[:8]}") for _ in range(3)]
    act(run, people[0].username, "disable")
    listed = [json.loads(line)["uuid"] for line in run("list", "--json").stdout.splitlines()]
    assert {person.uuid for person in people} <= set(listed)
    assert len(listed) == len(set(listed))
    disabled = run("list", "--state", "disabled").stdout
    assert people[0].uuid in disabled
    assert people[1].uuid not in disabled


def test_list_tells_who_has_been_away(run: Run, suite: InProcessSuite, clock: HandClock) -> None:
    """For so many days: whoever was active since is not among them, and nothing is changed."""
    away, here = suite.register(f"away-{uuid4().hex[:8]}"), suite.register(f"here-{uuid4().hex[:8]}")
    before = suite.book(away)
    clock.move(timedelta(days=31))
    suite.log_in(here)
    dormant = run("list", "--inactive-days", "30").stdout
    assert away.uuid in dormant
    assert here.uuid not in dormant
    assert away.uuid not in run("list", "--inactive-days", "40").stdout
    assert suite.book(away) == before


def test_what_disable_ended_stays_ended_after_enable(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """Sessions say `revoked`, a right password `account-disabled`, and nothing given out before is good again."""
    laptop, phone = suite.pair(anna), suite.log_in(anna)
    qr_code = suite.qr_code(anna)
    assert act(run, anna.username, "disable")["ended"] == 1
    assert ended(suite.verify(phone)) == ended(suite.refresh(phone.refresh)) == "revoked"
    assert code_of(suite.login(anna)) == code_of(suite.login(anna, laptop)) == (403, "account-disabled")
    wrong = {"username": anna.username, "password": "not the password", "client_cert_fp": anna.first.fingerprint}
    assert code_of(suite.post("/login", wrong)) == (401, "bad-credentials")
    assert act(run, anna.username, "disable")["changed"] is False
    suite.clock.move(10 * SECOND)  # a command reads the clock of DynamoDB, which tells whole seconds
    assert act(run, anna.username, "enable")["changed"] is True
    assert ended(suite.verify(phone)) == ended(suite.refresh(phone.refresh)) == "revoked"
    body = {"username": anna.username, "password": anna.password, "qr_code": qr_code}
    assert code_of(suite.post("/registration/", body)) == (410, "pairing-token-spent")
    suite.log_in(anna, laptop)
    assert lines_about(run, anna.username) == [("operator-disable", WHY), ("operator-enable", WHY)]


def test_an_account_is_closed_for_its_user(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """It asks back; the user reopens it; `show` and `list` tell its state, and until when."""
    phone = suite.log_in(anna)
    run("close", anna.username, "--reason", WHY, expect=1, typed="n\n")
    assert suite.verify(phone).status_code == 200
    assert act(run, anna.username, "close")["ended"] == 1
    assert ended(suite.verify(phone)) == "revoked"
    refused = suite.login(anna)
    assert code_of(refused) == (403, "account-closed")
    facts = told(run("show", anna.username, "--json"))
    assert (facts["state"], facts["closed_until"][:16]) == ("closed", refused.get_json()["reopen_until"][:16])
    assert "it can be reopened until" in run("show", anna.username).stdout
    assert anna.uuid in run("list", "--state", "closed").stdout
    assert anna.uuid not in run("list", "--state", "disabled").stdout
    assert act(run, anna.username, "close")["changed"] is False
    assert suite.post("/registration/reopen", {"username": anna.username, "password": anna.password}).status_code == 200
    suite.log_in(anna)
    assert lines_about(run, anna.username) == [("operator-close", WHY)]


def test_a_question_of_before_is_spent_after_enable(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """Also within its two minutes."""
    devices = [suite.pair(anna, name) for name in ("Laptop", "Tablet")]
    suite.log_in(anna), suite.log_in(anna, devices[0])
    question = suite.login(anna, devices[1])
    act(run, anna.username, "disable")
    act(run, anna.username, "enable")
    assert code_of(suite.take_over(question, devices[1])) == (410, "takeover-spent")


def test_history_and_events_name_the_act(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """Not the operator's words, which stand in the audit log alone."""
    login = suite.log_in(anna)
    act(run, anna.username, "end-sessions")
    (event,) = last_events(suite, anna)
    assert (event.session_id, event.reason, event.act) == (login.session_id, Reason.REVOKED, OperatorAct.END_SESSIONS)
    assert ended(suite.verify(login)) == "revoked"
    again = suite.log_in(anna)
    told_events = suite.get("/session/history", again.access).get_json()["events"]
    assert [(each["kind"], each.get("act")) for each in told_events][:2] == [
        ("login", None),
        ("session-ended", "end-sessions"),
    ]
    assert hint_of(login.session_id) in suite.suite.events.hints()
    notice = suite.suite.events.poll(anna.uuid, login.session_id)
    assert isinstance(notice, Notice)
    assert notice.fields["act"] == "end-sessions"
    assert WHY not in str(told_events)
    assert act(run, anna.username, "end-sessions")["ended"] == 1
    assert act(run, anna.username, "end-sessions")["changed"] is False


def test_a_command_that_changes_an_account_has_a_heartbeat_meanwhile(
    run: Run, suite: InProcessSuite, anna: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before its first change on, so that a kill is noticed. One that reads has none, and none is left."""
    done: list[str] = []
    for name in ("start", "close"):
        method = getattr(HeartbeatWriter, name)
        monkeypatch.setattr(HeartbeatWriter, name, lambda its, name=name, do=method: (done.append(name), do(its)))
    lay_down = LayingDown.lay_down
    monkeypatch.setattr(LayingDown, "lay_down", lambda *its, **more: (done.append("laid"), lay_down(*its, **more))[1])

    def heartbeats() -> int:
        return len(suite.store.inner.query(FEED, "processes").items)

    suite.log_in(anna)
    done.clear()
    run("show", anna.username)
    assert ("start" in done, heartbeats()) == (False, 0)
    done.clear()
    act(run, anna.username, "end-sessions")
    assert done[-3:] == ["start", "laid", "close"]
    assert heartbeats() == 0
    monkeypatch.setattr(LayingDown, "lay_down", lambda *_its, **_more: False)
    suite.log_in(anna)
    run("end-sessions", anna.username, "--reason", WHY, "--yes", expect=2)
    assert heartbeats() == 1, "what is left untold is looked for"


def test_unbind_ends_the_session_and_revokes_the_certificate(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """But never the last device, and none that is not there."""
    laptop = suite.pair(anna)
    login = suite.log_in(anna, laptop)
    act(run, anna.username, "unbind", laptop.device_id)
    assert ended(suite.verify(login)) == "device-unbound"
    assert code_of(suite.login(anna, laptop)) == (401, "certificate-revoked")
    assert [event.act for event in last_events(suite, anna)] == [OperatorAct.UNBIND, OperatorAct.UNBIND]
    for device_id, why in ((anna.first.device_id, "no other device"), (laptop.device_id, "no such device")):
        refused = run("unbind", anna.username, device_id, "--reason", WHY, "--yes", expect=1)
        assert why in refused.stderr
    assert len(lines_about(run, anna.username)) == 1


def test_set_password(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """Asked for or made: the old one is wrong at once, all sessions end, and a weak one changes nothing."""
    login = suite.log_in(anna)
    arguments = ("set-password", anna.username, "--reason", WHY, "--yes")
    assert "common" in run(*arguments, typed="password1\n", expect=1).stderr
    assert suite.verify(login).status_code == 200
    run(*arguments, typed=f"{NEW_PASSWORD}\n")
    assert ended(suite.verify(login)) == "password-changed"
    assert code_of(suite.login(anna)) == (401, "bad-credentials")
    body = {"username": anna.username, "client_cert_fp": anna.first.fingerprint}
    assert suite.post("/login", {**body, "password": NEW_PASSWORD}).status_code == 200
    made = told(run(*arguments, "--generate", "--json"))["password"]
    assert suite.post("/login", {**body, "password": made}).status_code == 200
    events = [event for record in suite.history(anna) for event in record.events]
    assert [e.act for e in events if e.kind is EventKind.PASSWORD_CHANGED] == [OperatorAct.SET_PASSWORD] * 2
    assert all(made not in reason for _, reason in lines_about(run, anna.username))


def test_an_account_without_a_factor_has_none_to_reset(run: Run, anna: Person) -> None:
    """It is said, with exit status 1, and no line is written."""
    refused = run("reset-otp", anna.username, "--reason", WHY, "--yes", expect=1)
    assert "no second factor" in refused.stderr
    assert lines_about(run, anna.username) == []


def test_export_tells_all_and_is_written_down(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """The whole history, failed logins and the audit log's lines; no hash and no key."""
    suite.log_in(anna)
    body = {"username": anna.username, "password": "not the password", "client_cert_fp": anna.first.fingerprint}
    suite.post("/login", body)
    exported = act(run, anna.username, "export")
    assert [event["kind"] for event in exported["history"]] == ["login", "device-added", "registered"]
    assert len(exported["failed_logins"]) == 1
    assert [line["kind"] for line in exported["audit"]] == ["operator-export"]
    item = suite.store.inner.get(USERS.key(anna.uuid))
    assert item is not None
    assert item["password"]["digest"] not in str(exported)  # type: ignore[index, call-overload]


def test_acts_need_a_reason_and_a_yes(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """Without either nothing is changed."""
    login = suite.log_in(anna)
    run("disable", anna.username, "--yes", expect=2)
    run("disable", anna.username, "--yes", "--reason", " \n\t", expect=2)
    run("disable", anna.username, "--reason", WHY, expect=1, typed="n\n")
    run("disable", anna.username, "--reason", WHY, expect=1)
    assert suite.verify(login).status_code == 200
    run("disable", anna.username, "--reason", WHY, typed="y\n")
    assert ended(suite.verify(login)) == "revoked"


def test_two_accounts_of_one_text_are_told_apart(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """One's name is the other's mail address: both are found, and neither is acted on."""
    name = f"{anna.username}@example.test"
    body = {"username": name, "email": f"other-{name}", "password": anna.password}
    other = suite.post("/registration/", body).get_json()
    found = run("find", name, "--json").stdout.splitlines()
    assert {json.loads(line)["uuid"] for line in found} == {anna.uuid, other["uuid"]}
    refused = run("disable", name, "--reason", WHY, "--yes", expect=1)
    assert anna.uuid in refused.stderr
    act(run, other["uuid"], "disable")
    login = {"username": name, "password": anna.password, "client_cert_fp": other["client_cert_fp"]}
    assert code_of(suite.post("/login", login)) == (403, "account-disabled")
    suite.log_in(anna)


@pytest.mark.parametrize(
    "command",
    [
        (accounts, "find", "anna"),
        (accounts, "list"),
        (accounts, "show", "anna"),
        (accounts, "export", "anna", "--reason", WHY),
        (accounts, "disable", "anna", "--reason", WHY, "--yes"),
        (audit,),
        (admin_keys, "list"),
        (policy, "show"),
    ],
    ids=lambda command: " ".join((command[0].name, *command[1:2])),
)
def test_in_a_wrong_folder_no_store_is_made(
    command: tuple[click.Command, *tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which one it looked for; not even the folder is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ICHIDAI_DATA_DIR", "wrong")
    result = CliRunner().invoke(command[0], command[1:])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(
        f"There is no store sqlite:///{(tmp_path / 'wrong' / 'ichidai.sqlite').as_posix()}: "
    )
    assert list(tmp_path.iterdir()) == []


def test_the_whole_audit_log_of_an_account(run: Run, suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """What its user did, who was refused and what operators did stand in one order, each with who, whom and why."""
    laptop = suite.pair(anna)
    first = suite.log_in(anna)
    wrong = {"username": anna.username, "password": "not the password", "client_cert_fp": anna.first.fingerprint}
    clock.move(3 * SECOND)
    assert code_of(suite.post("/login", wrong)) == (401, "bad-credentials")
    clock.move(3 * SECOND)
    second = suite.log_in(anna, laptop)
    suite.post("/session/revoke", {"session_id": first.session_id}, second.access)
    clock.move(3 * SECOND)
    act(run, anna.username, "end-sessions")
    clock.move(3 * SECOND)
    lines = [json.loads(line) for line in run("audit", "--user", anna.uuid, "--whole", "--json").stdout.splitlines()]
    assert [(line["kind"], line["actor"].partition("@")[0], line["reason"]) for line in lines[-7:]] == [
        ("device-added", "user", ""),
        ("login", "user", ""),
        ("login-refused", "unknown", "bad-credentials"),
        ("login", "user", ""),
        ("session-ended", f"device {laptop.device_id}", "revoked"),
        ("operator-end-sessions", getpass.getuser(), WHY),
        ("session-ended", "operator", "revoked"),
    ]
    assert [line["kind"] for line in lines[:-7]] == ["registered", "device-added"]
    assert {line["user_uuid"] for line in lines} == {anna.uuid}
    assert lines[-5]["ip"] == "127.0.0.1"
    assert (lines[-3]["session_id"], lines[-1]["session_id"]) == (first.session_id, second.session_id)
    text = run("audit", "--user", anna.username, "--whole").stdout
    assert [line.split()[1] for line in text.splitlines()] == [line["kind"] for line in lines]
    later = (clock.now - 7 * SECOND).isoformat()
    newer = run("audit", "--user", anna.uuid, "--whole", "--since", later).stdout
    assert newer.splitlines() == text.splitlines()[-4:]


def test_the_whole_log_is_of_one_account(run: Run) -> None:
    """All people's histories are not read together."""
    assert "give --user too" in run("audit", "--whole", expect=2).stderr


def test_since_bounds_the_audit_log(run: Run, suite: InProcessSuite, anna: Person) -> None:
    """By age or by date."""
    act(run, anna.username, "end-sessions")
    suite.log_in(anna)
    act(run, anna.username, "end-sessions")
    for since, count in (("1h", 1), ("2036-11-21", 1), ("2036-11-21T08:59:00+00:00", 1), ("2036-11-22", 0)):
        assert len(run("audit", "--user", anna.uuid, "--since", since).stdout.splitlines()) == count, since
    run("audit", "--since", "yesterday", expect=2)
