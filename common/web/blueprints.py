"""Serving endpoints: a request is checked in the contract's order, handed to its use case, and the answer written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from flask import Blueprint, Response, request
from msgspec import Struct
from msgspec.structs import replace

from common.bookkeeping import NoSuchUser
from common.errors import Code, Refusal
from common.history import Reason
from common.liveness import SessionGone
from common.patience import REQUEST_SECONDS, at_most
from common.web.bodies import Body, idempotency_key, parse, read_fields
from common.web.certificates import fingerprint_in
from common.web.clients import CertificateHeader, Network, is_trusted, origin_of
from common.web.endpoints import Answer, Call, Choice, Endpoint, Reply
from common.web.guards import Authenticator, Guard, touch_quietly
from common.web.presenting import Target, meant_by, presented
from common.web.problems import language_of_request

_DPOP = "DPoP"


class Edge(Struct, frozen=True):
    """What every route needs of the suite: who calls, which proxies are believed, and where a path is known."""

    authenticator: Authenticator
    trusted_proxies: Sequence[Network]
    url_of: Callable[[str], str]
    certificates: CertificateHeader


def blueprint_of(name: str, endpoints: Sequence[Endpoint], edge: Edge) -> Blueprint:
    """Return a blueprint that serves the endpoints."""
    blueprint = Blueprint(name, name)
    for number, endpoint in enumerate(endpoints):
        own_name = f"{endpoint.handler.__name__}_{number}"
        blueprint.add_url_rule(endpoint.rule, own_name, _view(endpoint, edge), methods=[endpoint.method])
    return blueprint


def _view(endpoint: Endpoint, edge: Edge) -> Callable[[], Response]:
    def view() -> Response:
        with at_most(REQUEST_SECONDS):
            try:
                return _with_nonce(_respond(endpoint.handler(_call(endpoint, edge))), edge)
            except NoSuchUser:
                raise Refusal(Code.SESSION_ENDED, session_reason=str(Reason.REVOKED)) from None
            except SessionGone as gone:
                raise edge.authenticator.explain(gone) from None

    return view


def _call(endpoint: Endpoint, edge: Edge) -> Call:
    """Check the call in the contract's order: who calls, then the shape of what is sent."""
    origin, target = origin_of(request, edge.trusted_proxies), _target(endpoint, edge)
    client_cert = edge.certificates.of(request.headers.get, request.remote_addr or "")
    bearing = None
    if endpoint.guard is not Guard.OPEN:
        bearing = presented(request.headers.get, target, fingerprint_in(client_cert))
    caller = None
    if endpoint.guard is Guard.SIGNED_IN and bearing is not None:
        caller = edge.authenticator.authenticate(bearing)
    if endpoint.guard is Guard.OPEN and _DPOP in request.headers:
        origin = replace(origin, possession=edge.authenticator.prove(request.headers[_DPOP], target))
    body = _body(endpoint)
    query = None if endpoint.query is None else parse(endpoint.query, request.args.to_dict())
    if caller is not None and endpoint.activity:
        touch_quietly(edge.authenticator, caller)
    return Call(
        body=body,
        query=query,
        presented=bearing,
        caller=caller,
        origin=origin,
        language=language_of_request(),
        idempotency_key=idempotency_key(request),
        client_cert=client_cert,
    )


def _target(endpoint: Endpoint, edge: Edge) -> Target:
    """Return what was called, as clients know it, or what a trusted proxy asks about."""
    own = Target(request.method, edge.url_of(request.path))
    if not endpoint.forwarded:
        return own
    return meant_by(request.headers.get, own, is_trusted=is_trusted(request.remote_addr or "", edge.trusted_proxies))


def _with_nonce(response: Response, edge: Edge) -> Response:
    """Tell a client that signs its requests what the next proof shall name (RFC 9449, section 8.2)."""
    if _DPOP in request.headers:
        response.headers["DPoP-Nonce"] = edge.authenticator.nonce()
    return response


def _body(endpoint: Endpoint) -> Body | None:
    if endpoint.body is None:
        return None
    fields = read_fields(request, forms=endpoint.forms)
    schema = endpoint.body.of(fields) if isinstance(endpoint.body, Choice) else endpoint.body
    return parse(schema, fields)


def _respond(reply: Answer | Reply | Response) -> Response:
    if isinstance(reply, Response):
        return reply
    answer, headers = (reply.answer, reply.headers) if isinstance(reply, Reply) else (reply, {})
    content = msgspec.json.encode(answer)
    return Response(content, 200, {"Cache-Control": "no-store", **headers}, mimetype="application/json")
