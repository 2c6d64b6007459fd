"""Every refusal of the contract: its status, code and text, its shape, and that nothing was changed by it."""

from __future__ import annotations

import base64
import json
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from tests.support.client import PASSWORD, Account, Client, Device, Login, bearer, granted, refused, unique
from tests.support.servers import Suite

Send = Callable[[Mapping[str, str]], requests.Response]
"""Sends a request that is refused, with more headers; as often as one likes."""

NOTHING = "00000000-0000-4000-8000-000000000000"
"""The id of nothing."""


def post(client: Client, path: str, body: object, token: str | None = None) -> Send:
    """Return what posts a body."""
    return lambda headers: client.post(path, body, token=token, headers=dict(headers))


def get(client: Client, path: str, token: str | None = None) -> Send:
    """Return what gets a route."""
    return lambda headers: client.get(path, token=token, headers=dict(headers))


def person(**fields: object) -> dict[str, object]:
    """Return the form of somebody who registers."""
    return {"username": unique(), "email": f"{unique()}@b.test", "password": PASSWORD, **fields}


# --- How each is provoked ----------------------------------------------------------------------------------------


def no_body(client: Client) -> Send:
    """Post nothing."""
    return post(client, "/login", None)


def missing_registration(client: Client) -> Send:
    """Register with a name alone."""
    return post(client, "/registration/", {"username": unique()})


def missing_second_device(client: Client) -> Send:
    """Bring a QR code alone."""
    return post(client, "/registration/", {"qr_code": "junk"})


def missing_certificate(client: Client) -> Send:
    """Log in without a certificate."""
    return post(client, "/login", client.register().credentials)


def missing_fingerprint(client: Client) -> Send:
    """Ask for a pairing token without a fingerprint."""
    return post(client, "/registration/request_pairing_token", client.register().credentials)


def own_keys(client: Client) -> Send:
    """Bring a key that is none."""
    return post(client, "/registration/", person(public_keys={"signing": "AAAA"}))


def weak(password: str) -> Callable[[Client], Send]:
    """Return how one registers with a weak password."""
    return lambda client: post(client, "/registration/", person(password=password))


def own_name(client: Client) -> Send:
    """Take one's own name as the password."""
    form = person()
    return post(client, "/registration/", form | {"password": str(form["username"]).upper()})


def junk_qr(client: Client) -> Send:
    """Bring a QR code of somebody else's making."""
    account = client.register()
    return post(client, "/registration/", {**account.credentials, "qr_code": "junk"})


def junk_takeover(client: Client) -> Send:
    """Bring a consent of one's own making."""
    return post(client, "/login/takeover", {"takeover_token": "junk", **client.register().phone.proof})


def wrong_password(client: Client) -> Send:
    """Guess."""
    account = client.register()
    return post(client, "/login", {**account.credentials, **account.phone.proof, "password": "wrong guess"})


def unknown_name(client: Client) -> Send:
    """Be nobody."""
    return post(client, "/login", {"username": unique(), "password": PASSWORD, "client_cert_fp": "0" * 64})


def other_certificate(client: Client) -> Send:
    """Know the password and have no certificate of the account's."""
    account, stranger = client.register(), client.register()
    return post(client, "/login", {**account.credentials, **stranger.phone.proof})


def revoked_certificate(client: Client) -> Send:
    """Log in on a device that was unbound."""
    account = client.register()
    laptop, session = account.pair(), account.login()
    granted(client.post("/device/unbind", {"device_id": laptop.device_id}, token=session.access))
    return post(client, "/login", {**account.credentials, **laptop.proof})


def no_token(client: Client) -> Send:
    """Call a signed-in route with nothing."""
    return get(client, "/session/verify")


def junk_token(client: Client) -> Send:
    """Call a signed-in route with a token of one's own making."""
    return get(client, "/session/verify", "junk")


def ended_session(client: Client) -> Send:
    """Call with the token of a session that was logged out."""
    session = client.register().login()
    granted(client.post("/session/logout", token=session.access))
    return get(client, "/session/verify", session.access)


def unknown_device(client: Client) -> Send:
    """Ask for a pairing token from a device that is not registered."""
    account = client.register()
    return post(client, "/registration/request_pairing_token", {**account.credentials, "client_cert_fp": "0" * 64})


def foreign_token(client: Client) -> Send:
    """Bring another person's QR code."""
    account, stranger = client.register(), client.register()
    return post(client, "/registration/", {**account.credentials, "qr_code": stranger.phone.answer["qr_code"]})


def other_device(client: Client) -> Send:
    """Consent from another device than the one that asked."""
    account, laptop, _ = at_the_limit(client)
    token = account.question(laptop)["takeover"]["token"]
    return post(client, "/login/takeover", {"takeover_token": token, **account.phone.proof})


def unknown_session(client: Client) -> Send:
    """Revoke what is not there."""
    return post(client, "/session/revoke", {"session_id": NOTHING}, client.register().login().access)


def unknown_path(client: Client) -> Send:
    """Ask for a page that is not there."""
    return get(client, "/nowhere")


def wrong_method(client: Client) -> Send:
    """Get what is to be posted."""
    return get(client, "/session/refresh")


def taken_name(client: Client) -> Send:
    """Register with a name and a mail that are taken: the name is told first."""
    account = client.register()
    return post(client, "/registration/", person(username=account.username, email=account.email))


def taken_mail(client: Client) -> Send:
    """Register with a mail that is taken."""
    return post(client, "/registration/", person(email=client.register().email))


def last_device(client: Client) -> Send:
    """Unbind the only device."""
    account = client.register()
    return post(client, "/device/unbind", {"device_id": account.phone.device_id}, account.login().access)


def at_the_limit(client: Client) -> tuple[Account, Device, Login]:
    """Return an account that is logged in on its phone, its laptop, and the session."""
    account = client.register()
    return account, account.pair(), account.login()


def active_device(client: Client) -> Send:
    """Log in beside another device."""
    account, laptop, _ = at_the_limit(client)
    return post(client, "/login", {**account.credentials, **laptop.proof})


def spent_pairing(client: Client) -> Send:
    """Use a QR code twice."""
    account = client.register()
    granted(account.try_pair(account.phone.answer["qr_code"]))
    return post(client, "/registration/", {**account.credentials, "qr_code": account.phone.answer["qr_code"]})


def spent_takeover(client: Client) -> Send:
    """Use a consent after the session that it opened."""
    account, laptop, _ = at_the_limit(client)
    asked = account.question(laptop)
    session = granted(account.take_over(asked, laptop))
    granted(client.post("/session/logout", token=session["access_token"]))
    return post(client, "/login/takeover", {"takeover_token": asked["takeover"]["token"], **laptop.proof})


def large_body(client: Client) -> Send:
    """Send a megabyte."""
    return post(client, "/login", {"username": "x" * 1_000_000})


def plain_text(client: Client) -> Send:
    """Send what is no JSON by its own word."""
    return lambda headers: client.call(
        "POST", "/session/refresh", data=b"hello", headers={"Content-Type": "text/plain", **headers}
    )


@dataclass(frozen=True)
class Expected:
    """How a refusal is provoked, and what it must be; `quoted` is its text where no language is asked for."""

    provoke: Callable[[Client], Send]
    status: int
    code: str
    quoted: str


REFUSALS = [
    Expected(no_body, 400, "invalid-request", "The request cannot be read: there is no body."),
    Expected(missing_registration, 400, "missing-fields", "username, email, and password are required"),
    Expected(missing_second_device, 400, "missing-fields", "2台目端末登録には username と password が必要です"),
    Expected(missing_certificate, 400, "missing-fields", "Required: client_cert_fp."),
    Expected(missing_fingerprint, 400, "missing-fields", "Required: client_cert_fp."),
    Expected(own_keys, 400, "key-invalid", "The signing key is not a public key (SPKI DER in base64)."),
    Expected(weak("short"), 400, "weak-password", "A password has at least 8 characters."),
    Expected(weak("x" * 1025), 400, "weak-password", "A password has at most 1,024 characters."),
    Expected(weak("password1"), 400, "weak-password", "This password is among the most common ones."),
    Expected(own_name, 400, "weak-password", "The password must not be the username or the mail address."),
    Expected(junk_qr, 400, "qr-invalid", "The QR code is not one of this service, or was altered."),
    Expected(junk_takeover, 400, "takeover-invalid", "The takeover token is not one of this service."),
    Expected(wrong_password, 401, "bad-credentials", "Password does not match"),
    Expected(unknown_name, 401, "bad-credentials", "Password does not match"),
    Expected(other_certificate, 401, "certificate-mismatch", "Client certificate fingerprint mismatch"),
    Expected(revoked_certificate, 401, "certificate-revoked", "The device was removed and its certificate revoked."),
    Expected(no_token, 401, "token-missing", "An access token is needed: Authorization: Bearer <token>."),
    Expected(junk_token, 401, "invalid-token", "The token is not one of this service."),
    Expected(ended_session, 401, "session-ended", "This session was logged out."),
    Expected(unknown_device, 403, "device-unknown", "This certificate is not a registered device's of this user."),
    Expected(foreign_token, 403, "pairing-token-foreign", "The pairing token was issued for another user."),
    Expected(
        other_device,
        403,
        "device-mismatch",
        "The takeover was asked for by another device, or the device is no longer bound.",
    ),
    Expected(unknown_session, 404, "not-found", "There is nothing here, or it is not yours."),
    Expected(unknown_path, 404, "not-found", "There is nothing here, or it is not yours."),
    Expected(wrong_method, 405, "method-not-allowed", "This address does not take that method."),
    Expected(taken_name, 409, "username-taken", "This username is taken."),
    Expected(taken_mail, 409, "email-taken", "This mail address is registered already."),
    Expected(last_device, 409, "last-device", "The last device of an account cannot be removed."),
    Expected(active_device, 409, "device-active", "他端末がアクティブです。切り替えますか？"),
    Expected(
        spent_pairing,
        410,
        "pairing-token-spent",
        "The pairing token is unknown, used, expired, or no longer valid; show a new QR code.",
    ),
    Expected(
        spent_takeover,
        410,
        "takeover-spent",
        "The takeover token was used, has expired, or the password was changed; log in again.",
    ),
    Expected(large_body, 413, "body-too-large", "A request body has at most 64 KiB."),
    Expected(plain_text, 415, "unsupported-media-type", "Send the body as application/json."),
]


def is_japanese(text: str) -> bool:
    """Say whether a text has Japanese letters."""
    return any(unicodedata.name(letter, "").startswith(("HIRAGANA", "KATAKANA", "CJK")) for letter in text)


@pytest.mark.requirement("R26", "R28", "R30", "R31", "R50", "R51", "D44", "R77", "D42")
@pytest.mark.regression("X03", "X11", "X46", "X70", "X34", "X93")
@pytest.mark.parametrize("expected", REFUSALS, ids=lambda expected: expected.provoke.__name__)
def test_each_refusal_is_as_the_contract_says(suite: Suite, expected: Expected) -> None:
    """Status, code and shape; its quoted text, Japanese or English as asked for; and nothing stored was changed."""
    send = expected.provoke(suite.client)
    before = suite.rows()
    plain = refused(send({}), expected.status, expected.code)
    assert plain["detail"] == expected.quoted
    japanese = refused(send({"Accept-Language": "ja-JP,ja;q=0.9,en;q=0.5"}), expected.status, expected.code)
    english = refused(send({"Accept-Language": "en"}), expected.status, expected.code)
    french = refused(send({"Accept-Language": "fr"}), expected.status, expected.code)
    assert is_japanese(japanese["detail"])
    assert is_japanese(japanese["title"])
    assert english["detail"].isascii()
    assert english["title"].isascii()
    assert (french["title"], french["detail"]) == (english["title"], english["detail"])
    assert plain["detail"] in (japanese["detail"], english["detail"])
    assert suite.rows() == before


def test_a_problems_type_leads_to_a_page_about_it(client: Client) -> None:
    """The last part of each `type` is served by every app."""
    for code in {expected.code for expected in REFUSALS}:
        reply = client.get(f"/problems/{code}")
        assert reply.status_code == 200
        assert code in reply.text
    refused(client.get("/problems/made-up"), 404, "not-found")


# --- Bodies ------------------------------------------------------------------------------------------------------

BODIES: dict[str, dict[str, Any]] = {
    "/registration/": {"username": "u", "email": "a@b.test", "password": PASSWORD},
    "/registration/request_pairing_token": {"username": "u", "password": PASSWORD, "client_cert_fp": "0" * 64},
    "/login": {"username": "u", "password": PASSWORD, "client_cert_fp": "0" * 64, "force": True},
    "/login/force": {"username": "u", "password": PASSWORD, "client_cert_fp": "0" * 64},
    "/login/takeover": {"takeover_token": "t", "client_cert_fp": "0" * 64},
    "/session/create": {"username": "u", "password": PASSWORD, "client_cert_fp": "0" * 64, "force": True},
    "/session/refresh": {"refresh_token": "t"},
    "/session/revoke": {"session_id": NOTHING},
    "/device/register": {"qr_code": "q", "username": "u", "password": PASSWORD, "force": True, "takeover_token": "t"},
    "/device/unbind": {"device_id": NOTHING, "password": PASSWORD},
    "/device/rename": {"device_id": NOTHING, "device_name": "Phone"},
}
"""The routes that take a body, each with a body of the right shape that opens nothing."""

FORMS = ("/registration/", "/registration/request_pairing_token", "/login", "/device/register")


def nested(depth: int) -> bytes:
    """Return an object that is so deep."""
    return b'{"a":' * depth + b"1" + b"}" * depth


TRICKS: dict[str, tuple[bytes, int]] = {
    "cut": (b'{"username": "u"', 400),
    "no JSON": (b"username=u", 400),
    "a list": (b"[]", 400),
    "a text": (b'"username"', 400),
    "a number": (b"5", 400),
    "null": (b"null", 400),
    "white space": (b"   ", 400),
    "a key twice": (b'{"password": "a", "password": "b"}', 400),
    "a key twice, deep inside": (b'{"x": {"y": [{"a": 1, "a": 1}]}}', 400),
    "a key twice, once escaped": (b'{"password": "a", "passw\\u006frd": "b"}', 400),
    "a lone surrogate": (b'{"username": "\\ud800"}', 400),
    "a lone surrogate in a key": (b'{"\\udfff": 1}', 400),
    "a surrogate in UTF-8": (b'{"username": "\xed\xa0\x80"}', 400),
    "NaN": (b'{"username": NaN}', 400),
    "Infinity": (b'{"x": -Infinity}', 400),
    "a huge number": (b'{"x": 1e999}', 400),
    "a number of many digits": (b'{"x": ' + b"9" * 5000 + b"}", 400),
    "no UTF-8": (b'{"username": "\xff"}', 400),
    "UTF-16": ('{"username": "u"}'.encode("utf-16"), 400),
    "a BOM": (b'\xef\xbb\xbf{"username": "u"}', 400),
    "a raw control character": (b'{"username": "a\x00b"}', 400),
    "nested 21 deep": (nested(21), 400),
    "nested 10,000 deep": (nested(10_000), 400),
    "lists 30,000 deep": (b"[" * 30_000, 400),
    "a comment": (b'{"username": "u" /* hi */}', 400),
    "a comma too many": (b'{"username": "u",}', 400),
    "a byte too long": (b'{"x": "' + b"x" * (65_536 - 8) + b'"}', 413),
    "a megabyte": (b'{"x": "' + b"x" * 1_000_000 + b'"}', 413),
}


@pytest.fixture
def signed_in(client: Client) -> Login:
    """Return a session of somebody who tries tricks."""
    return client.register().login()


@pytest.mark.requirement("R31")
@pytest.mark.regression("X46", "X70", "X93")
@pytest.mark.parametrize("trick", TRICKS)
def test_a_body_that_is_no_good_json_changes_nothing(suite: Suite, signed_in: Login, trick: str) -> None:
    """Every route that takes a body answers it with a problem document, never 5xx, and nothing stored is changed."""
    body, status = TRICKS[trick]
    before = suite.rows()
    for path in BODIES:
        headers = {"Content-Type": "application/json", **bearer(signed_in.access)}
        reply = suite.client.call("POST", path, data=body, headers=headers)
        refused(reply, status, "invalid-request" if status == 400 else "body-too-large")
    assert suite.rows() == before


@pytest.mark.parametrize("path", BODIES)
def test_a_body_of_exactly_64_kib_and_nesting_of_20_are_read(client: Client, signed_in: Login, path: str) -> None:
    """The bounds themselves are allowed, unknown fields are ignored, and the answer is about the known ones."""
    shape = {
        **BODIES[path],
        **({"email": f"{unique()}@b.test", "username": unique()} if path == "/registration/" else {}),
    }
    full = "x" * (65_536 - len(json.dumps({**shape, "x": ""})))
    for more in (json.loads(nested(19)), full):
        body = json.dumps({**shape, "x": more}).encode()
        assert len(body) <= 65_536
        reply = client.post(path, token=signed_in.access, data=body, headers={"Content-Type": "application/json"})
        assert reply.status_code != 413, reply.text
        if reply.status_code == 400:
            assert reply.json()["code"] in ("takeover-invalid", "qr-invalid"), reply.text


@pytest.mark.regression("X12", "X46", "X93")
@pytest.mark.parametrize("path", BODIES)
def test_a_field_of_the_wrong_type_is_refused(suite: Suite, signed_in: Login, path: str) -> None:
    """A known field has exactly its type; no text is taken for a truth value, no number for a name."""
    before = suite.rows()
    for name, right in BODIES[path].items():
        wrong = ("false", "true", "yes", 0, 1, [], {}) if isinstance(right, bool) else (5, 1.5, True, [right], {"a": 1})
        for value in wrong:
            reply = suite.client.post(path, {**BODIES[path], name: value}, token=signed_in.access)
            body = refused(reply, 400, "invalid-request")
            assert name in body["detail"]
    assert suite.rows() == before


@pytest.mark.parametrize("path", BODIES)
def test_no_body_and_a_wrong_content_type(client: Client, signed_in: Login, path: str) -> None:
    """Nothing at all is 400; text, XML, bytes and, where a route takes none, forms are 415."""
    refused(client.post(path, token=signed_in.access), 400, "invalid-request")
    kinds = ["text/plain", "application/xml", "application/octet-stream", "application/jsonp", "multipart/mixed"]
    if path not in FORMS:
        kinds += ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    for kind in kinds:
        headers = {"Content-Type": kind, **bearer(signed_in.access)}
        reply = client.call("POST", path, data=json.dumps(BODIES[path]).encode(), headers=headers)
        refused(reply, 415, "unsupported-media-type")
    unnamed = client.call("POST", path, data=b"{}", headers=bearer(signed_in.access))
    refused(unnamed, 415, "unsupported-media-type")


def in_pieces(body: bytes) -> Iterator[bytes]:
    """Yield a body piece by piece, so that it is sent without saying how long it is."""
    for place in range(0, len(body), 1000):
        yield body[place : place + 1000]


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_of_untold_length_is_bounded_too(client: Client, kind: str) -> None:
    """Sent in pieces it is read up to the same bound, never cut and taken for a whole."""
    account = client.register()
    form = {**account.credentials, **account.phone.proof}
    body = json.dumps(form).encode() if "json" in kind else urlencode(form).encode()
    padding = b" " if "json" in kind else b"&"
    for length, status in [(len(body), 200), (65_536, 200), (65_537, 413), (1_000_000, 413)]:
        pieces = in_pieces(body + padding * (length - len(body)))
        reply = client.call("POST", "/login", data=pieces, headers={"Content-Type": kind})
        assert reply.status_code == status, (length, reply.text)
        assert reply.status_code == 200 or refused(reply, 413, "body-too-large")


@pytest.mark.parametrize("path", FORMS)
def test_forms_that_are_no_good(client: Client, path: str) -> None:
    """A field twice, an empty form, a form too large, and a truth value in other words are refused."""
    form = {**BODIES[path], "force": "false", "username": unique()}
    doubled = [*form.items(), ("password", "another")]
    refused(client.call("POST", path, data=doubled), 400, "invalid-request")
    empty = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.call("POST", path, headers=empty).status_code == 400
    refused(client.call("POST", path, data={**form, "x": "x" * 70_000}), 413, "body-too-large")
    files = {"x": ("x.bin", b"x" * 70_000)}
    refused(client.call("POST", path, data=form, files=files), 413, "body-too-large")
    broken = client.call("POST", path, data=b"\x00\xff", headers={"Content-Type": "multipart/form-data"})
    assert broken.status_code == 400, broken.text
    if not path.startswith("/registration/"):  # which know no such field
        for word in ("FALSE", "True", "on", "1", "yes"):
            refused(client.call("POST", path, data={**form, "force": word}), 400, "invalid-request")


def test_the_words_true_and_false_in_a_form(client: Client) -> None:
    """`false` asks, `true` forces, in both kinds of forms."""
    account, laptop, session = at_the_limit(client)
    form = {**account.credentials, **laptop.proof}
    refused(client.call("POST", "/login", data={**form, "force": "false"}), 409, "device-active")
    as_multipart = {name: (None, value) for name, value in {**form, "force": "false"}.items()}
    refused(client.call("POST", "/login", files=as_multipart), 409, "device-active")
    granted(client.verify(session.access))
    granted(client.call("POST", "/login", data={**form, "force": "true"}))
    refused(client.verify(session.access), 401, "session-ended")


def test_unknown_fields_are_ignored_and_never_stored(suite: Suite) -> None:
    """What the contract does not name has no effect, whatever it is called."""
    mark = unique("mark")
    sly = {"uuid": mark, "password_hash": mark, "epoch": 9, "role": mark, "device_id": mark, "force_all": mark}
    account = suite.client.register(**sly)
    session = account.login(**sly, client_cert_pem=mark, is_admin=True)
    body = {**sly, "device_id": session.device_id, "device_name": "Mine"}
    granted(suite.client.post("/device/rename", body, token=session.access))
    assert not any(mark.encode() in item for item in suite.rows().values())


# --- Addresses ---------------------------------------------------------------------------------------------------

METHODS = {
    "/registration/": "POST",
    "/registration/request_pairing_token": "POST",
    "/login": "POST",
    "/login/force": "POST",
    "/login/takeover": "POST",
    "/session/create": "POST",
    "/session/verify": "GET",
    "/session/refresh": "POST",
    "/session/logout": "POST",
    "/session/list": "GET",
    "/session/revoke": "POST",
    "/session/history": "GET",
    "/device/register": "POST",
    "/device/list": "GET",
    "/device/unbind": "POST",
    "/device/force_logout": "POST",
    "/device/rename": "POST",
    "/device/ca": "GET",
    "/.well-known/jwks.json": "GET",
    "/.well-known/ichidai.json": "GET",
    "/health": "GET",
    "/ready": "GET",
}


@pytest.mark.requirement("R35", "B21")
@pytest.mark.parametrize("path", METHODS)
def test_a_path_answers_with_and_without_its_last_slash(client: Client, path: str) -> None:
    """The same answer, and no redirect."""
    plain, slashed = (client.call(METHODS[path], form) for form in (path.rstrip("/"), f"{path.rstrip('/')}/"))
    assert plain.status_code == slashed.status_code
    assert plain.status_code not in (404, 405)
    assert plain.status_code < 300 or plain.status_code >= 400
    assert plain.headers["Content-Type"] == slashed.headers["Content-Type"]


@pytest.mark.parametrize("path", sorted(METHODS.keys() - {"/session/verify"}))  # proxies keep the method there
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_405_and_names_those_allowed(client: Client, path: str, method: str) -> None:
    """With the header that HTTP demands."""
    reply = client.call(method, path)
    refused(reply, 405, "method-not-allowed")
    assert METHODS[path] in [allowed.strip() for allowed in reply.headers["Allow"].split(",")]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/nowhere/",
        "/session",
        "/session/nowhere",
        "/device/",
        "/device/purge",
        "/registration/revoke_cert",
        "/user/login",
        "/user/profile/update",
        "/user/keys/update",
        "/admin",
        "/login/../device/list",
        "/login/%2e%2e/device/list",
        "/%00",
        "/%ff",
        "//evil.test/login",
        "/login//takeover",
        "/console/../../pyproject.toml",
    ],
)
@pytest.mark.requirement("B21")
@pytest.mark.regression("X42", "X31", "X75", "X15")
def test_what_is_not_there_is_404(client: Client, path: str) -> None:
    """A problem document, no redirect to an address made of the Host header; the routes of old are not there."""
    for method in ("GET", "POST") if not path.startswith("/console/") else ("GET",):
        status, body = exactly(client, method, path)
        assert (status, body["status"], body["code"]) == (404, 404, "not-found"), body


def exactly(client: Client, method: str, target: str) -> tuple[int, Any]:
    """Send a request line as it stands, which requests would tidy up; return the status and the JSON of the answer."""
    place = urlsplit(client.url("/"))
    with closing(HTTPConnection(place.hostname or "", place.port, timeout=10)) as connection:
        connection.request(method, target, headers={"Host": "evil.test"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"null")


def test_a_refusal_beside_a_closed_account_changes_nothing(suite: Suite) -> None:
    """The feed's table holds more than hints: when a closed account is due, too."""
    client = suite.client
    account = client.register()
    granted(client.post("/registration/close", {"password": PASSWORD}, token=account.login().access))
    before = suite.rows()
    assert any(
        account.uuid.encode() in item for place, item in before.items() if place[:2] == ("FeedTable", "closings")
    )
    refused(account.try_login(), 403, "account-closed")
    assert suite.rows() == before


@pytest.mark.parametrize("path", [path for path, method in METHODS.items() if method == "POST"])
@pytest.mark.regression("X22")
def test_nothing_is_changed_by_get_or_head(suite: Suite, path: str) -> None:
    """No state change by a method that must not make one."""
    before = suite.rows()
    for method in ("GET", "HEAD", "OPTIONS"):
        assert suite.client.call(method, path, params={"force": "true"}).status_code < 500
    assert suite.rows() == before


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://127.0.0.1:1"])
@pytest.mark.regression("X76", "Y12")
def test_no_other_origin_is_let_in(client: Client, origin: str) -> None:
    """Where no origins are set no answer, refused or not, allows one."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    account = client.register()
    replies = [
        client.call("OPTIONS", "/login", headers=headers),
        client.post("/login", {**account.credentials, **account.phone.proof}, headers=headers),
        client.get("/session/verify", headers=headers),
    ]
    for reply in replies:
        assert not [name for name in reply.headers if name.lower().startswith("access-control-")]


@pytest.mark.regression("X76", "Y12")
def test_only_the_origins_that_are_set_are_let_in(pool: Callable[..., Suite]) -> None:
    """Named origins get the header, without credentials; any other gets none."""
    client = pool(ICHIDAI_CORS_ORIGINS="https://app.test, https://other.test").client
    for origin, allowed in [
        ("https://app.test", True),
        ("https://other.test", True),
        ("https://app.test.evil.test", False),
    ]:
        reply = client.call("OPTIONS", "/login", headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert reply.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert "Access-Control-Allow-Credentials" not in reply.headers


# --- Whose is it? ------------------------------------------------------------------------------------------------


@pytest.mark.regression("X01", "X13", "X15", "X42", "X75")
@pytest.mark.parametrize(
    ("path", "name", "more"),
    [
        ("/device/unbind", "device_id", {}),
        ("/device/unbind", "device_id", {"password": PASSWORD}),
        ("/device/rename", "device_id", {"device_name": "Mine now"}),
        ("/session/revoke", "session_id", {}),
    ],
)
def test_the_ids_of_others_are_not_there(suite: Suite, path: str, name: str, more: dict[str, str]) -> None:
    """Another person's id, a made-up one and junk get the same answer, and nothing changes."""
    client = suite.client
    alice, bob = client.register(), client.register()
    bob.pair()
    hers, his = alice.login(), bob.login()
    of_alice = hers.session_id if name == "session_id" else alice.phone.device_id
    before = suite.rows()
    others = [of_alice, str(uuid.uuid4()), NOTHING, of_alice.upper(), "junk", "x" * 2000, "\x00", "../1", "'; --", "🦊"]
    replies = [client.post(path, {name: other, **more}, token=his.access) for other in others]
    bodies = [{**refused(reply, 404, "not-found"), "request_id": None} for reply in replies]
    assert all(body == bodies[0] for body in bodies)
    assert suite.rows() == before


@pytest.mark.regression("X34", "X61", "X47")
def test_the_fingerprint_of_another_person_is_none(client: Client) -> None:
    """At a login and for a pairing token it gets the same answer as a made-up one."""
    account, stranger = client.register(), client.register()
    for path, code in [("/login", "certificate-mismatch"), ("/registration/request_pairing_token", "device-unknown")]:
        replies = [
            client.post(path, {**account.credentials, "client_cert_fp": fingerprint})
            for fingerprint in (stranger.phone.fingerprint, "ab" * 32)
        ]
        assert unnamed(replies[0]) == unnamed(replies[1])
        assert replies[0].json()["code"] == code


@pytest.mark.requirement("R28")
@pytest.mark.regression("X47")
@pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create", "/registration/request_pairing_token"])
def test_an_unknown_name_and_a_wrong_password_look_alike(client: Client, path: str) -> None:
    """Status, body and headers are the same, by name and by mail."""
    account = client.register()
    wrong = {"password": "a wrong password", **account.phone.proof}
    replies = [client.post(path, {"username": name, **wrong}) for name in (account.username, unique())]
    if path != "/registration/request_pairing_token":
        replies += [client.post(path, {"email": mail, **wrong}) for mail in (account.email, f"{unique()}@b.test")]
    seen = [(reply.status_code, unnamed(reply), masked(reply.headers)) for reply in replies]
    assert all(each == seen[0] for each in seen)
    refused(replies[0], 401, "bad-credentials")


def unnamed(reply: requests.Response) -> dict[str, object]:
    """Return a problem document without the request's own name."""
    return {**reply.json(), "request_id": None}


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers without the time of day and the request's own names."""
    own = ("date", "x-request-id", "traceparent")
    return {name.lower(): value for name, value in headers.items() if name.lower() not in own}


@pytest.mark.regression("X47")
@pytest.mark.parametrize("path", ["/registration/", "/device/register"])
def test_an_unknown_name_at_a_qr_code_looks_like_a_wrong_password(client: Client, path: str) -> None:
    """Whoever found a code learns nothing about whose it is."""
    account = client.register()
    form = {"qr_code": account.phone.answer["qr_code"], "password": "a wrong password"}
    replies = [client.post(path, {**form, "username": name}) for name in (account.username, unique())]
    assert unnamed(replies[0]) == unnamed(replies[1])
    refused(replies[0], 401, "bad-credentials")


# --- Names, mails, passwords -------------------------------------------------------------------------------------


@pytest.mark.requirement("R31")
@pytest.mark.regression("X33")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{}alice", "{}ALICE"),
        ("{}alice", "{}ＡＬＩＣＥ"),
        ("{}straße", "{}STRASSE"),
        ("{}straße", "{}STRAẞE"),
        ("{}İstanbul", "{}i̇stanbul"),
        ("{}ﬁnn", "{}FINN"),
        ("{}é", "{}e\u0301"),
        ("{}Σίσυφος", "{}ΣΊΣΥΦΟΣ"),
        ("{}ガギグ", "{}ｶﾞｷﾞｸﾞ"),
        ("{}k", "{}\u212a"),
    ],
)
def test_names_and_mails_are_compared_folded(client: Client, first: str, second: str) -> None:
    """Two spellings of one name are one account: it can be registered once, and logged in to by either."""
    stem = uuid.uuid4().hex[:12]
    one, other = first.format(stem), second.format(stem)
    account = client.register(one, email=f"{one}@b.test")
    refused(client.post("/registration/", person(username=other)), 409, "username-taken")
    refused(client.post("/registration/", person(email=f"{other}@b.test".strip())), 409, "email-taken")
    form = {"password": account.password, **account.phone.proof}
    assert granted(client.post("/login", {"username": other, **form}))["user_uuid"] == account.uuid
    assert granted(client.post("/login", {"email": f"{other}@B.TEST".strip(), **form}))["user_uuid"] == account.uuid


@pytest.mark.regression("X33")
def test_spaces_around_a_name_are_no_part_of_it(client: Client) -> None:
    """They are taken off before anything is compared or stored."""
    account = client.register()
    refused(client.post("/registration/", person(username=f"  {account.username} ")), 409, "username-taken")
    refused(client.post("/registration/", person(email=f" {account.email}  ")), 409, "email-taken")
    form = {**account.credentials, **account.phone.proof, "username": f" {account.username} "}
    granted(client.post("/login", form))


@pytest.mark.regression("X33")
def test_a_turkish_dotless_i_is_another_letter(client: Client) -> None:
    """Folding joins spellings, not letters."""
    stem = uuid.uuid4().hex[:12]
    accounts = [client.register(f"{stem}{letter}") for letter in ("ı", "i", "İ")]
    assert len({account.uuid for account in accounts}) == 3


@pytest.mark.parametrize(
    "username",
    [
        "a",
        "x" * 64,
        "名前 太郎",
        "🦊",
        "'; DROP TABLE users; --",
        "<script>alert(1)</script>",
        "ﷺ" * 64,
        "𒐫" * 64,
    ],
)
def test_names_of_every_script_are_welcome(client: Client, username: str) -> None:
    """1 to 64 characters; how one is folded or written never breaks a registration."""
    stem = uuid.uuid4().hex[:10]
    name = username if len(username) == 64 else f"{stem}{username}"
    reply = client.post("/registration/", person(username=name))
    if reply.status_code == 409:  # the long ones are too long for a unique stem, and another run was first
        refused(reply, 409, "username-taken")
        return
    assert granted(reply)["uuid"]
    form = {"username": name, "password": PASSWORD, "client_cert_fp": reply.json()["client_cert_fp"]}
    assert (
        granted(client.get("/session/verify", token=granted(client.post("/login", form))["access_token"]))["username"]
        == name
    )


@pytest.mark.requirement("R31")
@pytest.mark.parametrize("field", ["username", "device_name", "email"])
@pytest.mark.parametrize("character", ["\x00", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\x9f"])
def test_control_characters_are_refused(suite: Suite, field: str, character: str) -> None:
    """In a name, a mail or a device's name."""
    value = f"a{character}b@b.test" if field == "email" else f"a{character}b"
    before = suite.rows()
    refused(suite.client.post("/registration/", person(**{field: value})), 400, "invalid-request")
    assert suite.rows() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "x" * 65),
        ("username", " "),
        ("device_name", "x" * 65),
        ("device_name", "  "),
        ("email", "no at"),
        ("email", "@b.test"),
        ("email", "a@"),
        ("email", "a@b@c"),
        ("email", " @ "),
        ("email", f"{'x' * 250}@b.test"),
    ],
)
def test_names_and_mails_out_of_bounds_are_refused(client: Client, field: str, value: str) -> None:
    """Too long, empty but for spaces, or not of a mail's form."""
    refused(client.post("/registration/", person(**{field: value})), 400, "invalid-request")


@pytest.mark.requirement("R31")
@pytest.mark.parametrize(
    "mail", ["{}@b.test", "{}@localhost", "日本{}@例え.テスト", "{}+x.y@a-b.c", '"{} x"@b.test', "{}@[::1]"]
)
def test_mails_of_every_form_are_welcome(client: Client, mail: str) -> None:
    """Any domain, any script, no check of delivery."""
    address = mail.format(uuid.uuid4().hex[:12])
    account = client.register(email=address)
    form = {"email": address, "password": account.password, **account.phone.proof}
    assert granted(client.post("/login", form))["user_uuid"] == account.uuid


@pytest.mark.requirement("R11", "R31")
@pytest.mark.regression("X32")
@pytest.mark.parametrize(
    ("password", "again"),
    [
        ("12345xyz", "12345xyz"),
        ("x" * 1023 + "y", "x" * 1023 + "y"),
        ("é" * 8, "e\u0301" * 8),
        ("e\u0301" * 1024, "é" * 1024),
        ("with\x00nul inside", "with\x00nul inside"),
        ("  spaces are kept  ", "  spaces are kept  "),
        ("𝒜🦊漢\u202e\ufdd0aa字", "𝒜🦊漢\u202e\ufdd0aa字"),
        ("\U0010ffff" * 8, "\U0010ffff" * 8),
    ],
    ids=["8", "1024", "8 composed", "1024 decomposed", "NUL", "spaces", "planes", "last plane"],
)
def test_passwords_within_bounds(client: Client, password: str, again: str) -> None:
    """8 to 1,024 characters after NFC, of any kind; the same one typed otherwise opens, no part of it does."""
    account = client.register(password=password)
    form = {"username": account.username, **account.phone.proof}
    granted(client.post("/login", {**form, "password": again}))
    for wrong in (again[:-1], again + "x", again.swapcase() + "!"):
        refused(client.post("/login", {**form, "password": wrong}), 401, "bad-credentials")


@pytest.mark.requirement("R31")
@pytest.mark.parametrize(
    ("password", "text"),
    [
        ("x", "at least 8"),
        ("1234567", "at least 8"),
        ("e\u0301" * 7, "at least 8"),
        ("x" * 1025, "at most 1,024"),
        ("x" * 4096, "at most 1,024"),
        ("password1", "most common"),
        ("PASSWORD1", "most common"),
        ("ｐａｓｓｗｏｒｄ１", "most common"),
        ("iloveyou", "most common"),
        ("12345678", "most common"),
    ],
)
def test_passwords_out_of_bounds(suite: Suite, password: str, text: str) -> None:
    """Too short, too long or too common ones are refused, and nobody is registered."""
    before = suite.rows()
    body = refused(suite.client.post("/registration/", person(password=password)), 400, "weak-password")
    assert text in body["detail"]
    assert suite.rows() == before


@pytest.mark.requirement("R31")
def test_the_own_name_and_mail_are_no_passwords(client: Client) -> None:
    """In no spelling."""
    form = person()
    for own in (form["username"], form["email"]):
        for password in (str(own), str(own).upper()):
            body = refused(client.post("/registration/", form | {"password": password}), 400, "weak-password")
            assert "username or the mail" in body["detail"]


# --- Certificates ------------------------------------------------------------------------------------------------


@pytest.mark.requirement("R27")
@pytest.mark.regression("X44", "X45", "X38", "X71")
class TestCertificateAtLogin:
    """What shows which device logs in: the fingerprint, or the certificate in any of its spellings."""

    def spellings(self, device: Device) -> dict[str, str]:
        """Return the texts that all are this device's certificate."""
        der = base64.b64decode(device.answer["client_cert"])
        pem: str = device.answer["certificate"]["pem"]
        return {
            "as it was given": device.answer["client_cert"],
            "PEM": pem,
            "PEM with other line ends": pem.replace("\n", "\r\n"),
            "PEM in spaces": f"\n\n {pem} \n",
            "base64url": base64.urlsafe_b64encode(der).decode(),
            "without padding": base64.urlsafe_b64encode(der).rstrip(b"=").decode(),
            "base64 of PEM": base64.b64encode(pem.encode()).decode(),
            "in lines": base64.encodebytes(der).decode(),
        }

    def test_each_spelling_is_the_same_device(self, client: Client) -> None:
        """One way to compute the fingerprint, whatever the certificate looks like."""
        account = client.register()
        for name, spelling in self.spellings(account.phone).items():
            form = {**account.credentials, "client_cert": spelling}
            assert granted(client.post("/login", form))["device_id"] == account.phone.device_id, name
            both = form | account.phone.proof
            assert granted(client.post("/login", both))["device_id"] == account.phone.device_id, name

    @pytest.mark.parametrize(
        "fingerprint",
        ["", "junk", "0" * 63, "0" * 65, "G" * 64, ":".join(["ab"] * 31), "ab" * 31 + "a ", "０" * 64],
    )
    def test_what_is_no_fingerprint_is_refused(self, client: Client, fingerprint: str) -> None:
        """Nothing is cleaned until it looks like one."""
        account = client.register()
        reply = client.post("/login", {**account.credentials, "client_cert_fp": fingerprint})
        refused(reply, 400, "invalid-request" if fingerprint else "missing-fields")

    def test_what_is_no_certificate_is_refused(self, client: Client) -> None:
        """Junk, cut, of a version that is none, or a JSON that only names a fingerprint: 400, never 500."""
        account = client.register()
        der = base64.b64decode(account.phone.answer["client_cert"])
        odd_version = der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
        assert odd_version != der
        broken = [
            base64.b64encode(raw).decode()
            for raw in (der[:-1], der[:100], der + b"\x00", odd_version, b"\x30\x00", b"", b"\x00", der[::-1])
        ]
        broken += [
            "junk",
            "証明書",
            "-----BEGIN CERTIFICATE-----",
            json.dumps({"fingerprint": account.phone.fingerprint}),
        ]
        broken += [account.phone.answer["certificate"]["pem"].replace("CERTIFICATE", "PRIVATE KEY")]
        for text in filter(None, broken):
            reply = client.post("/login", {**account.credentials, "client_cert": text})
            refused(reply, 400, "invalid-request")

    def test_a_fingerprint_never_overrules_a_certificate(self, client: Client) -> None:
        """Who sends both sends both of one device."""
        account, stranger = client.register(), client.register()
        form = {**account.credentials, "client_cert": stranger.phone.answer["client_cert"]}
        refused(client.post("/login", form | account.phone.proof), 400, "invalid-request")
        refused(client.post("/login", form), 401, "certificate-mismatch")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=-1",
        "limit=1.5",
        "before=0",
        "before=x",
        f"before={10**30}",
        f"limit={10**30}",
    ],
)
def test_a_query_out_of_bounds_is_refused(client: Client, signed_in: Login, query: str) -> None:
    """400, never 500."""
    refused(client.get(f"/session/history?{query}", token=signed_in.access), 400, "invalid-request")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dTpw", "token", "Bearer\t"])
def test_a_header_without_a_token(client: Client, header: str) -> None:
    """It counts as none."""
    reply = client.get("/session/verify", headers={"Authorization": header})
    refused(reply, 401, "token-missing")
