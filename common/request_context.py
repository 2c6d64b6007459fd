"""The request that is being answered: what names it, and what its line in the log will tell beside the answer.

One value for each thread (or task) that answers; code that knows more of the request notes it here. It holds no secret
and no token, and nobody decides anything by it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar

from msgspec import Struct

REQUEST_NAMES = ("X-Request-Id", "traceparent")
"""The headers that name a request, in its answer as well."""

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_OURS_BEGINS = 36  # "00-", the trace's 32 digits, "-"


class RequestContext(Struct):
    """A request. `traceparent` (W3C Trace Context) names our own span in the trace of the caller.

    `caller`: the span that it continues.
    `user_uuid`: the account whose name or token was given, `code`: the problem's, `reason`: why, for the log alone.
    """

    request_id: str
    traceparent: str
    caller: str | None = None
    route: str | None = None
    user_uuid: str | None = None
    code: str | None = None
    reason: str = ""

    @property
    def trace_id(self) -> str:
        """The trace that the request belongs to: 32 hex digits."""
        return self.traceparent[3:35]

    @property
    def names(self) -> Mapping[str, str]:
        """What names the request, as the headers of its answer."""
        return dict(zip(REQUEST_NAMES, (self.request_id, self.traceparent), strict=True))


_current: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def new_request_id() -> str:
    """Return a random name for a request that came without one that we believe."""
    return str(uuid.uuid4())


def begin_request(header: Callable[[str], str | None] | None = None, *, traced: bool = False) -> RequestContext:
    """Begin a request and return its context.

    `header` reads the headers of one that a trusted proxy sent: its X-Request-Id and traceparent are taken where they
    have their form. None: no header is believed, and both are made. `traced`: a trace that begins here is recorded; one
    that is continued is where its caller records it.
    """
    made = new_request_id()
    digits = made.replace("-", "")
    given = header("X-Request-Id") if header else None
    trace = header("traceparent") if header else None
    known = trace if trace and _TRACEPARENT.fullmatch(trace) else f"00-{digits}-{'0' * 16}-{traced:02d}"
    context = RequestContext(
        given if given and _GIVEN_ID.fullmatch(given) else made,
        f"{known[:_OURS_BEGINS]}{digits[:16]}{known[-3:]}",
        known[_OURS_BEGINS:-3] if known is trace else None,
    )
    _current.set(context)
    return context


def current_request() -> RequestContext | None:
    """Return the request that is being answered here; None where none is."""
    return _current.get()


def end_request() -> None:
    """Forget the request that was being answered here."""
    _current.set(None)


def note_user(user_uuid: str) -> None:
    """Note whose account the request is about."""
    context = _current.get()
    if context is not None:
        context.user_uuid = user_uuid


def note_problem(code: str, reason: str) -> bool:
    """Note which problem the request is answered with, and why. Returns False where no request is being answered."""
    context = _current.get()
    if context is None:
        return False
    context.code, context.reason = code, reason
    return True
