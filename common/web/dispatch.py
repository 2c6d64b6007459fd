"""Serving endpoints: a request is checked in the contract's order, handed to its use case, and the answer written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from flask import Blueprint, Response, request
from msgspec import Struct
from msgspec.structs import replace

from common.proof.dpop_service import RequestCredentials
from common.request_context import note_user
from common.retry import REQUEST_SECONDS, deadline
from common.web.client_certificate import fingerprint_in
from common.web.client_info import CertificateHeader, Network, client_info_of, is_trusted
from common.web.credentials import Target, forwarded_target, read_credentials
from common.web.endpoints import AdmittedOperator, Answer, Endpoint, OneOfBody, Reply, RequestData
from common.web.guards import Authenticator, Guard, as_refusals
from common.web.problems import language_of_request
from common.web.request_body import Body, idempotency_key, parse, read_fields

_DPOP = "DPoP"


class HttpContext(Struct, frozen=True):
    """What every route needs of the suite: who calls, which proxies are believed, and where a path is known.

    `admit_operator` judges an operator's key: the key, the role that is needed, the caller's address. Raises Refusal.
    `admit_receiver` returns whose key a receiver of events shows. Raises Refusal.
    """

    authenticator: Authenticator
    trusted_proxies: Sequence[Network]
    url_of: Callable[[str], str]
    certificates: CertificateHeader
    admit_operator: Callable[[str, str, str], AdmittedOperator] | None = None
    admit_receiver: Callable[[RequestCredentials], str] | None = None


def blueprint_of(name: str, endpoints: Sequence[Endpoint], context: HttpContext) -> Blueprint:
    """Return a blueprint that serves the endpoints."""
    blueprint = Blueprint(name, name)
    for number, endpoint in enumerate(endpoints):
        own_name = f"{endpoint.handler.__name__}_{number}"
        blueprint.add_url_rule(endpoint.rule, own_name, _view(endpoint, context), methods=[endpoint.method])
    return blueprint


def _view(endpoint: Endpoint, context: HttpContext) -> Callable[..., Response]:
    def view(**path: str) -> Response:
        with deadline(REQUEST_SECONDS), as_refusals(context.authenticator):
            return _with_nonce(_respond(endpoint.handler(_call(endpoint, context, path))), context)

    return view


def _call(endpoint: Endpoint, context: HttpContext, path: Mapping[str, str]) -> RequestData:
    """Check the call in the contract's order: who calls, then the shape of what is sent."""
    client, target = client_info_of(request, context.trusted_proxies), _target(endpoint, context)
    client_cert = context.certificates.of(request.headers.get, request.remote_addr or "")
    credentials, guard = None, endpoint.guard.judged(has_token="Authorization" in request.headers)
    if guard is not Guard.OPEN:
        credentials = read_credentials(request.headers.get, target, fingerprint_in(client_cert))
    caller = None
    if guard is Guard.SIGNED_IN and credentials is not None:
        caller = context.authenticator.authenticate(credentials)
        note_user(caller.user_uuid)
    if guard is Guard.OPEN and _DPOP in request.headers:
        client = replace(client, dpop_proof=context.authenticator.verify_dpop_proof(request.headers[_DPOP], target))
    operator = None
    if endpoint.guard is Guard.OPERATOR and credentials is not None and context.admit_operator is not None:
        operator = context.admit_operator(credentials.token, endpoint.role, client.ip)
    receiver = None
    if endpoint.guard is Guard.RECEIVER and credentials is not None and context.admit_receiver is not None:
        receiver = context.admit_receiver(credentials)
    body = _body(endpoint)
    query = None if endpoint.query is None else parse(endpoint.query, request.args.to_dict())
    if caller is not None and endpoint.activity:
        context.authenticator.touch(caller)
    return RequestData(
        body=body,
        query=query,
        credentials=credentials,
        caller=caller,
        client=client,
        language=language_of_request(),
        idempotency_key=idempotency_key(request),
        client_cert=client_cert,
        operator=operator,
        receiver=receiver,
        path=path,
    )


def _target(endpoint: Endpoint, context: HttpContext) -> Target:
    """Return what was called, as clients know it, or what a trusted proxy asks about."""
    own = Target(request.method, context.url_of(request.path))
    if not endpoint.forwarded:
        return own
    return forwarded_target(
        request.headers.get, own, is_trusted=is_trusted(request.remote_addr or "", context.trusted_proxies)
    )


def _with_nonce(response: Response, context: HttpContext) -> Response:
    """Tell a client that signs its requests what the next proof shall name (RFC 9449, section 8.2)."""
    if _DPOP in request.headers:
        response.headers["DPoP-Nonce"] = context.authenticator.nonce()
    return response


def _body(endpoint: Endpoint) -> Body | None:
    if endpoint.body is None:
        return None
    fields = read_fields(request, forms=endpoint.forms)
    schema = endpoint.body.of(fields) if isinstance(endpoint.body, OneOfBody) else endpoint.body
    return parse(schema, fields)


def _respond(reply: Answer | Reply | Response) -> Response:
    if isinstance(reply, Response):
        return reply
    made = reply if isinstance(reply, Reply) else Reply(reply)
    content = msgspec.json.encode(made.answer)
    headers = {"Cache-Control": "no-store", **made.headers}
    return Response(content, made.status, headers, mimetype="application/json")
