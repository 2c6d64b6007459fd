"""Settings of registration."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from common.config import SettingsReader
from common.throttle import Quota


class RegistrationSettings(Struct, frozen=True):
    """How often a password may be guessed, by account and source, by account, and by source; and where notices go."""

    guesses_account_source: Quota
    guesses_account: Quota
    guesses_source: Quota
    aws_region: str
    sns_topic_arn: str
    s3_bucket: str


def read_settings(reader: SettingsReader) -> RegistrationSettings:
    """Read them; faults stay with the reader."""
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    return RegistrationSettings(
        guesses_account_source=Quota(reader.integer("ICHIDAI_GUESSES_ACCOUNT_SOURCE", 10, 1, 1_000_000), minute),
        guesses_account=Quota(reader.integer("ICHIDAI_GUESSES_ACCOUNT", 50, 1, 1_000_000), minute),
        guesses_source=Quota(reader.integer("ICHIDAI_GUESSES_SOURCE", 100, 1, 1_000_000), second),
        aws_region=reader.text("AWS_REGION", ""),
        sns_topic_arn=reader.text("SNS_TOPIC_ARN", "dummy"),
        s3_bucket=reader.text("S3_BUCKET", ""),
    )
