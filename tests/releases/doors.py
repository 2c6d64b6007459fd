"""Every operation of the API document, asked with all that a release's story tells of one account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.usecases.in_process_suite import InProcessSuite

_LAST = (
    *("/login", "/session/create", "/registration/close", "/registration/password"),
    *("/device/unbind", "/session/revoke", "/session/logout"),
)
"""How the paths begin that end something, so that the others are asked before them."""
_ALWAYS = ("username", "client_cert_fp", "password")
"""What is filled in wherever there is a place for it."""
_NOT_HERE = "/session/events"
"""The streams' own process answers it."""


def known_of(account: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client can fill in, by the names of the fields."""
    phone = next(iter(account.get("devices", {}).values()), {})
    session = account.get("session", {})
    return {
        "username": account["username"],
        "email": account["email"],
        "password": account["password"],
        "new_password": "another correct horse",
        "user_uuid": account["uuid"],
        "device_id": phone.get("device_id"),
        "device_name": "A name",
        "client_cert_fp": phone.get("fingerprint"),
        "purpose": "login",
        "refresh_token": session.get("refresh_token"),
        "session_id": session.get("session_id"),
        "takeover_token": account.get("question", "none"),
        "qr_code": account.get("qr_code", "none"),
        "otp": "123456",
        "recovery_code": "none",
        "code": "none",
        "link": "none",
        "enrolment": "none",
        "challenge_id": account.get("challenge", {}).get("challenge_id", "none"),
        "signature": "bm9uZQ==",
    }


def ask_all(suite: InProcessSuite, account: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Ask each operation once as the account's phone would; give what was asked and the status of the answer."""
    document = suite.get("/openapi.json").get_json()
    known, token = known_of(account), account.get("session", {}).get("access_token")
    operations = [(path, method, each) for path, of in document["paths"].items() for method, each in of.items()]
    for path, method, operation in sorted(operations, key=lambda each: (each[0].startswith(_LAST), each[0])):
        if path == _NOT_HERE:
            continue
        body = _body(document, operation, known) if method == "post" else None
        answer = suite.post(path, body, token) if method == "post" else suite.get(path, token)
        yield f"{method} {path}", answer.status_code


def _body(document: Mapping[str, Any], operation: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    schema = content["schema"]
    schema = schema.get("oneOf", [schema])[0]
    fields = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    wanted = [name for name in fields["properties"] if name in fields.get("required", ()) or name in _ALWAYS]
    return {name: known[name] for name in wanted if known.get(name) is not None}
