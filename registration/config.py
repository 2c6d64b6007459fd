"""Settings of registration."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from common.config import SettingsReader
from common.throttle import Quota


class RegistrationSettings(Struct, frozen=True):
    """How often a password and a code may be guessed, and where notices go.

    Passwords by account and source, by account, and by source; codes by account. `otp_issuer`: under which name an
    authenticator app lists our accounts.
    """

    guesses_account_source: Quota
    guesses_account: Quota
    guesses_source: Quota
    guesses_otp: Quota
    otp_issuer: str
    aws_region: str
    sns_topic_arn: str
    s3_bucket: str


def read_settings(reader: SettingsReader) -> RegistrationSettings:
    """Read them; faults stay with the reader."""
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    otp_issuer = reader.text("ICHIDAI_OTP_ISSUER", "Ichidai")
    if ":" in otp_issuer:
        reader.fault("ICHIDAI_OTP_ISSUER must not hold a colon: apps end the name there")
    return RegistrationSettings(
        guesses_account_source=Quota(reader.integer("ICHIDAI_GUESSES_ACCOUNT_SOURCE", 10, 1, 1_000_000), minute),
        guesses_account=Quota(reader.integer("ICHIDAI_GUESSES_ACCOUNT", 50, 1, 1_000_000), minute),
        guesses_source=Quota(reader.integer("ICHIDAI_GUESSES_SOURCE", 100, 1, 1_000_000), second),
        guesses_otp=Quota(reader.integer("ICHIDAI_GUESSES_OTP", 10, 1, 1_000_000), 15 * minute),
        otp_issuer=otp_issuer,
        aws_region=reader.text("AWS_REGION", ""),
        sns_topic_arn=reader.text("SNS_TOPIC_ARN", "dummy"),
        s3_bucket=reader.text("S3_BUCKET", ""),
    )
