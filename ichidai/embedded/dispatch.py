"""Calling endpoints with dicts in the place of requests: schemas, guards, use cases and refusals are those of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import orjson
from flask import Response
from msgspec import Struct

from common.errors import Code, Refusal
from common.proof.dpop_service import DpopClient, RequestCredentials
from common.retry import REQUEST_SECONDS, deadline
from common.storage.port import StoreUnavailable
from common.web.endpoints import Answer, Endpoint, OneOfBody, Reply, RequestData
from common.web.guards import Guard, as_refusals
from common.web.messages import Language
from common.web.problems import problem_of
from common.web.request_body import Body, json_fields, parse
from ichidai.client import errors
from ichidai.topology import DOMAINS
from ichidai.wiring.services import Services

R = TypeVar("R")

Fields = Mapping[str, Any]
"""What a route takes: values that JSON has."""


class Client(Struct, frozen=True):
    """On whose behalf calls are made: it counts for login limits, stands in the history, and is answered so."""

    ip: str = ""
    user_agent: str = ""
    language: Language | None = None


class Dispatcher:
    """Calls the endpoints of a joined suite."""

    def __init__(self, services: Services, client: Client) -> None:
        self.services = services
        self.client = client
        self._endpoints = {(each.method, each.rule): each for part in DOMAINS for each in services.endpoints(part)}

    @property
    def origin(self) -> DpopClient:
        """The client as the history names it."""
        return DpopClient(self.client.ip, self.client.user_agent)

    def post(
        self,
        rule: str,
        data: Fields | None = None,
        access_token: str | None = None,
        *,
        schema: type[Body] | None = None,
        idempotency_key: str | None = None,
        method: str = "POST",
        **path: str,
    ) -> dict[str, Any]:
        """Call a POST route; `schema`: which of two bodies is meant where a route takes either. Raises Problem.

        `method`: another that takes a body. `path`: the values of the rule's variables.
        """
        endpoint = self._endpoints[method, rule]

        def call() -> dict[str, Any]:
            credentials = self._presented(endpoint, access_token)
            read = json_fields(_json(data or {})) if endpoint.body is not None else {}
            kind = endpoint.body.of(read) if isinstance(endpoint.body, OneOfBody) else endpoint.body
            body = None if kind is None else parse(schema or kind, read)
            return self._handled(endpoint, credentials, body=body, idempotency_key=idempotency_key, path=path)

        return self.answered(call)

    def get(self, rule: str, access_token: str | None = None, **query: object) -> dict[str, Any]:
        """Call a GET route. Raises Problem."""
        endpoint = self._endpoints["GET", rule]

        def call() -> dict[str, Any]:
            credentials = self._presented(endpoint, access_token)
            sent = {name: str(value) for name, value in query.items() if value is not None}
            return self._handled(endpoint, credentials, query=endpoint.query and parse(endpoint.query, sent))

        return self.answered(call)

    def fetch(self, rule: str) -> bytes:
        """Return what an open GET route answers, as it would be sent. Raises Problem."""
        endpoint = self._endpoints["GET", rule]

        def call() -> bytes:
            query = endpoint.query and parse(endpoint.query, {})
            reply = endpoint.handler(self._call(endpoint, None, query=query))
            return reply.get_data() if isinstance(reply, Response) else _encoded(reply)

        return self.answered(call)

    def answered(self, act: Callable[[], R]) -> R:
        """Do something within the time of a request. Raises Problem for whatever a server would refuse."""
        try:
            with deadline(REQUEST_SECONDS), as_refusals(self.services.context.authenticator):
                return act()
        except Refusal as refusal:
            raise self._problem(refusal) from None
        except StoreUnavailable as error:
            raise self._problem(Refusal(Code.STORE_UNAVAILABLE, retry_after=2)) from error

    def _presented(self, endpoint: Endpoint, access_token: str | None) -> RequestCredentials | None:
        if endpoint.guard.judged(has_token=bool(access_token)) is Guard.OPEN:
            return None
        if not access_token:
            raise Refusal(Code.TOKEN_MISSING)
        return RequestCredentials(access_token)

    def _handled(self, endpoint: Endpoint, credentials: RequestCredentials | None, **more: Any) -> dict[str, Any]:
        reply = endpoint.handler(self._call(endpoint, credentials, **more))
        answer: dict[str, Any] = orjson.loads(reply.get_data() if isinstance(reply, Response) else _encoded(reply))
        return answer

    def _call(self, endpoint: Endpoint, credentials: RequestCredentials | None, **more: Any) -> RequestData:
        authenticator, caller = self.services.context.authenticator, None
        if endpoint.guard.judged(has_token=credentials is not None) is Guard.SIGNED_IN and credentials is not None:
            caller = authenticator.authenticate(credentials)
            if endpoint.activity:
                authenticator.touch(caller)
        about = {"body": None, "query": None, **more}
        return RequestData(
            credentials=credentials, caller=caller, client=self.origin, language=self.client.language, **about
        )

    def _problem(self, refusal: Refusal) -> errors.Problem:
        made = problem_of(refusal, self.client.language, self.services.addresses.own)
        retry_after = made.headers.get("Retry-After")
        return errors.problem_of(made.status, orjson.loads(made.body), int(retry_after) if retry_after else None)


def _encoded(reply: Answer | Reply) -> bytes:
    return msgspec.json.encode(reply.answer if isinstance(reply, Reply) else reply)


def _json(data: Fields) -> bytes:
    try:
        return orjson.dumps(dict(data))
    except orjson.JSONEncodeError as error:
        raise Refusal(Code.INVALID_REQUEST, problem=str(error)) from None
