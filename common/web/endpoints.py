"""Routes as data: what a route takes, answers and demands is declared once, and served and documented from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Response
from msgspec import Struct

from common.account.admission import Caller
from common.account.devices import TlsClientCertificate
from common.errors import Code
from common.proof.dpop_service import DpopClient, RequestCredentials
from common.web.client_certificate import fingerprint_in, tls_client_certificate
from common.web.client_info import device_name_of
from common.web.guards import Guard
from common.web.messages import Language
from common.web.request_body import Body, Query


class Answer(Struct, frozen=True, kw_only=True):
    """A success. A member that is UNSET is left out."""

    success: bool = True


class Reply(Struct, frozen=True):
    """An answer with headers, or a status, of its own."""

    answer: Answer
    headers: Mapping[str, str] = {}
    status: int = 200


class AdmittedOperator(Struct, frozen=True):
    """Whose key was shown: its name, its role, and until when it is good (RFC 3339; None: for ever)."""

    name: str
    role: str
    expires_at: str | None = None


class RequestData(Struct, frozen=True):
    """A request as a use case needs it: `body` and `query` as declared, what it presents, the caller, its origin.

    `client_cert` is what a listed proxy wrote into the header for client certificates; `path` has the values of the
    rule's variables.
    """

    body: Any
    query: Any
    credentials: RequestCredentials | None
    caller: Caller | None
    client: DpopClient
    language: Language
    idempotency_key: str | None = None
    client_cert: str | None = None
    operator: AdmittedOperator | None = None
    receiver: str | None = None
    path: Mapping[str, str] = {}

    @property
    def admitted(self) -> AdmittedOperator:
        """The operator whose key a route demands."""
        if self.operator is None:
            raise AssertionError("the route does not demand an operator's key")
        return self.operator

    @property
    def admitted_receiver(self) -> str:
        """The name of the receiver of events whose key a route demands."""
        if self.receiver is None:
            raise AssertionError("the route does not demand a receiver's key")
        return self.receiver

    @property
    def tls_certificate(self) -> TlsClientCertificate | None:
        """The client certificate whose key TLS has proven, as a listed proxy tells. Raises Refusal(INVALID_REQUEST)."""
        return tls_client_certificate(self.client_cert)

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
    def required_credentials(self) -> RequestCredentials:
        """What the caller of a route that demands a token presents."""
        if self.credentials is None:
            raise AssertionError("the route does not demand a token")
        return self.credentials

    @property
    def device_name(self) -> str:
        """A name for the device at the other end, where it gives none itself."""
        return device_name_of(self.client.user_agent)


Handler = Callable[[RequestData], Answer | Reply | Response]


class OneOfBody(Struct, frozen=True):
    """A body that has one schema or another: `with_field` when that field is there, `otherwise` when it is not."""

    field: str
    with_field: type[Body]
    otherwise: type[Body]

    def of(self, fields: Mapping[str, Any]) -> type[Body]:
        """Return the schema for these fields."""
        return self.with_field if self.field in fields else self.otherwise


class Endpoint(Struct, frozen=True):
    """One route. Its summary is the handler's docstring. `rule` may name variables: `/registration/passkeys/<id>`.

    `forms`: HTML forms are read too. `activity`: a call counts as activity of its session. `codes`: the refusals a
    client may expect, beside those of its guard. `server`: the base URL of the app that serves it, where not this one.
    `forwarded`: a proxy asks here about a request of its own client. `idempotency`: an `Idempotency-Key` is heeded.
    `accepted`: what a 202 answers, where something is under way that is to be asked for again.
    `answer` and `media` describe a success, and `answer_headers` its headers by name; a handler that returns a whole
    response is not held to them. `role`: which an operator's key must have.
    """

    method: str
    rule: str
    handler: Handler
    guard: Guard
    answer: type[Struct] | None = Answer
    body: type[Body] | OneOfBody | None = None
    query: type[Query] | None = None
    forms: bool = False
    activity: bool = False
    codes: Sequence[Code] = ()
    media: str = "application/json"
    server: str = ""
    forwarded: bool = False
    idempotency: bool = False
    answer_headers: Mapping[str, str] = {}
    role: str = ""
    accepted: type[Struct] | None = None
