"""One strong read of one item at a quarter of the client's processor time: signed by botocore, on a line of our own.

Credentials, region, endpoint and certificates are the client's. Only a plain answer counts: status 200, whole, its
checksum right, naming its consumed capacity. For any other the client is asked, which knows all that can be; only
silence is not asked for twice. Behind a proxy there are no such reads.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from botocore import exceptions as boto
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from common.storage.dynamodb.codec import DynamoJson, with_bytes
from common.storage.dynamodb.http_connection import HttpConnection, HttpResponse, ServerAddress, UnsupportedResponse
from common.storage.thread_local_connections import ThreadLocalConnections

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient

_PORTS = {"http": 80, "https": 443}


def fast_get_item(
    session: boto3.session.Session, client: DynamoDBClient, connect_seconds: float, answer_seconds: float
) -> FastGetItem | None:
    """Return what reads in the client's place; None where only the client can: no credentials, a proxy, a path."""
    url, credentials = client.meta.endpoint_url, session.get_credentials()
    parts = urlsplit(url)
    if credentials is None or parts.hostname is None or parts.path.strip("/") or get_environ_proxies(url):
        return None
    bundle = session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - boto3 shows no other way to it
    tls = ssl.create_default_context(cafile=bundle or get_cert_path(verify=True)) if parts.scheme == "https" else None
    address = ServerAddress(parts.hostname, parts.port or _PORTS[parts.scheme], tls, connect_seconds, answer_seconds)
    return FastGetItem(client, credentials, address)


class FastGetItem:
    """Reads items, each thread over a connection of its own; none of them is open while the process forks."""

    def __init__(self, client: DynamoDBClient, credentials: Any, address: ServerAddress) -> None:
        self._url = client.meta.endpoint_url
        self._region = client.meta.region_name
        self._credentials = credentials
        self._host = urlsplit(self._url).netloc
        self._agent = client.meta.config.user_agent  # type: ignore[attr-defined]
        self._connections = ThreadLocalConnections(lambda: HttpConnection(address))

    def get(self, request: DynamoJson) -> Mapping[str, Any] | None:
        """Return the answer to a GetItem as the client would; None when the client must be asked.

        Raises what the client raises when nobody answers: botocore's ConnectTimeoutError, EndpointConnectionError,
        ReadTimeoutError.
        """
        message = self._signed(orjson.dumps(request))
        with self._connections.use() as connection:
            try:
                answer = self._requested(connection, message)
            except UnsupportedResponse:
                return None
        return _read(answer)

    def close(self) -> None:
        """Close the connections; the next read opens again."""
        self._connections.close()

    def _requested(self, connection: HttpConnection, message: bytes) -> HttpResponse:
        """Ask over the line that is there, or over a new one: a server may have closed one that was not used."""
        if connection.is_open:
            try:
                return connection.request(message)
            except TimeoutError as error:
                raise boto.ReadTimeoutError(endpoint_url=self._url, error=error) from error
            except OSError:
                pass
        self._open(connection)
        try:
            return connection.request(message)
        except TimeoutError as error:
            raise boto.ReadTimeoutError(endpoint_url=self._url, error=error) from error
        except OSError as error:
            raise UnsupportedResponse(str(error)) from error

    def _open(self, connection: HttpConnection) -> None:
        try:
            connection.open()
        except TimeoutError as error:
            raise boto.ConnectTimeoutError(endpoint_url=self._url, error=error) from error
        except ssl.SSLError as error:
            raise UnsupportedResponse(str(error)) from error
        except OSError as error:
            raise boto.EndpointConnectionError(endpoint_url=self._url, error=error) from error

    def _signed(self, body: bytes) -> bytes:
        """Return a whole request, signed with the credentials as they are now (Signature Version 4)."""
        headers = {
            "Host": self._host,
            "X-Amz-Target": "DynamoDB_20120810.GetItem",
            "Content-Type": "application/x-amz-json-1.0",
        }
        request = AWSRequest("POST", self._url, data=body, headers=headers)
        SigV4Auth(self._credentials.get_frozen_credentials(), "dynamodb", self._region).add_auth(request)
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head = f"POST / HTTP/1.1\r\n{lines}User-Agent: {self._agent}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _read(answer: HttpResponse) -> Mapping[str, Any] | None:
    checksum = answer.headers.get(b"x-amz-crc32")
    if answer.status != 200 or (checksum is not None and checksum != b"%d" % zlib.crc32(answer.body)):  # noqa: PLR2004
        return None
    try:
        parsed = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parsed, dict) or "ConsumedCapacity" not in parsed:
        return None
    return with_bytes(parsed) if b'"B"' in answer.body else parsed
