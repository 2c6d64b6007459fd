"""Refusing a request that never reaches an app: its head or body is too large or too slow, or no thread is left."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from common.errors import Refusal
from common.request_context import begin_request, end_request
from common.web.app import SAFE_HEADERS
from common.web.client_info import Network, address_of, is_trusted
from common.web.problems import Problem, language_of, problem_of
from common.web.request_log import method_told, tell_request
from common.web.request_metrics import REQUESTS
from common.web.rsgi import Refuse
from common.web.wsgi_bridge import Scope, address_in

_NO_ROUTE = "-"


def early_refusal(app: str, address: str, trusted: Sequence[Network]) -> Refuse:
    """Return what writes the problem document of such a request, with its usual headers, and its line of the log.

    `app`: the app's name in the line; `address`: where it is; `trusted`: proxies that are believed.
    """

    def written(refusal: Refusal, scope: Scope, seconds: float) -> Problem:
        peer, headers = address_in(scope.client), scope.headers
        context = begin_request(headers.get if is_trusted(peer, trusted) else None)
        context.code, context.reason = str(refusal.code), refusal.reason or "before it reached the app"
        try:
            problem = problem_of(refusal, language_of(headers.get("accept-language") or ""), address)
        finally:
            end_request()
        REQUESTS.add(_NO_ROUTE, str(problem.status), refusal.code)
        source = address_of(peer, headers.get("x-forwarded-for") or "", trusted)
        tell_request(context, logging.INFO, method_told(scope.method), _NO_ROUTE, problem.status, seconds, source, app)
        return Problem(problem.status, {**SAFE_HEADERS, **problem.headers, **context.names}, problem.body)

    return written
