"""Refusals at the edge: one document, one status, one language, and nothing of what went wrong inside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import BadRequest, ImATeapot, InternalServerError, ServiceUnavailable
from werkzeug.test import TestResponse

from common.errors import Code, Refusal
from common.storage.port import OutcomeUnknown, StoreUnavailable
from common.web.problems import STATUSES, register_problem_handlers
from tests.unit.test_messages import FACTS

BASE = "https://accounts.example.test"


def client_of(act: Callable[[], object]) -> FlaskClient:
    """Return a client of an app whose one route does what the test wants."""
    app = Flask(__name__)
    register_problem_handlers(app, BASE)
    app.add_url_rule("/", "act", lambda: act() or "", methods=["GET", "POST"])
    return app.test_client()


def answer_to(raised: Exception, language: str | None = None) -> TestResponse:
    """Return the answer where a route raises something."""

    def act() -> None:
        raise raised

    headers = {} if language is None else {"Accept-Language": language}
    return client_of(act).get("/", headers=headers)


def document_of(answer: TestResponse) -> dict[str, Any]:
    """Return the document, which every failure has."""
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    document: dict[str, Any] = answer.get_json()
    assert document["status"] == answer.status_code
    assert document["success"] is False
    assert document["error"] == document["detail"]
    assert document["type"] == f"{BASE}/problems/{document['code']}"
    return document


@pytest.mark.regression("X11", "X46")
@pytest.mark.parametrize("code", list(Code))
def test_every_refusal_is_a_document_with_its_own_status(code: Code) -> None:
    """Chosen by its code and never by a text."""
    facts: dict[str, Any] = dict.fromkeys(FACTS.get(code, set()), "7")
    answer = answer_to(Refusal(code, **facts))
    document = document_of(answer)
    assert (document["code"], answer.status_code) == (str(code), STATUSES[code])
    assert document["title"]


@pytest.mark.parametrize(
    ("code", "challenge"),
    [
        (Code.BAD_CREDENTIALS, 'Bearer realm="ichidai"'),
        (Code.TOKEN_MISSING, 'Bearer realm="ichidai"'),
        (Code.INVALID_TOKEN, 'Bearer realm="ichidai", error="invalid_token"'),
        (Code.TOKEN_EXPIRED, 'Bearer realm="ichidai", error="invalid_token"'),
        (Code.SESSION_ENDED, 'Bearer realm="ichidai", error="invalid_token"'),
        (Code.REAUTHENTICATE, None),
    ],
)
def test_a_401_says_how_to_prove_oneself(code: Code, challenge: str | None) -> None:
    """As RFC 9110 and RFC 6750 demand; nothing else does."""
    assert answer_to(Refusal(code)).headers.get("WWW-Authenticate") == challenge


def test_facts_for_clients_are_in_the_document_and_those_for_the_text_are_not() -> None:
    """What chooses or fills the text is no member."""
    missing = Refusal(Code.MISSING_FIELDS, variant="registration", names="username", fields=["username"])
    document = document_of(answer_to(missing))
    assert document["fields"] == ["username"]
    assert not document.keys() & {"variant", "names", "problem"}
    assert document["detail"] == "username, email, and password are required"


def test_a_session_that_ended_tells_why() -> None:
    """As a word for programs and a sentence for people."""
    document = document_of(answer_to(Refusal(Code.SESSION_ENDED, session_reason="taken-over"), "en"))
    assert document["reason"] == "taken-over"
    assert "session_reason" not in document
    assert document["detail"].startswith("Another device")


def test_a_weak_password_tells_what_is_wrong() -> None:
    """The fault chooses the text."""
    assert "8 characters" in document_of(answer_to(Refusal(Code.WEAK_PASSWORD, fault="short")))["detail"]


@pytest.mark.requirement("B08", "D42")
def test_the_question_comes_with_those_who_are_active() -> None:
    """The dialog's text is its message."""
    document = document_of(answer_to(Refusal(Code.DEVICE_ACTIVE, active=[{"device_name": "Phone"}])))
    assert document["active"] == [{"device_name": "Phone"}]
    assert document["message"].startswith("このアカウントは別の場所で使用中です。")
    assert document["detail"] == "他端末がアクティブです。切り替えますか？"


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        (None, "Password does not match"),
        ("", "Password does not match"),
        ("en", "Password does not match"),
        ("ja", "ユーザー名またはパスワードが正しくありません。"),
        ("ja-JP, en;q=0.5", "ユーザー名またはパスワードが正しくありません。"),
        ("en;q=0.5, ja;q=0.9", "ユーザー名またはパスワードが正しくありません。"),
        ("JA", "ユーザー名またはパスワードが正しくありません。"),
        ("fr, ja;q=0.1", "ユーザー名またはパスワードが正しくありません。"),
        ("ja;q=0, en;q=0.1", "Password does not match"),
        ("*", "Password does not match"),
        ("fr", "Password does not match"),
        (";;;=,", "Password does not match"),
    ],
)
def test_the_language_is_the_one_asked_for(asked: str | None, detail: str) -> None:
    """English where we have none of those."""
    assert document_of(answer_to(Refusal(Code.BAD_CREDENTIALS), asked))["detail"] == detail


def test_a_refusal_that_can_pass_says_when_to_come_back() -> None:
    """In the header, for programs."""
    answer = answer_to(Refusal(Code.TOO_MANY_ATTEMPTS, retry_after=42), "en")
    assert answer.headers["Retry-After"] == "42"
    assert "42 seconds" in document_of(answer)["detail"]


@pytest.mark.parametrize("raised", [StoreUnavailable("SQLite: disk I/O error at /data"), OutcomeUnknown("x")])
def test_a_store_that_is_away_is_a_503_that_says_when_to_come_back(raised: Exception) -> None:
    """Never a 200 and never a 401; what the store said stays inside."""
    answer = answer_to(raised)
    document = document_of(answer)
    assert (document["status"], document["code"]) == (503, "store-unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert "/data" not in answer.get_data(as_text=True)


@pytest.mark.regression("X46")
@pytest.mark.parametrize(
    "raised", [ValueError("secret"), KeyError("secret"), RecursionError("secret"), AssertionError("secret")]
)
def test_an_unforeseen_fault_is_a_500_that_tells_nothing(raised: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is for the log."""
    answer = answer_to(raised)
    assert document_of(answer)["code"] == "internal-error"
    assert "secret" not in answer.get_data(as_text=True)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(
    ("raised", "code", "status"),
    [
        (BadRequest("secret"), "invalid-request", 400),
        (ImATeapot("secret"), "invalid-request", 400),
        (InternalServerError("secret"), "internal-error", 500),
        (ServiceUnavailable("secret"), "internal-error", 500),
    ],
)
def test_the_frameworks_own_failures_are_documents_too(raised: Exception, code: str, status: int) -> None:
    """With our codes and without its texts."""
    answer = answer_to(raised)
    document = document_of(answer)
    assert (document["code"], document["status"]) == (code, status)
    assert "secret" not in answer.get_data(as_text=True)


def test_an_unknown_path_is_a_404() -> None:
    """As a document."""
    assert document_of(client_of(lambda: None).get("/nowhere"))["code"] == "not-found"


def test_another_method_is_a_405_that_says_which_are_taken() -> None:
    """As RFC 9110 demands."""
    answer = client_of(lambda: None).delete("/")
    assert document_of(answer)["code"] == "method-not-allowed"
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_the_private_reason_is_logged_and_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """Public text apart from private reason."""
    with caplog.at_level(logging.INFO):
        answer = answer_to(Refusal(Code.TAKEOVER_SPENT, reason="of an old password"))
    assert "old password" not in answer.get_data(as_text=True)
    assert any("of an old password" in record.getMessage() for record in caplog.records)


def test_a_refusal_without_a_reason_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Wrong passwords fill no log."""
    with caplog.at_level(logging.INFO):
        answer_to(Refusal(Code.BAD_CREDENTIALS))
    assert not caplog.records
