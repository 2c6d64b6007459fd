"""What an error answer of DynamoDB means for a call. Pure: from its code and status to a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct


class FailureKind(Enum):
    """What to do about a fault."""

    CONFLICT = "a condition did not hold; nothing was written"
    RETRYABLE = "refused for now; nothing was written; to be tried again"
    UNKNOWN_OUTCOME = "it may have been done; only the same request may follow"
    REFUSED = "refused, and trying again does not help; nothing was written"
    BUG = "the request is wrong: a fault of this program"


class Failure(Struct, frozen=True):
    """A fault's kind, and a sentence for the log with what to do.

    `silent`: nobody answered at all. `throttled`: there were too many requests.
    """

    kind: FailureKind
    text: str
    silent: bool = False
    throttled: bool = False


_BUSY = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_OURS = frozenset({"SerializationException", "ValidationException"})
_KINDS: Mapping[str, FailureKind] = {
    "ConditionalCheckFailedException": FailureKind.CONFLICT,
    **dict.fromkeys(_BUSY, FailureKind.RETRYABLE),
    **dict.fromkeys(_OURS, FailureKind.BUG),
}
CREDENTIALS = "check the AWS credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role)"
_ADVICE = {
    "ResourceNotFoundException": "a table is missing: run `ichidai tables create`, or check AWS_REGION and the prefix",
    "AccessDeniedException": "the AWS identity lacks a permission: see docs/operations.md",
    "ExpiredTokenException": CREDENTIALS,
    "IncompleteSignatureException": CREDENTIALS,
    "InvalidSignatureException": CREDENTIALS + " and this host's clock",
    "MissingAuthenticationToken": CREDENTIALS,
    "MissingAuthenticationTokenException": CREDENTIALS,
    "UnrecognizedClientException": CREDENTIALS,
}
_SERVER_FAULT = 500


def classify(code: str, status: int, message: str) -> Failure:
    """Judge an error answer."""
    text = f"DynamoDB: {code} {message}".strip()
    if code in _KINDS:
        return Failure(_KINDS[code], text, throttled=code in _BUSY)
    if status >= _SERVER_FAULT:
        return Failure(FailureKind.UNKNOWN_OUTCOME, text)
    return Failure(FailureKind.REFUSED, f"{text}: {_ADVICE[code]}" if code in _ADVICE else text)
