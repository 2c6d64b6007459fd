"""Publishing the authority's certificate to an S3 bucket, so that others can verify devices' certificates."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)

OBJECT_KEY = "ca.pem"


def publish_authority(pem: str, bucket: str, region: str) -> bool:
    """Put the certificate into the bucket and say whether that worked; a failure is one log line and stops nothing."""
    import boto3  # noqa: PLC0415 - only where a bucket is set
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    quick = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2})
    try:
        client = boto3.client("s3", region_name=region or None, config=quick)
        client.put_object(Bucket=bucket, Key=OBJECT_KEY, Body=pem.encode(), ContentType="application/x-pem-file")
    except (BotoCoreError, ClientError) as error:
        _log.warning(
            "the CA certificate was not published: %s. Check S3_BUCKET, AWS_REGION and the credentials; "
            "unset S3_BUCKET to publish nothing.",
            error,
        )
        return False
    return True
