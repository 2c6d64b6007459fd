"""Publishing to an S3 bucket what others need to judge devices' certificates: the authorities and their lists."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from common.errors import Refusal
from common.storage.port import StoreUnavailable
from device_manager.trust import Trust

_log = logging.getLogger(__name__)

AUTHORITIES_KEY = "ca.pem"
LOOK_SECONDS = 60.0
"""How long a revocation may take into the bucket."""

_PEM, _CRL = "application/x-pem-file", "application/pkix-crl"


class PublishingFailed(Exception):
    """S3 did not take it; the text says what to check."""


class S3Object(Struct, frozen=True):
    """An object of the bucket; it is written again when it has become another one."""

    body: bytes
    content_type: str


class Publisher(Struct, frozen=True):
    """Keeps a bucket up to date: `ca.pem`, and for each authority `crl/NAME.crl` and, as it issues, `crl/KIND.crl`."""

    trust: Trust
    bucket: str
    region: str
    _published: dict[str, S3Object] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Publish now and whenever something has changed, until `stop` is set."""
        while True:
            self.publish()
            if stop.wait(LOOK_SECONDS):
                return

    def publish(self) -> bool:
        """Put what has changed into the bucket and say whether that worked; a failure is one log line and no more."""
        try:
            changed = {key: content for key, content in self._wanted() if self._published.get(key) != content}
            _put_all(changed, self.bucket, self.region)
        except (Refusal, StoreUnavailable, PublishingFailed) as error:
            _log.warning("the CA certificates and revocation lists were not published: %s", error)
            return False
        self._published.update(changed)
        return True

    def _wanted(self) -> Iterator[tuple[str, S3Object]]:
        authorities = self.trust.authorities()
        pem = "".join(authority.pem() for authority in authorities)
        yield AUTHORITIES_KEY, S3Object(pem.encode(), _PEM)
        kinds: set[str] = set()
        for authority in authorities:
            content = S3Object(self.trust.list_of(authority.name).der, _CRL)
            yield f"crl/{authority.name}.crl", content
            if authority.kind not in kinds:  # the first of each kind is the one that issues
                kinds.add(authority.kind)
                yield f"crl/{authority.kind}.crl", content


def _put_all(objects: Mapping[str, S3Object], bucket: str, region: str) -> None:
    """Put objects into the bucket. Raises PublishingFailed."""
    import boto3  # noqa: PLC0415 - only where a bucket is set
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    try:
        client = boto3.client("s3", region_name=region or None, config=quick)
        for key, content in objects.items():
            client.put_object(
                Bucket=bucket,
                Key=key,
                Body=content.body,
                ContentType=content.content_type,
                CacheControl=f"max-age={int(LOOK_SECONDS)}",
            )
    except (BotoCoreError, ClientError) as error:
        raise PublishingFailed(
            f"{error}. Check S3_BUCKET, AWS_REGION and the credentials; unset S3_BUCKET to publish nothing."
        ) from error
