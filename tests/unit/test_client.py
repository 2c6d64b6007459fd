"""The reference client without a server: its file, its retries, and how it reads answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from common.crypto.certificates import KeyKind
from common.crypto.device_keys import UnfitKey, is_signed, read_private_key, signature_of
from common.crypto.kem import encrypt_challenge
from common.proof.statements import Purpose
from ichidai.client import (
    DeviceActive,
    DeviceFile,
    DeviceFileError,
    Problem,
    ServerIdentityError,
    SessionEnded,
    Unreachable,
)
from ichidai.client.errors import problem_of
from ichidai.client.http_transport import HttpTransport, bearer
from ichidai.client.keys import DeviceKeys
from ichidai.client.state import Identity, PendingRegistration, State, Tokens
from tests.support.signing import Keys, digest, given_keys, lines

posix = pytest.mark.skipif(os.name == "nt", reason="only on POSIX: files have modes")

IDENTITY = Identity("https://a.test", "アリス", "u", "d", "Phone", "-----BEGIN…", "0" * 64)
FULL = State(
    "https://a.test",
    DeviceKeys.make(KeyKind.POST_QUANTUM),
    begun=PendingRegistration("anna", "key"),
    identity=IDENTITY,
    session=Tokens("s", "2026-11-21T09:00:00.000Z", "access", "refresh", "https://a.test"),
)


@pytest.fixture
def file(tmp_path: Path) -> DeviceFile:
    """Return a device's file that is not there yet, in a folder that is not there yet."""
    return DeviceFile(tmp_path / "own" / "device.json")


class TestTheFile:
    """It holds private keys: whole or not at all, and nobody else's business."""

    @pytest.mark.parametrize("kind", KeyKind)
    def test_what_is_written_is_read(self, file: DeviceFile, kind: KeyKind) -> None:
        """All of it; before anything is written there is nothing, and afterwards nothing else in the folder."""
        state = replace(FULL, keys=DeviceKeys.make(kind))
        assert file.read() is None
        file.write(state)
        read = file.read()
        assert read is not None
        assert read.to_json() == state.to_json()
        assert (read.begun, read.identity, read.session) == (state.begun, state.identity, state.session)
        assert [path.name for path in file.path.parent.iterdir()] == ["device.json"]
        file.write(None)
        file.write(None)
        assert file.read() is None

    def test_less_is_read_too(self, file: DeviceFile) -> None:
        """A device that has not joined yet."""
        file.write(State("https://a.test", FULL.keys))
        read = file.read()
        assert read is not None
        assert (read.begun, read.identity, read.session) == (None, None, None)

    @posix
    @pytest.mark.requirement("R56")
    def test_nobody_else_may_read_it(self, file: DeviceFile) -> None:
        """Whatever the umask, at the first writing and at the next."""
        before = os.umask(0)
        try:
            for _ in range(2):
                file.write(FULL)
                assert file.path.stat().st_mode & 0o777 == 0o600
            assert file.path.parent.stat().st_mode & 0o777 == 0o700
        finally:
            os.umask(before)

    @posix
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
    def test_one_that_others_may_read_is_refused(self, file: DeviceFile, mode: int) -> None:
        """With a sentence that says what to do; and it is left as it is."""
        file.write(FULL)
        file.path.chmod(mode)
        with pytest.raises(DeviceFileError, match=r"may be read by others.*chmod 600"):
            file.read()
        file.path.chmod(0o600)
        assert file.read() is not None

    @posix
    def test_a_link_stays_a_link(self, file: DeviceFile, tmp_path: Path) -> None:
        """What it points to is replaced."""
        link = tmp_path / "link.json"
        link.symlink_to(file.path)
        DeviceFile(link).write(FULL)
        assert link.is_symlink()
        assert file.read() is not None

    @pytest.mark.parametrize(
        "content",
        ["", "{", "[]", "{}", "null", '{"format": 2}', '{"format": 1, "url": "x", "keys": {"signing": "AAAA"}}', "ü"],
    )
    def test_what_is_no_devices_file_is_refused(self, file: DeviceFile, content: str) -> None:
        """With the file's name, and nothing of what it holds."""
        file.path.parent.mkdir()
        file.path.write_text(content, encoding="utf-8")
        file.path.chmod(0o600)
        with pytest.raises(DeviceFileError, match=r"device\.json"):
            file.read()

    def test_fields_of_later_versions_are_passed_over(self, file: DeviceFile) -> None:
        """Whoever goes back a version keeps the device."""
        file.write(FULL)
        content = json.loads(file.path.read_text())
        content |= {"later": 1, "identity": content["identity"] | {"later": 2}}
        file.path.write_text(json.dumps(content))
        read = file.read()
        assert read is not None
        assert read.identity == IDENTITY

    def test_a_failed_writing_leaves_the_old_file(self, file: DeviceFile, monkeypatch: pytest.MonkeyPatch) -> None:
        """The disk is full: the old state stands, nothing else lies about, and the fault is told."""
        file.write(FULL)

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DeviceFileError, match="No space left"):
            file.write(State("https://b.test", FULL.keys))
        monkeypatch.undo()
        read = file.read()
        assert read is not None
        assert read.url == "https://a.test"
        assert [path.name for path in file.path.parent.iterdir()] == ["device.json"]

    def test_no_secret_shows_when_it_is_printed(self) -> None:
        """In a log, say."""
        shown = repr(FULL)
        for secret in (*FULL.keys.to_json().values(), "access'", "refresh'"):
            assert secret not in shown


class TestKeys:
    """What the client signs is what the contract has, as the tests have written it a second time."""

    @pytest.mark.requirement("R37")
    @pytest.mark.parametrize("kind", KeyKind)
    def test_a_proof(self, kind: KeyKind) -> None:
        """Over the lines of the contract, with the token's digest where there is one."""
        keys = DeviceKeys.make(kind)
        asked = {"challenge_id": "c", "challenge": "text", "issuer": "https://a.test"}
        for token, acted_on in ((None, "-"), ("token", digest("token"))):
            proof = keys.sign_challenge(asked, Purpose.TAKEOVER, "u", "d", token)
            message = lines("takeover", "https://a.test", "u", "d", "text", acted_on)
            assert proof["challenge_id"] == "c"
            assert is_signed(keys.public_key, proof["signature"], message)

    @pytest.mark.parametrize("kind", KeyKind)
    def test_an_enrolment(self, kind: KeyKind) -> None:
        """The KEM key goes along where there is one; no private half does."""
        keys = DeviceKeys.make(kind)
        sent = keys.enrolment("https://a.test", "anna", None)
        message = lines("enrol", "https://a.test", "-", "-", "anna")
        assert is_signed(keys.public_key, sent["proof"]["signature"], message)
        assert ("kem" in sent["public_keys"]) == (kind is KeyKind.POST_QUANTUM)
        private = [text for name, text in keys.to_json().items() if name != "kem_public"]
        assert not any(text in json.dumps(sent) for text in private)

    def test_a_sealed_challenge_is_opened_by_its_device_alone(self) -> None:
        """Another's key, another's id, no key at all: not signed."""
        keys, other = DeviceKeys.make(KeyKind.POST_QUANTUM), DeviceKeys.make(KeyKind.POST_QUANTUM)
        assert keys.kem is not None
        box = encrypt_challenge(keys.kem.public, "c", "text")
        sealed = {"kem": "sntrup761", "ciphertext": box.ciphertext, "box": box.box}
        asked = {"challenge_id": "c", "sealed": sealed, "issuer": "i"}
        proof = keys.sign_challenge(asked, Purpose.LOGIN, "u", "d")
        assert is_signed(keys.public_key, proof["signature"], lines("login", "i", "u", "d", "text"))
        for opener, told in (
            (other, asked),
            (keys, {**asked, "challenge_id": "d"}),
            (DeviceKeys.make(KeyKind.CLASSICAL), asked),
        ):
            with pytest.raises(ServerIdentityError, match="not sealed to this device"):
                opener.sign_challenge(told, Purpose.LOGIN, "u", "d")

    def test_keys_that_the_server_made_can_be_read(self) -> None:
        """Their form is one and the same."""
        keys = DeviceKeys.make(KeyKind.POST_QUANTUM)
        written = keys.to_json()
        read: Keys = given_keys({"private_keys": {"signing": written["signing"], "kem": written["kem_private"]}})
        assert is_signed(keys.public_key, read.sign(b"x"), b"x")
        assert is_signed(keys.public_key, signature_of(read_private_key(written["signing"]), b"y"), b"y")

    @pytest.mark.parametrize("text", ["", "AAAA", "!"])
    def test_junk_is_no_key(self, text: str) -> None:
        """As with public ones."""
        with pytest.raises(UnfitKey):
            read_private_key(text)


def replies(*answers: tuple[int, dict[str, str], object] | Exception) -> Callable[..., requests.Response]:
    """Return what stands in the place of the network: these answers, one after the other."""
    left = list(answers)

    def send(_adapter: object, request: requests.PreparedRequest, **_more: object) -> requests.Response:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        reply = requests.Response()
        reply.status_code, body = answer[0], answer[2]
        reply.headers.update(answer[1])
        reply._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply.request, reply.url = request, str(request.url)
        return reply

    return send


class TestRetries:
    """`Retry-After` is honoured within bounds."""

    BUSY = (503, {"Retry-After": "2"}, {"code": "busy", "detail": "Busy."})
    GOOD = (200, {}, {"success": True, "unheard_of": 1})

    def called(self, monkeypatch: pytest.MonkeyPatch, *answers: Any, **more: Any) -> tuple[Any, list[float]]:
        """Return what a call gave, an answer or what it raised, and how long it waited each time."""
        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", replies(*answers))
        waits: list[float] = []
        try:
            return HttpTransport("https://a.test", pause=waits.append).call("POST", "/x", {}, **more), waits
        except (Problem, Unreachable) as failure:
            return failure, waits

    def test_a_busy_server_is_asked_again_when_it_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fields that nobody knows come along."""
        assert self.called(monkeypatch, self.BUSY, self.BUSY, self.GOOD) == (self.GOOD[2], [2, 2])

    def test_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten seconds in all; then the refusal is the answer."""
        failure, waits = self.called(monkeypatch, *[self.BUSY] * 9)
        assert (failure.code, failure.retry_after, waits) == ("busy", 2, [2] * 5)

    @pytest.mark.parametrize("said", ["11", "99999999999", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "٣", ""])
    def test_longer_than_that_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
        """Nor is what is no number of seconds."""
        failure, waits = self.called(monkeypatch, (429, {"Retry-After": said}, {"code": "too-many-attempts"}))
        assert (failure.code, waits) == ("too-many-attempts", [])

    def test_no_time_at_all_is_a_little(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`Retry-After: 0` is no permission to repeat at once."""
        _, waits = self.called(monkeypatch, (503, {"Retry-After": "0"}, {}), self.GOOD)
        assert waits == [0.2]

    def test_other_refusals_are_final(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever header they carry."""
        failure, waits = self.called(monkeypatch, (409, {"Retry-After": "1"}, {"code": "device-active"}))
        assert (type(failure), waits) == (DeviceActive, [])

    def test_no_answer_is_tried_again_only_where_that_is_harmless(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was sent may have been done."""
        cut = requests.ConnectionError("cut")
        assert self.called(monkeypatch, cut, self.GOOD, idempotent=True) == (self.GOOD[2], [1])
        failure, waits = self.called(monkeypatch, cut)
        assert (type(failure), waits) == (Unreachable, [])

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff"])
    def test_what_cannot_be_read_is_told_so(self, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
        """A proxy's page, with the status that it had."""
        failure, _ = self.called(monkeypatch, (502, {}, body))
        assert (failure.status, failure.code) == (502, "unreadable")

    def test_a_netrc_gives_nothing_away(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Neither in the place of our token, nor where there is none."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine a.test login u password p\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        sent: list[str | None] = []

        def send(_adapter: object, request: requests.PreparedRequest, **_more: object) -> requests.Response:
            sent.append(request.headers.get("Authorization"))
            return replies(self.GOOD)(None, request)

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
        transport = HttpTransport("https://a.test")
        transport.call("GET", "/x", auth=bearer("token"))
        transport.call("GET", "/x")
        assert sent == ["Bearer token", None]


class TestRefusals:
    """A program that is older than the suite bears what it does not know."""

    def test_an_unknown_reason(self) -> None:
        """It is handed on; it is not said to be somebody else's login."""
        ended = problem_of(401, {"code": "session-ended", "reason": "moon-phase", "more": 1}, None)
        assert isinstance(ended, SessionEnded)
        assert (ended.reason, ended.elsewhere) == ("moon-phase", False)

    @pytest.mark.parametrize("reason", ["taken-over", "forced-out", "evicted"])
    def test_logged_out_elsewhere(self, reason: str) -> None:
        """By another login, however it came to be."""
        ended = problem_of(401, {"code": "session-ended", "reason": reason}, None)
        assert isinstance(ended, SessionEnded)
        assert ended.elsewhere

    def test_an_unknown_code_and_none(self) -> None:
        """Both are Problems with a text."""
        assert problem_of(418, {"code": "teapot", "detail": "Short and stout."}, None).code == "teapot"
        bare = problem_of(500, {}, None)
        assert (bare.code, str(bare)) == ("", "The server answered 500.")

    def test_a_question_with_holes(self) -> None:
        """A device without a name, and fields that are new."""
        question = problem_of(409, {"code": "device-active", "active": [{"device_name": None, "floor": 3}]}, None)
        assert isinstance(question, DeviceActive)
        assert [each.device_name for each in question.active] == [""]
        assert (question.takeover, question.challenge) == (None, None)


def test_a_server_brings_no_client_along() -> None:
    """`ichidai serve` starts without it, and without the story."""
    seen = "import ichidai.cli, sys; print(*sorted(name for name in sys.modules if name.startswith('ichidai')))"
    loaded = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    assert "ichidai.cli.commands" in loaded
    assert not {"ichidai.client", "ichidai.cli.device", "ichidai.cli.demo"} & set(loaded)


def test_it_brings_no_server_along() -> None:
    """A product's program that imports the client loads no framework, no store, no command line."""
    seen = "import ichidai.client, sys; print(*sorted(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    assert "requests" in loaded
    heavy = {"flask", "boto3", "sqlite3", "granian", "starlette", "click", "rich", "login_app"}
    assert not heavy & set(loaded)
