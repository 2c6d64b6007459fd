"""What an error answer of DynamoDB means for a call. Pure: from its code, status and reasons to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct

from common.storage.dynamodb_values import failed_conditions


class Kind(Enum):
    """What to do about a fault."""

    CONFLICT = "a condition did not hold; nothing was written"
    LATER = "refused for now; nothing was written; to be tried again"
    LOST = "it may have been done; only the same request may follow"
    REFUSED = "refused, and trying again does not help; nothing was written"
    OURS = "the request is wrong: a fault of this program"


class Verdict(Struct, frozen=True):
    """A fault's kind, a sentence for the log with what to do, and for CONFLICT the places of the writes.

    `silent`: nobody answered at all.
    """

    kind: Kind
    text: str
    failed: tuple[int, ...] = ()
    silent: bool = False


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
        "TransactionConflict",
        "TransactionConflictException",
    }
)
_OURS = frozenset(
    {
        "IdempotentParameterMismatchException",  # a request id was used for other content
        "SerializationException",
        "ValidationException",
    }
)
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


def judge(code: str, status: int, message: str, reasons: Sequence[Mapping[str, Any]]) -> Verdict:
    """Judge an error answer. `reasons` are those of a cancelled transaction, one a write, in their order."""
    text = f"DynamoDB: {code} {message}".strip()
    if code == "TransactionCanceledException":
        return _judge_reasons(reasons, text)
    if code == "TransactionInProgressException":  # an earlier sending of this very request is still at work
        return Verdict(Kind.LOST, text)
    if code in _BUSY:
        return Verdict(Kind.LATER, text)
    if code in _OURS:
        return Verdict(Kind.OURS, text)
    if status >= _SERVER_FAULT:
        return Verdict(Kind.LOST, text)
    return Verdict(Kind.REFUSED, f"{text}: {_ADVICE[code]}" if code in _ADVICE else text)


def _judge_reasons(reasons: Sequence[Mapping[str, Any]], text: str) -> Verdict:
    """Judge a cancelled transaction: a condition that failed decides, whatever else stood in the way."""
    failed = failed_conditions(reasons)
    if failed:
        return Verdict(Kind.CONFLICT, text, failed)
    codes = {reason.get("Code", "None") for reason in reasons} - {"None"}
    return Verdict(Kind.LATER if codes and codes <= _BUSY else Kind.OURS, text)
