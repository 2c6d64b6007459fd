"""Data folders of releases (`make.py` made them), migrated and opened: every endpoint answers on them.

The newest of them is also opened as a later release would have left it, with members in each item that this one does
not know: after each test none of them is lost.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization

from common.clock import system_clock
from common.crypto.jws import SigningKey
from common.storage.opening import open_for_maintenance
from common.storage.port import Item
from common.storage.tables import ALL
from ichidai.cli.check_store import app as check_store
from tests.releases.later import lost_in_store, with_members
from tests.support.authenticator import Authenticator
from tests.support.dpop import DpopKey
from tests.support.engines import ENGINES, Engine
from tests.support.servers import run_to_its_end
from tests.support.signing import Keys, unb64
from tests.usecases.in_process_suite import DAY, MINUTE, SECOND, HandClock, InProcessSuite, code_of, ended

LONG_AGO = HandClock(datetime(2020, 1, 1, tzinfo=UTC))
"""By this clock nothing has expired, so that opening a store to look at it purges nothing."""
HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / "story.json").exists())
Content = Mapping[tuple[str, Any], Item]


class Release:
    """A migrated copy of a release's data, opened by today's code 20 seconds after it was made.

    `engine`: where it is brought to; None for the file that it is in. `later`: a later release wrote all of it anew.
    """

    def __init__(self, name: str, folder: Path, engine: Engine | None = None, *, later: bool = False) -> None:
        self.name = name
        copy_of(name, folder / "data")
        self.story: dict[str, Any] = json.loads((folder / "data" / "story.json").read_text(encoding="utf-8"))
        self.clock = HandClock(datetime.fromisoformat(self.story["made_at"]) + 20 * SECOND)
        file = Engine("sqlite", f"sqlite:///{folder / 'data' / 'ichidai.sqlite'}")
        if engine is not None:
            bring(file, engine)
        offset = int((self.clock() - system_clock()).total_seconds())  # what has expired since would be purged
        then = {"ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS": str(offset)}
        status, said = migrated({**(engine or file).settings, **then}, *(["--servers-stopped"] if engine else []))
        assert status == 0, said
        self.engine = engine or file
        if later:
            put_later_members(self.engine)
        self.before = content_of(self.engine)
        store = self.engine.open(self.clock)
        issuer = self.story["issuer"]
        settings = {"ICHIDAI_ISSUER": issuer, "ICHIDAI_PUBLIC_URL": issuer}
        self.suite = InProcessSuite(folder, folder / "data" / "keys", self.clock, store, **settings)

    def account(self, name: str) -> dict[str, Any]:
        """Return what its client knows."""
        found: dict[str, Any] = self.story["accounts"][name]
        return found

    def credentials(self, name: str, device: str = "phone", **more: object) -> dict[str, Any]:
        """Return the body of a login."""
        account = self.account(name)
        its = account["devices"][device]
        named = {"username": account["username"], "password": account["password"]}
        return {**named, "client_cert_fp": its["fingerprint"], **more}

    def token(self, name: str) -> str:
        """Return the access token of its live session."""
        return str(self.account(name)["session"]["access_token"])

    def keys(self, name: str) -> Keys:
        """Return the keys of its phone."""
        signing: Any = serialization.load_der_private_key(
            unb64(self.account(name)["devices"]["phone"]["signing"]), None
        )
        return Keys(signing)

    def post(self, path: str, body: object, token: str | None = None, **headers: str) -> Any:
        """Return the answer of a call that succeeds."""
        return good(self.suite.post(path, body, token, **headers))

    def get(self, path: str, token: str | None = None, **query: object) -> Any:
        """Return the answer of a call that succeeds."""
        return good(self.suite.get(path, token, **query))


def put_later_members(engine: Engine) -> None:
    """Write every item anew, as a later release would."""
    with closing(open_for_maintenance(engine.url, LONG_AGO, engine.region)) as store:
        for table in ALL:
            for item in [item for page in store.pages(table) for item in page]:
                store.put(table, with_members(item))


def content_of(engine: Engine) -> Content:
    """Return all that lies in a store."""
    with closing(open_for_maintenance(engine.url, LONG_AGO, engine.region)) as store:
        places = ((table, item) for table in ALL for page in store.pages(table) for item in page)
        return {(table.name, table.key_of(item)): item for table, item in places}


def copy_of(name: str, folder: Path) -> None:
    """Copy a release's data, its keys for the owner alone."""
    shutil.copytree(HERE / name, folder)
    for file in (folder / "keys").iterdir():
        file.chmod(0o600)


def bring(file: Engine, engine: Engine) -> None:
    """Write all that lies in a file into another engine's tables."""
    source, target = open_for_maintenance(file.url, LONG_AGO), engine.open(LONG_AGO)
    with closing(source), closing(target):
        for table in ALL:
            for page in source.pages(table):
                for item in page:
                    target.put(table, item)


def migrated(settings: Mapping[str, str], *options: str) -> tuple[int, str]:
    """Run `ichidai migrate`; return its status and what it said."""
    command = [sys.executable, "-m", "ichidai", "migrate", *options]
    return run_to_its_end(command, settings, HERE)


def good(answer: Any) -> Any:
    """Return the body of a success."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


@pytest.fixture(params=[*RELEASES, f"{RELEASES[-1]} with later members"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Release]:
    """Return an opened copy of each release's data. What a later release wrote is there to the end."""
    name, *later = request.param.split(maxsplit=1)
    opened = Release(name, tmp_path, later=bool(later))
    with closing(opened.suite):
        yield opened
    assert lost_in_store(opened.before, content_of(opened.engine)) == []


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_is_brought_over_on_dynamodb_too(name: str, tmp_path: Path) -> None:
    """Where only the operator knows that the servers are stopped; the session of before lives on."""
    engine = ENGINES["dynamodb"](tmp_path)
    release = Release(name, tmp_path, engine)
    with closing(release.suite):
        token = release.token("ben")
        assert release.get("/session/verify", token)["user_uuid"] == release.account("ben")["uuid"]
        release.post("/login", release.credentials("anna"))
    assert migrated(engine.settings) == (0, "The store has schema 2: nothing to do.\n")


def test_there_is_a_folder_of_every_release() -> None:
    """The first is 0.1.0."""
    assert "v0.1.0" in RELEASES
    assert len(RELEASES) > 1


@pytest.mark.parametrize("name", ["anna", "odd", "ben", "dora", "emil", "fay"])
def test_sessions_live_on(release: Release, name: str) -> None:
    """Tokens are good, are refreshed, name their account, and end at the logout."""
    account, token = release.account(name), release.token(name)
    assert release.get("/session/verify", token)["user_uuid"] == account["uuid"]
    fresh = release.post("/session/refresh", {"refresh_token": account["session"]["refresh_token"]})
    assert len(release.get("/session/list", fresh["access_token"])["sessions"]) == 1
    history = release.get("/session/history", token)["events"]
    assert history[-1]["kind"] == "registered"
    release.post("/session/logout", None, token)
    assert ended(release.suite.get("/session/verify", token)) == "logged-out"
    again = release.get("/session/history", release.post("/login", login_body(release, name))["access_token"])
    assert again["events"][-len(history) :] == history, "what was written before is still there, in the same order"


def login_body(release: Release, name: str) -> dict[str, Any]:
    """Return a login with whatever the account asks for."""
    if name == "fay":
        return release.credentials(name, proof=proof(release, name, "login"))
    if name == "dora":
        return release.credentials(name, otp=release.account(name)["recovery_codes"][3])
    return release.credentials(name)


def proof(release: Release, name: str, purpose: str) -> dict[str, str]:
    """Return a signature of the phone."""
    account = release.account(name)
    asked = release.post("/login/challenge", release.credentials(name, purpose=purpose))
    return release.keys(name).proof(asked, purpose, account["uuid"], account["devices"]["phone"]["device_id"])


@pytest.mark.parametrize("name", ["anna", "odd"])
def test_a_challenge_of_before_is_answered_once(release: Release, name: str) -> None:
    """Its device signs it and is logged in."""
    account = release.account(name)
    challenge = {key: value for key, value in account["challenge"].items() if key != "sealed"}
    challenge["challenge"] = challenge.pop("text")
    answer = release.keys(name).proof(challenge, "login", account["uuid"], account["devices"]["phone"]["device_id"])
    assert release.post("/login/verify", answer)["user_uuid"] == account["uuid"]
    assert code_of(release.suite.post("/login/verify", answer)) == (401, "challenge-spent")


@pytest.mark.parametrize("name", ["anna", "odd"])
def test_a_pairing_token_of_before_joins_one_device(release: Release, name: str) -> None:
    """Its issuer is logged in still."""
    account = release.account(name)
    body = {"username": account["username"], "password": account["password"], "qr_code": account["qr_code"]}
    joined = release.post("/registration/", {**body, "device_name": "Laptop"})
    again = release.suite.post("/registration/", {**body, "device_name": "Watch"})
    assert code_of(again) == (410, "pairing-token-spent")
    listed = release.get("/device/list", release.token(name))["devices"]
    assert joined["device_id"] in [device["device_id"] for device in listed]


def test_an_evicted_session_stays_out_and_a_consent_ends_nobody(release: Release) -> None:
    """The phone was evicted by the laptop; it had been asked. What 0.1.0 asked is to be asked anew: decision 0041."""
    ben = release.account("ben")
    assert ended(release.suite.get("/session/verify", ben["evicted"]["access_token"])) == "taken-over"
    assert ended(release.suite.refresh(ben["evicted"]["refresh_token"])) == "taken-over"
    assert code_of(release.suite.post("/login", release.credentials("ben"))) == (409, "device-active")
    body = {"takeover_token": ben["question"], "client_cert_fp": ben["devices"]["phone"]["fingerprint"]}
    if release.name == "v0.1.0":
        assert code_of(release.suite.post("/login/takeover", body)) == (410, "takeover-spent")
    question = release.suite.post("/login", release.credentials("ben")).get_json()
    body["takeover_token"] = question["takeover"]["token"]
    taken = release.post("/login/takeover", body)
    assert [gone["session_id"] for gone in taken["evicted"]] == [ben["session"]["session_id"]]
    assert ended(release.suite.get("/session/verify", release.token("ben"))) == "taken-over"
    release.post("/session/logout", None, taken["access_token"])
    release.clock.move(SECOND)
    assert code_of(release.suite.post("/login/takeover", body)) == (410, "takeover-spent")


def test_a_check_finds_nothing_wrong(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither damage nor leftovers, two days later, when nothing can be under way."""
    for name, value in release.engine.settings.items():
        monkeypatch.setenv(name, value)
    ahead = int((release.clock() - system_clock() + 2 * DAY).total_seconds())
    monkeypatch.setenv("ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS", str(ahead))
    said = CliRunner().invoke(check_store, ["--mend"])
    assert (said.exit_code, "0 damaged, 0 left over, 0 mended" in said.output) == (0, True), said.output


def test_a_second_factor_stays_on(release: Release) -> None:
    """The used code and the used recovery code stay used; those that are left are good; it can be switched off."""
    dora = release.account("dora")
    assert release.get("/registration/otp", release.token("dora"))["recovery_codes_left"] == 9
    used, app = dora["recovery_codes"], Authenticator(unb64(dora["secret"]), "", "")
    login = release.suite.post
    assert code_of(login("/login", release.credentials("dora"))) == (401, "otp-required")
    for spent in (used[0], dora["used_code"]):
        assert code_of(login("/login", release.credentials("dora", otp=spent))) == (401, "otp-invalid")
    release.clock.move(MINUTE)
    token = release.post("/login", release.credentials("dora", otp=app.code(release.clock.now)))["access_token"]
    release.post("/registration/otp/remove", {"password": dora["password"], "otp": used[1]}, token)
    release.post("/login", release.credentials("dora"))


def test_removed_devices_stay_out_and_can_be_removed(release: Release) -> None:
    """Both are refused, the revoked one is listed; it is renamed and unbound today."""
    emil = release.account("emil")
    for removed in ("laptop", "tablet"):
        refused = release.suite.post("/login", release.credentials("emil", removed))
        assert code_of(refused) == (401, "certificate-revoked")
    token, tablet = release.token("emil"), emil["devices"]["tablet"]["device_id"]
    assert len(release.get("/device/list", token)["devices"]) == 2
    release.post("/device/rename", {"device_id": tablet, "device_name": "Old tablet"}, token)
    release.post("/device/unbind", {"device_id": tablet}, token)
    assert len(release.get("/device/list", token)["devices"]) == 1
    lists = release.suite.get("/device/crl")
    assert lists.status_code == 200
    release.post("/device/force_logout", {"password": emil["password"], "user_uuid": emil["uuid"]}, token)


def test_a_registration_whose_answer_was_lost_is_repeated(release: Release) -> None:
    """Under its key; without it the name is taken."""
    hana = release.account("hana")
    assert code_of(release.suite.post("/registration/", hana["registration"])) == (409, "username-taken")
    again = release.post("/registration/", hana["registration"], Idempotency_Key=hana["idempotency_key"])
    body = {"username": "hana", "password": hana["registration"]["password"]}
    token = release.post("/login", {**body, "client_cert_fp": again["client_cert_fp"]})["access_token"]
    assert len(release.get("/device/list", token)["devices"]) == 1


def test_a_device_with_its_own_key(release: Release) -> None:
    """It must sign, and renews its certificate."""
    fay = release.account("fay")
    assert code_of(release.suite.post("/login", release.credentials("fay"))) == (401, "proof-required")
    fingerprint = fay["devices"]["phone"]["fingerprint"]
    renewal = {"client_cert_fp": fingerprint, "username": "fay", "password": fay["password"]}
    renewed = release.post("/device/renew", {**renewal, "proof": proof(release, "fay", "renew")})
    assert renewed["client_cert_fp"] != fingerprint


def test_bound_tokens_stay_bound(release: Release) -> None:
    """They are good with a proof of their key, and without it nothing."""
    gus, url = release.account("gus"), release.story["issuer"]
    private: Any = serialization.load_der_private_key(unb64(gus["dpop"]), None)
    key, token, now = DpopKey(SigningKey(private)), release.token("gus"), release.clock.now.timestamp()
    assert code_of(release.suite.get("/session/verify", token)) == (401, "invalid-token")

    def verify() -> Any:
        signed = key.proof("GET", f"{url}/session/verify", token, now=now)
        return release.suite.client.get("/session/verify", headers={"Authorization": f"DPoP {token}", "DPoP": signed})

    key.nonce = verify().headers["DPoP-Nonce"]
    assert good(verify())["user_uuid"] == gus["uuid"]
    proof_of = {"DPoP": key.proof("POST", f"{url}/session/refresh", now=now)}
    refreshed = release.suite.client.post(
        "/session/refresh", json={"refresh_token": gus["session"]["refresh_token"]}, headers=proof_of
    )
    assert good(refreshed)["token_type"] == "DPoP"


def test_names_stay_taken_and_the_store_takes_new_accounts(release: Release) -> None:
    """A name is folded as it was; wrong passwords of before count; a new account is made and joins in."""
    taken = {"username": "ZOË FI 名前 ☕'\"<B>&;--", "email": "other@example.test", "password": "correct horse 99"}
    assert code_of(release.suite.post("/registration/", taken)) == (409, "username-taken")
    same = {"username": "anna2", "email": "ANNA@example.test", "password": "correct horse 99"}
    assert code_of(release.suite.post("/registration/", same)) == (409, "email-taken")
    release.suite.log_in(release.suite.register("newcomer"))
    for path in ("/.well-known/jwks.json", "/.well-known/ichidai.json", "/health", "/device/ca"):
        assert release.suite.get(path).status_code == 200, path
