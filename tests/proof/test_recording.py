"""A run that was written reads back equal, and a record holds what the tokens say but no token."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.account.admission import AuthenticatedUser, ConsentToEnd, LoginCandidate
from common.account.history import ClientInfo, Event, EventKind, HistoryRecord, Reason
from common.clock import to_millis
from common.crypto.tokens import SignedTokens
from login_app.takeover_token import sign
from tests.proof.recording import Call, Operation, Recorder, Run, load_run, read_run, run_lines, write_run

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HISTORY = (
    HistoryRecord(
        1,
        (Event(EventKind.REGISTERED, AT), Event(EventKind.DEVICE_ADDED, AT, "phone")),
        ClientInfo("192.0.2.1", "a browser"),
    ),
    HistoryRecord(2, (Event(EventKind.SESSION_ENDED, AT, "phone", "s1", Reason.TAKEN_OVER, by="pc"),), ClientInfo()),
)
CALLS = (
    Call(1, "w1", Operation.LOGIN, "anna", 1.5, 1.75, 200, {"device_id": "phone"}, {"session_id": "s1"}),
    Call(2, "w2", Operation.LOGOUT, "anna", 2.0, None, None, {"session_id": "s1"}),
)
RUN = Run(1, "ask", CALLS, {"anna": HISTORY})
TOKENS = SignedTokens(b"k" * 32, "a test")


def test_reads_back_equal(tmp_path: Path) -> None:
    """Through a file and through lines in another order."""
    write_run(tmp_path / "run.jsonl", RUN)
    assert load_run(tmp_path / "run.jsonl") == RUN
    lines = list(run_lines(RUN))
    reread = read_run([*lines[:-3:-1], *lines[:-2]])
    assert reread == RUN


def test_a_run_without_settings_is_refused() -> None:
    """A file that lost its first line proves nothing."""
    with pytest.raises(ValueError, match="settings"):
        read_run(list(run_lines(RUN))[1:])


def test_a_record_says_what_the_tokens_say() -> None:
    """A refresh by its session and generation, a question by its consent; no token is in it."""
    refresh = TOKENS.sign(["anna", "s1", 3, "Anna"])
    successor = TOKENS.sign(["anna", "s1", 4, "Anna"])
    answer = {"refresh_token": successor, "session_id": "s1", "device_id": "phone", "user_uuid": "anna"}
    call = Recorder("w1", first=5, step=10).call(
        2, Operation.REFRESH, start=1, end=2, status=200, sent={"refresh_token": refresh}, answer=answer
    )
    assert (call.number, call.user) == (25, "anna")
    assert call.asked == {"session_id": "s1", "generation": 3}
    assert call.told == {"session_id": "s1", "device_id": "phone", "generation": 4}


def test_a_question_is_recorded_by_its_consent() -> None:
    """The sessions shown and the consent's id; a long token too, which is compressed."""
    shown = frozenset(f"session number {number} of many" for number in range(10))
    candidate = LoginCandidate(AuthenticatedUser("anna", "Anna", 0, AT), "pc")
    token = sign(TOKENS, ConsentToEnd(candidate, shown, "c1", AT, 1))
    assert token.startswith(".")
    answer = {"code": "device-active", "takeover": {"token": token}}
    call = Recorder("w1").call(0, Operation.LOGIN, start=1, end=2, status=409, user="anna", answer=answer)
    recorded = call.told["consent"]
    assert set(recorded["session_ids"]) == shown
    assert (recorded["consent_id"], recorded["subject"], recorded["epoch"]) == ("c1", "pc", 0)
    assert recorded["expires_at"] == to_millis(AT)
    assert token not in repr(call)
