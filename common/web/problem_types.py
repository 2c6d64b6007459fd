"""Schemas of problem documents for the OpenAPI document: a general one, and one per code with members of its own.

Nothing is encoded with these types: `common.web.problems` writes the documents. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from common.account.history import Reason
from common.errors import Code
from common.web.formats import Seconds, Timestamp, Url


class Problem(Struct, frozen=True, kw_only=True):
    """A problem document (RFC 9457). `success` and `error` (= `detail`) serve clients that do not know that format."""

    type: Url
    title: str
    status: int
    code: Annotated[
        str, Meta(description="Identifies the problem; it never changes. For one you do not know, act on `status`.")
    ]
    detail: Annotated[str, Meta(description="For people, in the language of Accept-Language (en, ja).")]
    success: Literal[False]
    error: str
    request_id: Annotated[str, Meta(description="Names the request; the server's log has it too.")] | UnsetType = UNSET


class InvalidRequestProblem(Problem, frozen=True, kw_only=True):
    """The request cannot be read; `field` is the member that is wrong, where it is one."""

    code: Literal["invalid-request"]
    field: str | UnsetType = UNSET


class MissingFieldsProblem(Problem, frozen=True, kw_only=True):
    """Members are missing: those in `fields`."""

    code: Literal["missing-fields"]
    fields: Sequence[str]


class WeakPasswordProblem(Problem, frozen=True, kw_only=True):
    """The password is not accepted: under 8 or over 1,024 characters, a common one, or the user's name or mail."""

    code: Literal["weak-password"]
    fault: Literal["short", "long", "common", "personal"]


class UnfitKeyProblem(Problem, frozen=True, kw_only=True):
    """A signing request or a public key cannot be used; `fault` says why, and more values may come."""

    code: Literal["csr-invalid", "key-invalid"]
    fault: str


class SessionEndedProblem(Problem, frozen=True, kw_only=True):
    """The session has ended: do not refresh, log in again. `event_timestamp` and `by_device` where they are known."""

    code: Literal["session-ended"]
    reason: Annotated[
        str,
        Meta(description="Why. More reasons may come: " + ", ".join(Reason) + ".", examples=[str(Reason.TAKEN_OVER)]),
    ]
    event_timestamp: Timestamp | UnsetType = UNSET
    by_device: Annotated[str | None, Meta(description="Name of the device whose action ended it.")] | UnsetType = UNSET


class ActiveSession(Struct, frozen=True):
    """A session of another device that is active now."""

    device_name: str | None
    login_at: Timestamp
    last_seen_at: Timestamp


class SealedChallenge(Struct, frozen=True):
    """A challenge encrypted to its device's sntrup761 key: base64 of the ciphertext, and of nonce and AES-GCM box."""

    kem: Literal["sntrup761"]
    ciphertext: str
    box: str


class TakeoverChallenge(Struct, frozen=True, kw_only=True):
    """What the device must sign in its takeover: the challenge's text, or that text encrypted to the device."""

    challenge_id: str
    challenge: str | UnsetType = UNSET
    sealed: SealedChallenge | UnsetType = UNSET
    issuer: Url
    expires_in: Seconds


class Takeover(Struct, frozen=True, kw_only=True):
    """How to end exactly the sessions in `active`: post `token` as `takeover_token` to `url`."""

    token: str
    expires_in: Seconds
    url: Url
    challenge: TakeoverChallenge | UnsetType = UNSET


class ApprovalOffer(Struct, frozen=True, kw_only=True):
    """How to have the active devices' users asked: post `token` as `approval_token` to `url`, until it is answered."""

    token: str
    expires_in: Seconds
    url: Url


class DeviceActiveProblem(Problem, frozen=True, kw_only=True):
    """The limit of active devices is reached, and nothing was changed. There is no `takeover` in mode `reject`.

    Where the active devices' users are to be asked first, there is `approval` in its place.
    """

    code: Literal["device-active"]
    message: Annotated[str, Meta(description="The question to the user.")]
    active: Sequence[ActiveSession]
    takeover: Takeover | UnsetType = UNSET
    approval: ApprovalOffer | UnsetType = UNSET


class DigitsWrongProblem(Problem, frozen=True, kw_only=True):
    """The asking device shows other digits. With no try left the approval is refused."""

    code: Literal["digits-wrong"]
    tries_left: int


class AccountClosedProblem(Problem, frozen=True, kw_only=True):
    """The password is right, and the account is closed. Until `reopen_until` it can be reopened."""

    code: Literal["account-closed"]
    reopen_until: Timestamp


class TooManyDevicesProblem(Problem, frozen=True, kw_only=True):
    """The account has as many devices as it may have."""

    code: Literal["too-many-devices"]
    max_devices: int


class ServedElsewhereProblem(Problem, frozen=True, kw_only=True):
    """Event streams are served at `events_endpoint`; without it, nowhere."""

    code: Literal["served-elsewhere"]
    events_endpoint: Url | UnsetType = UNSET


class RetryLaterProblem(Problem, frozen=True, kw_only=True):
    """The same request may succeed in `retry_after` seconds, which the header `Retry-After` says too."""

    code: Literal["too-many-attempts", "too-many-registrations", "too-many-streams", "store-unavailable", "busy"]
    retry_after: Seconds


class WorkParameters(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to be solved: a counter whose derived key begins with `keyPrefix` (ALTCHA, version 2)."""

    algorithm: Literal["PBKDF2/SHA-256"]
    cost: int
    key_length: int
    key_prefix: str
    nonce: str
    salt: str
    expires_at: int
    data: Mapping[str, str]


class WorkChallenge(Struct, frozen=True, kw_only=True):
    """A challenge of a proof of work, signed by the server."""

    parameters: WorkParameters
    signature: str


class WorkRequiredProblem(Problem, frozen=True, kw_only=True):
    """A proof of work is needed: send the solution of `challenge` as `work`, within `expires_in` seconds, once."""

    code: Literal["work-required"]
    challenge: WorkChallenge
    expires_in: Seconds


PROBLEM_TYPES: Mapping[Code, type[Problem]] = {
    Code.INVALID_REQUEST: InvalidRequestProblem,
    Code.MISSING_FIELDS: MissingFieldsProblem,
    Code.WEAK_PASSWORD: WeakPasswordProblem,
    Code.CSR_INVALID: UnfitKeyProblem,
    Code.KEY_INVALID: UnfitKeyProblem,
    Code.SESSION_ENDED: SessionEndedProblem,
    Code.DEVICE_ACTIVE: DeviceActiveProblem,
    Code.DIGITS_WRONG: DigitsWrongProblem,
    Code.ACCOUNT_CLOSED: AccountClosedProblem,
    Code.TOO_MANY_DEVICES: TooManyDevicesProblem,
    Code.SERVED_ELSEWHERE: ServedElsewhereProblem,
    Code.TOO_MANY_ATTEMPTS: RetryLaterProblem,
    Code.TOO_MANY_STREAMS: RetryLaterProblem,
    Code.TOO_MANY_REGISTRATIONS: RetryLaterProblem,
    Code.WORK_REQUIRED: WorkRequiredProblem,
    Code.STORE_UNAVAILABLE: RetryLaterProblem,
    Code.BUSY: RetryLaterProblem,
}
"""The codes whose documents have members of their own."""
