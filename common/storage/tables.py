"""The tables of the suite. Names and key attributes are those of DynamoDB; every engine keeps the same ones."""

from __future__ import annotations

from common.storage.port import Table

USERS = Table("UsersTable", "uuid")
NAMES = Table("NamesTable", "claim")
FACTORS = Table("FactorsTable", "user_uuid")
SESSIONS = Table("SessionsTable", "user_uuid")
DEVICES = Table("DevicesTable", "user_uuid", "device_id")
DEVICE_KEYS = Table("DeviceKeysTable", "user_uuid", "device_id")
PAIRING_TOKENS = Table("PairingTokensTable", "token_hash", expires=True)
CHALLENGES = Table("ChallengesTable", "challenge_hash", expires=True)
LOGIN_HISTORY = Table("LoginHistory", "user_uuid", "change_no", sort_is_number=True, expires=True)
THROTTLE = Table("ThrottleTable", "bucket", expires=True)
KEY_RING = Table("KeyRingTable", "id")
REVOCATIONS = Table("RevocationsTable", "issuer_shard", "serial", expires=True)
FEED = Table("FeedTable", "bucket", "id", expires=True)

ALL = (
    USERS,
    NAMES,
    FACTORS,
    SESSIONS,
    DEVICES,
    DEVICE_KEYS,
    PAIRING_TOKENS,
    CHALLENGES,
    LOGIN_HISTORY,
    THROTTLE,
    KEY_RING,
    REVOCATIONS,
    FEED,
)
