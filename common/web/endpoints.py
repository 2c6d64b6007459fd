"""Routes as data: what a route takes, answers and demands is declared once, and served and documented from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Response
from msgspec import Struct

from common.devices import HeldCertificate
from common.errors import Code
from common.granting import Caller
from common.history import Origin
from common.possession import Presented
from common.web.bodies import Body, Query
from common.web.certificates import fingerprint_in, held_certificate
from common.web.clients import device_name_of
from common.web.guards import Guard
from common.web.messages import Language


class Answer(Struct, frozen=True, kw_only=True):
    """A success. A member that is UNSET is left out."""

    success: bool = True


class Reply(Struct, frozen=True):
    """An answer with headers of its own."""

    answer: Answer
    headers: Mapping[str, str]


class Call(Struct, frozen=True):
    """A request as a use case needs it: `body` and `query` as declared, what it presents, the caller, its origin.

    `client_cert` is what a listed proxy wrote into the header for client certificates.
    """

    body: Any
    query: Any
    presented: Presented | None
    caller: Caller | None
    origin: Origin
    language: Language
    idempotency_key: str | None = None
    client_cert: str | None = None

    @property
    def held(self) -> HeldCertificate | None:
        """The client certificate whose key TLS has proven, as a listed proxy tells. Raises Refusal(INVALID_REQUEST)."""
        return held_certificate(self.client_cert)

    @property
    def certificate(self) -> str | None:
        """The fingerprint of that certificate; None for none, and for what cannot be read."""
        return fingerprint_in(self.client_cert)

    @property
    def signed_in(self) -> Caller:
        """The caller of a route that demands one."""
        if self.caller is None:
            raise AssertionError("the route does not demand a signed-in caller")
        return self.caller

    @property
    def bearing(self) -> Presented:
        """What the caller of a route that demands a token presents."""
        if self.presented is None:
            raise AssertionError("the route does not demand a token")
        return self.presented

    @property
    def device_name(self) -> str:
        """A name for the device at the other end, where it gives none itself."""
        return device_name_of(self.origin.user_agent)


Handler = Callable[[Call], Answer | Reply | Response]


class Choice(Struct, frozen=True):
    """A body that has one schema or another: `with_field` when that field is there, `otherwise` when it is not."""

    field: str
    with_field: type[Body]
    otherwise: type[Body]

    def of(self, fields: Mapping[str, Any]) -> type[Body]:
        """Return the schema for these fields."""
        return self.with_field if self.field in fields else self.otherwise


class Endpoint(Struct, frozen=True):
    """One route. Its summary is the handler's docstring.

    `forms`: HTML forms are read too. `activity`: a call counts as activity of its session. `codes`: the refusals a
    client may expect, beside those of its guard. `server`: the base URL of the app that serves it, where not this one.
    `forwarded`: a proxy asks here about a request of its own client.
    """

    method: str
    rule: str
    handler: Handler
    guard: Guard
    answer: type[Answer] | None = Answer
    body: type[Body] | Choice | None = None
    query: type[Query] | None = None
    forms: bool = False
    activity: bool = False
    codes: Sequence[Code] = ()
    media: str = "application/json"
    server: str = ""
    forwarded: bool = False
