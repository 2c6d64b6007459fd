"""Refusals as problem documents (RFC 9457): the one table from code to status, and the handlers that write them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Flask, Response, request
from msgspec import Struct
from werkzeug.datastructures import LanguageAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header

from common.errors import Code, Refusal
from common.request_context import current_request, note_problem
from common.storage.port import StoreUnavailable
from common.web.messages import LANGUAGES, QUESTION, TEXTS, Language

STATUSES: Mapping[Code, int] = {
    Code.INVALID_REQUEST: 400,
    Code.MISSING_FIELDS: 400,
    Code.NOT_SUPPORTED: 400,
    Code.WEAK_PASSWORD: 400,
    Code.QR_INVALID: 400,
    Code.CSR_INVALID: 400,
    Code.KEY_INVALID: 400,
    Code.TAKEOVER_INVALID: 400,
    Code.BAD_CREDENTIALS: 401,
    Code.OTP_REQUIRED: 401,
    Code.OTP_INVALID: 401,
    Code.RECOVERY_CODE_INVALID: 401,
    Code.PASSKEY_INVALID: 401,
    Code.CERTIFICATE_MISMATCH: 401,
    Code.CERTIFICATE_EXPIRED: 401,
    Code.CERTIFICATE_REVOKED: 401,
    Code.PROOF_REQUIRED: 401,
    Code.PROOF_INVALID: 401,
    Code.CHALLENGE_SPENT: 401,
    Code.TOKEN_MISSING: 401,
    Code.INVALID_TOKEN: 401,
    Code.TOKEN_EXPIRED: 401,
    Code.INVALID_DPOP_PROOF: 401,
    Code.USE_DPOP_NONCE: 401,
    Code.SESSION_ENDED: 401,
    Code.ADMIN_KEY_INVALID: 401,
    Code.DEVICE_UNKNOWN: 403,
    Code.PAIRING_TOKEN_FOREIGN: 403,
    Code.DEVICE_MISMATCH: 403,
    Code.FORCE_DISABLED: 403,
    Code.APPROVAL_REFUSED: 403,
    Code.DIGITS_WRONG: 403,
    Code.REAUTHENTICATE: 403,
    Code.ACCOUNT_DISABLED: 403,
    Code.ACCOUNT_CLOSED: 403,
    Code.PASSWORD_RESET_REQUIRED: 403,
    Code.REGISTRATION_CLOSED: 403,
    Code.WORK_REQUIRED: 403,
    Code.ROLE_TOO_LOW: 403,
    Code.FOREIGN_REQUEST: 403,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.USERNAME_TAKEN: 409,
    Code.EMAIL_TAKEN: 409,
    Code.KEY_IN_USE: 409,
    Code.TOO_MANY_DEVICES: 409,
    Code.TOO_MANY_PASSKEYS: 409,
    Code.LAST_DEVICE: 409,
    Code.DEVICE_ACTIVE: 409,
    Code.OTP_ACTIVE: 409,
    Code.OTP_INACTIVE: 409,
    Code.PAIRING_TOKEN_SPENT: 410,
    Code.TAKEOVER_SPENT: 410,
    Code.APPROVAL_SPENT: 410,
    Code.ENROLMENT_SPENT: 410,
    Code.LINK_SPENT: 410,
    Code.INVITATION_SPENT: 410,
    Code.REQUEST_TIMEOUT: 408,
    Code.BODY_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.SERVED_ELSEWHERE: 421,
    Code.TOO_MANY_ATTEMPTS: 429,
    Code.TOO_MANY_STREAMS: 429,
    Code.TOO_MANY_REGISTRATIONS: 429,
    Code.HEAD_TOO_LARGE: 431,
    Code.INTERNAL_ERROR: 500,
    Code.STORE_UNAVAILABLE: 503,
    Code.BUSY: 503,
}

_OF_STATUS = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.BODY_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
}
_ENDED_CODES = (Code.INVALID_TOKEN, Code.TOKEN_EXPIRED, Code.SESSION_ENDED)
_TOKEN_CODES = (*_ENDED_CODES, Code.ADMIN_KEY_INVALID)
_SESSION_CODES = (*_ENDED_CODES, Code.TOKEN_MISSING, Code.INVALID_DPOP_PROOF, Code.USE_DPOP_NONCE)
"""What keeps a request from its session: a proxy is told why in a header, for it sees no body."""
_DPOP_ERRORS = {
    Code.INVALID_DPOP_PROOF: "invalid_dpop_proof",
    Code.USE_DPOP_NONCE: "use_dpop_nonce",
    Code.INVALID_TOKEN: "invalid_token",
}
_INTERNAL_FACTS = ("variant", "problem", "names", "session_reason", "dpop_nonce", "dpop_algorithms")

_log = logging.getLogger(__name__)


class Problem(Struct, frozen=True):
    """A problem document as it goes over the wire, whatever serves it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def language_of(accept_language: str) -> Language:
    """Return the language that an `Accept-Language` asks for, English where we have none of those; None if empty.

    `ja-JP` is Japanese, also before `en`, where werkzeug's own matching takes the `en` for being there exactly.
    """
    if not accept_language.strip():
        return None
    accepted = parse_accept_header(accept_language, LanguageAccept)
    asked = (tag.split("-")[0].lower() for tag, quality in accepted if quality > 0)
    return next((language for language in asked if language in LANGUAGES), "en")


def language_of_request() -> Language:
    """Return the language that Flask's request asks for."""
    return language_of(request.headers.get("Accept-Language", ""))


def problem_of(refusal: Refusal, language: Language, base_url: str) -> Problem:
    """Return the problem document of a refusal, with the members that our older clients read as well."""
    code, texts = refusal.code, TEXTS[refusal.code]
    detail = texts.detail_of(_variant(refusal)).in_language(language, refusal.extensions)
    document: dict[str, Any] = {
        "type": f"{base_url}/problems/{code}",
        "title": texts.title.in_language(language, {}),
        "status": STATUSES[code],
        "code": str(code),
        "detail": detail,
        "success": False,
        "error": detail,
        **{name: value for name, value in refusal.extensions.items() if name not in _INTERNAL_FACTS},
    }
    context = current_request()
    if context is not None:
        document["request_id"] = context.request_id
    if "session_reason" in refusal.extensions:
        document["reason"] = refusal.extensions["session_reason"]
    if code is Code.DEVICE_ACTIVE:
        document["message"] = QUESTION.in_language(language, {})
    return Problem(STATUSES[code], _headers(refusal), orjson.dumps(document))


def problem(refusal: Refusal, language: Language, base_url: str) -> Response:
    """Return the problem document of a refusal as Flask's answer."""
    if not note_problem(refusal.code, refusal.reason) and refusal.reason:
        _log.info("refused %s: %s", refusal.code, refusal.reason)
    made = problem_of(refusal, language, base_url)
    return Response(made.body, made.status, made.headers)


def code_of_status(status: int) -> Code:
    """Return our code for a failure of which a framework tells only the status."""
    return _OF_STATUS.get(status) or (Code.INTERNAL_ERROR if status >= 500 else Code.INVALID_REQUEST)  # noqa: PLR2004


def register_problem_handlers(app: Flask, base_url: str) -> None:
    """Let every failure of an app, the framework's own included, be answered by a problem document."""

    @app.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        return problem(refusal, language_of_request(), base_url)

    @app.errorhandler(StoreUnavailable)
    def away(error: StoreUnavailable) -> Response:
        refusal = Refusal(Code.STORE_UNAVAILABLE, reason=str(error), retry_after=2)
        return problem(refusal, language_of_request(), base_url)

    @app.errorhandler(HTTPException)
    def of_flask(error: HTTPException) -> Response:
        code = code_of_status(error.code or 500)
        response = problem(Refusal(code, problem=error.name), language_of_request(), base_url)
        allowed = getattr(error, "valid_methods", None)
        if allowed:
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        _log.error("an unforeseen %s", type(error).__name__, exc_info=error)
        return problem(Refusal(Code.INTERNAL_ERROR), language_of_request(), base_url)


def _variant(refusal: Refusal) -> object:
    extensions = refusal.extensions
    return extensions.get("variant") or extensions.get("session_reason") or extensions.get("fault")


def _headers(refusal: Refusal) -> dict[str, str]:
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    if "retry_after" in refusal.extensions:
        headers["Retry-After"] = str(refusal.extensions["retry_after"])
    if STATUSES[refusal.code] == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2: it must carry the header
        error = ', error="invalid_token"' if refusal.code in _TOKEN_CODES else ""
        headers["WWW-Authenticate"] = f'Bearer realm="ichidai"{error}'
    if refusal.code in _SESSION_CODES:
        headers["X-Session-Reason"] = str(refusal.extensions.get("session_reason") or refusal.code)
    if "dpop_nonce" in refusal.extensions:
        headers["DPoP-Nonce"] = str(refusal.extensions["dpop_nonce"])
    if "dpop_algorithms" in refusal.extensions:
        error, algorithms = _DPOP_ERRORS[refusal.code], refusal.extensions["dpop_algorithms"]
        headers["WWW-Authenticate"] = f'DPoP realm="ichidai", error="{error}", algs="{algorithms}"'
    return headers
