"""The policy as text: what each value is called, what it may be, and the policy that a set of values makes. Pure.

The names are those of the settings. In the store and in `ichidai policy` a policy is a mapping from them to texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from common.account.admission import ConcurrencyMode, DeviceProof
from common.account.liveness import SessionRules
from common.account.policy import Policy
from common.config import SettingsReader

Values = Mapping[str, str]

LIMIT = "MAX_CONCURRENT_DEVICES"
_MODE, _PROOF, _FORCE = "ICHIDAI_CONCURRENCY_MODE", "ICHIDAI_DEVICE_PROOF", "ICHIDAI_ALLOW_FORCE"
_MAX_DEVICES, _EVICTIONS = "ICHIDAI_MAX_DEVICES", "ICHIDAI_EVICTIONS_BEFORE_SIGNATURE"
_IDLE, _LAST_SEEN = "ICHIDAI_IDLE_SECONDS", "ICHIDAI_LAST_SEEN_SECONDS"
_SESSION, _ACCESS_TOKEN = "ICHIDAI_SESSION_SECONDS", "ICHIDAI_ACCESS_TOKEN_SECONDS"
_APPROVAL = "ICHIDAI_TAKEOVER_APPROVAL"
_FINEST = 10
"""Activity is written at least so often within the idle time, however short that is."""


def _seconds(reader: SettingsReader, name: str, default: int) -> str:
    return str(int(reader.seconds(name, default).total_seconds()))


def read_values(reader: SettingsReader) -> dict[str, str]:
    """Read every value by its name, in one spelling; faults stay with the reader."""
    values = {
        LIMIT: str(reader.integer(LIMIT, 1, 0, 20)),
        _MODE: reader.choice(_MODE, ConcurrencyMode.ASK, tuple(ConcurrencyMode)),
        _PROOF: reader.choice(_PROOF, DeviceProof.FINGERPRINT, tuple(DeviceProof)),
        _FORCE: reader.choice(_FORCE, "true", ("true", "false")),
        _MAX_DEVICES: str(reader.integer(_MAX_DEVICES, 10, 1, 20)),
        _IDLE: _seconds(reader, _IDLE, 86_400),
        _LAST_SEEN: _seconds(reader, _LAST_SEEN, 60),
        _SESSION: _seconds(reader, _SESSION, 2_592_000),
        _ACCESS_TOKEN: _seconds(reader, _ACCESS_TOKEN, 600),
        _EVICTIONS: str(reader.integer(_EVICTIONS, 0, 0, 100)),
        _APPROVAL: reader.choice(_APPROVAL, "off", ("off", "ask")),
    }
    if values[_EVICTIONS] != "0" and values[_PROOF] == DeviceProof.NONE:
        reader.fault(f"{_EVICTIONS} asks for signatures; with {_PROOF}=none there are no keys")
    if values[_APPROVAL] != "off" and values[_MODE] != ConcurrencyMode.ASK:
        reader.fault(f"{_APPROVAL}=ask needs {_MODE}=ask: elsewhere nobody consents to a takeover")
    return {name: str(value) for name, value in values.items()}


DEFAULTS: Values = read_values(SettingsReader({}))
"""What holds where nothing is said."""


def to_policy(values: Values, number: int = 0, lower: Sequence[tuple[int, int]] = ()) -> Policy:
    """Return the policy that values make; `lower`: the numbers and limits of `Policy.lower`.

    Raises SettingsError for a value that this release does not know.
    """
    reader = SettingsReader({name: values[name] for name in DEFAULTS if name in values})
    known = read_values(reader)
    reader.finish()
    idle = _duration(known, _IDLE)
    rules = SessionRules(int(known[LIMIT]), idle, min(_duration(known, _LAST_SEEN), idle / _FINEST))
    return Policy(
        rules=rules,
        mode=ConcurrencyMode(known[_MODE]),
        device_proof=DeviceProof(known[_PROOF]),
        allow_force=known[_FORCE] == "true",
        max_devices=int(known[_MAX_DEVICES]),
        session_lifetime=_duration(known, _SESSION),
        access_token_lifetime=_duration(known, _ACCESS_TOKEN),
        evictions_before_signature=int(known[_EVICTIONS]),
        asks_active=known[_APPROVAL] == "ask",
        number=number,
        lower=tuple((since, SessionRules(limit, rules.idle, rules.seen_every)) for since, limit in lower),
    )


def set_apart(values: Values) -> dict[str, str]:
    """Return the values that are not the defaults: what an environment says of the policy."""
    return {name: value for name, value in values.items() if value != DEFAULTS.get(name)}


def differences(values: Values, others: Values) -> dict[str, str]:
    """Return what `others` say otherwise; what one of them does not name has its default."""
    return {name: _said(others, name) for name in DEFAULTS if _said(values, name) != _said(others, name)}


def _said(values: Values, name: str) -> str:
    return values.get(name, DEFAULTS[name])


def _duration(values: Values, name: str) -> timedelta:
    return timedelta(seconds=int(values[name]))
